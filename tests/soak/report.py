"""What a soak says: a line of progress now and then, and the figures in the end."""

import time

from tests.soak.book import Book
from tests.soak.children import Slice
from tests.soak.parts import PARTS
from tests.soak.patience import Patience, duration


class Progress:
    """How far one part is, how fast it goes, and when it will be through."""

    def __init__(self, part: str, book: Book, patience: Patience, plan: list[Slice]) -> None:
        self._part, self._book, self._patience = part, book, patience
        self._names, self._asked = {one.name for one in plan}, sum(one.amount for one in plan)
        self._began_s = time.monotonic()
        self._had = self._done

    @property
    def _done(self) -> int:
        played = [one for one in self._book.of(self._part) if one.name in self._names]
        return sum(one.counts[PARTS[self._part].unit] for one in played)

    def line(self) -> str:
        unit, done = PARTS[self._part].unit, self._done
        rate = (done - self._had) / max(0.001, time.monotonic() - self._began_s)
        left_s = (self._asked - done) / rate if rate > 0 else float("inf")
        left_s = max(0.0, min(left_s, self._patience.left_s))
        left = f"{duration(left_s)} left" if left_s < float("inf") else "no rate yet"
        ill = len(self._book.ill(self._part))
        well = f"{ill} complaints" if ill else "all well"
        amount = f"{done:,} of {self._asked:,} {unit}"
        return f"{self._part}: {amount}, {well}; {rate:,.1f} a second, {left}"


def report(book: Book, patience: Patience) -> str:
    """Return the figures of all parts, what is wrong, and the four numbers last."""
    lines = [line for part in book.parts for line in _lines(book, part)]
    lines += [f"ILL  {part}, {text}" for part in book.parts for text in book.ill(part)]
    whole = all(one.is_whole for part in book.parts for one in book.of(part))
    how = "to the end" if whole else "ended early; --resume goes on"
    verdict = "all well" if book.is_well else "NOT WELL"
    lines.append(f"{duration(patience.took_s)}, {how}: {verdict}")
    return "".join(f"{line}\n" for line in lines)


def _lines(book: Book, part: str) -> list[str]:
    counts, table = book.counts(part), PARTS[part]
    shown = " / ".join(f"{name} {counts[name]:,}" for name in table.shown)
    head = f"{part}: {counts[table.unit]:,} {table.unit}: {shown}"
    known = {table.unit, *table.zero, *table.shown}
    rest = [f"{count:>9,}  {name}" for name, count in sorted(counts.items()) if name not in known]
    tables = [line for one in book.of(part) for line in one.table.splitlines()]
    return [head, *rest, *tables, ""]
