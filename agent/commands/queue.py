"""okdrive-agent queue: what was confirmed and has not left yet, and why."""

import click

from agent.commands.common import Caller, as_json, print_document


@click.group()
def queue() -> None:
    """Batches the driver confirmed that have not been delivered yet."""


@queue.command("list")
@as_json
@click.pass_obj
def queue_list(caller: Caller, *, is_json: bool) -> None:
    """List what waits in the order of leaving, what was given up, and why nothing leaves now."""
    with caller.doing("queue list"):
        from agent import queue as view  # noqa: PLC0415 (the daemon does not need it)

        found = view.listing(caller.config(), caller.folders())
        print_document("queue.list", found, is_json=is_json, lines=view.list_lines)


@queue.command("stats")
@as_json
@click.pass_obj
def queue_stats(caller: Caller, *, is_json: bool) -> None:
    """Show how much waits, what was dropped, and what sending has cost today."""
    with caller.doing("queue stats"):
        from agent import queue as view  # noqa: PLC0415

        found = view.stats(caller.config(), caller.folders())
        print_document("queue.stats", found, is_json=is_json, lines=view.stats_lines)


@queue.command("pause")
@click.pass_obj
def queue_pause(caller: Caller) -> None:
    """Stop sending until `resume`, also after a restart; nothing is lost."""
    with caller.doing("queue pause"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.pause(caller.folders()))


@queue.command("resume")
@click.pass_obj
def queue_resume(caller: Caller) -> None:
    """Send again after `pause`, or after the broker refused this vehicle for good."""
    with caller.doing("queue resume"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.resume(caller.folders()))


@queue.command("flush")
@click.pass_obj
def queue_flush(caller: Caller) -> None:
    """Try now instead of waiting for the next attempt; what the driver can take back stays."""
    with caller.doing("queue flush"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.flush(caller.folders()))
