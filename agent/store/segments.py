"""Segments: one append-only file per trip that a power cut can shorten but not spoil.

The bytes are those of segment_records.py. The header appears whole or not at all, under its final
name. Its anchor (3) says which wall time belongs to one instant of the rows' clock, and whether
anybody proved it.

A block is written with one write() and made durable with fdatasync: what a power cut leaves
behind the last whole block is the torn tail, and it is cut at the next opening; zeros that only
fill the last sector of 512 bytes are none. A block whose CRC
is wrong is skipped; the next one is found by its mark. Both are counted, never guessed at.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent.store.appendfile import AppendFile, padding_bytes, write_all
from agent.store.segment_records import (
    BLOCK_MARK,
    HEAD_BYTES,
    HEADER_MARK,
    MAX_BLOCK_ROWS,
    MAX_COLUMNS,
    Header,
    Row,
    SegmentColumn,
    SegmentError,
    TimeAnchor,
    decode_rows,
    encode_header,
    encode_rows,
    parse_header,
    payload_at,
    record_of,
)
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
from telemetry.codec.cells import Cell

FLUSH_EVERY_MS = 10_000  # DESIGN 4: a power cut costs at most ten seconds
MAX_FILE_BYTES = 256 << 20  # a day at 100 signals and 10 Hz is below 100 MB


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
                header = cipher.seal(encode_header(columns, boot_id, anchor))
                descriptor = _create_whole(path, record_of(HEADER_MARK, header))
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
        rows = self._cipher.seal(encode_rows(self._pending, self._columns))
        block = record_of(BLOCK_MARK, rows)
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


def _scan(data: bytes, path: Path, cipher: Cipher | None) -> tuple[Header, _Scan]:
    payload = payload_at(data, 0, HEADER_MARK)
    if payload is None:
        raise SegmentError(f"{path}: expected a segment, found another file", code="segment.header")
    if is_sealed(payload):
        cipher = cipher or _known_cipher(path)
        header = parse_header(_opened_header(payload, path, cipher), path)
    else:  # written before segments were encrypted
        header = parse_header(payload, path)
    scan = _Scan(whole_bytes=HEAD_BYTES + len(payload))
    for start, end, rows in _blocks(data, scan.whole_bytes, len(header[1]), cipher):
        scan.damaged_bytes += start - scan.whole_bytes
        scan.whole_bytes = end
        scan.rows += rows
    return header, scan


def _blocks(
    data: bytes, at: int, columns: int, cipher: Cipher | None
) -> Iterator[tuple[int, int, list[Row]]]:
    while (at := data.find(BLOCK_MARK, at)) >= 0:
        payload = payload_at(data, at, BLOCK_MARK)
        rows = None if payload is None else decode_rows(_opened(payload, cipher), columns)
        if payload is None or rows is None:
            at += 1
            continue
        end = at + HEAD_BYTES + len(payload)
        yield at, end, rows
        at = end


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
