"""okdrive-agent consent: what the driver agreed to, and the proof of it."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from agent.commands.common import FILE, Caller, as_json, print_document


@click.group()
def consent() -> None:
    """What the driver allowed, and the proof of it."""


@consent.command("show")
@as_json
@click.pass_obj
def consent_show(caller: Caller, *, is_json: bool) -> None:
    """Show every purpose: on or off, and since when."""
    with caller.doing("consent show"):
        from agent import consents as view  # noqa: PLC0415 (as above)

        found = view.show(caller.config(), caller.folders())
        print_document("consent.show", found, is_json=is_json, lines=view.show_lines)


@consent.command("grant")
@click.argument("purpose")
@click.option("--language", default="en", show_default=True, type=click.Choice(["en", "de"]))
@click.option("--yes", is_flag=True, help="The notice was read; do not ask.")
@click.pass_obj
def consent_grant(caller: Caller, purpose: str, language: str, *, yes: bool) -> None:
    """Switch PURPOSE on, after its notice was shown."""
    with caller.doing("consent grant"):
        from agent import consents as view  # noqa: PLC0415

        known = _purpose(purpose)
        if not yes:
            click.echo(view.notice(known, language).text)
            click.confirm(f"Switch {known} on?", abort=True)
        click.echo(view.change(caller.config(), caller.folders(), known, is_granted=True))


@consent.command("withdraw")
@click.argument("purpose")
@click.pass_obj
def consent_withdraw(caller: Caller, purpose: str) -> None:
    """Switch PURPOSE off; what waits for it is deleted."""
    with caller.doing("consent withdraw"):
        from agent import consents as view  # noqa: PLC0415

        known = _purpose(purpose)
        click.echo(view.change(caller.config(), caller.folders(), known, is_granted=False))


def _purpose(text: str) -> Any:  # noqa: ANN401 (the type is loaded by the commands that need it)
    from telemetry.purposes import Purpose  # noqa: PLC0415

    if text not in set(Purpose):
        raise click.BadParameter(f"{text}: expected one of {', '.join(Purpose)}")
    return Purpose(text)


@consent.command("history")
@click.option("--entry", type=click.IntRange(1), help="One entry as a receipt to keep.")
@click.option("-o", "--out", type=FILE, help="Write the signed ledger to this file.")
@as_json
@click.pass_obj
def consent_history(caller: Caller, entry: int | None, out: Path | None, *, is_json: bool) -> None:
    """Show the ledger: every yes and no, signed by the vehicle."""
    with caller.doing("consent history"):
        from agent import consents as view  # noqa: PLC0415

        found = view.history(caller.folders())
        if entry is not None:
            found["entries"] = [one for one in found["entries"] if one["sequence"] == entry]
        if out is not None:
            out.write_text(json.dumps(found, indent=1) + "\n")
        print_document("consent.history", found, is_json=is_json, lines=view.history_lines)


@consent.command("verify")
@click.option("--file", "path", type=FILE, help="An exported ledger instead of the vehicle's own.")
@click.option("--key", type=FILE, help="With --file: the vehicle's public key, PEM.")
@as_json
@click.pass_obj
def consent_verify(caller: Caller, path: Path | None, key: Path | None, *, is_json: bool) -> None:
    """Check every hash and signature of the ledger; exit 3 if one does not hold."""
    with caller.doing("consent verify"):
        from agent import consents as view  # noqa: PLC0415
        from agent.consent.keys import load_verify_key  # noqa: PLC0415

        if (path is None) != (key is None):
            raise click.UsageError("--file and --key go together")
        found = (
            view.verify_file(path, load_verify_key(key))
            if path and key
            else view.verify(caller.config(), caller.folders())
        )
        print_document("consent.verify", found, is_json=is_json, lines=view.verify_lines)
        if not found["is_whole"]:
            sys.exit(3)
