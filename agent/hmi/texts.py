"""The screen's words: one file per language, every text looked up by its key.

The notice of a purpose is part of the consent. Its hash covers language, title and every line,
so a ledger entry says which text the driver saw.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from telemetry.purposes import Purpose

DEFAULT_LANGUAGE = "en"
MAX_BLOCK = 120  # characters in one block of text; source: Android for Cars, text length
_FOLDER = Path(__file__).parent / "texts"
_KILO, _DIGITS_BELOW = 1000, 10


@dataclass(frozen=True, slots=True)
class PurposeNotice:
    """What a driver reads before switching a purpose on; ``sha256`` is hex."""

    title: str
    what: str
    lines: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language, and how it writes numbers."""

    language: str
    entries: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """Return the text of ``key`` with its ``{names}`` filled in; raise KeyError if unknown."""
        return self.entries[key].format(**values)

    def find(self, key: str, otherwise: str) -> str:
        """Return the text of ``key``, or ``otherwise`` where this language has none."""
        return self.entries.get(key) or otherwise

    def number(self, value: float, decimals: int = 0) -> str:
        """Return ``value`` as this language writes it: ``3,180.5`` or ``3.180,5``."""
        plain = f"{value:,.{decimals}f}"
        swap = {",": self.entries["number.thousands"], ".": self.entries["number.decimal"]}
        return "".join(swap.get(character, character) for character in plain)

    def size(self, size_bytes: int) -> str:
        """Return a size in plain units, such as ``38.2 kB`` (1 kB = 1,000 bytes)."""
        value, unit = float(size_bytes), "bytes"
        for bigger in ("kB", "MB", "GB"):
            if value < _KILO:
                break
            value, unit = value / _KILO, bigger
        decimals = 1 if unit != "bytes" and value < _KILO / _DIGITS_BELOW else 0
        return f"{self.number(value, decimals)} {unit}"

    def duration(self, seconds: int) -> str:
        """Return a duration rounded up to what a person plans with: seconds, or minutes."""
        if seconds < 2 * 60:
            return self.say("duration.seconds", n=self.number(seconds))
        return self.say("duration.minutes", n=self.number(-(-seconds // 60)))

    def notice(self, purpose: Purpose) -> PurposeNotice:
        """Return the notice of ``purpose`` in this language."""
        title, what = self.say(f"purpose.{purpose}.title"), self.say(f"purpose.{purpose}.what")
        prefix = f"purpose.{purpose}.notice."
        lines = tuple(self.entries[key] for key in sorted(self.entries) if key.startswith(prefix))
        seen = "\n".join([self.language, purpose, title, what, *lines])
        return PurposeNotice(title, what, lines, hashlib.sha256(seen.encode()).hexdigest())


def load_texts(folder: Path = _FOLDER) -> dict[str, Texts]:
    """Read every ``<language>.json`` of ``folder``; English comes first."""
    files = sorted(folder.glob("*.json"), key=lambda path: (path.stem != DEFAULT_LANGUAGE, path))
    return {
        path.stem: Texts(path.stem, msgspec.json.decode(path.read_bytes(), type=dict[str, str]))
        for path in files
    }


def choose_language(wishes: str, offered: Mapping[str, Texts]) -> str:
    """Return the first language of an Accept-Language header that is offered, else English."""
    for wish in wishes.split(",")[:10]:
        language = wish.partition(";")[0].strip().lower().partition("-")[0]
        if language in offered:
            return language
    return DEFAULT_LANGUAGE
