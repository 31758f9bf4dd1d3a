"""okdrive-ingest: receive what drivers confirmed, and look at what was received."""

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from telemetry.codec.batch import BatchLimits
from telemetry.codec.errors import CodecError
from telemetry.ingest.clock import SystemClock
from telemetry.ingest.config import IngestConfig, load_config
from telemetry.ingest.dedupe import Index, StoredBatch
from telemetry.ingest.errors import IngestError, InspectError, NotFoundError, StorageError
from telemetry.ingest.inspect import inspect_batch, sentences
from telemetry.ingest.keycommands import keys

if TYPE_CHECKING:
    from telemetry.ingest.wiring import Parts

_INDEX, _PARQUET, _LOCK = "index.sqlite", "parquet", "ingest.lock"
_CELL = 32  # characters of a long text in a table; --json has all of it
_SEE = "docs/reference/ingest.md"

_as_json = click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")
_limit = click.option(
    "--limit", default=50, show_default=True, help="At most this many.", type=click.IntRange(1)
)


def _default_config() -> Path:
    home = os.environ.get("OKDRIVE_HOME")
    return (Path(home) if home else Path("/etc/okdrive")) / "ingest.toml"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration; default $OKDRIVE_HOME/ingest.toml, else /etc/okdrive/ingest.toml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens.")
@click.version_option(package_name="okdrive")
@click.pass_context
def cli(context: click.Context, *, config: Path | None, verbose: bool) -> None:
    """Receive the batches that drivers confirmed; each counts once.

    \b
    Start here:
      okdrive-ingest run               receive until Ctrl-C
      okdrive-ingest batches list      what has been stored
      okdrive-ingest status            how much, and is it well
      okdrive-ingest metrics           the same for Prometheus
      okdrive-ingest doctor            every check, and what to do

    Every command takes --json. Exit codes: 0 done, 1 failed, 2 wrong usage, 4 not allowed now,
    6 not found, 7 conflict, 130/143 interrupted with everything intact.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s %(message)s",
    )
    context.obj = config or _default_config()


cli.add_command(keys)


@cli.command()
@click.pass_obj
def run(config_path: Path) -> None:
    """Receive, store and answer batches until SIGINT or SIGTERM.

    A batch is answered only after it is on disk; stopping at any moment loses nothing. Start it
    several times to use more cores: the broker hands each batch to one of them.
    """
    config = load_config(config_path)
    with _among_others(config.folder):
        sys.exit(asyncio.run(_receive(config)))


@cli.group()
def batches() -> None:
    """Look at stored batches."""


@batches.command("list")
@_limit
@_as_json
@click.pass_obj
def batches_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List stored batches, newest minute first."""
    with _index(config_path) as index:
        rows = [_batch_document(batch) for batch in index.batches(limit=limit)]
    if is_json:
        _print_json("batches.list", {"batches": rows})
        return
    _print_table(
        ("BATCH", "PURPOSE", "MONTH", "ROWS", "BYTES", "STORED (UTC)"),
        [
            (
                str(row["batch_id"])[:16],
                row["purpose"],
                row["month"],
                row["rows"],
                row["bytes"],
                row["stored_minute"],
            )
            for row in rows
        ],
        empty="No batch has been stored yet.",
    )


@batches.command("show")
@click.argument("batch_id")
@_as_json
@click.pass_obj
def batches_show(config_path: Path, *, batch_id: str, is_json: bool) -> None:
    """Show one batch with its rows. BATCH_ID: the hex digits, or the first 8 or more of them."""
    from telemetry.ingest.sink import read_rows  # noqa: PLC0415 (pyarrow takes 0.3 s to load)

    with _index(config_path) as index:
        batch = _find(index, batch_id)
    path = load_config(config_path).folder / _PARQUET / batch.file
    rows = [_without_bytes(row) for row in read_rows(path)]
    if is_json:
        _print_json("batches.show", _batch_document(batch) | {"samples": rows})
        return
    for name, value in _batch_document(batch).items():
        click.echo(f"{name:14} {value}")
    _print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], empty="No rows.")


@cli.group()
def batch() -> None:
    """Look at one batch in a file."""


