"""okdrive-ota: parse, call, print, exit code; no logic.

The commands live in ``ota.publisher.commands``, loaded when one runs, so that help is quick.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ota.publisher.commands import Commands
    from ota.publisher.reports import Report
from ota.publisher.publish import Offer

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FILE = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
dry_run_option = click.option(
    "-n", "--dry-run", is_flag=True, help="Check everything, change nothing, show the plan."
)


class Caller:
    """Runs a command of this invocation and prints its report or the four lines of its error."""

    def __init__(self, config: Path, root: Path, *, debug: bool) -> None:
        self.config, self.root, self.debug = config, root, debug

    def show(self, doing: str, call: "Callable[[Commands], Report]", *, as_json: bool) -> None:
        """Print the report of ``call``."""
        self.run(doing, lambda commands: _print(call(commands), as_json=as_json))

    def run(self, doing: str, call: "Callable[[Commands], None]") -> None:
        """Run ``call``; an error ends the process with its exit code."""
        from ota.publisher import commands, exits  # noqa: PLC0415 (slow, and --help needs neither)

        try:
            call(commands.Commands(self.config, self.root))
        except Exception as error:
            if self.debug:
                raise
            click.echo(exits.explain(doing, error), err=True)
            sys.exit(exits.exit_code(error))


@click.group(context_settings=CONTEXT)
@click.option("--config", type=FILE, help="publisher.toml; default: in $OKDRIVE_HOME or /etc.")
@click.option("--debug", is_flag=True, help="A traceback instead of four lines.")
@click.version_option(package_name="okdrive")
@click.pass_context
def main(context: click.Context, config: Path | None, *, debug: bool) -> None:
    """Release signed updates: keys, packages, both repositories, and the Director service.

    \b
    A first release:
      okdrive-ota init --threshold root=1of2 --expires root=1y,timestamp=1d
      okdrive-ota vehicle add car-7f3a --primary ecu-0 --key ecu.pub \\
          --ecu ecu-1=app-host:trip-light
      okdrive-ota package build trip-light/ -o trip-light-1.0.0.okp
      okdrive-ota publish trip-light-1.0.0.okp --to all --dry-run
      okdrive-ota serve

    Exit codes: 0 done, 2 usage or configuration, 3 verification failed, 5 needs a person,
    6 not found, 7 conflict, 8 temporary, 1 anything else.
    """  # noqa: D301 (\b is click's mark for lines that are not wrapped)
    home = os.environ.get("OKDRIVE_HOME")
    folder = Path(home) if home else Path("/etc/okdrive")
    state = Path(home) if home else Path("/var/lib/okdrive")
    context.obj = Caller(config or folder / "publisher.toml", state / "ota", debug=debug)


@main.command()
@click.argument("directory", type=FILE, required=False)
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="ROLE=NofM",
    help="Offline role root or targets needs N of M keys; default 1of1. Repeatable.",
)
@click.option("--expires", metavar="ROLE=TIME,...", help="For example root=1y,targets=90d.")
@dry_run_option
@json_option
@click.pass_obj
def init(  # noqa: PLR0913 (one per option)
    caller: Caller,
    directory: Path | None,
    thresholds: tuple[str, ...],
    expires: str | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make keys, an empty Image repository and a Director in DIRECTORY."""
    caller.show(
        "init",
        lambda commands: commands.init(directory, thresholds, expires, dry_run=dry_run),
        as_json=as_json,
    )


@main.group()
def package() -> None:
    """Build packages and look into them."""


@package.command("build")
@click.argument("spec_dir", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="The package file, NAME.okp.")
@click.option("--stored", "is_stored", is_flag=True, help="Not compressed: for `package delta`.")
@dry_run_option
@json_option
@click.pass_obj
def package_build(  # noqa: PLR0913 (one for each option)
    caller: Caller, spec_dir: Path, out: Path, *, is_stored: bool, dry_run: bool, as_json: bool
) -> None:
    """Pack SPEC_DIR: package.toml, files/ and release.toml (copied beside the package)."""
    caller.show(
        "package build",
        lambda commands: commands.package_build(
            spec_dir, out, is_stored=is_stored, dry_run=dry_run
        ),
        as_json=as_json,
    )


