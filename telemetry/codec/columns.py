"""Integer columns to bytes and back: what batches and segments have in common.

Shape::

    block = format-byte rows columns coded       ; rows and columns: varint (LEB128)
    coded = one range-coded stream, column after column in the model's order

For each column: are there gaps, and where; in format 3 also whether a gap is a missing value or an
invalid one; which of the model's predictors; then for each value how far the prediction was off.
Gaps take no part in learning and count as the value before them. Values are signed 64-bit. The
format byte is the door for the next coder; today's costs two to three bits per value on recorded
trips (docs/reference/batch.md).
"""

from collections.abc import Iterator, Sequence
from typing import cast

from telemetry.codec.cells import INVALID, Cell, number
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
from telemetry.codec.residuals import ANY_MISSING, INVALID_GAP, MISSING, PREDICTOR
from telemetry.codec.values import MAX_VALUE, Prediction, read_values, value_steps

PLAIN_FORMAT = 2  # a gap is a gap
FORMAT = 3  # missing and invalid are two things
_FORMATS = frozenset({PLAIN_FORMAT, FORMAT})
_ROWS_TO_CHOOSE_BY = 256  # about so many rows decide between predictors
_VARINT_BYTES = 5  # rows and columns are below 2**32
_SLACK_ANSWERS = 64 * MAX_ANSWERS_PER_BYTE // 8  # what the last bytes may still hold back

Column = Sequence[Cell]
Plain = Sequence[int | None]  # a column whose gaps are told apart elsewhere


def encode_columns(
    columns: Sequence[Column], *, model: Model | None = None, format_: int = FORMAT
) -> bytes:
    """Encode columns of equal length; None is missing, ``INVALID`` invalid. Deterministic.

    Args:
        columns: Oldest row first.
        model: Of the schema, for exactly these columns; None if nothing is known about them.
        format_: ``PLAIN_FORMAT`` for schemas that know no difference: both are gaps there.

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
        known[at] = _put_column(coder, model, at, _Gaps(columns[at], format_), known)
    return bytes([format_]) + varint(rows) + varint(len(columns)) + coder.finish()


def decode_columns(
    data: bytes,
    *,
    max_rows: int,
    max_columns: int,
    model: Model | None = None,
    format_: int | None = None,
) -> list[list[Cell]]:
    """Return the columns in ``data``; memory and work are bounded, whatever it claims.

    ``format_`` is the one that the schema prescribes; None where any is fine.

    Raises:
        CodecError: Not a block, beyond the limits, cut short, or with bytes left over.
        ValueError: ``model`` is for another number of columns than ``max_columns``.
    """
    check_format(data, format_)
    rows, model, coded = parse_block(data, max_rows=max_rows, max_columns=max_columns, model=model)
    coder = Decoder(coded)
    columns = _get_columns(coder, model, rows, format_=data[0])
    coder.finish()
    return columns


def check_format(data: bytes, format_: int | None) -> None:
    """Return if a block is of the prescribed format, or none is; raise CodecError."""
    if format_ is not None and data[:1] != bytes([format_]):
        raise CodecError(
            f"columns: expected format {format_}, got {data[0] if data else 'no bytes'}",
            code="codec.version" if data else "codec.truncated",
        )


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


def _get_columns(coder: Decoder, model: Model, rows: int, *, format_: int) -> list[list[Cell]]:
    count = len(model.columns)
    columns: list[list[Cell]] = [[] for _ in range(count)]
    known: list[Filled] = [()] * count
    for at in model.order if rows else ():
        columns[at], known[at] = _get_column(coder, model, at, known, rows=rows, format_=format_)
    return columns


class _Gaps:
    """A column on its way into a block: its numbers, and what its gaps are."""

    def __init__(self, column: Column, format_: int) -> None:
        self.column: Plain = [*column]  # type: ignore[list-item]
        self.invalid: frozenset[int] = frozenset()
        self.are_told = format_ != PLAIN_FORMAT
        if INVALID in column:
            self.column = [number(cell) for cell in column]
            self.invalid = frozenset(row for row, cell in enumerate(column) if cell is INVALID)


def _put_column(
    coder: Encoder, model: Model, at: int, gaps: "_Gaps", known: Sequence[Filled]
) -> Filled:
    how, slots, column = model.columns[at], model.slots(at), gaps.column
    coder.put(slots, _gap_steps(gaps))
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


def _get_column(  # noqa: PLR0913 (what a column is read from)
    coder: Decoder, model: Model, at: int, known: Sequence[Filled], *, rows: int, format_: int
) -> tuple[list[Cell], Filled]:
    how, slots = model.columns[at], model.slots(at)
    gaps = _get_gaps(coder, slots, rows, are_told=format_ != PLAIN_FORMAT)
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
    column = read_values(coder, slots, gaps, start)
    return _with_kinds(column, gaps), _fill(column, first)


def _with_kinds(column: list[int | None], gaps: Sequence[int]) -> list[Cell]:
    if _INVALID not in gaps:
        return cast("list[Cell]", column)
    return [INVALID if gap == _INVALID else cell for cell, gap in zip(column, gaps, strict=True)]


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


def _fill(column: Plain, first: int) -> Filled:
    if None not in column:
        return cast("Filled", column)
    filled = []
    last = first
    for value in column:
        if value is not None:
            last = value
        filled.append(last)
    return filled


_NO_GAP, _MISSING, _INVALID = 0, 1, 2


def _gap_steps(gaps: _Gaps) -> Iterator[Step]:
    some = None in gaps.column
    yield ANY_MISSING << 1 | some
    before = kind = 0
    for row, value in enumerate(gaps.column if some else ()):
        is_gap = int(value is None)
        yield MISSING + before << 1 | is_gap
        before = is_gap
        if is_gap and gaps.are_told:
            is_invalid = int(row in gaps.invalid)
            yield INVALID_GAP + kind << 1 | is_invalid
            kind = is_invalid


def _get_gaps(coder: Decoder, slots: Slots, rows: int, *, are_told: bool) -> list[int]:
    """Return for each row whether it is a gap, and of which kind."""
    if not coder.get(slots, ANY_MISSING):
        return [_NO_GAP] * rows
    gaps = []
    before = kind = 0
    for _ in range(rows):
        before = coder.get(slots, MISSING + before)
        if before and are_told:
            kind = coder.get(slots, INVALID_GAP + kind)
        gaps.append(_NO_GAP if not before else _INVALID if kind else _MISSING)
    return gaps


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
        present = [value for value in column if isinstance(value, int)]
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
    if data[0] not in _FORMATS:
        raise CodecError(
            f"columns: expected format {PLAIN_FORMAT} or {FORMAT}, got {data[0]}",
            code="codec.version",
        )
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
