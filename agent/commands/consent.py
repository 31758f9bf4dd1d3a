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
        done = view.change(
            caller.config(), caller.folders(), known, is_granted=True, language=language
        )
        click.echo(done)


@consent.command("withdraw")
@click.argument("purpose")
@click.pass_obj
def consent_withdraw(caller: Caller, purpose: str) -> None:
    """Switch PURPOSE off; what waits for it is deleted."""
    with caller.doing("consent withdraw"):
        from agent import consents as view  # noqa: PLC0415

        known = _purpose(purpose)
        click.echo(view.change(caller.config(), caller.folders(), known, is_granted=False))


@consent.command("ok")
@click.argument("card")
@click.pass_obj
def consent_ok(caller: Caller, card: str) -> None:
    """Share everything on CARD, a trip or day that `okdrive-agent preview` shows."""
    with caller.doing("consent ok"):
        from agent import answers as view  # noqa: PLC0415

        click.echo(view.answer(caller.config(), caller.folders(), card, share=True))


@consent.command("no")
@click.argument("card")
@click.pass_obj
def consent_no(caller: Caller, card: str) -> None:
    """Share nothing of CARD; it is deleted."""
    with caller.doing("consent no"):
        from agent import answers as view  # noqa: PLC0415

        click.echo(view.answer(caller.config(), caller.folders(), card, share=False))


@consent.command("take-back")
@click.argument("card")
@click.pass_obj
def consent_take_back(caller: Caller, card: str) -> None:
    """Undo the OK for CARD as long as it has not left."""
    with caller.doing("consent take-back"):
        from agent import answers as view  # noqa: PLC0415

        click.echo(view.take_back(caller.config(), caller.folders(), card))


@consent.command("always")
@click.argument("purpose")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 90))
@click.pass_obj
def consent_always(caller: Caller, purpose: str, *, days: int) -> None:
    """Release every batch of PURPOSE without asking; each still gets its own ledger entry.

    It holds for the driver who drives now and ends by itself. Never for the workshop or a guest.
    """
    with caller.doing("consent always"):
        from agent import consents as view  # noqa: PLC0415

        click.echo(view.stand(caller.config(), caller.folders(), _purpose(purpose), days=days))


@consent.command("ask")
@click.argument("purpose")
@click.pass_obj
def consent_ask(caller: Caller, purpose: str) -> None:
    """Ask again for every batch of PURPOSE: end what `consent always` began."""
    with caller.doing("consent ask"):
        from agent import consents as view  # noqa: PLC0415

        click.echo(view.stand(caller.config(), caller.folders(), _purpose(purpose), days=None))


@consent.command("receipt")
@click.argument("entry")
@click.option("--qr", "is_qr", is_flag=True, help="As a QR code that holds the signed entry.")
@as_json
@click.pass_obj
def consent_receipt(caller: Caller, entry: str, *, is_qr: bool, is_json: bool) -> None:
    """Show one ENTRY as a receipt to keep: its number, or digits of its record or batch id.

    The QR code is whole by itself: `consent verify --receipt TEXT --key FILE` checks what a
    telephone read from it, without this vehicle.
    """
    with caller.doing("consent receipt"):
        from agent import consents as view  # noqa: PLC0415
        from agent.consent.keepsake import qr_lines  # noqa: PLC0415

        found = view.receipt(caller.folders(), entry)
        if is_qr and not is_json:
            click.echo("\n".join(qr_lines(found["qr"])))
        print_document("consent.receipt", found, is_json=is_json, lines=view.receipt_lines)


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
@click.option("--receipt", "text", help="What a telephone read from the QR code of a receipt.")
@click.option("--key", type=FILE, help="With --file or --receipt: the vehicle's public key, PEM.")
@as_json
@click.pass_obj
def consent_verify(
    caller: Caller, path: Path | None, text: str | None, key: Path | None, *, is_json: bool
) -> None:
    """Check every hash and signature of the ledger; exit 3 if one does not hold."""
    with caller.doing("consent verify"):
        from agent import consents as view  # noqa: PLC0415
        from agent.consent.keys import load_verify_key  # noqa: PLC0415

        if (key is None) != (path is None and text is None) or (path and text):
            raise click.UsageError("--key goes with one of --file and --receipt")
        if text and key:
            found = view.verify_receipt_text(text, load_verify_key(key))
            print_document("consent.verify", found, is_json=is_json, lines=view.receipt_text_lines)
            return
        found = (
            view.verify_file(path, load_verify_key(key))
            if path and key
            else view.verify(caller.config(), caller.folders())
        )
        print_document("consent.verify", found, is_json=is_json, lines=view.verify_lines)
        if not found["is_whole"]:
            sys.exit(3)
