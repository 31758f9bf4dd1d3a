"""Integer columns to bytes and back: what batches and segments have in common.

Shape::

    block = format-byte rows columns coded       ; rows and columns: varint (LEB128)
    coded = one range-coded stream, column after column in the model's order

For each column: are rows missing, and which; which of the model's predictors; then for each value
how far the prediction was off. Missing rows take no part in learning and count as the value
before them. Values are signed 64-bit. The format byte is the door for the next coder; today's
costs two to three bits per value on recorded trips (docs/reference/batch.md).
"""

from collections.abc import Iterator, Sequence
from typing import cast

from telemetry.codec.errors import CodecError
from telemetry.codec.models import (
    ColumnModel,
    Filled,
    Model,
    Predictor,
    calm_base,
    external,
    generic_model,
)
from telemetry.codec.rangecoder import MAX_ANSWERS_PER_BYTE, Decoder, Encoder, Slots, Step
from telemetry.codec.residuals import ANY_MISSING, MISSING, PREDICTOR
from telemetry.codec.values import MAX_VALUE, Prediction, read_values, value_steps

FORMAT = 2
_ROWS_TO_CHOOSE_BY = 256  # about so many rows decide between predictors
_VARINT_BYTES = 5  # rows and columns are below 2**32
_SLACK_ANSWERS = 64 * MAX_ANSWERS_PER_BYTE // 8  # what the last bytes may still hold back

Column = Sequence[int | None]


def encode_columns(columns: Sequence[Column], *, model: Model | None = None) -> bytes:
    """Encode columns of equal length; None is a missing value. Deterministic.

    Args:
        columns: Oldest row first.
        model: Of the schema, for exactly these columns; None if nothing is known about them.

    Raises:
        ValueError: Columns of different lengths, a value beyond 64 bits, or a model for another
            number of columns.
    """
    rows = len(columns[0]) if columns else 0
    _check_columns(columns, rows)
    model = _fitting(model, len(columns))
    coder = Encoder()
    known: list[Filled] = [()] * len(columns)
    for at in model.order if rows else ():
        known[at] = _put_column(coder, model, at, columns[at], known)
    return bytes([FORMAT]) + varint(rows) + varint(len(columns)) + coder.finish()


def decode_columns(
    data: bytes, *, max_rows: int, max_columns: int, model: Model | None = None
) -> list[list[int | None]]:
    """Return the columns in ``data``; memory and work are bounded, whatever it claims.

    Raises:
        CodecError: Not a block, beyond the limits, cut short, or with bytes left over.
        ValueError: ``model`` is for another number of columns than ``max_columns``.
    """
    rows, model, coded = parse_block(data, max_rows=max_rows, max_columns=max_columns, model=model)
    coder = Decoder(coded)
    columns = _get_columns(coder, model, rows)
    coder.finish()
    return columns


def parse_block(
    data: bytes, *, max_rows: int, max_columns: int, model: Model | None
) -> tuple[int, Model, bytes]:
    """Return what a block claims: rows, the model of its columns, and the coded bytes.

    Raises:
        CodecError: Not a block, beyond the limits, or more values than the bytes can hold.
    """
    rows, count, coded = _parse_head(data)
    if rows > max_rows or count > max_columns:
        raise CodecError(
            f"columns: expected at most {max_rows} rows and {max_columns} columns, "
            f"got {rows} and {count}",
            code="codec.too_large",
        )
    if rows * count > MAX_ANSWERS_PER_BYTE * len(coded) + _SLACK_ANSWERS:
        raise CodecError(
            f"columns: {rows * count} values cannot be in {len(coded)} bytes",
            code="codec.too_large",
        )
    if model is not None and count != len(model.columns):
        raise CodecError(
            f"columns: expected {len(model.columns)} columns, got {count}", code="codec.columns"
        )
    return rows, _fitting(model, count), coded


def _get_columns(coder: Decoder, model: Model, rows: int) -> list[list[int | None]]:
    count = len(model.columns)
    columns: list[list[int | None]] = [[] for _ in range(count)]
    known: list[Filled] = [()] * count
    for at in model.order if rows else ():
        columns[at], known[at] = _get_column(coder, model, at, known, rows)
    return columns


def _put_column(
    coder: Encoder, model: Model, at: int, column: Column, known: Sequence[Filled]
) -> Filled:
    how, slots = model.columns[at], model.slots(at)
    coder.put(slots, _missing_steps(column))
    first = external(how.first, known, len(column))[0] >> 16
    filled = _fill(column, first)
    choice, base = _choose(how, filled, known)
    coder.put(slots, _choice_steps(choice, len(how.predictors)))
    start = Prediction(
        own=how.predictors[choice].own,
        base=base,
        first=first,
        rise=how.rise,
        calm=how.calm,
        calm_base=calm_base(how.calm, known, len(column)),
    )
    coder.put(slots, value_steps(column, start))
    return filled


