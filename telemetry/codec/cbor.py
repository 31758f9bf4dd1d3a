"""Deterministic CBOR (RFC 8949, section 4.2) and nothing looser.

Reading refuses tags before they are evaluated (a tag may ask for a regular expression or for two
to the power of a billion), indefinite lengths, double keys, depth, bytes that follow, and any
value that would be written differently.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Never

import cbor2

from telemetry.codec.errors import CodecError

MAX_DEPTH = 6  # a batch of records with lists needs 5


def dump(value: object) -> bytes:
    """Return the one deterministic encoding of ``value``."""
    return cbor2.dumps(value, canonical=True)


def load(data: bytes, *, max_bytes: int, what: str) -> object:
    """Return the value in ``data``; ``what`` begins the message of a refusal.

    Raises:
        CodecError: More than ``max_bytes``, not CBOR, or not deterministic.
    """
    if len(data) > max_bytes:
        raise CodecError(
            f"{what}: expected at most {max_bytes} bytes, got {len(data)}", code="codec.too_large"
        )
    try:
        value: object = cbor2.loads(
            data,
            semantic_decoders=_NO_TAGS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
        )
        again = dump(value)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"{what}: not the CBOR we write: {error}", code="codec.shape") from error
    if again != data:
        raise CodecError(f"{what}: not deterministic CBOR", code="codec.not_deterministic")
    return value


def _refuse_tag(_decoder: object) -> Never:
    raise ValueError("tags are not used here")


class _NoTags(Mapping[int, Callable[[Any], Any]]):
    """A decoder for every tag there is: it refuses."""

    def __getitem__(self, tag: int) -> Callable[[Any], Any]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_TAGS = _NoTags()
