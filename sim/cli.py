"""okdrive-sim: parse, call, print, exit code; no logic."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


KILL_WITHIN_S = 60.0  # the demo lasts a little longer


def _home(given: Path | None) -> Path:
    return given or Path(os.environ.get("OKDRIVE_HOME", ".demo"))


home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to work in, made anew; default $OKDRIVE_HOME, else .demo.",
)


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="okdrive")
def main() -> None:
    """Run the unmodified agent on simulated or recorded drives.

    \b
    Start here:
      okdrive-sim demo               one drive, an OK, a good and a bad update
      okdrive-sim demo --driver me   the same with you in front of the screen
      okdrive-sim stack              everything up until Ctrl-C
      okdrive-sim battery-faults     what the battery watch tells, and how soon
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)


@main.command()
@home_option
@click.option("--drive", type=click.Path(path_type=Path), help="A recording of a Leaf ZE1.")
@click.option("--driver", type=click.Choice(["robot", "me"]), default="robot", show_default=True)
@click.option("--seed", default=7, show_default=True, help="Of the synthetic drive.")
@click.option("--kills", default=0, help="SIGKILL agent, ingest or broker this often.")
@click.option("--kill-seed", default=1, show_default=True, help="Which plan of kills.")
@click.option("--debug", is_flag=True, help="A traceback instead of four lines.")
def demo(  # noqa: PLR0913 (one per option)
    *,
    home: Path | None,
    drive: Path | None,
    driver: str,
    seed: int,
    kills: int,
    kill_seed: int,
    debug: bool,
) -> None:
    """Play one drive, one OK, one good and one bad update; exit non-zero if a step is missing.

    Without --drive it takes the recording beside the project if that is there, and a synthetic
    drive otherwise. Afterwards OKDRIVE_HOME=.demo makes all four commands look at what it left.
    """
    from sim.demo import RECORDING, made_up_drive, recorded_drive, run_demo  # noqa: PLC0415 (slow)
    from sim.kills import Killer  # noqa: PLC0415

    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:5.1f} s  {text}")

    folder = _home(home)
    told = _end_as_with_ctrl_c(signal.SIGTERM)
    recording = drive or (RECORDING if RECORDING.exists() else None)
    try:
        chosen = recorded_drive(recording) if recording else made_up_drive(seed)
        killer = Killer(kill_seed, kills=kills, within_s=KILL_WITHIN_S) if kills else None
        asyncio.run(run_demo(folder, chosen, say=say, is_person=driver == "me", killer=killer))
    except KeyboardInterrupt:
        click.echo(f"\nokdrive-sim: stopped; what was there stays in {folder}", err=True)
        sys.exit(128 + told[-1])
    except Exception as error:
        if debug:
            raise
        _explain("demo", error, folder)
    say(f"Done       look around: OKDRIVE_HOME={folder} okdrive-agent status")


@main.command()
@home_option
@click.option("--port", default=8088, show_default=True, help="Of the driver's screen.")
@click.option("--debug", is_flag=True, help="A traceback instead of four lines.")
def stack(*, home: Path | None, port: int, debug: bool) -> None:
    """Run broker, Director, ingest, a parked vehicle and the driver's screen until Ctrl-C."""
    from sim.demo import run_stack  # noqa: PLC0415 (slow to load)

    folder = _home(home)
    told = _end_as_with_ctrl_c(signal.SIGTERM)
    try:
        asyncio.run(run_stack(folder, say=click.echo, screen_port=port))
    except KeyboardInterrupt:
        click.echo(f"\nokdrive-sim: stopped; its state stays in {folder}", err=True)
        sys.exit(128 + told[-1])
    except Exception as error:
        if debug:
            raise
        _explain("stack", error, folder)


def _end_as_with_ctrl_c(number: signal.Signals) -> list[int]:
    """Make ``number`` end the story as Ctrl-C does, with all it started; return what came last."""
    told = [int(signal.SIGINT)]

    def end(caught: int, _frame: object) -> None:
        told.append(caught)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` starts us deaf to it
    signal.signal(number, end)
    return told


@main.command("battery-faults")
@click.option("--recordings", type=click.Path(path_type=Path), help="Folder of *.log.gz files.")
@click.option("--drives", default=3, show_default=True, type=click.IntRange(0, 100))
@click.option("--only", help="Inject only the faults of this alert code.")
@click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")
def battery_faults(
    *, recordings: Path | None, drives: int, only: str | None, is_json: bool
) -> None:
    """Try the battery watch: alerts on healthy vehicles, and how soon each fault is told.

    Frames are encoded and decoded, polls asked and answered over ISO-TP, as in a vehicle. Times
    are data time: about a minute of work. Exits 1 if a promise of the watch is not kept.
    """
    from sim import battery_faults as faults  # noqa: PLC0415 (slow to load)

    say = click.echo if not is_json else lambda _: None
    healthy, found = [], []
    say(faults.HEALTHY_HEAD)
    for run in faults.healthy_runs(recordings, drives):
        healthy.append(faults.as_document(run))
        say(faults.healthy_line(healthy[-1]))
    say(f"\n{faults.FAULT_HEAD}")
    for fault in (one for one in faults.faults() if only in (None, one.code)):
        found.append(faults.as_document(faults.faulty_drive(fault), fault))
        say(faults.fault_line(found[-1]))
    say("\n" + faults.summary_line(healthy, found))
    if is_json:
        document = {"schema": "okdrive-sim.battery-faults/1", "healthy": healthy, "faults": found}
        click.echo(json.dumps(document))
    sys.exit(0 if faults.is_as_promised(healthy, found) else 1)


def _explain(doing: str, error: BaseException, folder: Path) -> None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    code = getattr(error, "code", type(error).__name__)
    click.echo(
        f"okdrive-sim: {doing} failed\n"
        f"  why       {error}\n"
        f"  intact    the project; logs and state stay in {folder}/logs and {folder}\n"
        f"  see       docs/tutorials/first-drive.md  {code}  [exit 1]",
        err=True,
    )
    sys.exit(1)
