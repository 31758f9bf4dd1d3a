import hashlib
import hmac
from datetime import date

import pytest

from agent.privacy.pseudonyms import day_token, pseudonym_of

DAY = date(2026, 11, 22)


def test_the_token_is_the_keyed_hash_of_the_day() -> None:
    expected = hmac.new(b"k" * 32, b"2026-11-22", hashlib.sha256).digest()
    assert day_token(b"k" * 32, DAY) == expected


def test_the_token_proves_who_owns_a_pseudonym() -> None:
    token = day_token(b"k" * 32, DAY)
    assert pseudonym_of(token) == hashlib.sha256(token).digest()[:16]


def test_every_day_and_every_purpose_has_another_pseudonym() -> None:
    days = [date(2026, 11, day) for day in range(1, 29)]
    secrets = [bytes([number]) * 32 for number in range(4)]
    names = {pseudonym_of(day_token(secret, day)) for secret in secrets for day in days}
    assert len(names) == len(days) * len(secrets)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 32 bytes, got 3"):
        day_token(b"abc", DAY)


def test_every_number_of_a_day_has_another_pseudonym() -> None:
    names = {pseudonym_of(day_token(b"k" * 32, DAY, number)) for number in (None, 0, 1, 2, 10)}
    assert len(names) == 5