@batch.command("inspect")
@click.argument("file", type=click.File("rb"))
@_as_json
def batch_inspect(file: BinaryIO, *, is_json: bool) -> None:
    """Print what the batch in FILE says, in plain words. FILE: its bytes, or - for stdin.

    Reads no configuration and no store; works on any version and schema ever released.
    """
    limits = BatchLimits()
    payload = file.read(limits.max_bytes + 1)
    try:
        document = inspect_batch(payload, limits=limits)
    except CodecError as error:
        raise InspectError(str(error), code=error.code) from error
    if is_json:
        _print_json("batch.inspect", document)
        return
    for line in sentences(document):
        click.echo(line)


@cli.group()
def quarantine() -> None:
    """Look at what was refused."""


@quarantine.command("list")
@_limit
@_as_json
@click.pass_obj
def quarantine_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List refused batches; they are kept for a few days, with the reason."""
    with _index(config_path) as index:
        found = index.quarantined(limit=limit)
    rows = [
        {
            "batch_id": batch.batch_id.hex(),
            "code": batch.code,
            "reason": batch.reason,
            "bytes": batch.size_bytes,
            "minute": batch.minute.isoformat(),
        }
        for batch in found
    ]
    if is_json:
        _print_json("quarantine.list", {"quarantine": rows})
        return
    _print_table(
        ("BATCH", "CODE", "BYTES", "REASON"),
        [
            (str(row["batch_id"])[:16], row["code"], row["bytes"], str(row["reason"])[:_CELL])
            for row in rows
        ],
        empty="Nothing was refused.",
    )


@cli.group()
def receipts() -> None:
    """Look at the answers vehicles were given."""


@receipts.command("list")
@_limit
@_as_json
@click.pass_obj
def receipts_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List answers, and how often each was given."""
    with _index(config_path) as index:
        found = index.receipts(limit=limit)
    rows = [
        {
            "batch_id": receipt.batch_id.hex(),
            "part": receipt.part,
            "status": receipt.status,
            "code": receipt.code,
            "answers": receipt.answers,
            "minute": receipt.minute.isoformat(),
        }
        for receipt in found
    ]
    if is_json:
        _print_json("receipts.list", {"receipts": rows})
        return
    _print_table(
        ("BATCH", "STATUS", "CODE", "TIMES", "FIRST (UTC)"),
        [
            (str(r["batch_id"])[:16], r["status"], r["code"] or "", r["answers"], r["minute"])
            for r in rows
        ],
        empty="No answer has been given yet.",
    )


@cli.command()
@_as_json
@click.pass_obj
def status(config_path: Path, *, is_json: bool) -> None:
    """Say how much is stored and whether a receiver runs."""
    config = load_config(config_path)
    with _index(config_path) as index:
        counts = index.counts()
    is_running = _is_locked(config.folder)
    if is_json:
        _print_json("status", {"running": is_running, **counts})
        return
    click.echo(f"receiver     {'running' if is_running else 'not running'}")
    click.echo(f"stored       {counts['batches']} batches, {counts['rows']} rows")
    click.echo(f"on the wire  {counts['bytes'] / 1024:.1f} KiB")
    click.echo(f"duplicates   {counts['duplicates']} answered, none stored twice")
    click.echo(f"quarantine   {counts['quarantined']} refused")


@cli.command()
@click.pass_obj
def metrics(config_path: Path) -> None:
    """Print what is stored, refused and waiting as Prometheus text."""
    from telemetry.ingest.metrics import store_text  # noqa: PLC0415 (loads pyarrow)

    with _index(config_path) as index:
        click.echo(store_text(index), nl=False)