@package.command("delta")
@click.argument("new", type=FILE)
@click.option("--from", "old", type=FILE, help="The package that vehicles run; default: none.")
@click.option("-o", "--out", type=FILE, required=True, help="The difference, NAME.okd.")
@json_option
@click.pass_obj
def package_delta(caller: Caller, new: Path, old: Path | None, out: Path, *, as_json: bool) -> None:
    """Make what leads from one package to NEW, and try it.

    NEW must be built with --stored. Without --from the difference is the whole package,
    compressed: give vehicles both, and each takes the smallest that it can use.
    """
    caller.show(
        "package delta", lambda commands: commands.package_delta(new, old, out), as_json=as_json
    )


@package.command("inspect")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def package_inspect(caller: Caller, file: Path, *, as_json: bool) -> None:
    """Show what FILE says it is."""
    caller.show("package inspect", lambda commands: commands.package_inspect(file), as_json=as_json)


@package.command("verify")
@click.argument("file", type=FILE)
@json_option
@click.pass_obj
def package_verify(caller: Caller, file: Path, *, as_json: bool) -> None:
    """Read all of FILE and check every rule and hash."""
    caller.show("package verify", lambda commands: commands.package_verify(file), as_json=as_json)


@main.group()
def vehicle() -> None:
    """The Director's inventory of vehicles."""


