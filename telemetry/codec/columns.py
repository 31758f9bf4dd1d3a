"""Integer columns to bytes and back: what batches and segments have in common.

Shape::

    block  = format-byte rows columns body        ; rows and columns: varint (LEB128)
    body   = %x00 plain / %x01 zstd-frame         ; whichever is smaller
    plain  = columns * column
    column = predictor [presence] *varint         ; predictor + 0x80: presence follows
    presence = bitmap of rows, lowest bit first   ; 1: a value, 0: missing

A value is stored as its difference from a prediction, zig-zag, LEB128; missing rows take no part
in prediction. Predictors: 0 constant (one varint), 1 previous value, 2 straight line through the
last two. Values are signed 64-bit. The format byte is the door through which another entropy
coder comes in.
"""

import sys
from collections.abc import Callable, Iterator, Sequence

from telemetry.codec.errors import CodecError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 1
MAX_VALUE = 2**63 - 1
ZSTD_LEVEL = 19  # source: measured, smallest on trips; a batch is a few kilobytes
_VARINT_BYTES = 10  # a second difference of 64-bit values needs at most 66 bits
_CONSTANT, _PREVIOUS, _LINEAR = 0, 1, 2
_WITH_MISSING = 0x80


def encode_columns(columns: Sequence[Sequence[int | None]]) -> bytes:
    """Encode columns of equal length; None is a missing value. Deterministic.

    Raises:
        ValueError: Columns of different lengths, or a value beyond 64 bits.
    """
    rows = len(columns[0]) if columns else 0
    plain = bytearray()
    for column in columns:
        if len(column) != rows:
            raise ValueError(f"expected columns of {rows} rows, got one of {len(column)}")
        plain += _encode_column(column)
    packed = zstd.compress(bytes(plain), level=ZSTD_LEVEL)
    body = b"\x01" + packed if len(packed) < len(plain) else b"\x00" + bytes(plain)
    return bytes([FORMAT]) + _varint(rows) + _varint(len(columns)) + body


def decode_columns(data: bytes, *, max_rows: int, max_columns: int) -> list[list[int | None]]:
    """Return the columns in ``data``; memory is bounded by the limits, whatever it claims.

    Raises:
        CodecError: Not a block, beyond the limits, cut short, or with bytes left over.
    """
    reader = _Reader(data)
    version = reader.byte()
    if version != FORMAT:
        raise CodecError(f"columns: expected format {FORMAT}, got {version}", code="codec.version")
    rows, count = reader.varint(), reader.varint()
    if rows > max_rows or count > max_columns:
        raise CodecError(
            f"columns: expected at most {max_rows} rows and {max_columns} columns, "
            f"got {rows} and {count}",
            code="codec.too_large",
        )
    plain = _Reader(_unpack(reader.byte(), reader.rest(), rows=rows, count=count))
    columns = [_decode_column(plain, rows) for _ in range(count)]
    if plain.rest():
        raise CodecError("columns: bytes follow the last column", code="codec.columns")
    return columns


def _unpack(packing: int, body: bytes, *, rows: int, count: int) -> bytes:
    if packing == 0:
        return body
    if packing != 1:
        raise CodecError(f"columns: expected packing 0 or 1, got {packing}", code="codec.columns")
    limit = count * (1 + rows // 8 + 1 + rows * _VARINT_BYTES)
    unpacker = zstd.ZstdDecompressor()
    try:
        plain = unpacker.decompress(body, max_length=limit + 1)
    except zstd.ZstdError as error:
        raise CodecError(f"columns: not a zstd frame: {error}", code="codec.columns") from error
    if not unpacker.eof or unpacker.unused_data or len(plain) > limit:
        raise CodecError("columns: zstd frame cut, too long or trailed", code="codec.columns")
    return plain


def _encode_column(column: Sequence[int | None]) -> bytes:
    values = [value for value in column if value is not None]
    if any(abs(value) > MAX_VALUE for value in values):
        raise ValueError("expected values of at most 63 bits and a sign")
    missing = len(values) < len(column)
    candidates = [(_PREVIOUS, _residuals(values, _previous)), (_LINEAR, _residuals(values, _line))]
    if values and values.count(values[0]) == len(values):
        candidates.insert(0, (_CONSTANT, _zigzag_varint(values[0])))
    predictor, residuals = min(candidates, key=lambda candidate: len(candidate[1]))
    head = bytes([predictor | (_WITH_MISSING if missing else 0)])
    return head + (_bitmap(column) if missing else b"") + residuals


def _decode_column(reader: "_Reader", rows: int) -> list[int | None]:
    head = reader.byte()
    present = _presence(reader, rows) if head & _WITH_MISSING else [True] * rows
    predictor = head & ~_WITH_MISSING
    count = present.count(True)
    if predictor == _CONSTANT and count:
        values = [reader.value(0)] * count
    elif predictor in _PREDICTIONS:
        values = _restore(reader, count, _PREDICTIONS[predictor])
    else:
        raise CodecError(f"columns: unknown predictor {predictor}", code="codec.columns")
    following = iter(values)
    return [next(following) if there else None for there in present]


def _previous(before: int, last: int) -> int:  # noqa: ARG001 (all predictions have one shape)
    return last


def _line(before: int, last: int) -> int:
    return 2 * last - before


_PREDICTIONS: dict[int, Callable[[int, int], int]] = {_PREVIOUS: _previous, _LINEAR: _line}


def _residuals(values: Sequence[int], predict: Callable[[int, int], int]) -> bytes:
    out = bytearray()
    before = last = 0
    for value in values:
        out += _zigzag_varint(value - predict(before, last))
        before, last = last, value
    return bytes(out)


def _restore(reader: "_Reader", count: int, predict: Callable[[int, int], int]) -> list[int]:
    values = []
    before = last = 0
    for _ in range(count):
        value = reader.value(predict(before, last))
        values.append(value)
        before, last = last, value
    return values


def _bitmap(column: Sequence[int | None]) -> bytes:
    bits = 0
    for row, value in enumerate(column):
        bits |= (value is not None) << row
    return bits.to_bytes((len(column) + 7) // 8, "little")


def _presence(reader: "_Reader", rows: int) -> list[bool]:
    bitmap = reader.take((rows + 7) // 8)
    bits = list(_bits(bitmap))
    if any(bits[rows:]):
        raise CodecError("columns: presence bits beyond the last row", code="codec.columns")
    return bits[:rows]


def _bits(bitmap: bytes) -> Iterator[bool]:
    for byte in bitmap:
        for bit in range(8):
            yield bool(byte >> bit & 1)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 (LEB128: seven bits a byte)
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag_varint(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else ~value << 1 | 1)


class _Reader:
    """A cursor over bytes from outside; every step that leaves them is a CodecError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise CodecError("columns: the bytes end too early", code="codec.truncated")
        self._at += count
        return piece

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def varint(self) -> int:
        value = 0
        for shift in range(0, 7 * _VARINT_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 (LEB128: the last byte has no top bit)
                return value
        raise CodecError("columns: a number is longer than 10 bytes", code="codec.columns")

    def value(self, predicted: int) -> int:
        coded = self.varint()
        value = predicted + (~(coded >> 1) if coded & 1 else coded >> 1)
        if abs(value) > MAX_VALUE:
            raise CodecError("columns: a value beyond 64 bits", code="codec.range")
        return value