@cli.command()
@_as_json
@click.pass_obj
def doctor(config_path: Path, *, is_json: bool) -> None:
    """Run every check; exit 0 if all is well, 4 on a warning, 1 on a failure."""
    from telemetry.ingest.doctor import check_all, exit_code  # noqa: PLC0415 (loads pyarrow)

    config = load_config(config_path)
    checks = check_all(config, index=config.folder / _INDEX, parquet=config.folder / _PARQUET)
    if is_json:
        _print_json(
            "doctor",
            {
                "checks": [
                    {"name": c.name, "verdict": c.verdict, "finding": c.finding, "next": c.advice}
                    for c in checks
                ]
            },
        )
    else:
        for check in checks:
            advice = f"   -> {check.advice}" if check.advice else ""
            click.echo(f"{check.verdict:5} {check.name:12} {check.finding}{advice}")
    sys.exit(exit_code(checks))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit codes are those of ``--help``."""
    try:
        cli.main(args=arguments, prog_name="okdrive-ingest", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except IngestError as error:
        _print_error(error)
        sys.exit(error.exit_code)


async def _receive(config: IngestConfig) -> int:
    from telemetry.ingest.wiring import build_service  # noqa: PLC0415 (loads pyarrow and paho)

    stop, caught = asyncio.Event(), [0]
    _stop_on_signals(stop, caught)
    parts = await asyncio.to_thread(
        build_service,
        config,
        index=config.folder / _INDEX,
        parquet=config.folder / _PARQUET,
        clock=SystemClock(),
    )
    host, port = config.broker.host, config.broker.port
    click.echo(f"okdrive-ingest: receiving from {host}:{port}; Ctrl-C stops", err=True)
    try:
        await _serve(config, parts, stop)
    finally:
        await asyncio.to_thread(parts.close)
    return caught[0]


async def _serve(config: IngestConfig, parts: "Parts", stop: asyncio.Event) -> None:
    from telemetry.ingest.metrics import serve_metrics, store_text, worker_text  # noqa: PLC0415

    def text() -> str:
        return store_text(parts.index) + worker_text(
            parts.service, decoder_deaths=parts.decoder_deaths
        )

    failure: IngestError | None = None
    async with asyncio.TaskGroup() as group:
        if config.metrics.port is not None:
            group.create_task(
                serve_metrics(text, port=config.metrics.port, stop=stop), name="ingest_metrics"
            )
        try:
            await parts.service.run(stop)
        except IngestError as error:  # leaves the group by itself, not inside a group of errors
            failure = error
        stop.set()
    if failure:
        raise failure


def _stop_on_signals(stop: asyncio.Event, caught: list[int]) -> None:
    def catch(number: int) -> Callable[[], None]:
        def act() -> None:
            caught[0] = 128 + number  # what a shell expects of an interrupted program
            stop.set()

        return act

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, catch(number))


@contextmanager
def _index(config_path: Path) -> Iterator[Index]:
    index = Index.open_to_read(load_config(config_path).folder / _INDEX)
    try:
        yield index
    finally:
        index.close()


@contextmanager
def _among_others(folder: Path) -> Iterator[None]:
    """Hold a share of the folder; the first one deletes what an earlier run left unfinished."""
    from telemetry.ingest.sink import clean_unfinished  # noqa: PLC0415 (loads pyarrow)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                clean_unfinished(folder / _PARQUET)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror}",
            intact="nothing was started",
            advice="check that the folder can be written",
        ) from error


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _find(index: Index, prefix: str) -> StoredBatch:
    found = [batch for batch in index.batches() if batch.batch_id.hex().startswith(prefix.lower())]
    if len(found) != 1:
        raise NotFoundError(
            f"batch {prefix}: expected exactly one with these first digits, found {len(found)}",
            intact="nothing was changed",
            advice="okdrive-ingest batches list --json prints whole ids",
        )
    return found[0]


def _batch_document(batch: StoredBatch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id.hex(),
        "part": batch.part,
        "purpose": batch.purpose,
        "schema_id": batch.schema_id,
        "pseudonym": batch.pseudonym.hex(),
        "month": batch.month,
        "rows": batch.row_count,
        "bytes": batch.size_bytes,
        "file": batch.file,
        "stored_minute": batch.stored_minute.isoformat(),
    }


def _without_bytes(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not isinstance(value, bytes)}


def _print_json(name: str, document: dict[str, Any]) -> None:
    click.echo(json.dumps({"schema": f"okdrive-ingest.{name}/1"} | document, indent=2))


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]], *, empty: str) -> None:
    if not rows:
        click.echo(empty)
        return
    lines = [head, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_error(error: IngestError) -> None:
    click.echo(f"okdrive-ingest: {error}", err=True)
    click.echo(f"  intact  {error.intact}", err=True)
    click.echo(f"  next    {error.advice}", err=True)
    click.echo(f"  see     {_SEE}   {error.code}  [exit {error.exit_code}]", err=True)
