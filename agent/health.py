"""Named health checks: one small function each; `doctor` prints them, installs ask them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check saw, in one sentence, and what to do about it."""

    level: Level
    text: str
    todo: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named check; ``look`` may raise: that is a finding too."""

    name: str
    look: Callable[[], Finding]


def ok(text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(level=Level.OK, text=text)


def warn(text: str, todo: str) -> Finding:
    """Return a finding that somebody should look at, with what to do."""
    return Finding(level=Level.WARN, text=text, todo=todo)


def fail(text: str, todo: str) -> Finding:
    """Return a finding that stops something, with what to do."""
    return Finding(level=Level.FAIL, text=text, todo=todo)


def examine(checks: Sequence[Check]) -> list[tuple[str, Finding]]:
    """Run ``checks`` in order; one that raises is a failure of its own, the rest still run."""
    return [(check.name, _look(check)) for check in checks]


def _look(check: Check) -> Finding:
    try:
        return check.look()
    except Exception as error:  # noqa: BLE001 (doctor must finish whatever one check meets)
        return fail(f"the check itself failed: {error}", "report this with the line above")
