"""The screen's words: one file per language, every text looked up by its key.

The notice of a purpose is part of the consent. Its hash covers language, title and every line,
so a ledger entry says which text the driver saw.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import msgspec

from telemetry.purposes import Purpose

log = logging.getLogger(__name__)

DEFAULT_LANGUAGE = "en"
MAX_BLOCK = 120  # characters in one block of text; source: Android for Cars, text length
_FOLDER = Path(__file__).parent / "texts"
_KILO, _DIGITS_BELOW = 1000, 10


class TextsError(Exception):
    """A language file is not there, is none, or lacks what nobody can do without."""

    code = "screen.texts"


@dataclass(frozen=True, slots=True)
class PurposeNotice:
    """What a driver reads before switching a purpose on; ``sha256`` is hex.

    ``language`` is that of the text itself: English where the wished one lacks a part of it.
    """

    language: str
    title: str
    what: str
    lines: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language, and how it writes numbers."""

    language: str
    entries: Mapping[str, str]
    fallback: "Texts | None" = None  # English, where this language lacks a text

    def say(self, key: str, **values: object) -> str:
        """Return the text of ``key`` with its ``{names}`` filled in; raise KeyError if unknown."""
        if key not in self.entries and self.fallback:
            return self.fallback.say(key, **values)
        return self.entries[key].format(**values)

    def find(self, key: str, otherwise: str) -> str:
        """Return the text of ``key``, or ``otherwise`` where this language has none."""
        if key not in self.entries and self.fallback:
            return self.fallback.find(key, otherwise)
        return self.entries.get(key) or otherwise

    def missing(self) -> list[str]:
        """Return the keys that are shown in English because this language lacks them."""
        english = self.fallback.entries if self.fallback else {}
        return [key for key in english if key not in self.entries]

    def number(self, value: float, decimals: int = 0) -> str:
        """Return ``value`` as this language writes it: ``3,180.5`` or ``3.180,5``."""
        plain = f"{value:,.{decimals}f}"
        swap = {",": self.say("number.thousands"), ".": self.say("number.decimal")}
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
        if seconds < 2 * 3600:
            return self.say("duration.minutes", n=self.number(-(-seconds // 60)))
        return self.say("duration.hours", n=self.number(-(-seconds // 3600)))

    def day(self, day: date) -> str:
        """Return a date as this language writes it."""
        return self.say("date", year=day.year, month=f"{day.month:02}", day=f"{day.day:02}")

    def notice(self, purpose: Purpose) -> PurposeNotice:
        """Return the notice of ``purpose``: never a mixture of two languages."""
        if self.fallback and any(key.startswith(f"purpose.{purpose}.") for key in self.missing()):
            return self.fallback.notice(purpose)
        title, what = self.say(f"purpose.{purpose}.title"), self.say(f"purpose.{purpose}.what")
        prefix = f"purpose.{purpose}.notice."
        lines = tuple(self.entries[key] for key in sorted(self.entries) if key.startswith(prefix))
        seen = "\n".join([self.language, purpose, title, what, *lines])
        sha256 = hashlib.sha256(seen.encode()).hexdigest()
        return PurposeNotice(self.language, title, what, lines, sha256)


def load_texts(folder: Path = _FOLDER) -> dict[str, Texts]:
    """Read every ``<language>.json`` of ``folder``; English comes first.

    A text that another language lacks is shown in English; a notice of which a part is missing is
    English as a whole, because that is what will stand in the ledger.

    Raises:
        TextsError: A file cannot be read, or English has no notice for a purpose.
    """
    files = sorted(folder.glob("*.json"), key=lambda path: (path.stem != DEFAULT_LANGUAGE, path))
    found: dict[str, Texts] = {}
    for path in files:
        english = found.get(DEFAULT_LANGUAGE)
        found[path.stem] = Texts(path.stem, _entries(path), fallback=english)
        if missing := found[path.stem].missing():
            log.warning("texts_missing", extra={"language": path.stem, "keys": missing[:10]})
    _expect_notices(found)
    return found


def _entries(path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, ValueError) as error:
        raise TextsError(f"{path}: expected texts by key: {error}; nothing was started") from error


def _expect_notices(found: Mapping[str, Texts]) -> None:
    english = found.get(DEFAULT_LANGUAGE)
    for purpose in Purpose:
        for key in ("title", "what", "notice.1"):
            if english is None or f"purpose.{purpose}.{key}" not in english.entries:
                raise TextsError(
                    f"{DEFAULT_LANGUAGE}.json: expected purpose.{purpose}.{key}, found none;"
                    " without a text nobody can agree, and nothing was started"
                )


def choose_language(wishes: str, offered: Mapping[str, Texts]) -> str:
    """Return the first language of an Accept-Language header that is offered, else English."""
    for wish in wishes.split(",")[:10]:
        language = wish.partition(";")[0].strip().lower().partition("-")[0]
        if language in offered:
            return language
    return DEFAULT_LANGUAGE
