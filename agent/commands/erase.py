"""okdrive-agent erase, erasures: take back what was recorded and what was sent."""

import time
from datetime import UTC, datetime

import click

from agent.commands.common import Caller, as_json, only_one, print_document

_LOOK_EVERY_S = 0.2


@click.command()
@click.option("--trip", help="One trip or charge; the first digits of its id are enough.")
@click.option(
    "--since",
    "since_day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Every trip and charge since this day (UTC).",
)
@click.option("--all", "is_all", is_flag=True, help="Everything, and every pseudonym of the past.")
@click.option("--confirm", metavar="NAME", help="The name of what is erased, typed beforehand.")
@click.option("--now", "is_urgent", is_flag=True, help="Ask ingest at once, not at random moments.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1, 86_400),
    help="Wait so many seconds for ingest to confirm; implies --now.",
)
@as_json
@click.pass_obj
def erase(  # noqa: PLR0913 (each is an option)
    caller: Caller,
    trip: str | None,
    since_day: datetime | None,
    confirm: str | None,
    wait_s: int | None,
    *,
    is_all: bool,
    is_urgent: bool,
    is_json: bool,
) -> None:
    """Erase trips here, and have ingest erase what was sent of them.

    First you see what it covers. To mean it, type its name: the whole id of the trip, the day, or
    the word "all". What is erased here is gone at once; ingest is asked over the network until it
    has answered with a signed receipt, however long that takes. The battery's own history (no trip,
    no place) and the ledger of your consents stay; `okdrive-agent wipe` ends these too.

    \b
      okdrive-agent erase --trip 3f9a
      okdrive-agent erase --since 2026-11-01 --confirm 2026-11-01
      okdrive-agent erase --all --confirm all --wait 60
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    if sum((trip is not None, since_day is not None, is_all)) != 1:
        raise click.UsageError("say what: --trip ID, --since DAY or --all")
    with caller.doing("erase"):
        from agent import erasures as view  # noqa: PLC0415

        since = since_day and since_day.replace(tzinfo=UTC)
        chosen = view.plan(caller.config(), trip=trip, since_utc=since)
        if confirm is None:
            print_document(
                "erase.plan", view.plan_document(chosen), is_json=is_json, lines=view.plan_lines
            )
            confirm = click.prompt(
                f"type {chosen.wish.name} to erase it", default="", show_default=False, err=True
            )
        if confirm != chosen.wish.name:
            raise click.UsageError(
                f"expected the name {chosen.wish.name}, got {confirm!r}; nothing was erased"
            )
        asked = view.carry_out(caller.config(), chosen, is_urgent=is_urgent or wait_s is not None)
        document = view.plan_document(chosen, asked)
        print_document("erase", document, is_json=is_json, lines=view.plan_lines)
        if wait_s is not None:
            _wait(caller, wait_s)
            _tell(caller, is_json=is_json)


def _wait(caller: Caller, wait_s: float) -> None:
    from agent import erasures as view  # noqa: PLC0415

    until_s = time.monotonic() + wait_s
    while time.monotonic() < until_s:
        if all(row.erasure for row in view.rows(caller.folders())):
            return
        time.sleep(_LOOK_EVERY_S)


@click.command()
@as_json
@click.pass_obj
def erasures(caller: Caller, *, is_json: bool) -> None:
    """Show what was taken back, and what ingest has confirmed with its signature."""
    with caller.doing("erasures"):
        _tell(caller, is_json=is_json)


def _tell(caller: Caller, *, is_json: bool) -> None:
    from agent import erasures as view  # noqa: PLC0415

    found = view.rows_document(view.rows(caller.folders()))
    print_document("erasures", found, is_json=is_json, lines=view.rows_lines)


@click.command()
@click.option("--confirm", metavar="VEHICLE", help="The vehicle's id, typed beforehand.")
@click.pass_obj
def wipe(caller: Caller, confirm: str | None) -> None:
    """Make the vehicle ready for another owner: nothing of its drivers stays.

    Trips, charges, positions, battery history, consents, profiles, keys and pseudonyms are
    destroyed, and ingest is asked to erase what was sent. What is left: the vehicle's identity, the
    installed software, and the requests that ingest has not confirmed yet. Stop the agent first; a
    power cut in the middle is finished at the next start.
    """
    with caller.doing("wipe"):
        from agent import erasures as view  # noqa: PLC0415

        config = caller.config()
        name = config.identity.vehicle_id
        if confirm is None:
            confirm = click.prompt(
                f"type {name} to wipe it", default="", show_default=False, err=True
            )
        if confirm != name:
            raise click.UsageError(f"expected {name}, got {confirm!r}; nothing was wiped")
        with only_one(caller.folders()):
            waiting = view.wipe(config)
        click.echo(f"wiped; {waiting} requests to ingest wait for the network")
