"""Segments: one append-only file per trip that a power cut can shorten but not spoil.

Shape (all numbers little-endian)::

    file    = header *block             ; payloads encrypted with the file's own key (vault.py)
    header  = %xF5 "OKS" record        ; record of deterministic CBOR
    block   = %xF5 "OKB" record        ; record of a column block: times in ms, then the columns
    record  = length:u32 crc32:u32 payload
    header CBOR = { 0: 1, 1: boot id: tstr, 2: [* [path, unit, step, offset]],
                    ? 3: [time in ms, UTC in ms since 1970, is proven: bool] }

The header appears whole or not at all, under its final name. Its anchor (3) says which wall time
belongs to one instant of the rows' clock, and whether anybody proved it.

A block is written with one write() and made durable with fdatasync: what a power cut leaves
behind the last whole block is the torn tail, and it is cut at the next opening; zeros that only
fill the last sector of 512 bytes are none. A block whose CRC
is wrong is skipped; the next one is found by its mark. Both are counted, never guessed at.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from agent.store.appendfile import AppendFile, padding_bytes, write_all
from agent.store.vault import (
    SEGMENT,
    Cipher,
    KeyLostError,
    Vault,
    is_sealed,
    segment_item,
    vault_of,
)
from ota.client.durable import sync_folder
from telemetry.codec.cbor import dump, load
from telemetry.codec.cells import Cell
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.errors import CodecError

VERSION = 1
FLUSH_EVERY_MS = 10_000  # DESIGN 4: a power cut costs at most ten seconds
MAX_BLOCK_ROWS = 4_096
MAX_COLUMNS = 256
MAX_RECORD_BYTES = 16 << 20  # no block we write comes near it
MAX_FILE_BYTES = 256 << 20  # a day at 100 signals and 10 Hz is below 100 MB
_HEADER_MARK, _BLOCK_MARK = b"\xf5OKS", b"\xf5OKB"
_RECORD = struct.Struct("<II")
_HEAD_BYTES = len(_BLOCK_MARK) + _RECORD.size
_COLUMN_FIELDS = 4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a file holds, and what was lost of it."""

    columns: tuple[SegmentColumn, ...]
    boot_id: str  # whose monotonic clock the times belong to
    anchor: TimeAnchor | None  # None: nobody said what time it was
    rows: list[Row]  # in the order they were appended
    torn_bytes: int  # behind the last whole block: the power cut's share
    damaged_bytes: int  # between whole blocks: not ours to explain, skipped


