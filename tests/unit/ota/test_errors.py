from collections.abc import Iterator

import pytest

from ota.errors import OtaError, ReleaseCounterError, RollbackError


def leaves(kind: type[OtaError] = OtaError) -> Iterator[type[OtaError]]:
    """Yield every class of the tree's own module; a part of the client may add its leaf."""
    for child in kind.__subclasses__():
        if child.__module__ == OtaError.__module__:
            yield child
        yield from leaves(child)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in leaves()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", list(leaves()), ids=lambda kind: kind.code)
def test_every_error_has_a_sentence_and_an_advice(kind: type[OtaError]) -> None:
    assert kind.sentence.endswith(".")
    assert kind.advice.endswith(".")
    parent = kind.__mro__[1]
    assert kind.code.startswith(getattr(parent, "code", ""))


def test_a_message_says_what_was_expected_what_was_found_and_what_is_intact() -> None:
    found = str(OtaError("root", expected="2 signatures", got="1"))
    assert found == "root: expected 2 signatures, got 1; nothing changed"


def test_a_rollback_names_floor_and_offer() -> None:
    assert "expected version >= 7, got 6" in str(RollbackError("targets", floor=7, offered=6))
    assert "counter >= 3, got 2" in str(ReleaseCounterError("ecu-1", floor=3, offered=2))


def test_what_somebody_else_sent_fills_no_log() -> None:
    error = OtaError("x" * 9_000, expected="y" * 9_000, got="z" * 9_000)
    assert len(str(error)) < 1_000
    assert str(error).endswith("zzz...; nothing changed")


@pytest.mark.parametrize("family", ["ota.repository", "ota.manifest"])
def test_every_refusal_of_what_came_from_outside_names_its_attack(family: str) -> None:
    kinds = [kind for kind in leaves() if kind.code.startswith(f"{family}.")]
    assert [kind.code for kind in kinds if kind.attack is None] == []
