"""What every page is made of: buttons, facts, figures in words; pure.

Templates only place these words. Each text is one block of at most ``MAX_BLOCK`` characters, and
anything from outside is cut to that length.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.hmi.texts import MAX_BLOCK, Texts
from agent.hmi.views import ScreenState


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A form with one button. ``action`` is the stable name that tests and the demo press."""

    label: str
    url: str
    action: str
    icon: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of an update card; ``ok`` is set for a precondition."""

    icon: str
    label: str
    lines: tuple[str, ...]


def cut(text: str) -> str:
    """Return ``text`` with at most MAX_BLOCK characters; what is cut ends in an ellipsis."""
    return text if len(text) <= MAX_BLOCK else text[: MAX_BLOCK - 1].rstrip() + "…"


def sentence(words: Iterable[str]) -> str:
    """Return ``words`` with commas between and a capital at the start."""
    joined = ", ".join(words)
    return cut(joined[:1].upper() + joined[1:])


def battery_text(state: ScreenState, texts: Texts) -> str:
    """Return the state of charge as a figure with its unit."""
    if state.soc_percent is None:
        return texts.say("status.unknown")
    return f"{texts.number(state.soc_percent)} %"


def percent(state: ScreenState) -> int | None:
    """Return the state of charge for a bar, 0 to 100, or None if unknown."""
    return None if state.soc_percent is None else min(max(round(state.soc_percent), 0), 100)


def recording_text(state: ScreenState, texts: Texts) -> str:
    """Return whether signals go to disk, in words."""
    return texts.say("status.recording" if state.recording else "status.not_recording")


def recording_icon(state: ScreenState) -> str:
    """Return the icon that goes with ``recording_text``."""
    return "record" if state.recording else "record-off"