class SegmentWriter:
    """Appends rows to one segment. All methods block on the disk: call them in a thread."""

    def __init__(
        self, path: Path, descriptor: int, columns: int, cipher: Cipher, *, torn_bytes: int = 0
    ) -> None:
        self.path = path
        self._cipher = cipher
        self.torn_bytes = torn_bytes  # what ``reopen`` cut off
        self.dropped_rows = 0  # lost because the disk took nothing for too long
        self._file = AppendFile(path, descriptor)
        self._columns = columns
        self._pending: list[tuple[int, Sequence[Cell]]] = []
        self._kept_ms: int | None = None  # time of the last row that is on the disk

    @property
    def size_bytes(self) -> int:
        """Return how much of the file is header and whole blocks."""
        return self._file.size_bytes

    @classmethod
    def create(
        cls,
        path: Path,
        columns: Sequence[SegmentColumn],
        *,
        boot_id: str,
        anchor: TimeAnchor | None = None,
    ) -> Self:
        """Start a new file; its header and its name are durable when this returns.

        A power cut in between leaves ``<name>.new`` behind, which nobody reads.

        Raises:
            SegmentError: segment.exists, segment.write or segment.key; nothing was changed.
            ValueError: No column, or more than 256.
        """
        if not 0 < len(columns) <= MAX_COLUMNS:
            raise ValueError(f"expected 1 to {MAX_COLUMNS} columns, got {len(columns)}")
        vault = _vault(path)
        try:
            with vault.lock:  # a key of nothing is swept; from here on the file names it
                cipher = vault.cipher(segment_item(path), SEGMENT)
                header = cipher.seal(_header(columns, boot_id, anchor))
                descriptor = _create_whole(path, _record(_HEADER_MARK, header))
        except KeyLostError as error:
            raise SegmentError(str(error), code="segment.key") from error
        except FileExistsError as error:
            raise SegmentError(
                f"{path}: exists already; left alone", code="segment.exists"
            ) from error
        except OSError as error:
            raise SegmentError(
                f"{path}: cannot be created, or no room for a segment: {error}",
                code="segment.write",
            ) from error
        return cls(path, descriptor, len(columns), cipher)

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on with a file after a restart: cut the torn tail, count it, append behind.

        Raises:
            SegmentError: segment.read, segment.header, segment.key or segment.write; nothing was
                changed.
        """
        data = _read(path)
        cipher = _cipher(path)
        header, scan = _scan(data, path, cipher)
        try:
            descriptor = _open_cut(path, scan.whole_bytes)
        except OSError as error:
            raise SegmentError(f"{path}: cannot go on: {error}", code="segment.write") from error
        torn_bytes = _torn_bytes(data, scan.whole_bytes)
        return cls(path, descriptor, len(header[1]), cipher, torn_bytes=torn_bytes)

    def append(self, time_ms: int, row: Sequence[Cell]) -> None:
        """Add a row; flush if the next one may come ten seconds after the last on the disk.

        The first row goes to the disk at once: a start that is cut off soon has left a trace.

        Raises:
            SegmentError: As ``flush``; the row is kept and tried again.
            ValueError: Another number of values than columns.
        """
        if len(row) != self._columns:
            raise ValueError(f"expected {self._columns} values in a row, got {len(row)}")
        self._pending.append((time_ms, row))
        last_ms = self._pending[0][0] if self._kept_ms is None else self._kept_ms
        gap_ms = time_ms - (self._pending[-2][0] if len(self._pending) > 1 else last_ms)
        next_ms = time_ms + gap_ms * 3 // 2  # rows do not come on the millisecond
        is_due = self._kept_ms is None or not 0 <= next_ms - last_ms <= FLUSH_EVERY_MS
        if is_due or len(self._pending) >= MAX_BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one block and make it durable.

        Raises:
            SegmentError: segment.write: the file is as it was, the rows stay pending (up to
                4,096, then they are dropped and counted); segment.sync: written, perhaps not
                durable.
        """
        if not self._pending:
            return
        rows = self._cipher.seal(_encode_rows(self._pending, self._columns))
        block = _record(_BLOCK_MARK, rows)
        try:
            self._file.append(block)
        except OSError as error:
            count = len(self._pending)
            self._undo_write()
            raise SegmentError(
                f"{self.path}: {count} rows not written: {error}; "
                f"the {self.size_bytes} bytes before are intact",
                code="segment.write",
            ) from error
        self._kept_ms = self._pending[-1][0]
        self._pending.clear()
        self._sync()

    def close(self) -> None:
        """Flush and close; closing twice is fine.

        Raises:
            SegmentError: As ``flush``; the file is closed all the same.
        """
        if self._file.is_closed:
            return
        try:
            self.flush()
        finally:
            self._file.close()

    def _undo_write(self) -> None:
        self._file.undo()
        if len(self._pending) >= MAX_BLOCK_ROWS:
            self.dropped_rows += len(self._pending)
            self._pending.clear()

    def _sync(self) -> None:
        try:
            self._file.sync()
        except OSError as error:
            raise SegmentError(
                f"{self.path}: written, but the disk does not confirm it: {error}",
                code="segment.sync",
            ) from error


def read_segment(path: Path) -> Segment:
    """Return everything whole in the file; never changes it.

    Raises:
        SegmentError: segment.read (no such file, too large) or segment.header (not a segment, or
            damaged so early that no value could be understood) or segment.key (its key is gone).
    """
    data = _read(path)
    (boot_id, columns, anchor), scan = _scan(data, path, None)
    return Segment(
        columns=columns,
        boot_id=boot_id,
        anchor=anchor,
        rows=scan.rows,
        torn_bytes=_torn_bytes(data, scan.whole_bytes),
        damaged_bytes=scan.damaged_bytes,
    )


def _torn_bytes(data: bytes, whole_bytes: int) -> int:
    rest = data[whole_bytes:]
    return len(rest) - padding_bytes(rest)


@dataclass(slots=True)
class _Scan:
    rows: list[Row] = field(default_factory=list)
    whole_bytes: int = 0  # up to the end of the last whole block
    damaged_bytes: int = 0  # of these, the ones in no whole block


_Header = tuple[str, tuple[SegmentColumn, ...], TimeAnchor | None]


def _scan(data: bytes, path: Path, cipher: Cipher | None) -> tuple[_Header, _Scan]:
    payload = _payload_at(data, 0, _HEADER_MARK)
    if payload is None:
        raise SegmentError(f"{path}: expected a segment, found another file", code="segment.header")
    if is_sealed(payload):
        cipher = cipher or _known_cipher(path)
        header = _parse_header(_opened_header(payload, path, cipher), path)
    else:  # written before segments were encrypted
        header = _parse_header(payload, path)
    scan = _Scan(whole_bytes=_HEAD_BYTES + len(payload))
    for start, end, rows in _blocks(data, scan.whole_bytes, len(header[1]), cipher):
        scan.damaged_bytes += start - scan.whole_bytes
        scan.whole_bytes = end
        scan.rows += rows
    return header, scan


