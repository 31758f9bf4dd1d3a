"""What compiling frames and compiling polls share: a row of the catalogue, a unit. Pure."""

from difflib import get_close_matches
from typing import Final

from agent.signals.catalog import CATALOG, CONVERSIONS, Entry

STALE_PERIODS: Final = 3  # source: the validity chain of the vehicle facts


class WrongError(Exception):
    """One mistake in a definition, on its way to the list."""

    def __init__(self, text: str, *, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


def entry_of(where: str, path: str) -> Entry:
    """Return the row of ``path``; raise WrongError if the catalogue has none."""
    entry = CATALOG.get(path)
    if entry is None:
        near = get_close_matches(path, CATALOG, n=1, cutoff=0.8)
        also = f"; near it: {near[0]}" if near else ""
        raise WrongError(f"{where}: expected a path of the catalogue, got {path!r}{also}")
    return entry


def conversion(where: str, unit: str, entry: Entry) -> float:
    """Return the factor from ``unit`` to that of ``entry``; raise WrongError if there is none."""
    if unit == entry.unit:
        return 1.0
    factor = CONVERSIONS.get((unit, entry.unit))
    if factor is None:
        raise WrongError(
            f"{where}: expected a unit that becomes {entry.unit!r} of {entry.path}, got {unit!r}"
        )
    return factor


def tidy(number: float) -> float:
    """Return ``number`` without the dust of a decimal multiplication."""
    return float(f"{number:.15g}")