@vehicle.command("add")
@click.argument("vehicle_id", metavar="VEHICLE")
@click.option("--primary", required=True, metavar="ECU", help="Id of the ECU that signs manifests.")
@click.option("--key", type=FILE, required=True, help="Its Ed25519 public key: PEM or hex.")
@click.option(
    "--ecu",
    "ecus",
    multiple=True,
    required=True,
    metavar="ID=HARDWARE:APP",
    help="One updatable part: an installable app is an ECU of its own. Repeatable.",
)
@dry_run_option
@json_option
@click.pass_obj
def vehicle_add(  # noqa: PLR0913 (one per option)
    caller: Caller,
    vehicle_id: str,
    primary: str,
    key: Path,
    ecus: tuple[str, ...],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Register VEHICLE, the random name of its certificate; never the VIN."""
    caller.show(
        "vehicle add",
        lambda commands: commands.vehicle_add(vehicle_id, primary, key, ecus, dry_run=dry_run),
        as_json=as_json,
    )


@vehicle.command("list")
@json_option
@click.pass_obj
def vehicle_list(caller: Caller, *, as_json: bool) -> None:
    """List vehicles, what they are to run and what they say they run."""
    caller.show("vehicle list", lambda commands: commands.vehicle_list(), as_json=as_json)


@vehicle.command("manifest")
@click.argument("vehicle_id", metavar="VEHICLE")
@json_option
@click.pass_obj
def vehicle_manifest(caller: Caller, vehicle_id: str, *, as_json: bool) -> None:
    """Show the last manifest that VEHICLE signed."""
    caller.show(
        "vehicle manifest",
        lambda commands: commands.vehicle_manifest(vehicle_id),
        as_json=as_json,
    )


@main.command()
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@click.option("--to", required=True, metavar="all|nobody|VEHICLE", help="Who is offered it.")
@click.option("--release", type=FILE, help="The facts; default: FILE's .release.toml.")
@click.option("--delta", "deltas", type=FILE, multiple=True, help="A difference to it. Repeatable.")
@click.option("--campaign", help="Installed together, all or none; needed for several FILEs.")
@click.option("--deadline", help="A recall needs no OK past it: 2027-01-31T12:00:00Z.")
@dry_run_option
@json_option
@click.pass_obj
def publish(  # noqa: PLR0913 (one for each option)
    caller: Caller,
    files: tuple[Path, ...],
    *,
    to: str,
    release: Path | None,
    deltas: tuple[Path, ...],
    campaign: str | None,
    deadline: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Release the package FILE; needs the offline Image keys. Refuses what is not newer.

    Several FILEs of one campaign are assigned in one step: a vehicle installs all or none of them.
    Name first what the others require.
    """
    if len(files) > 1 and (campaign is None or release is not None or deltas):
        raise click.UsageError("several FILEs need --campaign, and facts beside each of them")
    offer = Offer(to=to, campaign=campaign, deadline=deadline)
    caller.show(
        "publish",
        lambda commands: commands.publish(files, release, offer, deltas, dry_run=dry_run),
        as_json=as_json,
    )


@main.group()
def keys() -> None:
    """Public keys that vehicles need besides the repositories' own."""


@keys.command("publish")
@click.argument("file", type=FILE)
@dry_run_option
@json_option
@click.pass_obj
def keys_publish(caller: Caller, file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Sign ingest's public keys in FILE (of `okdrive-ingest keys make`) for all vehicles.

    Needs the offline Image keys. Refuses a serial that is not above the published one.
    """
    caller.show(
        "keys publish",
        lambda commands: commands.keys_publish(file, dry_run=dry_run),
        as_json=as_json,
    )


@main.group()
def bundle() -> None:
    """Sticks: updates for vehicles without a network."""


@bundle.command("write")
@click.argument("folder", type=FILE)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="A released target; default: the newest release of every app. Repeatable.",
)
@dry_run_option
@json_option
@click.pass_obj
def bundle_write(
    caller: Caller, folder: Path, targets: tuple[str, ...], *, dry_run: bool, as_json: bool
) -> None:
    """Write a stick to the empty FOLDER; needs the Director's offline keys.

    It is for every vehicle with the right hardware; each verifies it as it verifies the
    repositories (`okdrive-agent update from FOLDER`). A newer stick revokes older ones.
    """
    caller.show(
        "bundle write",
        lambda commands: commands.bundle_write(folder, targets, dry_run=dry_run),
        as_json=as_json,
    )


@bundle.command("enable")
@dry_run_option
@json_option
@click.pass_obj
def bundle_enable(caller: Caller, *, dry_run: bool, as_json: bool) -> None:
    """Let a Director that is older than sticks write them; needs its offline root keys.

    Makes two offline keys and signs a next root that names them. Changes nothing where it is done.
    """
    caller.show(
        "bundle enable", lambda commands: commands.bundle_enable(dry_run=dry_run), as_json=as_json
    )


@bundle.command("read")
@click.argument("folder", type=FILE)
@json_option
@click.pass_obj
def bundle_read(caller: Caller, folder: Path, *, as_json: bool) -> None:
    """Take the reports that vehicles wrote onto the stick FOLDER (`okdrive-agent update report`).

    Each is believed as if it had come over the network: with the vehicle's signature, and once.
    Reading a stick again changes nothing, and the stick stays as it is.
    """
    caller.show("bundle read", lambda commands: commands.bundle_read(folder), as_json=as_json)


@main.command()
@dry_run_option
@json_option
@click.pass_obj
def refresh(caller: Caller, *, dry_run: bool, as_json: bool) -> None:
    """Sign Timestamp and Snapshot again (for cron); exit 5 if an offline role has expired."""
    caller.show("refresh", lambda commands: commands.refresh(dry_run=dry_run), as_json=as_json)


@main.command()
@json_option
@click.pass_obj
def status(caller: Caller, *, as_json: bool) -> None:
    """Expiry and threshold of every role, releases, and what every vehicle runs."""
    caller.show("status", lambda commands: commands.status(), as_json=as_json)


@main.command()
@click.option("--as", "vehicle_id", metavar="VEHICLE", help="Also what this vehicle is told.")
@json_option
@click.pass_obj
def verify(caller: Caller, vehicle_id: str | None, *, as_json: bool) -> None:
    """Check signatures, expiry and images of the published folders."""
    caller.show("verify", lambda commands: commands.verify(vehicle_id), as_json=as_json)


@main.command()
@click.option("--listen", metavar="HOST:PORT", help="Default: the configuration's; port 0: any.")
@click.pass_obj
def serve(caller: Caller, listen: str | None) -> None:
    """Serve both repositories and take manifests, until a signal; needs no offline key."""

    def say(host: str, port: int) -> None:
        click.echo(f"listening on https://{host}:{port}")

    caller.run("serve", lambda commands: commands.serve(listen, say))


def _print(report: "Report", *, as_json: bool) -> None:
    click.echo(report.as_json() if as_json else "\n".join(report.lines))
    if report.exit_code:
        sys.exit(report.exit_code)
