"""What the codec is measured against: the same rows in forms that others publish.

Every form carries the times and all values so that they come back exactly.
"""

import gzip
import io
import json
import struct
from collections.abc import Iterator

import numpy as np
import pcodec
import pyarrow as pa
import pyarrow.parquet as pq
import snappy

from benchmarks.i3 import Table

_EVENT_TIME_MS = 1_700_000_000_000
_EVENT_ID = 123_456_789
# 75 and 72 characters; zeros, so that snappy finds as much to share as there can be
_ARN = "arn:aws:iotfleetwise:eu-central-1:123456789012:"
_CAMPAIGN = f"{_ARN}campaign/{'0' * 19}"
_DECODER = f"{_ARN}decoder-manifest/{'0' * 8}"


def fleetwise_snappy(table: Table) -> bytes:
    """AWS IoT FleetWise Edge: ``VehicleData``, one double per value, snappy over the message.

    Source: field numbers of its ``vehicle_data.proto``: 1 and 2 the two ids, 3 event id, 4 event
    time, 5 repeated CapturedSignal (1 sint64 relative time, 2 signal id, 3 double).
    """
    packed: bytes = snappy.compress(fleetwise(table))
    return packed


def fleetwise(table: Table) -> bytes:
    """Return the protobuf message without compression, samples in time order, ids from 1."""
    head = _text(1, _CAMPAIGN) + _text(2, _DECODER)
    head += b"\x18" + _varint(_EVENT_ID) + b"\x20" + _varint(_EVENT_TIME_MS)
    return head + b"".join(_captured_signals(table))


def _captured_signals(table: Table) -> Iterator[bytes]:
    columns = range(len(table.columns))
    for row, time_ms in enumerate(table.times_ms):
        # proto3 leaves out what is 0; else zig-zag of a number that is not negative
        time_field = b"\x08" + _varint(time_ms << 1) if time_ms else b""
        for column in columns:
            value = struct.pack("<d", table.value(column, row))
            signal = time_field + b"\x10" + _varint(column + 1) + b"\x19" + value
            yield b"\x2a" + _varint(len(signal)) + signal


def _text(field: int, text: str) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(text)) + text.encode()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 (seven bits a byte)
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def json_gzip(table: Table) -> bytes:
    """One compact JSON object per row, gzip level 9."""
    rows = [
        {"t": time_ms} | {name: table.value(column, row) for column, name in enumerate(table.names)}
        for row, time_ms in enumerate(table.times_ms)
    ]
    return gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), 9, mtime=0)


def parquet(table: Table) -> bytes:
    """Parquet of the scaled integers: int32, delta-packed, zstd. Its best form here."""
    names = ["t", *table.names]
    data = dict(zip(names, [table.times_ms, *table.columns], strict=True))
    arrow = pa.table({name: pa.array(column, pa.int32()) for name, column in data.items()})
    out = io.BytesIO()
    pq.write_table(
        arrow,
        out,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        column_encoding=dict.fromkeys(names, "DELTA_BINARY_PACKED"),
    )
    return out.getvalue()


def pcodec_columns(table: Table) -> bytes:
    """Each scaled integer column as one pcodec file, one after the other with its length."""
    config = pcodec.ChunkConfig(compression_level=8)
    packed = [
        pcodec.standalone.simple_compress(np.array(column, np.int32), config)
        for column in [table.times_ms, *table.columns]
    ]
    return b"".join(_varint(len(column)) + column for column in packed)
