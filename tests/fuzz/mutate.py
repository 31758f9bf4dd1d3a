"""A seeded mutator with coverage: inputs that reach a new line after another line are kept.

Whole bytes are turned over as any fuzzer does it; beside that, fields of the container are replaced
by odd values and written deterministically again, so that mutations get past the container's door.
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import cbor2

ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 2**64, 0.5, float("nan"), float("inf")),
    *("", "battery", "2026-11", b"", bytes(16), bytes(1000), [], [[]], {}, [None] * 40),
)
ODD_WORDS = ("", "..", "/", "\\", "\0", "\ud800", "e\u0301", "\u202e", ".json", "a" * 400, "%2f")
ODD_JSON: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, float("nan")),
    *("", "targets", "2026-11-22T12:00:00Z", "9" * 5_000, [], {}, [[]], [None] * 70, {"": {}}),
)
CODE = "telemetry/codec/"
Edge = tuple[str, int, int]
Mutation = Callable[[random.Random, bytes, list[bytes]], bytes]


@dataclass(slots=True)
class Trace:
    """Which line followed which while a target ran, and how many lines ran at all."""

    code: str = CODE  # part of the path of the files that are watched
    edges: set[Edge] = field(default_factory=set)
    lines: int = 0
    _last: dict[int, int] = field(default_factory=dict)

    def run(self, target: Callable[[bytes], None], data: bytes) -> None:
        """Run ``target`` and watch its code."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            target(data)
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Any:
        self._last[id(frame)] = 0  # ids are used again
        return self._line if self.code in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line":
            self.lines += 1
            at, name = frame.f_lineno, frame.f_code.co_filename
            self.edges.add((name, self._last.get(id(frame), 0), at))
            self._last[id(frame)] = at
        return self._line


class Mutator:
    """Draws inputs of at most ``most`` bytes from a corpus that grows by what reaches new code."""

    def __init__(
        self,
        corpus: list[bytes],
        seed: int,
        *,
        mutations: Sequence[Mutation] = (),
        most: int = 4_096,
    ) -> None:
        self.corpus = list(corpus)
        self._mutations = mutations or MUTATIONS
        self._most = most
        self.edges: set[Edge] = set()
        self._random = random.Random(seed)

    def draw(self) -> bytes:
        """Return the next input."""
        data = self._random.choice(self.corpus)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            data = self._random.choice(self._mutations)(self._random, data, self.corpus)
        return data[: self._most]

    def keep_if_new(self, data: bytes, trace: Trace) -> None:
        """Add ``data`` to the corpus if it went where none went before."""
        if not trace.edges <= self.edges:
            self.edges |= trace.edges
            self.corpus.append(data)


def flip(random: random.Random, data: bytes, _corpus: list[bytes]) -> bytes:
    if not data:
        return b"\x00"
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(random: random.Random, data: bytes, _corpus: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.randrange(1, 5)) + data[at + random.randrange(5) :]


def cut(random: random.Random, data: bytes, _corpus: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at + random.randrange(1, 9) :]


def repeat(random: random.Random, data: bytes, _corpus: list[bytes]) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + data[at : at + random.randrange(1, 30)] * random.randrange(1, 9) + data[at:]


def splice(random: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    other = random.choice(corpus)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def refit(random: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """Replace something inside the container and write it deterministically again."""
    try:
        fields = cbor2.loads(data)
        places = list(_places(fields))
        container, key = random.choice(places)
        inner = container[key]
        if isinstance(inner, bytes) and random.random() < 0.8:
            container[key] = random.choice(BYTES)(random, inner, corpus)
        else:
            container[key] = random.choice(ODD)
        return cbor2.dumps(fields, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, IndexError, OverflowError, RecursionError):
        return data


def refit_json(random: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """Replace a value of a JSON document by an odd one or by another's, or take it away."""
    try:
        document, other = json.loads(data), json.loads(random.choice(corpus))
        container, key = random.choice(list(_places(document)))
        what = random.random()
        if what < 0.2 and isinstance(container, dict):
            del container[key]
        elif what < 0.4:
            donor, place = random.choice(list(_places(other)))
            container[key] = donor[place]
        elif isinstance(container[key], str) and what < 0.7:
            container[key] = container[key][: random.randrange(4)] + random.choice(ODD_WORDS)
        else:
            container[key] = random.choice(ODD_JSON)
        return json.dumps(document).encode()
    except (ValueError, TypeError, IndexError, RecursionError):
        return data


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


BYTES = (flip, overwrite, cut, repeat)
JSON_MUTATIONS = (*BYTES, splice, *[refit_json] * 8)
MUTATIONS = (*BYTES, splice, refit, refit, refit)
