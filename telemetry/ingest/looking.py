"""The commands that look at what was received: batches, one batch in a file, refusals, answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from telemetry.codec.batch import BatchLimits
from telemetry.codec.errors import CodecError
from telemetry.ingest.config import load_config
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.errors import InspectError, NotFoundError
from telemetry.ingest.printing import CELL, as_json, limited, print_json, print_table
from telemetry.ingest.reports import ReportQueue
from telemetry.ingest.store import Index, Store, open_to_read
from telemetry.ingest.whatis import in_words, max_bytes, what_is

_ID_DIGITS = 64
_IDS = ("batch_id", "report_id")


@contextmanager
def reading(config_path: Path) -> Iterator[Store]:
    """Open the store beside a running receiver; raise IngestError."""
    store = open_to_read(load_config(config_path))
    try:
        yield store
    finally:
        store.close()


@click.group()
def batches() -> None:
    """Look at stored batches."""


@batches.command("list")
@limited
@as_json
@click.pass_obj
def batches_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List stored batches, newest day first."""
    with reading(config_path) as store:
        rows = [_batch_document(batch) for batch in store.index.batches(limit=limit)]
    columns = {
        "BATCH": "batch_id",
        "PURPOSE": "purpose",
        "MONTH": "month",
        "ROWS": "rows",
        "BYTES": "bytes",
        "STORED": "stored_day",
    }
    _print_list("batches", rows, columns, empty="No batch has been stored yet.", is_json=is_json)


@batches.command("show")
@click.argument("batch_id")
@as_json
@click.pass_obj
def batches_show(config_path: Path, *, batch_id: str, is_json: bool) -> None:
    """Show one batch with its rows. BATCH_ID: the hex digits, or the first 8 or more of them."""
    from telemetry.ingest.sink import read_rows  # noqa: PLC0415 (pyarrow takes 0.3 s to load)

    with reading(config_path) as store:
        batch = _find(store.index, batch_id)
        rows = [_without_bytes(row) for row in read_rows(store.files.read(batch.file))]
    if is_json:
        print_json("batches.show", _batch_document(batch) | {"samples": rows})
        return
    for name, value in _batch_document(batch).items():
        click.echo(f"{name:14} {value}")
    print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], empty="No rows.")


@click.group()
def batch() -> None:
    """Look at one batch in a file."""


@batch.command("inspect")
@click.argument("file", type=click.File("rb"))
@as_json
def batch_inspect(file: BinaryIO, *, is_json: bool) -> None:
    """Print what the batch in FILE says, in plain words. FILE: its bytes, or - for stdin.

    Reads no configuration and no store; works on any version and schema ever released. A batch
    whose schema is not one of ours shows its container and counts. Parts, erase requests and
    receipts are told too; of what is sealed, and so of what is in quarantine, the key it is for.
    """
    limits = BatchLimits()
    payload = file.read(max_bytes(limits) + 1)
    try:
        document = what_is(payload, limits=limits)
    except CodecError as error:
        raise InspectError(str(error), code=error.code) from error
    if is_json:
        print_json("batch.inspect", document)
        return
    for line in in_words(document):
        click.echo(line)


@click.group()
def quarantine() -> None:
    """Look at what was refused."""


