"""okdrive-agent update: where signed updates stand, and the answers to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from agent.commands import updatetalk
from agent.commands.common import Caller, as_json, print_document


@click.group()
def update() -> None:
    """Signed updates: look for them, answer them, see how they ended.

    \b
    The usual way:
      okdrive-agent update check            look now, and fetch what is offered
      okdrive-agent update show             what is offered, and its content hash
      okdrive-agent update approve HASH     the driver's OK: counts down, installs
      okdrive-agent update why-not          why it is not installed yet
      okdrive-agent update history          how it ended

    Every answer is bound to the content hash: an OK to one update is never an OK to another.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)


@update.command("show")
@as_json
@click.pass_obj
def update_show(caller: Caller, *, is_json: bool) -> None:
    """Show the update under way, and how the last one ended and why."""
    with caller.doing("update show"):
        from agent import inspect  # noqa: PLC0415
        from agent.hmi.remote import NobodyServesError  # noqa: PLC0415

        found = inspect.update(caller.folders())
        try:
            live = updatetalk.ask_agent(caller, "update-view")
        except NobodyServesError:
            live = None
        print_document("update.show", {**found, "live": live}, is_json=is_json, lines=_show_lines)


@update.command("check")
@as_json
@click.pass_obj
def update_check(caller: Caller, *, is_json: bool) -> None:
    """Let the running agent look for an update now, and say what it found."""
    with caller.doing("update check"):
        view = updatetalk.follow_check(caller)
        print_document("update.check", view, is_json=is_json, lines=_found_lines)


@update.command("from")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json
@click.pass_obj
def update_from(caller: Caller, folder: Path, *, is_json: bool) -> None:
    """Take updates from a stick: FOLDER as `okdrive-ota bundle write` has written it.

    The running agent verifies it as it verifies the repositories, and needs no network. All else
    stays as it is: the driver is asked, the gates hold. When all is installed, or the stick is
    refused, updates come from the network again.
    """
    with caller.doing("update from"):
        from ota.client.stick import StickFile, is_stick  # noqa: PLC0415 (only this command)

        if not is_stick(folder):
            raise click.BadParameter(
                f"{folder}: expected a stick as `okdrive-ota bundle write` has written it,"
                " got no director/offline-snapshot.json in it; nothing was changed",
                param_hint="FOLDER",
            )
        StickFile(caller.folders().update).write(folder.resolve())
        view = updatetalk.follow_check(caller)
        print_document("update.from", view, is_json=is_json, lines=_found_lines)


@update.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json
@click.pass_obj
def update_report(caller: Caller, folder: Path, *, is_json: bool) -> None:
    """Write the signed report for the Director onto a stick: FOLDER/reports/.

    It says what this vehicle runs, and how the last update ended. Carry it to the release desk:
    `okdrive-ota bundle read FOLDER` believes it only with this vehicle's signature. Over the
    network it is told all the same, as soon as there is one.
    """
    with caller.doing("update report"):
        from ota.client.stick import write_report  # noqa: PLC0415 (only this command needs it)

        manifest = updatetalk.ask_agent(caller, "update-manifest")["manifest"]
        path = write_report(folder.resolve(), manifest.encode())
        document = {"file": str(path), "manifest": json.loads(manifest)["signed"]}
        print_document("update.report", document, is_json=is_json, lines=_report_lines)


@update.command("why-not")
@as_json
@click.pass_obj
def update_why_not(caller: Caller, *, is_json: bool) -> None:
    """Say why the update is not installed now, each reason with its code."""
    with caller.doing("update why-not"):
        view = updatetalk.ask_agent(caller, "update-view")
        names = ("state", "attack", "problem", "refusals")
        reasons = {name: view[name] for name in names}
        print_document("update.why-not", reasons, is_json=is_json, lines=_why_lines)


@update.command("approve")
@click.argument("content_hash")
@as_json
@click.pass_obj
def update_approve(caller: Caller, content_hash: str, *, is_json: bool) -> None:
    """Say OK to exactly the update CONTENT_HASH (see `update show`)."""
    _answer(caller, content_hash, "approve", {"decision": "now"}, is_json=is_json)


@update.command("schedule")
@click.argument("content_hash")
@as_json
@click.pass_obj
def update_schedule(caller: Caller, content_hash: str, *, is_json: bool) -> None:
    """Let the update CONTENT_HASH be installed tonight."""
    _answer(caller, content_hash, "schedule", {"decision": "tonight"}, is_json=is_json)


@update.command("postpone")
@click.argument("content_hash")
@as_json
@click.pass_obj
def update_postpone(caller: Caller, content_hash: str, *, is_json: bool) -> None:
    """Leave the update CONTENT_HASH for later; a recall only so often."""
    _answer(caller, content_hash, "postpone", {"decision": "later"}, is_json=is_json)


@update.command("cancel")
@click.argument("content_hash")
@as_json
@click.pass_obj
def update_cancel(caller: Caller, content_hash: str, *, is_json: bool) -> None:
    """Take back an OK or a plan, as long as nothing is being installed."""
    _answer(caller, content_hash, "cancel", None, is_json=is_json)


