"""okdrive-agent signals: what the running agent hears."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from agent.commands.common import Caller, print_document
from agent.commands.events import signals_events

if TYPE_CHECKING:
    from agent.signals.explain import SignalsNow


@click.group()
def signals() -> None:
    """What the vehicle tells at the moment; nothing of it is kept by looking."""


signals.add_command(signals_events)


@signals.command("watch")
@click.argument("pattern", default="*")
@click.option("--once", is_flag=True, help="Print once instead of every second.")
@click.option("--json", "is_json", is_flag=True, help="One JSON document on each line.")
@click.pass_obj
def signals_watch(caller: Caller, pattern: str, *, once: bool, is_json: bool) -> None:
    """Show the signals of the running agent whose path matches PATTERN, until Ctrl-C."""
    with caller.doing("signals watch"):
        import time  # noqa: PLC0415 (the only command that waits)

        from agent import inspect  # noqa: PLC0415

        folders = caller.folders()
        with suppress(KeyboardInterrupt):  # the usual end of looking
            while True:
                _print_signals(inspect.live_signals(folders), pattern, is_json=is_json, once=once)
                if once:
                    return
                time.sleep(1.0)


def _print_signals(now: "SignalsNow", pattern: str, *, is_json: bool, once: bool) -> None:
    from msgspec import to_builtins  # noqa: PLC0415

    from agent.signals.explain import WATCH_HEAD, chosen, watch_row  # noqa: PLC0415

    lines = list(chosen(now, pattern))
    document = {"now_s": now.now_s, "signals": to_builtins(lines)}
    height = None
    if not is_json and not once and sys.stdout.isatty():
        height = shutil.get_terminal_size().lines
        click.clear()
    print_document(
        "signals.watch",
        document,
        is_json=is_json,
        lines=lambda _: fitting(WATCH_HEAD, [watch_row(line, now.now_s) for line in lines], height),
    )


def fitting(head: str, rows: Sequence[str], height: int | None) -> Iterator[str]:
    """Yield as many ``rows`` as a terminal of ``height`` lines shows, and how many are left."""
    room = len(rows) if height is None else max(1, height - 3)
    yield head if rows else "no signal of this vehicle matches"
    yield from rows[:room]
    if len(rows) > room:
        yield f"and {len(rows) - room} more: give a PATTERN, as '*Battery*', or --once"