@quarantine.command("list")
@limited
@as_json
@click.pass_obj
def quarantine_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List refused batches; they are kept for a few days, with the reason."""
    with reading(config_path) as store:
        found = store.index.quarantined(limit=limit)
    rows = [
        {
            "batch_id": batch.batch_id.hex(),
            "code": batch.code,
            "reason": batch.reason,
            "bytes": batch.size_bytes,
            "day": batch.day.isoformat(),
        }
        for batch in found
    ]
    columns = {"BATCH": "batch_id", "CODE": "code", "BYTES": "bytes", "REASON": "reason"}
    _print_list("quarantine", rows, columns, empty="Nothing was refused.", is_json=is_json)


@quarantine.command("show")
@click.argument("batch_id")
@click.option("--write", type=click.File("wb"), help="Write what was received to this file.")
@as_json
@click.pass_obj
def quarantine_show(
    config_path: Path, *, batch_id: str, write: BinaryIO | None, is_json: bool
) -> None:
    """Show why one batch was refused. BATCH_ID: the hex digits, or the first 8 or more of them.

    What was received is ciphertext, or nothing: plaintext is never kept.
    """
    with reading(config_path) as store:
        found = [
            batch
            for batch in store.index.quarantined()
            if batch.batch_id.hex().startswith(batch_id.lower())
        ]
    if len(found) != 1:
        raise _not_one("refused batch", batch_id, len(found), "quarantine list")
    [batch] = found
    if write is not None:
        write.write(batch.payload or b"")
    document = {
        "batch_id": batch.batch_id.hex(),
        "code": batch.code,
        "reason": batch.reason,
        "bytes": batch.size_bytes,
        "kept_bytes": len(batch.payload or b""),
        "day": batch.day.isoformat(),
    }
    _print_one("quarantine.show", document, is_json=is_json)


@click.group()
def reports() -> None:
    """Look at what waits for a workshop."""


@reports.command("list")
@as_json
@click.pass_obj
def reports_list(config_path: Path, *, is_json: bool) -> None:
    """List sealed reports that the workshop has not taken yet, oldest day first."""
    with reading(config_path) as store:
        found = ReportQueue(store.index.database).waiting()
    rows = [
        {
            "report_id": report.report_id.hex(),
            "bytes": report.size_bytes,
            "attempts": report.attempts,
            "day": report.day.isoformat(),
        }
        for report in found
    ]
    columns = {"REPORT": "report_id", "BYTES": "bytes", "ATTEMPTS": "attempts", "CAME": "day"}
    empty = "No report waits for the workshop."
    _print_list("reports", rows, columns, empty=empty, is_json=is_json)


@click.group()
def receipts() -> None:
    """Look at the answers vehicles were given."""


@receipts.command("list")
@limited
@as_json
@click.pass_obj
def receipts_list(config_path: Path, *, limit: int, is_json: bool) -> None:
    """List answers, and how often each was given."""
    with reading(config_path) as store:
        found = store.index.receipts(limit=limit)
    rows = [
        {
            "batch_id": receipt.batch_id.hex(),
            "part": receipt.part,
            "status": receipt.status,
            "code": receipt.code,
            "answers": receipt.answers,
            "day": receipt.day.isoformat(),
        }
        for receipt in found
    ]
    columns = {
        "BATCH": "batch_id",
        "STATUS": "status",
        "CODE": "code",
        "TIMES": "answers",
        "FIRST": "day",
    }
    _print_list("receipts", rows, columns, empty="No answer has been given yet.", is_json=is_json)


def _find(index: Index, prefix: str) -> StoredBatch:
    try:
        first, last = (bytes.fromhex(prefix.ljust(_ID_DIGITS, digit)) for digit in "0f")
    except ValueError:
        first, last = b"\xff", b""  # nothing lies there
    found = index.matching(first, last)
    if len(found) != 1:
        raise _not_one("batch", prefix, len(found), "batches list")
    return found[0]


def _not_one(what: str, prefix: str, count: int, command: str) -> NotFoundError:
    return NotFoundError(
        f"{what} {prefix}: expected exactly one with these first digits,"
        f" found {'several' if count else '0'}",
        intact="nothing was changed",
        advice=f"okdrive-ingest {command} --json prints whole ids",
    )


def _print_list(
    what: str,
    rows: Sequence[Mapping[str, object]],
    columns: Mapping[str, str],
    *,
    empty: str,
    is_json: bool,
) -> None:
    """Print ``rows`` whole as JSON, or as a table; ``columns`` is head -> name of the value."""
    if is_json:
        print_json(f"{what}.list", {what: rows})
        return
    cells = [tuple(_cell(name, row[name]) for name in columns.values()) for row in rows]
    print_table(tuple(columns), cells, empty=empty)


def _cell(name: str, value: object) -> object:
    """Return what stands in a column; of an id so many digits as nobody else's begin with."""
    if name in _IDS:
        return str(value)[:16]
    return value[:CELL] if isinstance(value, str) else value


def _print_one(name: str, document: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        print_json(name, document)
        return
    for key, value in document.items():
        click.echo(f"{key:14} {value}")


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
        "stored_day": batch.stored_day.isoformat(),
    }


def _without_bytes(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not isinstance(value, bytes)}
