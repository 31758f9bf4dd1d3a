"""okdrive-agent zones: places that nobody may see."""

import re

import click

from agent.commands.common import Caller, as_json, print_document


class _Position(click.ParamType[tuple[float, float]]):
    """``48.137,11.575``: degrees north and east, as maps copy them."""

    name = "latitude,longitude"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Return both numbers; a space after the comma does no harm."""
        number = r"\s*([+-]?\d{1,3}(?:\.\d+)?)\s*"
        found = re.fullmatch(f"{number},{number}", str(value), re.ASCII)
        if found is None:
            self.fail(
                f"expected degrees such as 48.137,11.575, got {str(value)[:40]!r}", param, ctx
            )
        return float(found[1]), float(found[2])


@click.group()
def zones() -> None:
    """Places that nobody may see: nothing that touches them is ever told.

    Homes, workplaces and both ends of every trip are kept secret without being drawn. Draw what
    else is nobody's business. A place stays in the vehicle, encrypted; `export` shows it to you,
    `erase --all` and `wipe` destroy it.
    """


@zones.command("list")
@as_json
@click.pass_obj
def zones_list(caller: Caller, *, is_json: bool) -> None:
    """List the places that were drawn."""
    with caller.doing("zones list"):
        from agent import zonetalk as view  # noqa: PLC0415 (the daemon does not need it)

        found = view.listing(caller.config(), caller.folders())
        print_document("zones.list", found, is_json=is_json, lines=view.list_lines)


@zones.command("add")
@click.option("--at", "position", type=_Position(), help="Degrees north and east: 48.137,11.575")
@click.option("--here", "is_here", is_flag=True, help="Where the vehicle is, or stood last.")
@click.option(
    "--radius", "radius_m", default=500.0, show_default=True, help="Metres, 100 to 5,000."
)
@click.option("--name", default="", help="For you alone, at most 24 characters.")
@as_json
@click.pass_obj
def zones_add(  # noqa: PLR0913 (each is one option)
    caller: Caller,
    position: tuple[float, float] | None,
    radius_m: float,
    name: str,
    *,
    is_here: bool,
    is_json: bool,
) -> None:
    """Keep a place secret from now on.

    More than the circle stays unseen: its middle is moved, so that nobody finds it from the edge.
    Batches that touch it and wait on a card are dropped, confirmed ones are taken back; what has
    arrived already is erased by `okdrive-agent erase`.

    \b
      okdrive-agent zones add --here --name Home
      okdrive-agent zones add --at 48.1371,11.5754 --radius 300 --name "Doctor"
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    if (position is None) != is_here:
        raise click.UsageError("say where: --here or --at LATITUDE,LONGITUDE")
    with caller.doing("zones add"):
        from agent import zonetalk as view  # noqa: PLC0415

        found = view.add(caller.config(), caller.folders(), position, radius_m=radius_m, name=name)
        print_document("zones.add", found, is_json=is_json, lines=view.added_lines)


@zones.command("remove")
@click.argument("place", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every place, also ones that cannot be read.")
@click.pass_obj
def zones_remove(caller: Caller, place: str | None, *, is_all: bool) -> None:
    """Forget PLACE: its name, or the first digits of its id."""
    if (place is None) != is_all:
        raise click.UsageError("say which: its name, the first digits of its id, or --all")
    with caller.doing("zones remove"):
        from agent import zonetalk as view  # noqa: PLC0415

        click.echo(view.remove(caller.config(), caller.folders(), place))
