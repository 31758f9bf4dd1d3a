"""The texts on which a driver agrees, per purpose, each with the hash that the ledger names."""

import hashlib
from importlib.resources import files

import msgspec
from msgspec import Struct

from telemetry.purposes import Purpose


class Notice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person reads before saying yes. A changed word is another hash."""

    notice_id: str  # purpose, language, version
    language: str  # BCP 47
    title: str
    text: str
    data_categories: tuple[str, ...]
    not_sent: tuple[str, ...]
    controller: str
    lawful_basis: str
    retention: str
    withdrawal: str  # how to take the consent back

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of all fields as sorted JSON, in hex."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


DEFAULT_LANGUAGE = "en"
LANGUAGES = {DEFAULT_LANGUAGE: "notices.json", "de": "notices.de.json"}


def load_notices(language: str = DEFAULT_LANGUAGE) -> dict[Purpose, Notice]:
    """Read the shipped notices of a language; raise KeyError if there are none. Blocks.

    A purpose without a notice in English cannot be granted.
    """
    data = files("agent.consent").joinpath(LANGUAGES[language]).read_bytes()
    return msgspec.json.decode(data, type=dict[Purpose, Notice])


def all_notices() -> dict[str, dict[Purpose, Notice]]:
    """Read the notices of every language, English first. Blocks."""
    return {language: load_notices(language) for language in LANGUAGES}
