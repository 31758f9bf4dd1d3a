"""Chance under a key: the same question always gets the same answer, and nobody else can tell it.

A choice that is drawn afresh each time can be averaged away by whoever sees enough repeats. Choices
about a place or a day are therefore drawn from a purpose's secret and a label: stable for this
vehicle, without pattern for everybody else, and gone once the secret is destroyed.
"""

import hmac

_RANGE = 1 << 64


def keyed_fraction(secret: bytes, *labels: object) -> float:
    """Return a number from 0 (included) to 1 (excluded), drawn from ``secret`` and ``labels``."""
    return keyed_number(secret, *labels) / _RANGE


def keyed_choice(secret: bytes, count: int, *labels: object) -> int:
    """Return a whole number from 0 to ``count`` - 1; raise ValueError if there is none."""
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    return keyed_number(secret, *labels) % count


def keyed_number(secret: bytes, *labels: object) -> int:
    """Return 64 bits drawn from ``secret`` and ``labels``; labels are told apart by their text."""
    message = "\x1f".join(map(str, labels)).encode()
    return int.from_bytes(hmac.digest(secret, message, "sha256")[:8])
