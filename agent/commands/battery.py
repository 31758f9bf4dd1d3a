"""okdrive-agent battery: figures, alerts, and what an alert means."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document
from agent.wording import counted, labelled


@click.group()
def battery() -> None:
    """The battery watch: works without consent and network, and stays in the vehicle."""


@battery.command("show")
@as_json
@click.pass_obj
def battery_show(caller: Caller, *, is_json: bool) -> None:
    """Show the latest figures and every alert that is raised."""
    with caller.doing("battery show"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery(caller.folders())
        print_document("battery.show", document, is_json=is_json, lines=_battery_lines)


_UNITS = {"health": "%", "hx": "%", "capacity": "Ah", "low_voltage": "V", "temperature": "°C"}
_MILLI = {"resistance": "mΩ", "imbalance": "mV"}  # kept in ohm and volt


def _figures(figure: dict[str, Any]) -> str:
    factor = 1_000 if figure["kind"] in _MILLI else 1
    unit = _MILLI.get(figure["kind"]) or _UNITS.get(figure["kind"], "")
    values = "".join(f"{figure[key] * factor:>9.2f}" for key in ("mean", "low", "high"))
    return f"{values} {unit}"


def _battery_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'FIGURE':<32}{'DAY':<11}{'MEAN':>9}{'LOWEST':>9}{'HIGHEST':>9}"
    for name, figure in document["figures"].items():
        yield f"{name:<32}{figure['day']:<11}{_figures(figure)}"
    if not document["figures"]:
        yield "nothing measured yet"
    yield ""
    yield from _alert_lines(document["alerts"])
    if document["alerts"]:
        yield f"what to do: okdrive-agent battery explain {document['alerts'][0]['code']}"
    if document["damaged_rows"]:
        yield f"{counted(document['damaged_rows'], 'damaged row')} left out"


def _alert_lines(alerts: list[dict[str, Any]]) -> Iterator[str]:
    if not alerts:
        yield "no alerts"
        return
    yield f"{'SEVERITY':<10}{'ALERT':<19}{'SINCE (UTC)':<18}{'TAKEN BACK':<18}READING"
    for alert in alerts:
        ended = _when(alert["cleared_utc"]) if alert["cleared_utc"] else "-"
        figure = f"{alert['value']:.3g} {alert['unit']}" if alert["unit"] else "yes"
        yield (
            f"{alert['severity']:<10}{alert['code']:<19}"
            f"{_when(alert['raised_utc']):<18}{ended:<18}{figure}"
        )


def _when(utc: str) -> str:
    return utc[:16].replace("T", " ")


@battery.command("history")
@click.option("--kind", help="health, capacity, hx, resistance, imbalance, …; default: all.")
@as_json
@click.pass_obj
def battery_history(caller: Caller, *, kind: str | None, is_json: bool) -> None:
    """Show every figure by day, oldest first, and every alert there was."""
    with caller.doing("battery history"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery_history(caller.folders(), kind)
        print_document("battery.history", document, is_json=is_json, lines=_history_lines)


def _history_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'DAY':<11}{'FIGURE':<28}{'N':>4}{'MEAN':>9}{'LOWEST':>9}{'HIGHEST':>9}"
    for figure in document["days"]:
        name = f"{figure['kind']} {figure['where']}".strip()
        yield f"{figure['day']:<11}{name:<28}{figure['count']:>4}{_figures(figure)}"
    yield ""
    yield from _alert_lines(document["alerts"])


@battery.command("summary")
@as_json
@click.pass_obj
def battery_summary(caller: Caller, *, is_json: bool) -> None:
    """Sum up each month: health and its change, capacity, cells, 12 V, alerts."""
    with caller.doing("battery summary"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery_summary(caller.folders())
        print_document("battery.summary", document, is_json=is_json, lines=_summary_lines)


def _summary_lines(document: dict[str, Any]) -> Iterator[str]:
    heads = ("HEALTH %", "CHANGE", "AH", "HX %", "CELLS mV", "HOT °C", "12 V")
    yield f"{'MONTH':<9}{'DAYS':>4}" + "".join(f"{head:>9}" for head in heads)
    for month in document["months"]:
        change, spread = month["health_change"], month["spread_v"]
        cells = (
            _one(month["health_percent"]),
            "-" if change is None else f"{change:+.1f}",
            _one(month["capacity_ah"]),
            _one(month["hx_percent"]),
            "-" if spread is None else f"{spread * 1_000:.0f}",
            _one(month["hottest_c"]),
            _one(month["rest_v"]),
        )
        yield f"{month['month']:<9}{month['days']:>4}" + "".join(f"{cell:>9}" for cell in cells)
        if month["alerts"]:
            yield from textwrap.wrap(
                f"alerts: {', '.join(month['alerts'])}",
                78,
                initial_indent="  ",
                subsequent_indent="  ",
            )
    if not document["months"]:
        yield "nothing measured yet"


def _one(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


@battery.command("explain")
@click.argument("code", required=False)
@as_json
@click.pass_obj
def battery_explain(caller: Caller, code: str | None, *, is_json: bool) -> None:
    """Say what the alert CODE means: rule, source, evidence, what to do.

    Without CODE: every alert there is.
    """
    with caller.doing("battery explain"):
        from agent import inspect  # noqa: PLC0415

        if code is None:
            known = inspect.battery_alerts(caller.config())
            print_document("battery.alerts", known, is_json=is_json, lines=_known_lines)
            return
        document = inspect.battery_explain(caller.config(), code)
        print_document("battery.explain", document, is_json=is_json, lines=_alert_words)


_RAISED = {"never raised": "never", "raised": "now", "cleared": "once"}


def _known_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'ALERT':<19}{'SEVERITY':<10}{'RAISED':<9}WHAT THE DRIVER READS"
    for one in document["alerts"]:
        head = f"{one['code']:<19}{one['severity']:<10}{_RAISED[one['state']]:<9}"
        yield from labelled(head, one["title"])


def _alert_words(document: dict[str, Any]) -> Iterator[str]:
    rule, latest = document["rule"], document["latest"]
    yield f"{document['code']}: {document['title']}"
    yield from labelled(f"{'do':<10}", document["advice"])
    yield f"{'state':<10}{document['state']}"
    limit = f"{rule['raise_at']:g} {rule['unit']}".strip()
    yield (
        f"{'rule':<10}{rule['severity']}: {rule['bad_readings']} readings of {limit} or more, "
        f"{rule['apart_s']:g} s apart"
    )
    yield f"{'':<10}taken back after {rule['good_readings']} below {rule['clear_at']:g}"
    yield from labelled(f"{'source':<10}", rule["source"])
    if latest:
        since = latest["raised_utc"][:19].replace("T", " ")
        yield f"{'since':<10}{since} UTC, {latest['readings']} readings agree"
        for one in latest["evidence"]:
            yield f"{'':<10}{one['name']:<22}{one['value']} {one['unit']}".rstrip()
        yield f"{'':<10}{len(document['around'])} readings around it are in --json"
