"""The bytes of a segment: marks, records with their checksums, the header and blocks of rows. Pure.

Shape (all numbers little-endian)::

    file    = header *block             ; payloads encrypted with the file's own key (vault.py)
    header  = %xF5 "OKS" record        ; record of deterministic CBOR
    block   = %xF5 "OKB" record        ; record of a column block: times in ms, then the columns
    record  = length:u32 crc32:u32 payload
    header CBOR = { 0: 1, 1: boot id: tstr, 2: [* [path, unit, step, offset]],
                    ? 3: [time in ms, UTC in ms since 1970, is proven: bool] }
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from telemetry.codec.cbor import dump, load
from telemetry.codec.cells import Cell
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.errors import CodecError

VERSION = 1
MAX_BLOCK_ROWS = 4_096
MAX_COLUMNS = 256
MAX_RECORD_BYTES = 16 << 20  # no block we write comes near it
HEADER_MARK, BLOCK_MARK = b"\xf5OKS", b"\xf5OKB"
_RECORD = struct.Struct("<II")
HEAD_BYTES = len(BLOCK_MARK) + _RECORD.size
_COLUMN_FIELDS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SegmentError(Exception):
    """A segment cannot be written or read. ``code`` is stable, the message is for a person.

    Codes: segment.exists, segment.write, segment.sync, segment.read, segment.header, segment.key.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class SegmentColumn:
    """What one column holds: VSS path, unit, and how integers become values.

    ``value = raw * step + offset``; the raw integer is the nearest one.
    """

    path: str
    unit: str
    step: float
    offset: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0 and math.isfinite(self.offset)):
            raise ValueError(
                f"{self.path}: expected a step above 0 and a finite offset, "
                f"got {self.step} and {self.offset}"
            )

    def raw(self, value: float) -> int:
        """Return the integer nearest to ``value``."""
        return round((value - self.offset) / self.step)

    def value(self, raw: int) -> float:
        """Return the value of an integer, in the column's unit."""
        return raw * self.step + self.offset

    def told(self, cell: Cell) -> float | None:
        """Return the value in ``cell``; None for a gap of either kind."""
        return self.value(cell) if isinstance(cell, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAnchor:
    """One instant on both clocks. ``is_proven``: wall time was synchronised at that moment."""

    time_ms: int  # on the clock of the rows
    utc: datetime
    is_proven: bool

    def utc_at(self, time_ms: float) -> datetime:
        """Return the wall time of another instant of the same segment."""
        return self.utc + timedelta(milliseconds=time_ms - self.time_ms)


Row = tuple[int, list[Cell]]  # time in ms, one integer, None or INVALID for each column
Header = tuple[str, tuple[SegmentColumn, ...], TimeAnchor | None]


def record_of(mark: bytes, payload: bytes) -> bytes:
    """Return ``payload`` as it stands in the file: mark, length, checksum, itself."""
    return mark + _RECORD.pack(len(payload), _crc(payload)) + payload


def payload_at(data: bytes, at: int, mark: bytes) -> bytes | None:
    """Return the payload of the record that begins at ``at``; None if no whole one does."""
    if data[at : at + len(mark)] != mark or len(data) - at < HEAD_BYTES:
        return None
    length, crc = _RECORD.unpack_from(data, at + len(mark))
    payload = data[at + HEAD_BYTES : at + HEAD_BYTES + min(length, MAX_RECORD_BYTES)]
    return payload if len(payload) == length and _crc(payload) == crc else None


def _crc(payload: bytes) -> int:
    return zlib.crc32(payload, len(payload))  # the length is covered too: zeros are not a record


def encode_rows(rows: Sequence[tuple[int, Sequence[Cell]]], columns: int) -> bytes:
    """Return the payload of one block."""
    times = [time_ms for time_ms, _ in rows]
    return encode_columns([times, *([row[at] for _, row in rows] for at in range(columns))])


def decode_rows(payload: bytes, columns: int) -> list[Row] | None:
    """Return the rows of one block; None if it is none of so many columns."""
    try:
        times, *values = decode_columns(
            payload, max_rows=MAX_BLOCK_ROWS, max_columns=MAX_COLUMNS + 1
        )
    except (CodecError, ValueError):
        return None
    if len(values) != columns or not all(isinstance(time_ms, int) for time_ms in times):
        return None
    rows = zip(times, *values, strict=True)
    return [(time_ms, list(row)) for time_ms, *row in rows if isinstance(time_ms, int)]


def encode_header(
    columns: Sequence[SegmentColumn], boot_id: str, anchor: TimeAnchor | None
) -> bytes:
    """Return the payload of the header."""
    table = [[c.path, c.unit, float(c.step), float(c.offset)] for c in columns]
    fields: dict[int, object] = {0: VERSION, 1: boot_id, 2: table}
    if anchor:
        utc_ms = round((anchor.utc - _EPOCH) / timedelta(milliseconds=1))
        fields[3] = [anchor.time_ms, utc_ms, anchor.is_proven]
    return dump(fields)


def parse_header(payload: bytes, path: Path) -> Header:
    """Return boot id, columns and anchor; raise SegmentError naming ``path``."""
    try:
        fields = load(payload, max_bytes=MAX_RECORD_BYTES, what="segment header")
        return _parse_fields(fields)
    except (CodecError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise SegmentError(f"{path}: unknown header: {error}", code="segment.header") from error


def _parse_fields(fields: object) -> Header:
    if not isinstance(fields, dict) or fields.get(0) != VERSION:
        raise ValueError("expected version 1")
    columns = tuple(_parse_column(column) for column in fields[2])
    return str(fields[1]), columns, _parse_anchor(fields.get(3))


def _parse_anchor(field: object) -> TimeAnchor | None:
    if field is None:
        return None
    if not isinstance(field, list):
        raise TypeError("expected an anchor of three numbers")
    time_ms, utc_ms, is_proven = field
    utc = _EPOCH + timedelta(milliseconds=int(utc_ms))
    return TimeAnchor(time_ms=int(time_ms), utc=utc, is_proven=bool(is_proven))


def _parse_column(column: object) -> SegmentColumn:
    if not isinstance(column, list) or len(column) != _COLUMN_FIELDS:
        raise ValueError("expected path, unit, step and offset of a column")
    path, unit, step, offset = column
    return SegmentColumn(str(path), str(unit), float(step), float(offset))
