"""How commands write for a person: counted things, and lines that fit into a terminal. Pure."""

import textwrap
from collections.abc import Iterator
from typing import Final

COLUMNS: Final = 80


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return ``count`` with its noun: `1 batch`, `2 batches`; the plural is with s if not given."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def labelled(label: str, text: str, *, columns: int = COLUMNS) -> Iterator[str]:
    """Yield ``label`` and ``text``, its further lines below the first; a word is never cut.

    So a path or an address longer than a line stays one word that can be copied.
    """
    room = max(columns - len(label), 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield f"{'' if number else label:<{len(label)}}{line}".rstrip()
