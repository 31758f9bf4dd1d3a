"""What images need beside them, and must not have: who may be assigned what; pure.

The Director never tells a vehicle to install what the vehicle would refuse (Uptane 2.1, 5.3.2.1).
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

import msgspec


class Needs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``requires`` maps an app to its least release counter; ``conflicts`` names apps."""

    requires: dict[str, int] = {}
    conflicts: tuple[str, ...] = ()


NO_NEEDS = Needs()


class Wanted(Protocol):
    """What is to be installed, as far as it matters here."""

    @property
    def name(self) -> str:
        """Return the name of the app."""

    @property
    def release_counter(self) -> int:
        """Return its release counter."""

    @property
    def needs(self) -> Needs:
        """Return what it needs."""


W = TypeVar("W", bound=Wanted)


def encode_needs(needs: Needs) -> str:
    """Return ``needs`` as JSON."""
    return msgspec.json.encode(needs).decode()


def decode_needs(text: str) -> Needs:
    """Return what ``encode_needs`` wrote."""
    return msgspec.json.decode(text, type=Needs)


def why_not(one: Wanted, beside: Mapping[str, int]) -> str | None:
    """Return why ``one`` cannot be with the apps ``beside`` (name to counter); None if it can."""
    for name, least in one.needs.requires.items():
        if beside.get(name, 0) < least:
            return f"needs {name} of release counter >= {least}, got {beside.get(name, 0)}"
    for name in one.needs.conflicts:
        if beside.get(name, 0) > 0:
            return f"must not be beside {name}"
    return None


def agreeing(wanted: Iterable[W], installed: Mapping[str, int]) -> list[W]:
    """Return those of ``wanted`` that can be together, with what is ``installed`` staying."""
    kept = list(wanted)
    while True:
        beside = dict(installed) | {one.name: one.release_counter for one in kept}
        refused = [one for one in kept if why_not(one, beside) is not None]
        if not refused:
            return kept
        kept = [one for one in kept if one not in refused]