@update.command("install")
@click.argument("content_hash")
@click.option("--wait/--no-wait", default=True, help="Follow it to its end.")
@as_json
@click.pass_obj
def update_install(caller: Caller, content_hash: str, *, wait: bool, is_json: bool) -> None:
    """Install the update CONTENT_HASH at once, as a technician beside the vehicle.

    There is no countdown, and no window is waited for; every other gate holds. Ctrl-C stops the
    watching only: the agent goes on, and `update show` says how far it is.
    """
    with caller.doing("update install"):
        view = updatetalk.ask_agent(caller, "update-install", content_hash)
        if wait:
            view = updatetalk.follow_install(caller)
        print_document("update.install", view, is_json=is_json, lines=_installed_lines)


@update.command("history")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
@click.pass_obj
def update_history(caller: Caller, *, limit: int, is_json: bool) -> None:
    """List how updates ended, newest first, each failure with its code."""
    with caller.doing("update history"):
        from agent import inspect  # noqa: PLC0415

        document = {"updates": inspect.update_history(caller.folders())[:limit]}
        print_document("update.history", document, is_json=is_json, lines=_history_lines)


@update.command("mark-good")
@as_json
@click.pass_obj
def update_mark_good(caller: Caller, *, is_json: bool) -> None:
    """Call the version on trial good: it is committed without the rest of its health check."""
    _decide(caller, "mark-good", is_json=is_json)


@update.command("rollback")
@as_json
@click.pass_obj
def update_rollback(caller: Caller, *, is_json: bool) -> None:
    """Take the version on trial back; once it is committed, only a new release leads back."""
    _decide(caller, "rollback", is_json=is_json)


def _answer(
    caller: Caller,
    content_hash: str,
    word: str,
    decision: dict[str, str] | None,
    *,
    is_json: bool,
) -> None:
    with caller.doing(f"update {word}"):
        from agent.hmi.remote import post  # noqa: PLC0415 (the daemon does not need it)

        verb = "cancel" if decision is None else "answer"
        path = f"/api/updates/{content_hash}/{verb}"
        post(caller.folders().run / "screen.json", path, decision or {})
        print_document(
            f"update.{word}", {"taken": True}, is_json=is_json, lines=lambda _: iter([_TAKEN[word]])
        )


def _decide(caller: Caller, word: str, *, is_json: bool) -> None:
    with caller.doing(f"update {word}"):
        answer = updatetalk.ask_agent(caller, "update-trial", word)
        print_document(
            f"update.{word}", answer, is_json=is_json, lines=lambda _: iter([_TAKEN[word]])
        )


_TAKEN = {
    "approve": "OK: it counts down once every gate is open (`update why-not`).",
    "schedule": "Planned for tonight, 02:30; `update cancel HASH` takes it back.",
    "postpone": "Later: it is asked again, and nothing is installed until then.",
    "cancel": "Taken back: nothing is installed until you say OK again.",
    "mark-good": "Good: it is committed without the rest of its health check.",
    "rollback": "Going back: what ran before runs again in a moment.",
}


def _found_lines(view: dict[str, Any]) -> Iterator[str]:
    if view["offer"] is None and not (view["attack"] or view["problem"]):
        yield "Nothing new: the vehicle runs what it should."
        return
    yield from updatetalk.view_lines(view)


def _report_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"wrote     {document['file']}"
    for ecu in document["manifest"]["ecus"]:
        installed = ecu["installed"]
        runs = "nothing" if installed is None else installed["name"]
        yield f"          {ecu['ecu_id']} runs {runs}"


def _why_lines(reasons: dict[str, Any]) -> Iterator[str]:
    yield from list(updatetalk.reason_lines(reasons)) or ["Nothing is in the way."]


def _installed_lines(view: dict[str, Any]) -> Iterator[str]:
    yield view["last"]["sentence"] if view.get("last") else "begun"


def _history_lines(document: dict[str, Any]) -> Iterator[str]:
    for ended in document["updates"]:
        what = f"{ended['name']} {ended['version']}".strip() or "an offer"
        at = f"{ended['at_utc'][:16].replace('T', ' ')} UTC"
        yield f"{at:<22}{what:<30}{ended['outcome'].replace('_', ' ')}"
        if ended["code"]:
            said = f"{ended['sentence']} ({ended['code']})"
            yield from updatetalk.sentence_lines("", said, indent=22)
    if not document["updates"]:
        yield "No update has ended yet."


def _show_lines(found: dict[str, Any]) -> Iterator[str]:
    for name, version in found["installed"].items():
        yield f"runs      {name} {version}"
    if found["live"]:
        yield from updatetalk.view_lines(found["live"])
        if found["planned"]:
            yield f"planned   {found['planned']}"
    else:
        yield f"state     {found['state']} (no agent runs)"
        if offer := found["offer"]:
            yield f"offered   {offer['custom']['name']} {offer['custom']['version']}"
    if last := found["outcome"]:
        how = last["result"]["outcome"].replace("_", " ")
        yield f"last      {last['name']} {last['version']}: {how}"
        yield from updatetalk.sentence_lines("", last["sentence"])
        if last["detail"]:
            detail = f"{last['detail']} ({last['result']['code']})"
            yield from updatetalk.sentence_lines("", detail)
