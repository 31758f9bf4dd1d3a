"""What is known about columns before the first one is read: predictions and learned odds.

A model belongs to a schema id and never changes: bytes written with it can be read with it only.
Weights are integers in 1/65536, so that every machine predicts the same.
"""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from telemetry.codec.rangecoder import ONE, Slots
from telemetry.codec.residuals import SLOTS
from telemetry.codec.trained_generic import ODDS as GENERIC_ODDS

Filled = Sequence[int]  # a column with its missing rows filled in


@dataclass(frozen=True, slots=True)
class Term:
    """One external input of a prediction: weight times a value of columns already known.

    The value of ``column`` is taken ``lag`` rows earlier (negative: later); with ``times`` it is
    multiplied by that column's value of the same row and shifted right by ``shift`` bits.
    """

    weight: int
    column: int
    lag: int = 0
    times: int | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Predictor:
    """A linear prediction: own last three values, a constant, and external terms."""

    own: tuple[int, int, int] = (ONE, 0, 0)
    constant: int = 0
    terms: tuple[Term, ...] = ()


PREVIOUS = Predictor()
LINEAR = Predictor(own=(2 * ONE, -ONE, 0))


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """How one column is predicted: what its first value is like, and which ways to choose from.

    ``first`` predicts the first value (its own weights are not used); ``rise`` is how much the
    column is taken to have risen per row before it began.
    """

    predictors: tuple[Predictor, ...] = (PREVIOUS, LINEAR)
    first: Predictor = PREVIOUS
    rise: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """All columns: the order in which they are coded, how, and the odds learning starts from."""

    order: tuple[int, ...]
    columns: tuple[ColumnModel, ...]
    odds: tuple[Slots, ...]  # one for each column

    def slots(self, column: int) -> Slots:
        """Return a fresh copy of a column's odds."""
        start = self.odds[column]
        return Slots(start.chances, start.asked)


def trained_model(order: tuple[int, ...], columns: tuple[ColumnModel, ...], odds: str) -> Model:
    """Return a model with the odds that training wrote down.

    Raises:
        ValueError: The odds are not those of so many columns.
    """
    return Model(order=order, columns=columns, odds=unpack_odds(odds, len(columns)))


def generic_model(columns: int) -> Model:
    """Return a model for columns of which nothing is known."""
    return Model(
        order=tuple(range(columns)),
        columns=(ColumnModel(),) * columns,
        odds=(_GENERIC,) * columns,
    )


def pack_odds(odds: Sequence[Slots]) -> str:
    """Return odds as text for a module; the inverse of ``unpack_odds``."""
    chances = b"".join(chance.to_bytes(2, "big") for slots in odds for chance in slots.chances)
    asked = bytes(count for slots in odds for count in slots.asked)
    return base64.b85encode(zlib.compress(chances[::2] + chances[1::2] + asked, 9)).decode()


def unpack_odds(odds: str, columns: int) -> tuple[Slots, ...]:
    """Return the odds of ``columns`` columns; raise ValueError if the text holds others."""
    data = zlib.decompress(base64.b85decode(odds))
    count = columns * SLOTS
    if len(data) != 3 * count:
        raise ValueError(f"expected odds of {columns} columns, got {len(data) / 3 / SLOTS:g}")
    chances = [high << 8 | low for high, low in zip(data[:count], data[count:], strict=False)]
    asked = data[2 * count :]
    starts = range(0, count, SLOTS)
    return tuple(Slots(chances[at : at + SLOTS], asked[at : at + SLOTS]) for at in starts)


_GENERIC = unpack_odds(GENERIC_ODDS, 1)[0]


def external(predictor: Predictor, known: Sequence[Filled], rows: int) -> list[int]:
    """Return, for each row, everything of a prediction but the own values, in 1/65536.

    Rows before the first and behind the last count as the first and the last.
    """
    total = [predictor.constant + ONE // 2] * rows
    for term in predictor.terms:
        values = known[term.column]
        if term.times is not None:
            others = known[term.times]
            values = [a * b >> term.shift for a, b in zip(values, others, strict=True)]
        weight = term.weight
        shifted = _lagged(values, term.lag, rows)
        total = [sum_ + weight * value for sum_, value in zip(total, shifted, strict=True)]
    return total


def _lagged(values: Filled, lag: int, rows: int) -> Filled:
    if lag > 0:
        return [*[values[0]] * min(lag, rows), *values[: max(rows - lag, 0)]]
    if lag < 0:
        return [*values[-lag:], *[values[-1]] * min(-lag, rows)]
    return values
