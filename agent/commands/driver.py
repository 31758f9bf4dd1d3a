"""okdrive-agent driver, pause, preview, workshop: who drives, and what is asked of them."""

import click

from agent.commands.common import Caller, as_json, print_document


@click.group()
def driver() -> None:
    """Who drives: every driver has switches of their own, a guest has none."""


@driver.command("list")
@as_json
@click.pass_obj
def driver_list(caller: Caller, *, is_json: bool) -> None:
    """List the drivers of this vehicle; names never leave it."""
    with caller.doing("driver list"):
        from agent import answers as view  # noqa: PLC0415 (loads what only these commands need)

        found = view.drivers(caller.config(), caller.folders())
        print_document("driver.list", found, is_json=is_json, lines=view.driver_lines)


@driver.command("choose")
@click.argument("name")
@click.pass_obj
def driver_choose(caller: Caller, name: str) -> None:
    """Say that NAME drives, or `guest`: of a guest nothing is kept.

    With several drivers the choice holds until the vehicle's computer starts again; until somebody
    says who drives, nothing of a trip is kept.
    """
    _change(caller, "choose", name)


@driver.command("add")
@click.argument("name")
@click.pass_obj
def driver_add(caller: Caller, name: str) -> None:
    """Add a driver called NAME, with everything switched off."""
    _change(caller, "add", name)


@driver.command("rename")
@click.argument("name")
@click.argument("new")
@click.pass_obj
def driver_rename(caller: Caller, name: str, new: str) -> None:
    """Call the driver NAME (or the one whose id begins so) NEW."""
    _change(caller, "rename", name, new)


@driver.command("remove")
@click.argument("name")
@click.pass_obj
def driver_remove(caller: Caller, name: str) -> None:
    """Remove a driver: everything of theirs is withdrawn first."""
    _change(caller, "remove", name)


def _change(caller: Caller, verb: str, *names: str) -> None:
    with caller.doing(f"driver {verb}"):
        from agent import answers as view  # noqa: PLC0415

        click.echo(view.change_driver(caller.config(), caller.folders(), verb, *names))


@click.command()
@click.argument("how_long", type=click.Choice(["hour", "today", "always", "off"]))
@click.pass_obj
def pause(caller: Caller, how_long: str) -> None:
    """Record, offer and send nothing for a while; `off` ends it."""
    with caller.doing("pause"):
        from agent import answers as view  # noqa: PLC0415

        click.echo(view.pause(caller.config(), caller.folders(), how_long))


@click.command()
@click.argument("card", default="")
@click.option("--rows", "with_rows", is_flag=True, help="Every row of every batch too.")
@as_json
@click.pass_obj
def preview(caller: Caller, card: str, *, with_rows: bool, is_json: bool) -> None:
    """Show exactly what would leave, decoded from the bytes themselves; CARD is a trip or day."""
    with caller.doing("preview"):
        from agent import answers as view  # noqa: PLC0415

        found = view.preview(caller.config(), caller.folders(), card, with_rows=with_rows)
        print_document("preview", found, is_json=is_json, lines=view.preview_lines)


@click.command()
@click.argument("show", type=click.Choice(["battery", "alert", "both"]))
@click.option("--contact", default="", help="Telephone number or address; kept ones are used.")
@click.option("--name", default="", help="Whom to ask for.")
@click.option("--message", default="", help="Your own words.")
@click.option("--keep", is_flag=True, help="Keep contact and name in the vehicle.")
@click.option("--send", is_flag=True, help="Do not ask after showing it.")
@click.pass_obj
def workshop(  # noqa: PLR0913 (each is one option)
    caller: Caller,
    show: str,
    *,
    contact: str,
    name: str,
    message: str,
    keep: bool,
    send: bool,
) -> None:
    """Show the workshop the battery report, the last alert, or both; you see it first.

    It is sealed to the workshop's key: nobody in between can read it.
    """
    with caller.doing("workshop"):
        from agent import answers as view  # noqa: PLC0415

        config, folders = caller.config(), caller.folders()
        card = view.ask_workshop(
            config, folders, show, contact=contact, name=name, message=message, keep=keep
        )
        click.echo("\n".join(view.card_lines(card)))
        share = send or click.confirm("Send exactly this?")
        click.echo(view.answer(config, folders, card["id"], share=share))
