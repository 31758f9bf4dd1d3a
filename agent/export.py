"""Everything this vehicle keeps of its driver, as files anybody can read. Blocks.

One list of tables is collected once and written in one of three forms: one JSON document, a folder
of CSV files, or a folder of Parquet files (that needs pyarrow, the extra ``ingest``). Signals carry
their VSS path and unit, times are UTC. What goes to a purpose's recipient is in here as it was
shown; the VIN, certificates and keys are not: they are no data of a drive.

Source: GDPR 15 and 20; Data Act 3(1) and 4 (docs/reference/privacy-checklist.md).
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import msgspec

from agent.belongings import belongings
from agent.config import AgentConfig
from agent.consents import history
from agent.folders import Folders
from agent.store.battery import BatteryHistory
from agent.store.database import StoreError
from agent.store.outbox import Outbox
from agent.store.rows import TripRow
from agent.store.segment_records import SegmentError
from agent.store.segments import Segment, read_segment
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.store.tracks import track_beside
from ota.client.durable import sync_folder

SCHEMA = "okdrive.export/1"
SAMPLES, TRACKS = "samples", "tracks"
_TIME = "time_utc"

Cell = str | int | float | bool | None


class ExportError(Exception):
    """The export cannot be written; what the vehicle keeps is untouched. ``code`` is stable.

    Codes: export.target (the place is taken or cannot be written), export.parquet (pyarrow is not
    installed), export.nothing (no trip fits).
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class Form(StrEnum):
    """How an export is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under named columns; ``units`` names the unit of a column that has one."""

    name: str  # with a slash: a file in a folder of that name
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which trips: one (the first digits of its id), those since a day, or all."""

    trip: str | None = None
    since_utc: datetime | None = None

    def fits(self, trip_id: str, ended_utc: datetime) -> bool:
        """Return whether a trip or charge session is asked for."""
        if self.trip is not None and not trip_id.startswith(self.trip):
            return False
        return self.since_utc is None or ended_utc >= self.since_utc


def collect(config: AgentConfig, wanted: Wanted) -> Iterator[Table]:
    """Yield every table; the samples of a trip are read when their turn comes.

    Raises:
        StoreError, KeyFileError: The state or a key cannot be read.
        ExportError: One trip was asked for and there is none.
    """
    folders = Folders(root=config.state_dir)
    with closing(State.open_to_read(folders.state)) as state:
        trips = [row for row in state.trips(limit=-1) if wanted.fits(row.trip_id, row.created_utc)]
        charges = [
            row
            for row in Sessions(state.database).rows(limit=-1)
            if wanted.fits(row.session_id, row.created_utc)
        ]
        if wanted.trip is not None and not trips and not charges:
            raise ExportError(
                f"trip {wanted.trip}: expected one, found none; `okdrive-agent trips list` names"
                " them",
                code="export.nothing",
            )
        yield _summaries("trips", [(row.trip_id, row.created_utc, row.summary) for row in trips])
        yield _summaries(
            "charges", [(row.session_id, row.created_utc, row.summary) for row in charges]
        )
        if wanted.trip is None:
            yield from _all_tables(folders, state)
            for kept in belongings(config, state):
                yield Table(name=kept.name, columns=kept.columns, rows=kept.rows)
    for trip in trips:
        yield from _samples(folders, trip)


def _summaries(name: str, found: Sequence[tuple[str, datetime, str]]) -> Table:
    """Return one row per summary: every figure any of them has is a column."""
    summaries: list[dict[str, Any]] = [json.loads(summary) for _, _, summary in found]
    keys = sorted({key for summary in summaries for key in summary})
    rows = [
        [identity, _utc(ended), *(_cell(summary.get(key)) for key in keys)]
        for (identity, ended, _), summary in zip(found, summaries, strict=True)
    ]
    return Table(name=name, columns=("id", "stored_utc", *keys), rows=rows)


def _all_tables(folders: Folders, state: State) -> Iterator[Table]:
    yield from _battery(folders)
    yield _waiting(state)
    yield Table(
        name="receipts",
        columns=("batch_id", "part", "status", "code", "received_utc"),
        rows=[
            [row.batch_id.hex(), row.part, row.status, row.code, _utc(row.received_utc)]
            for row in state.receipts(limit=-1)
        ],
    )
    entries = history(folders)["entries"]
    columns = ("sequence", "event_time", "event", "purpose", "batch_id", "entry_hash", "body")
    yield Table(
        name="ledger",
        columns=columns,
        rows=[
            [_cell({**one["entry"], **one}.get(column)) for column in columns] for one in entries
        ],
    )


def _battery(folders: Folders) -> Iterator[Table]:
    try:
        opened = BatteryHistory.open_to_read(folders.battery)
    except StoreError as error:
        if error.code != "store.missing":
            raise
        return
    with closing(opened) as battery:
        yield Table(
            name="battery",
            columns=("day", "kind", "place", "count", "mean", "low", "high"),
            rows=[
                [one.day.isoformat(), one.kind, one.place, one.count, one.mean, one.low, one.high]
                for one in battery.figures()
            ],
        )
        yield Table(
            name="alerts",
            columns=("code", "severity", "raised_utc", "last_utc", "cleared_utc", "evidence"),
            rows=[
                [
                    one.code, one.severity, _utc(one.raised_utc), _utc(one.last_utc),
                    _utc(one.cleared_utc) if one.cleared_utc else None, one.body,
                ]
                for one in battery.alerts(limit=-1)
            ],
        )  # fmt: skip


def _waiting(state: State) -> Table:
    """Return what was built and has not left: on offer, or confirmed and queued."""
    rows: list[list[Cell]] = [
        [one.batch_id.hex(), one.trip_id, one.purpose, "offered", _utc(one.created_utc)]
        for one in state.offers()
    ]
    rows += [
        [one.batch_id.hex(), one.trip_id, one.purpose, str(one.state), _utc(one.created_utc)]
        for one in Outbox(state.database).lines()
    ]
    return Table(
        name="batches",
        columns=("batch_id", "trip_id", "purpose", "state", "created_utc"),
        rows=rows,
    )


def _samples(folders: Folders, trip: TripRow) -> Iterator[Table]:
    """Yield the samples of a trip and, where positions are kept, its track."""
    if trip.segment is None:
        return
    path = folders.segments / trip.segment
    for name, found in ((SAMPLES, path), (TRACKS, track_beside(path))):
        try:
            segment = read_segment(found)
        except SegmentError:  # none, or it has made way; the trip's summary says what is left
            continue
        yield Table(
            name=f"{name}/{trip.trip_id}",
            columns=(_TIME, "since_start_s", *(column.path for column in segment.columns)),
            rows=list(_rows(segment)),
            units={column.path: column.unit for column in segment.columns},
        )


def _rows(segment: Segment) -> Iterator[list[Cell]]:
    first_ms = segment.rows[0][0] if segment.rows else 0
    for time_ms, raws in segment.rows:
        when = _utc(segment.anchor.utc_at(time_ms)) if segment.anchor else None
        values = (
            None if (value := column.told(raw)) is None else round(value, 9)
            for column, raw in zip(segment.columns, raws, strict=True)
        )
        yield [when, (time_ms - first_ms) / 1_000, *values]


def write(tables: Iterator[Table], form: Form, target: Path) -> Iterator[str]:
    """Write ``tables`` to ``target`` and yield a line for each; it appears whole or not at all.

    Args:
        tables: From ``collect``.
        form: JSON writes one file, CSV and Parquet a folder.
        target: Must not be there yet.

    Raises:
        ExportError: ``target`` is taken or cannot be written; nothing is left of it.
    """
    if target.exists():
        raise ExportError(
            f"{target}: expected a new name, found something there; nothing was written",
            code="export.target",
        )
    part = target.with_name(f".{target.name}.part")
    make = {Form.JSON: _write_json, Form.CSV: _write_csv, Form.PARQUET: _write_parquet}[form]
    try:
        _forget(part)
        yield from make(tables, part)
        part.rename(target)
        sync_folder(target.absolute().parent)
    except OSError as error:
        raise ExportError(
            f"{target}: {error.strerror}; nothing was written", code="export.target"
        ) from error
    finally:
        _forget(part)


def _write_json(tables: Iterator[Table], part: Path) -> Iterator[str]:
    with _created(part).open("w", encoding="utf-8") as file:
        file.write(f'{{"schema": {json.dumps(SCHEMA)}, "tables": [')
        for number, table in enumerate(tables):
            document = {
                "name": table.name,
                "columns": table.columns,
                "units": table.units,
                "rows": table.rows,
            }
            file.write(",\n" if number else "\n")
            json.dump(document, file)
            yield _said(table)
        file.write("\n]}\n")
        _sync(file.fileno())


def _write_csv(tables: Iterator[Table], part: Path) -> Iterator[str]:
    for table in tables:
        path = _created(part / f"{table.name}.csv")
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([_with_unit(table, column) for column in table.columns])
            rows.writerows(table.rows)
            _sync(file.fileno())
        yield _said(table)


def _with_unit(table: Table, column: str) -> str:
    unit = table.units.get(column)
    return f"{column} [{unit}]" if unit else column


def _write_parquet(tables: Iterator[Table], part: Path) -> Iterator[str]:
    save = _parquet_writer()
    for table in tables:
        path = _created(part / f"{table.name}.parquet")
        save(table, path)
        with path.open("rb+") as file:
            _sync(file.fileno())
        yield _said(table)


def _parquet_writer() -> Callable[[Table, Path], None]:
    """Return what writes one table; units stand in the metadata of their column."""
    try:
        import pyarrow as pa  # noqa: PLC0415 (not in a vehicle unless somebody wants this)
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            "parquet: expected pyarrow, found none; nothing was written; install the extra"
            " `okdrive[ingest]`, or choose csv or json",
            code="export.parquet",
        ) from error

    def save(table: Table, path: Path) -> None:
        columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
        arrays = [pa.array(_of_one_kind(column)) for column in columns]
        fields = [
            pa.field(name, array.type, metadata=_unit_of(table, name))
            for name, array in zip(table.columns, arrays, strict=True)
        ]
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)

    return save


def _unit_of(table: Table, column: str) -> dict[str, str] | None:
    unit = table.units.get(column)
    return {"unit": unit} if unit else None


def _of_one_kind(column: Sequence[Cell]) -> list[Cell]:
    """Return a column that Parquet can type: numbers stay numbers, a mixture becomes text."""
    kinds = {type(cell) for cell in column if cell is not None}
    if kinds == {int, float}:
        return [None if cell is None else float(cast("float", cell)) for cell in column]
    if len(kinds) > 1:
        return [None if cell is None else str(cell) for cell in column]
    return list(column)


def _created(path: Path) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return path


def _forget(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _said(table: Table) -> str:
    return f"{table.name:<28}{len(table.rows):>9,} rows"


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return msgspec.json.encode(value).decode()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def as_utc(day: datetime) -> datetime:
    """Return the beginning of a day that was named without a zone, in UTC."""
    return day.replace(tzinfo=UTC)
