"""okdrive-agent apps: what runs beside the agent, and what the driver wants to run."""

from collections.abc import Iterator
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document
from agent.commands.updatetalk import ask_agent


@click.group()
def apps() -> None:
    """Apps of this vehicle: downloadable ones, and system apps that are part of it.

    A wish goes to the Director with the vehicle's next signed report, and comes back as an update:
    verified, offered and answered like any other (`okdrive-agent update`).
    """


@apps.command("list")
@as_json
@click.pass_obj
def apps_list(caller: Caller, *, is_json: bool) -> None:
    """List every place for an app: what runs there, and whether it is wanted."""
    with caller.doing("apps list"):
        print_document("apps.list", ask_agent(caller, "apps"), is_json=is_json, lines=_lines)


@apps.command("want")
@click.argument("name")
@as_json
@click.pass_obj
def apps_want(caller: Caller, name: str, *, is_json: bool) -> None:
    """Ask the Director for the app NAME; it comes as an update that waits for an OK."""
    with caller.doing("apps want"):
        answer = ask_agent(caller, "app-want", name)
        print_document("apps.want", answer, is_json=is_json, lines=_wanted_lines)


@apps.command("remove")
@click.argument("name")
@as_json
@click.pass_obj
def apps_remove(caller: Caller, name: str, *, is_json: bool) -> None:
    """Remove the app NAME and all its data, and tell the Director that it is not wanted."""
    with caller.doing("apps remove"):
        answer = ask_agent(caller, "app-remove", name)
        print_document("apps.remove", answer, is_json=is_json, lines=_removed_lines)


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'APP':<24}{'VERSION':<14}{'KIND':<14}WANTED"
    for app in document["apps"]:
        kind = "embedded" if app["is_embedded"] else "downloadable"
        wanted = {True: "yes", False: "no", None: "-"}[app["is_wanted"]]
        yield f"{app['name']:<24}{app['version'] or '-':<14}{kind:<14}{wanted}"


def _wanted_lines(_answer: dict[str, Any]) -> Iterator[str]:
    yield "asked for; next: okdrive-agent update show"


def _removed_lines(_answer: dict[str, Any]) -> Iterator[str]:
    yield "removed"
