"""okdrive-agent vehicle: definitions of vehicles, compiled, checked, explained."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.common import FILE, Caller, as_json, print_document
from agent.wording import counted, labelled

if TYPE_CHECKING:
    from agent.signals.decode import Decoder
    from agent.signals.recording import Recording


@click.group()
def vehicle() -> None:
    """Vehicle definitions: a DBC and one TOML each, compiled to a table."""


@vehicle.command("list")
@as_json
def vehicle_list(*, is_json: bool) -> None:
    """List the vehicles that are shipped."""
    from agent.signals.table import known_vehicles, load_table  # noqa: PLC0415

    known = {name: load_table(name).title for name in known_vehicles()}
    print_document(
        "vehicle.list",
        {"vehicles": known},
        is_json=is_json,
        lines=lambda d: (f"{name:<20}{title}" for name, title in d["vehicles"].items()),
    )


@vehicle.command("compile")
@click.argument("definition", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="The table, NAME.json.")
@click.pass_obj
def vehicle_compile(caller: Caller, definition: Path, out: Path) -> None:
    """Turn DEFINITION (TOML, beside its DBC) into the table that the agent loads."""
    with caller.doing("vehicle compile"):
        from agent.signals.compile import write_table  # noqa: PLC0415 (loads cantools)

        table = write_table(definition, out)
        click.echo(f"{out}: {len(table.frames)} frames, {len(table.paths())} signals")


@vehicle.command("check")
@click.argument("definition", type=FILE)
@as_json
@click.pass_obj
def vehicle_check(caller: Caller, definition: Path, *, is_json: bool) -> None:
    """Name every mistake in DEFINITION with file and line; exit 1 if there is one."""
    with caller.doing("vehicle check"):
        from agent.signals.compile import check_vehicle  # noqa: PLC0415 (loads cantools)

        found = [
            {"file": str(problem.file), "line": problem.line, "text": problem.text}
            for problem in check_vehicle(definition)
        ]
        print_document("vehicle.check", {"problems": found}, is_json=is_json, lines=_problem_lines)
        if found:
            sys.exit(1)


def _problem_lines(document: dict[str, Any]) -> Iterator[str]:
    for problem in document["problems"]:
        line = "" if problem["line"] is None else f"{problem['line']}:"
        yield f"{problem['file']}:{line} {problem['text']}"
    yield counted(len(document["problems"]), "problem")


@vehicle.command("decode")
@click.argument("log", type=FILE)
@click.option("--vehicle", "name", required=True, help="A shipped name or a compiled table.")
@click.option("--bus", "buses", multiple=True, metavar="ROLE=INTERFACE", help="As ev=can0.")
@click.option("--json", "is_json", is_flag=True, help="One JSON line per change.")
@click.pass_obj
def vehicle_decode(
    caller: Caller, log: Path, name: str, buses: tuple[str, ...], *, is_json: bool
) -> None:
    """Print every change of every signal in LOG, in any format python-can reads.

    What was refused or left out is said at the end, on standard error.
    """
    with caller.doing("vehicle decode"):
        from agent.signals.explain import decode_lines  # noqa: PLC0415 (loads the decoder)
        from agent.signals.table import known_vehicles, load_table  # noqa: PLC0415

        decoder, recording = _recording(log, name, buses)
        for line in decode_lines(decoder, recording.frames(decoder.needed)):
            click.echo(line.json() if is_json else line.text())
        known = [load_table(vehicle) for vehicle in known_vehicles()]
        for note in recording.notes(decoder, known):
            for part in labelled("", note) if sys.stderr.isatty() else (note,):
                click.echo(part, err=True)


def _recording(log: Path, name: str, buses: tuple[str, ...]) -> "tuple[Decoder, Recording]":
    from agent.clock import SystemClock  # noqa: PLC0415 (loads python-can)
    from agent.signals.decode import Decoder  # noqa: PLC0415
    from agent.signals.recording import Recording  # noqa: PLC0415
    from agent.signals.table import load_table  # noqa: PLC0415

    table = load_table(name)
    given = dict(text.split("=", 1) for text in buses if "=" in text)
    if len(given) != len(buses) or not set(given) <= set(table.buses):
        roles = ", ".join(table.buses)
        raise click.UsageError(f"--bus: expected ROLE=INTERFACE, the role one of {roles}")
    recording = Recording(log, table, clock=SystemClock())
    return Decoder(table, buses={**recording.buses, **given}), recording


@vehicle.command("explain")
@click.argument("path")
@click.argument("log", type=FILE, required=False)
@click.option("--vehicle", "name", help="A shipped name or a compiled table; with LOG.")
@click.option("--bus", "buses", multiple=True, metavar="ROLE=INTERFACE", help="As ev=can0.")
@as_json
@click.pass_obj
def vehicle_explain(  # noqa: PLR0913 (click hands over one argument for each option)
    caller: Caller,
    path: str,
    log: Path | None,
    name: str | None,
    buses: tuple[str, ...],
    *,
    is_json: bool,
) -> None:
    """Say where PATH comes from and why it is invalid: at the end of LOG, or in the running agent.

    With LOG, --vehicle names its definition. Without LOG the running agent is asked; with
    --vehicle alone nobody is, and what counts is said of any vehicle of that kind.
    """
    with caller.doing("vehicle explain"):
        if log is None and name is not None:
            found = _unheard(path, name)
        elif log is None:
            from agent.inspect import live_explanation  # noqa: PLC0415

            definition = caller.config().vehicle.definition
            found = live_explanation(caller.folders(), definition, path)
        elif name is None:
            raise click.UsageError("with LOG, --vehicle has to name its definition")
        else:
            found = _explained(path, log, name, buses)
        print_document("vehicle.explain", found, is_json=is_json, lines=_why_lines)


def _unheard(path: str, name: str) -> dict[str, Any]:
    from msgspec import to_builtins  # noqa: PLC0415

    from agent.signals.decode import Decoder  # noqa: PLC0415
    from agent.signals.explain import explain  # noqa: PLC0415
    from agent.signals.table import load_table  # noqa: PLC0415

    found: dict[str, Any] = to_builtins(explain(Decoder(load_table(name)), path))
    return found


def _explained(path: str, log: Path, name: str, buses: tuple[str, ...]) -> dict[str, Any]:
    from msgspec import to_builtins  # noqa: PLC0415

    from agent.signals.explain import explain, feed_with_ages  # noqa: PLC0415

    decoder, recording = _recording(log, name, buses)
    for _ in feed_with_ages(decoder, recording.frames()):
        pass
    found: dict[str, Any] = to_builtins(explain(decoder, path))
    return found


def _why_lines(found: dict[str, Any]) -> Iterator[str]:
    known = found["value"]
    known = f"{known:.6g}" if isinstance(known, float) else known
    value = "no value" if known is None else f"{known} {found['unit']}".rstrip()
    yield found["path"]
    yield from labelled("now       ", f"{value}: {found['quality']} - {found['said']}")
    yield f"since     {_since(found)}"
    yield from labelled("source    ", found["source"])
    for place, rule in enumerate(found["rules"]):
        yield from labelled(f"{'valid if' if place == 0 else '     and':<10}", rule)
    counts = ", ".join(f"{count} {reason}" for reason, count in found["rejections"].items())
    yield from labelled("refused   ", f"{counts or 'nothing'} of its frame")


def _since(found: dict[str, Any]) -> str:
    if not found.get("t", found.get("age_s")):
        return "never heard"
    return f"{found['t']:.3f} s" if "t" in found else f"{found['age_s']:.1f} s ago"


@vehicle.command("detect")
@click.argument("log", type=FILE)
@as_json
@click.pass_obj
def vehicle_detect(caller: Caller, log: Path, *, is_json: bool) -> None:
    """Say which vehicle LOG is of, from the ids and lengths seen; exit 1 if it cannot be told."""
    with caller.doing("vehicle detect"):
        from msgspec import to_builtins  # noqa: PLC0415

        from agent.clock import SystemClock  # noqa: PLC0415 (loads python-can)
        from agent.signals.detect import Census, detect, matches  # noqa: PLC0415
        from agent.signals.replay import ReplaySource  # noqa: PLC0415
        from agent.signals.table import known_vehicles, load_table  # noqa: PLC0415

        census = Census()
        census.take(ReplaySource(log, speed=None, clock=SystemClock()).read_all())
        verdicts = detect((load_table(name) for name in known_vehicles()), census)
        found = matches(verdicts)
        vehicle_name = found[0].vehicle if len(found) == 1 else None
        document = {"vehicle": vehicle_name, "verdicts": to_builtins(verdicts)}
        answer = vehicle_name or "none of the known vehicles, or more than one"
        told = (line for one in verdicts for line in labelled(one.answer(), one.evidence()))
        lines = [answer, *told]
        print_document("vehicle.detect", document, is_json=is_json, lines=lambda _: iter(lines))
        if vehicle_name is None:
            sys.exit(1)
