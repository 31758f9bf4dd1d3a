"""The shapes of the trained models: which columns help to predict which.

Weights and odds are filled in by ``benchmarks.train``; see there.
"""

from dataclasses import dataclass, field

from benchmarks.i3 import SIGNALS
from telemetry.codec.models import Move

(
    VOLTAGE,
    CURRENT,
    SOC,
    SHOWN_SOC,
    BATTERY_TEMP,
    SPEED,
    TORQUE,
    THROTTLE,
    AMBIENT,
    AIRCON,
    HEATING,
    REGEN,
) = range(1, len(SIGNALS) + 1)  # column 0 is the time


@dataclass(frozen=True, slots=True)
class Input:
    """A term without its weight: a column, how many rows earlier, times which other column."""

    column: int
    lag: int = 0
    times: int | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Map:
    """A map without its heights: two columns, how many rows earlier, and the knots."""

    x: int
    y: int
    lag: int
    x_knots: tuple[int, ...]
    y_knots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the prediction of one column is fitted to; nothing to fit: only previous, linear."""

    own: int = 0  # how many of the own last values
    inputs: tuple[Input, ...] = ()
    grids: tuple[Map, ...] = ()
    moves: tuple[Move, ...] = ()  # without weights
    first: tuple[Input, ...] = ()
    rise: int = 0


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Shapes of all columns, and the order in which they are coded."""

    order: tuple[int, ...]
    columns: dict[int, Shape] = field(default_factory=dict)


def _power(lag: int) -> Input:
    return Input(TORQUE, lag, times=SPEED, shift=10)


def _steps(column: int) -> tuple[Move, ...]:
    """Return how much ``column`` moves since the row before, and to the next one."""
    return (Move(0, column, 0, 1), Move(0, column, 0, -1))


# what a pedal asks for at a speed; knots in the columns' own steps, denser where it bends
PEDAL = Map(
    x=TORQUE,
    y=SPEED,
    lag=0,
    x_knots=(-100, -40, -10, 0, 10, 40, 80, 140, 220, 320, 500),
    y_knots=(0, 100, 500, 1500, 3000, 5000, 8000, 11000),
)

I3 = ModelShape(
    order=(
        *(0, TORQUE, SPEED, THROTTLE, AIRCON, HEATING, CURRENT),
        *(SOC, VOLTAGE, SHOWN_SOC, BATTERY_TEMP, AMBIENT, REGEN),
    ),
    columns={
        0: Shape(rise=1000),
        TORQUE: Shape(own=3),
        SPEED: Shape(
            own=3,
            inputs=tuple(Input(TORQUE, lag) for lag in (0, 1, 2, 3, -1, -2)),
            moves=(*_steps(TORQUE), Move(0, TORQUE, 0, None)),
        ),
        THROTTLE: Shape(
            own=2,
            inputs=(
                *(Input(TORQUE, lag) for lag in (0, 1, -1)),
                *(Input(SPEED, lag) for lag in (0, 1, -1)),
            ),
            grids=(PEDAL,),
            moves=(*_steps(TORQUE), Move(0, TORQUE, 0, None)),
            first=(Input(TORQUE), Input(SPEED)),
        ),
        CURRENT: Shape(
            own=2,
            inputs=(
                *(_power(lag) for lag in (0, 1, -1)),
                Input(TORQUE),
                Input(SPEED),
                Input(TORQUE, 0, times=TORQUE, shift=6),
                Input(TORQUE, 1, times=TORQUE, shift=6),
                Input(AIRCON),
                Input(AIRCON, 1),
                Input(HEATING),
                Input(HEATING, 1),
            ),
            moves=(*_steps(TORQUE), Move(0, TORQUE, 0, None), *_steps(THROTTLE)),
            first=(_power(0), Input(AIRCON), Input(HEATING)),
        ),
        VOLTAGE: Shape(
            own=2,
            inputs=tuple(Input(CURRENT, lag) for lag in (0, 1, 2, -1)),
            moves=(*_steps(CURRENT), Move(0, CURRENT, 0, None)),
            first=(Input(CURRENT), Input(SOC)),
        ),
        SOC: Shape(moves=(Move(0, CURRENT, 0, None), *_steps(CURRENT))),
        SHOWN_SOC: Shape(moves=_steps(SOC), first=(Input(SOC),)),
        AMBIENT: Shape(first=(Input(BATTERY_TEMP),)),
        REGEN: Shape(moves=(*_steps(THROTTLE), Move(0, SPEED, 0, None))),
    },
)

# columns of the schema battery.1: time, voltage, current, state of charge, temperature
BATTERY = ModelShape(
    order=(0, 2, 3, 1, 4),
    columns={
        0: Shape(rise=1000),
        3: Shape(moves=(Move(0, 2, 0, None), *_steps(2))),
        1: Shape(
            own=2,
            inputs=tuple(Input(2, lag) for lag in (0, 1, 2, -1)),
            moves=(*_steps(2), Move(0, 2, 0, None)),
            first=(Input(2), Input(3)),
        ),
    },
)