def _blocks(
    data: bytes, at: int, columns: int, cipher: Cipher | None
) -> Iterator[tuple[int, int, list[Row]]]:
    while (at := data.find(_BLOCK_MARK, at)) >= 0:
        payload = _payload_at(data, at, _BLOCK_MARK)
        rows = None if payload is None else _decode_rows(_opened(payload, cipher), columns)
        if payload is None or rows is None:
            at += 1
            continue
        end = at + _HEAD_BYTES + len(payload)
        yield at, end, rows
        at = end


def _payload_at(data: bytes, at: int, mark: bytes) -> bytes | None:
    if data[at : at + len(mark)] != mark or len(data) - at < _HEAD_BYTES:
        return None
    length, crc = _RECORD.unpack_from(data, at + len(mark))
    payload = data[at + _HEAD_BYTES : at + _HEAD_BYTES + min(length, MAX_RECORD_BYTES)]
    return payload if len(payload) == length and _crc(payload) == crc else None


def _vault(path: Path) -> Vault:
    """Return the keys of the state folder that a segment belongs to."""
    is_in_state = path.parent.name == "segments"
    return vault_of(path.parent.parent if is_in_state else path.parent)


def _known_cipher(path: Path) -> Cipher:
    try:
        return _vault(path).known_cipher(segment_item(path))
    except KeyLostError as error:
        raise SegmentError(f"{path}: {error}", code="segment.key") from error


def _cipher(path: Path) -> Cipher:
    """Return what encrypts what is appended; makes a key for a segment that had none."""
    try:
        return _vault(path).cipher(segment_item(path), SEGMENT)
    except KeyLostError as error:
        raise SegmentError(f"{path}: {error}", code="segment.key") from error


def _opened_header(payload: bytes, path: Path, cipher: Cipher) -> bytes:
    try:
        return cipher.open(payload)
    except KeyLostError as error:
        raise SegmentError(f"{path}: {error}", code="segment.key") from error


def _opened(payload: bytes, cipher: Cipher | None) -> bytes:
    """Return a block's columns; nothing if its bytes are not what was sealed."""
    if cipher is None or not is_sealed(payload):
        return payload
    try:
        return cipher.open(payload)
    except KeyLostError:
        return b""


def destroy_keys(paths: Sequence[Path]) -> None:
    """Overwrite the keys of files that were deleted: copies of them stay closed. Blocks."""
    for path in paths:
        _vault(path).destroy([segment_item(path)])


def sweep_keys(folder: Path) -> int:
    """Overwrite the keys of files that are not in ``folder`` any more; return how many. Blocks."""
    vault = _vault(folder / "any")
    with vault.lock:
        return vault.keep_only_files(SEGMENT, (segment_item(path) for path in folder.glob("*")))


def _record(mark: bytes, payload: bytes) -> bytes:
    return mark + _RECORD.pack(len(payload), _crc(payload)) + payload


def _crc(payload: bytes) -> int:
    return zlib.crc32(payload, len(payload))  # the length is covered too: zeros are not a record


def _encode_rows(rows: Sequence[tuple[int, Sequence[Cell]]], columns: int) -> bytes:
    times = [time_ms for time_ms, _ in rows]
    return encode_columns([times, *([row[at] for _, row in rows] for at in range(columns))])


def _decode_rows(payload: bytes, columns: int) -> list[Row] | None:
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


def _header(columns: Sequence[SegmentColumn], boot_id: str, anchor: TimeAnchor | None) -> bytes:
    table = [[c.path, c.unit, float(c.step), float(c.offset)] for c in columns]
    fields: dict[int, object] = {0: VERSION, 1: boot_id, 2: table}
    if anchor:
        utc_ms = round((anchor.utc - _EPOCH) / timedelta(milliseconds=1))
        fields[3] = [anchor.time_ms, utc_ms, anchor.is_proven]
    return dump(fields)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _parse_header(payload: bytes, path: Path) -> _Header:
    try:
        fields = load(payload, max_bytes=MAX_RECORD_BYTES, what="segment header")
        return _parse_fields(fields)
    except (CodecError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise SegmentError(f"{path}: unknown header: {error}", code="segment.header") from error


def _parse_fields(fields: object) -> _Header:
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


def _read(path: Path) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise SegmentError(
                f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size_bytes}",
                code="segment.read",
            )
        return path.read_bytes()
    except OSError as error:
        raise SegmentError(f"{path}: cannot be read: {error}", code="segment.read") from error


def _create_whole(path: Path, header: bytes) -> int:
    """Write the header under another name and give it its own when it is durable."""
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, header, 0)
        os.fsync(descriptor)
        os.link(beside, path)  # unlike a rename it never replaces a file
        _sync_name(path)
    except OSError:
        os.close(descriptor)
        raise
    finally:
        beside.unlink(missing_ok=True)
    return descriptor


def _sync_name(path: Path) -> None:
    try:
        sync_folder(path.parent)
    except OSError:
        path.unlink()
        raise


def _open_cut(path: Path, size_bytes: int) -> int:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, size_bytes)
        os.fsync(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
