"""okdrive-agent signals events: moments that were captured, and what was read around them."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document

_NAME_COLUMNS = 33


@click.command("events")
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
@click.pass_obj
def signals_events(caller: Caller, number: int | None, *, limit: int, is_json: bool) -> None:
    """List captured events, newest first; with NUMBER, show what was read around that one.

    \b
    What counts as an event stands in agent.toml:
      [[events.rules]]
      name = "very-fast"
      condition = "Vehicle.Speed > 130 and Vehicle.Exterior.AirTemperature < 3"
      lasting_s = 2.0

    Built-in events are listed too; `events.without` leaves some out. Events stay in the vehicle.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    with caller.doing("signals events"):
        from agent import inspect  # noqa: PLC0415

        if number is None:
            document = inspect.events(caller.config(), limit=limit)
            print_document("signals.events", document, is_json=is_json, lines=_list_lines)
        else:
            document = inspect.event(caller.config(), number)
            print_document("signals.event", document, is_json=is_json, lines=_event_lines)


def _list_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'EVENT':>5}  {'NAME':<24}{'WHEN (UTC)':<22}{'READINGS':>8}"
    for event in document["events"]:
        when = event["at_utc"][:19].replace("T", " ")
        doubt = "" if event["is_time_proven"] else "  clock not proven"
        yield f"{event['number']:>5}  {event['name']:<24}{when:<22}{event['readings']:>8}{doubt}"
    if not document["events"]:
        yield "nothing captured yet"
    yield ""
    yield f"{'LOOKED FOR':<31}{'SEEN':>5}  CONDITION"
    for rule in document["rules"]:
        seen = "-" if rule["seen"] is None else rule["seen"]
        yield from _rule_lines(rule["name"], str(seen), rule["condition"])
    if document["damaged"]:
        yield f"{document['damaged']} damaged events were left out"


def _rule_lines(name: str, seen: str, condition: str) -> Iterator[str]:
    wrapped = textwrap.wrap(condition.replace("Vehicle.", ""), 42, break_long_words=True)
    for at, line in enumerate(wrapped):
        yield f"{name if at == 0 else '':<31}{seen if at == 0 else '':>5}  {line}"


def _event_lines(document: dict[str, Any]) -> Iterator[str]:
    when = document["at_utc"][:19].replace("T", " ")
    doubt = "" if document["is_time_proven"] else " (clock not proven)"
    yield f"{'event':<11}{document['number']} {document['name']}, {when} UTC{doubt}"
    for at, line in enumerate(textwrap.wrap(document["condition"], 68)):
        yield f"{'condition' if at == 0 else '':<11}{line}"
    cut = ", cut: there was more" if document["is_cut"] else ""
    yield f"{'readings':<11}{len(document['readings'])}{cut}; all of them are in --json"
    yield f"{'':<{_NAME_COLUMNS}}{'FIRST':>9}{'AT IT':>9}{'LAST':>9}{'LOWEST':>9}{'HIGHEST':>9}"
    for row in document["summary"]:
        name = row["path"].removeprefix("Vehicle.")
        name = name if len(name) < _NAME_COLUMNS else f"…{name[2 - _NAME_COLUMNS :]}"
        figures = (row[key] for key in ("first", "at", "last", "lowest", "highest"))
        yield f"{name:<{_NAME_COLUMNS}}" + "".join(f"{_short(value):>9}" for value in figures)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"[:8]
