"""okdrive-agent trips: what was driven and charged, and what became of it."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from agent.commands.common import Caller, as_json, print_document
from agent.wording import counted

_HOUR_S: Final = 3_600
_SMALL_ERROR_WH: Final = 5.0  # reads 0.00 kWh


@click.group()
def trips() -> None:
    """Trips that were recorded; local only."""


@trips.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
@click.pass_obj
def trips_list(caller: Caller, *, limit: int, is_json: bool) -> None:
    """List trips and charges, newest first, and what became of their data.

    KWH is what the battery gave in a trip, and after a + what it took in a charge.
    """
    with caller.doing("trips list"):
        from agent import inspect  # noqa: PLC0415

        found = inspect.trips(caller.folders(), limit=limit)
        document = {"trips": [line.document() for line in found]}
        print_document("trips.list", document, is_json=is_json, lines=_trip_lines)


def _trip_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'TRIP':<18}{'KIND':<8}{'ENDED (UTC)':<18}{'KM':>7}{'MIN':>7}{'KWH':>8}  DATA"
    if not document["trips"]:
        yield "none yet; trips are kept once a purpose is switched on"
    for trip in document["trips"]:
        is_charge = trip["kind"] == "charge"
        kwh = (trip["energy_out_wh"] - trip["energy_in_wh"]) / 1_000
        used = f"{-kwh:+.2f}" if is_charge else f"{kwh:.2f}"  # + went into the battery
        far = "-" if is_charge else f"{trip['distance_m'] / 1_000:.2f}"
        ended = trip["ended_utc"][:16].replace("T", " ")
        yield (
            f"{trip['trip_id']:<18}{trip['kind']:<8}{ended:<18}{far:>7}"
            f"{trip['duration_s'] / 60:>7.1f}{used:>8}  {_became(trip)}"
        )


def _became(trip: dict[str, Any]) -> str:
    if not trip["waiting"]:
        return str(trip["outcome"])
    return f"{trip['waiting']} on the way"  # confirmed; `queue list` says why


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
    known = dict(document["trip"])
    is_charge = document["kind"] == "charge"
    yield f"{document['kind']:<14}{known.get('session_id' if is_charge else 'trip_id')}"
    for label, tell in (_CHARGE if is_charge else _TRIP).items():
        yield f"{label:<14}{_told(tell, known)}"
    yield ""
    yield "Every figure, with more digits, is in --json."


def _told(tell: "_Tell", known: dict[str, Any]) -> str:
    try:
        return tell(known)
    except KeyError:  # a summary of an older version
        return "not known"


def _began(known: dict[str, Any]) -> str:
    when = known.get("started_utc")
    if when is None:
        return "not known"
    doubt = "" if known.get("is_time_proven") else "  (the clock was not proven)"
    return f"{when[:19].replace('T', ' ')} UTC{doubt}"


def _lasted(known: dict[str, Any]) -> str:
    unheard = known["unknown_s"]
    restarts = known.get("restarts", 0)
    notes = [f"{_minutes(unheard)} of it unheard"] if unheard else []
    notes += [f"{counted(restarts, 'restart')} of the agent"] if restarts else []
    return ", ".join([_minutes(known["duration_s"]), *notes])


def _minutes(seconds: float) -> str:
    if seconds < _HOUR_S:
        return f"{seconds / 60:.1f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def _kwh(energy_wh: float, error_wh: float) -> str:
    """Return an energy with so many digits that its error is not hidden by them."""
    digits = 2 if error_wh >= _SMALL_ERROR_WH else 3
    return f"{energy_wh / 1_000:.{digits}f}"


def _far(known: dict[str, Any]) -> str:
    error_km = known["distance_error_m"] / 1_000
    return f"{known['distance_m'] / 1_000:.2f} km ± {error_km:.2f}"


def _energy(known: dict[str, Any]) -> str:
    error_wh = known["energy_error_wh"]
    keys = ("energy_out_wh", "energy_in_wh", "energy_error_wh")
    out, back, error = (_kwh(known[key], error_wh) for key in keys)
    share = known.get("regen_share")
    part = f" ({share:.0%})" if share is not None else ""
    return f"{out} kWh out, {back} kWh back{part}, each ± {error}"


def _charged(known: dict[str, Any]) -> str:
    error_wh = known["energy_error_wh"]
    keys = ("energy_in_wh", "energy_out_wh", "energy_error_wh")
    into, out, error = (_kwh(known[key], error_wh) for key in keys)
    given = f", {out} kWh given" if known["energy_out_wh"] else ""
    return f"{into} kWh taken{given}, ± {error}"


def _consumption(known: dict[str, Any]) -> str:
    found = known.get("consumption_wh_km")
    if found is None:
        return "not told below 100 m"
    net_wh = known["energy_out_wh"] - known["energy_in_wh"]
    # both errors at their worst: neither is chance, so they do not average out
    shortest_m = max(known["distance_m"] - known["distance_error_m"], 1.0)
    most = (abs(net_wh) + known["energy_error_wh"]) / (shortest_m / 1_000)
    return f"{found:.0f} Wh/km ± {most - abs(found):.0f}"


def _range(known: dict[str, Any], first: str, last: str, unit: str) -> str:
    low, high = known.get(first), known.get(last)
    return "not known" if low is None or high is None else f"{low:.1f} to {high:.1f} {unit}"


def _power(known: dict[str, Any]) -> str:
    out, back = known["max_power_w"] / 1_000, known["max_regen_w"] / 1_000
    return f"at most {out:.1f} kW out, {back:.1f} kW back"


def _outside(known: dict[str, Any]) -> str:
    found = known.get("ambient_c")
    return "not known" if found is None else f"{found:.1f} °C"


def _flows(known: dict[str, Any]) -> str:
    parts = [f"{_minutes(known['charging_s'])} charging"]
    if known["discharging_s"]:
        parts.append(f"{_minutes(known['discharging_s'])} supplying")
    parts.append(f"{_minutes(known['paused_s'])} without, {counted(known['pauses'], 'pause')}")
    return ", ".join(parts)


def _quarters(known: dict[str, Any]) -> str:
    found = [f"{one:.0f}" for one in known["quarters_wh"]]
    return " ".join(found[:12]) + (" …" if len(found) > 12 else "") + " Wh"  # noqa: PLR2004 (80 columns)


_Tell = Callable[[dict[str, Any]], str]
_CELLS: dict[str, _Tell] = {
    "cells": lambda known: _range(known, "cell_temp_min_c", "cell_temp_max_c", "°C"),
    "outside": _outside,
}
_SOC: dict[str, _Tell] = {
    "battery level": lambda known: _range(known, "soc_start_percent", "soc_end_percent", "%")
}
_TRIP: dict[str, _Tell] = {
    "began": _began,
    "lasted": _lasted,
    "distance": _far,
    "energy": _energy,
    "consumption": _consumption,
    **_SOC,
    "power": _power,
    "speed": lambda known: f"at most {known['max_speed_km_h']:.1f} km/h",
    **_CELLS,
    "readings": lambda known: f"{known['samples']:,}, {known['invalid_samples']:,} of them invalid",
}
_CHARGE: dict[str, _Tell] = {
    "began": _began,
    "lasted": _lasted,
    "supply": lambda known: str(known["supply"]).upper(),
    "energy": _charged,
    "flow": _flows,
    **_SOC,
    "power": lambda known: f"at most {known['max_power_w'] / 1_000:.1f} kW in",
    "quarter hours": _quarters,
    **_CELLS,
}
