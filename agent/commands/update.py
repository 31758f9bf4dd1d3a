"""okdrive-agent update: where signed updates stand, and the driver's answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document


@click.group()
def update() -> None:
    """Signed updates: where they stand."""


@update.command("show")
@as_json
@click.pass_obj
def update_show(caller: Caller, *, is_json: bool) -> None:
    """Show the update under way, and how the last one ended and why."""
    with caller.doing("update show"):
        from agent import inspect  # noqa: PLC0415

        found = inspect.update(caller.folders())
        print_document("update.show", found, is_json=is_json, lines=_update_lines)


@update.command("check")
@click.pass_obj
def update_check(caller: Caller) -> None:
    """Let the running agent look for an update now."""
    with caller.doing("update check"):
        click.echo(_ask_daemon(caller, "update-check"))


@update.command("from")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.pass_obj
def update_from(caller: Caller, folder: Path) -> None:
    """Take updates from a stick: FOLDER as `okdrive-ota bundle write` has written it.

    The running agent verifies it as it verifies the repositories, and needs no network. All else
    stays as it is: the driver is asked, the gates hold. When all is installed, or the stick is
    refused, updates come from the network again.
    """
    with caller.doing("update from"):
        from ota.client.stick import StickFile  # noqa: PLC0415 (only this command needs it)

        StickFile(caller.folders().update).write(folder.resolve())
        click.echo(_ask_daemon(caller, "update-check"))


@update.command("why-not")
@click.pass_obj
def update_why_not(caller: Caller) -> None:
    """Say why the update is not installed now, each reason with its code."""
    with caller.doing("update why-not"):
        click.echo(_ask_daemon(caller, "update-why"))


@update.command("approve")
@click.argument("content_hash")
@click.pass_obj
def update_approve(caller: Caller, content_hash: str) -> None:
    """Say OK to exactly the image CONTENT_HASH (see `update show`)."""
    _answer_update(caller, content_hash, "approve", {"decision": "now"})


@update.command("schedule")
@click.argument("content_hash")
@click.pass_obj
def update_schedule(caller: Caller, content_hash: str) -> None:
    """Let the image CONTENT_HASH be installed tonight."""
    _answer_update(caller, content_hash, "schedule", {"decision": "tonight"})


@update.command("postpone")
@click.argument("content_hash")
@click.pass_obj
def update_postpone(caller: Caller, content_hash: str) -> None:
    """Leave the image CONTENT_HASH for later; it stays offered."""
    _answer_update(caller, content_hash, "postpone", {"decision": "later"})


@update.command("cancel")
@click.argument("content_hash")
@click.pass_obj
def update_cancel(caller: Caller, content_hash: str) -> None:
    """Take back an OK or a plan, as long as nothing is being installed."""
    _answer_update(caller, content_hash, "cancel", None)


def _answer_update(
    caller: Caller, content_hash: str, word: str, decision: dict[str, str] | None
) -> None:
    with caller.doing(f"update {word}"):
        from agent.hmi.remote import post  # noqa: PLC0415 (the daemon does not need it)

        verb = "cancel" if decision is None else "answer"
        path = f"/api/updates/{content_hash}/{verb}"
        post(caller.folders().run / "screen.json", path, decision or {})
        click.echo("done")


def _ask_daemon(caller: Caller, word: str) -> str:
    from agent.control import ask  # noqa: PLC0415 (only these commands need it)
    from agent.hmi.remote import NobodyServesError  # noqa: PLC0415

    control = caller.folders().control
    answer = ask(control, word)
    if answer is None:
        raise NobodyServesError(f"{control}: expected a running agent, got none; nothing changed")
    return answer


def _update_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"state     {found['state']}"
    for name, version in found["installed"].items():
        yield f"runs      {name} {version}"
    if offer := found["offer"]:
        yield f"offered   {offer['custom']['name']} {offer['custom']['version']}"
        yield f"          {offer['content_hash']}"
    if last := found["outcome"]:
        yield f"last      {last['name']} {last['version']}: {last['result']['outcome']}"
        yield f"          {last['sentence']}"
        if last["detail"]:
            yield f"          {last['detail']} ({last['result']['code']})"
    if found["attack"]:
        yield f"refused   {found['attack']}"
