"""okdrive-agent trips: what was driven and charged, and what became of it."""

from collections.abc import Iterator
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document


@click.group()
def trips() -> None:
    """Trips that were recorded; local only."""


@trips.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
@click.pass_obj
def trips_list(caller: Caller, *, limit: int, is_json: bool) -> None:
    """List trips and charges, newest first, and what became of their data."""
    with caller.doing("trips list"):
        from agent import inspect  # noqa: PLC0415

        found = inspect.trips(caller.folders(), limit=limit)
        document = {"trips": [line.document() for line in found]}
        print_document("trips.list", document, is_json=is_json, lines=_trip_lines)


def _trip_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'TRIP':<18}{'KIND':<8}{'ENDED (UTC)':<18}{'KM':>7}{'MIN':>7}{'KWH':>8}  DATA"
    for trip in document["trips"]:
        is_charge = trip["kind"] == "charge"
        kwh = (trip["energy_out_wh"] - trip["energy_in_wh"]) / 1_000
        used = f"{-kwh:+.2f}" if is_charge else f"{kwh:.2f}"  # + went into the battery
        far = "-" if is_charge else f"{trip['distance_m'] / 1_000:.2f}"
        ended = trip["ended_utc"][:16].replace("T", " ")
        yield (
            f"{trip['trip_id']:<18}{trip['kind']:<8}{ended:<18}{far:>7}"
            f"{trip['duration_s'] / 60:>7.1f}{used:>8}  {trip['outcome']}"
        )


@trips.command("show")
@click.argument("trip_id")
@as_json
@click.pass_obj
def trips_show(caller: Caller, trip_id: str, *, is_json: bool) -> None:
    """Show everything that is known of one trip; the first digits of its id are enough."""
    with caller.doing("trips show"):
        from agent import inspect  # noqa: PLC0415

        line, summary = inspect.trip(caller.folders(), trip_id)
        document = {"trip": summary, "kind": line.kind}
        print_document("trips.show", document, is_json=is_json, lines=_figure_lines)


def _figure_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'kind':<22}{document['kind']}"
    for key, value in document["trip"].items():
        yield f"{key:<22}{_figure(key, value)}"


def _figure(key: str, value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{one:.0f}" for one in value[:12]) + (" …" if len(value) > 12 else "")  # noqa: PLR2004 (a line has 80 columns)
    if isinstance(value, float):
        return f"{value:.2f}" if key.endswith("_share") else f"{value:.1f}"
    return "not known" if value is None else str(value)
