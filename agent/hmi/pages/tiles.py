"""A page of ways to go on: at most six tiles, and perhaps one button; pure."""

from dataclasses import dataclass

from agent.hmi.pages.words import Button


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One way to another page. ``switch`` is ``on`` or ``off`` where it stands for one."""

    label: str
    sub: str
    icon: str
    url: str
    action: str
    switch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesView:
    """A page of tiles."""

    title: str
    text: str
    tiles: tuple[Tile, ...]
    buttons: tuple[Button, ...] = ()
