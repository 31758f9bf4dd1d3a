"""What trips and charge sessions add up is the same however their signals come in."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.signals.table import load_table
from agent.vehicle.charge import ChargeConfig, ChargeTracker
from agent.vehicle.trip import TripConfig, TripTracker
from agent.watch.charges import Cable

ZE0 = load_table("nissan-leaf-ze0")
CHARGER_STATE = f"{catalog.OVERLAY}.Charger.State"
VALUES = {
    catalog.PACK_POWER: (-7_200.0, 0.0, 3_600.0),
    catalog.PACK_VOLTAGE: (350.0, 390.0),
    catalog.AMBIENT: (-10.0, 25.0),
    catalog.SOC: (40.0, 41.0),
}
DRIVEN = VALUES | {
    catalog.SPEED: (0.0, 36.0, 90.0),
    CHARGER_STATE: (40.0, 64.0),  # of no concern to a trip, but heard
}
CHARGED = VALUES | {
    catalog.CHARGER_POWER: (0.0, 3.3),
    CHARGER_STATE: (40.0, 64.0, 96.0, 96.0),
    catalog.CABLE_CONNECTED: (0.0, 1.0, 1.0),
}


@st.composite
def tapes(draw: st.DrawFn, values: dict[str, tuple[float, ...]]) -> list[Signal]:
    """Signals a few frames apart; some of them say why there is no value."""
    found, time_s = [], 100.0
    for path in draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=60)):
        time_s += draw(st.sampled_from((0.0, 0.01, 0.1, 0.5, 1.5, 2.5)))
        invalid = (Quality.STALE, Quality.STALE, Quality.RANGE)
        told = draw(st.sampled_from((*values[path] * 2, *invalid)))
        if isinstance(told, Quality):
            found.append(Signal(path, None, told, time_s))
        else:
            found.append(Signal(path, told, Quality.OK, time_s))
    return found


def in_parts(tape: list[Signal], cuts: set[int]) -> Iterator[Sequence[Signal]]:
    places = sorted({0, len(tape), *(cut for cut in cuts if cut < len(tape))})
    return (tape[a:b] for a, b in itertools.pairwise(places))


def same(one: Any, other: Any) -> bool:
    left, right = dataclasses.asdict(one), dataclasses.asdict(other)
    return left.keys() == right.keys() and all(
        left[key] == pytest.approx(right[key], abs=1e-6) for key in left
    )


CUTS = st.sets(st.integers(1, 59))


@given(tapes(DRIVEN), CUTS)
def test_a_trip_adds_up_the_same_in_one_batch_and_in_many(
    tape: list[Signal], cuts: set[int]
) -> None:
    def driven(cuts: set[int]) -> Any:
        tracker = TripTracker(TripConfig(), lambda: "trip")
        tracker.step([Signal(catalog.SPEED, 36.0, Quality.OK, 95.0)], 95.0)
        tracker.step([], 96.0)
        for part in in_parts(tape, cuts):
            tracker.step(part, part[-1].time_s)
        return tracker.trip()

    assert same(driven(set()), driven(cuts))


@given(tapes(CHARGED), CUTS)
def test_a_charge_adds_up_the_same_in_one_batch_and_in_many(
    tape: list[Signal], cuts: set[int]
) -> None:
    def charged(cuts: set[int]) -> Any:
        tracker, cable = ChargeTracker(ChargeConfig(), lambda: "charge"), Cable(ZE0, {})
        start = [
            Signal(catalog.CABLE_CONNECTED, 1.0, Quality.OK, 95.0),
            Signal(CHARGER_STATE, 96.0, Quality.OK, 95.0),
        ]
        ended = []
        for part in (start, start[:0], *in_parts(tape, cuts)):
            now_s = part[-1].time_s if part else 97.5
            for signals, plug, until_s in cable.parts(part, now_s):
                ended += [move.session for move in tracker.step(signals, plug, until_s)]
        ended += [move.session for move in tracker.finish(tape[-1].time_s)]
        return [session for session in ended if session]

    one, other = charged(set()), charged(cuts)
    assert len(one) == len(other)
    assert all(same(left, right) for left, right in zip(one, other, strict=True))