def _get_column(
    coder: Decoder, model: Model, at: int, known: Sequence[Filled], rows: int
) -> tuple[list[int | None], Filled]:
    how, slots = model.columns[at], model.slots(at)
    missing = _get_missing(coder, slots, rows)
    first = external(how.first, known, rows)[0] >> 16
    predictor = how.predictors[get_choice(coder, slots, len(how.predictors))]
    start = Prediction(
        own=predictor.own,
        base=external(predictor, known, rows),
        first=first,
        rise=how.rise,
        calm=how.calm,
        calm_base=calm_base(how.calm, known, rows),
    )
    column = read_values(coder, slots, missing, start)
    return column, _fill(column, first)


def _choose(how: ColumnModel, filled: Filled, known: Sequence[Filled]) -> tuple[int, list[int]]:
    bases = [external(predictor, known, len(filled)) for predictor in how.predictors]
    costs = [
        _cost(predictor, base, filled)
        for predictor, base in zip(how.predictors, bases, strict=True)
    ]
    choice = costs.index(min(costs))
    return choice, bases[choice]


def _cost(predictor: Predictor, base: Sequence[int], filled: Filled) -> int:
    """Return about how many bits the residuals of some rows have; not of the first three."""
    one, two, three = predictor.own
    every = 1 + len(filled) // _ROWS_TO_CHOOSE_BY
    third, before, last, value = (filled[at::every] for at in range(4))
    rows = zip(value, last, before, third, base[3::every], strict=False)
    return sum(
        (value - (one * last + two * before + three * third + at >> 16)).bit_length()
        for value, last, before, third, at in rows
    )


def _fill(column: Column, first: int) -> Filled:
    if None not in column:
        return cast("Filled", column)
    filled = []
    last = first
    for value in column:
        if value is not None:
            last = value
        filled.append(last)
    return filled


def _missing_steps(column: Column) -> Iterator[Step]:
    some = None in column
    yield ANY_MISSING << 1 | some
    before = 0
    for value in column if some else ():
        missing = int(value is None)
        yield MISSING + before << 1 | missing
        before = missing


def _get_missing(coder: Decoder, slots: Slots, rows: int) -> list[bool]:
    if not coder.get(slots, ANY_MISSING):
        return [False] * rows
    missing = []
    before = 0
    for _ in range(rows):
        before = coder.get(slots, MISSING + before)
        missing.append(bool(before))
    return missing


def _choice_steps(choice: int, count: int) -> list[Step]:
    return [PREDICTOR + at << 1 | (choice > at) for at in range(min(choice + 1, count - 1))]


def get_choice(coder: Decoder, slots: Slots, count: int) -> int:
    """Return which of ``count`` predictors a column uses."""
    choice = 0
    while choice < count - 1 and coder.get(slots, PREDICTOR + choice):
        choice += 1
    return choice


def _check_columns(columns: Sequence[Column], rows: int) -> None:
    for column in columns:
        if len(column) != rows:
            raise ValueError(f"expected columns of {rows} rows, got one of {len(column)}")
        present = [value for value in column if value is not None]
        if present and not -MAX_VALUE <= min(present) <= max(present) <= MAX_VALUE:
            raise ValueError("expected values of at most 63 bits and a sign")


def _fitting(model: Model | None, columns: int) -> Model:
    if model is None:
        return generic_model(columns)
    if len(model.columns) != columns:
        raise ValueError(f"expected a model of {columns} columns, got {len(model.columns)}")
    return model


def _parse_head(data: bytes) -> tuple[int, int, bytes]:
    if not data:
        raise CodecError("columns: expected a block, got no bytes", code="codec.truncated")
    if data[0] != FORMAT:
        raise CodecError(f"columns: expected format {FORMAT}, got {data[0]}", code="codec.version")
    rows, at = _parse_varint(data, 1)
    count, at = _parse_varint(data, at)
    return rows, count, data[at:]


def _parse_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:  # noqa: PLR2004 (LEB128: the last byte has no top bit)
            return value, at + shift + 1
    raise CodecError("columns: the head ends too early", code="codec.truncated")


def varint(value: int) -> bytes:
    """Return ``value``, not negative, in LEB128."""
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 (LEB128: seven bits a byte)
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
