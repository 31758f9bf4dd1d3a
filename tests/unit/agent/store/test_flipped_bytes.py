"""Flipping any single byte of a store never yields a wrong value in silence.

Segments and positions have the same test in test_segments.py: every byte, four masks. Here are the
stores in SQLite: trips and their figures, charge sessions, the battery's figures, alerts, memory.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from agent.store.battery import BatteryHistory
from agent.store.database import StoreError
from agent.store.figures import figures
from agent.store.rows import TripOutcome, TripRow
from agent.store.sessions import SessionRow, Sessions
from agent.store.state import State

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SEED = 20_261_122
Told = frozenset[str]


def fill_state(path: Path) -> None:
    state = State.open(path)
    for number in range(12):
        summary = f'{{"distance_m":{number * 1000.5},"duration_s":{number * 60.0}}}'
        state.add_trip(
            TripRow(
                trip_id=f"trip-{number:02}",
                summary=summary,
                segment=f"trip-{number:02}.seg",
                created_utc=NOON,
                outcome=TripOutcome.KEPT,
            ),
            [],
        )
        Sessions(state.database).put(
            SessionRow(
                session_id=f"charge-{number:02}",
                summary=f'{{"energy_in_wh":{number * 10.0}}}',
                created_utc=NOON,
                is_open=False,
            )
        )
    state.forget_segments(["trip-03.seg"], freed_bytes=10)  # a row that changed later
    state.close()


def read_state(path: Path) -> Told:
    state = State.open_to_read(path)
    try:
        trips = state.trips()
        told = {f"{trip} {figures(trip)}" for trip in trips}
        told |= {str(trip) for row in trips if (trip := state.trip(row.trip_id))}
        return frozenset(told | {str(row) for row in Sessions(state.database).rows()})
    finally:
        state.close()


def fill_history(path: Path) -> None:
    history = BatteryHistory.open(path)
    for day in range(1, 13):
        history.add(date(2026, 11, day), "health", 91.0 + day / 100)
        history.add(date(2026, 11, day), "resistance", 0.05 + day / 1e4, place="20 C 50 %")
    for code in ("isolation", "weak_cell", "low_voltage"):
        body = '{"value":1.0,"limit":1.0,"unit":"","readings":2,"evidence":[]}'
        history.raise_alert(code=code, severity="warning", now_utc=NOON, body=body, event="[]")
    history.clear_alert("isolation", now_utc=NOON)
    history.remember("watch", '{"rest_v":12.7}')
    history.close()


def read_history(path: Path) -> Told:
    history = BatteryHistory.open_to_read(path)
    try:
        told = {str(figure) for figure in history.figures()}
        told |= {str(alert) for alert in history.alerts()}
        return frozenset(told | {str(history.recall("watch"))})
    finally:
        history.close()


def flip(path: Path, positions: list[int], mask: int, read: Callable[[Path], Told]) -> None:
    whole, data = read(path), path.read_bytes()
    for at in positions:
        flipped = bytearray(data)
        flipped[at] ^= mask
        path.write_bytes(flipped)
        told: Told = frozenset()
        with suppress(StoreError):  # said loudly
            told = read(path)
        assert told - {"None"} <= whole, f"byte {at} of {path.name}, mask {mask:#x}, seed {SEED}"


STORES = [
    pytest.param("state.sqlite", fill_state, read_state, id="state"),
    pytest.param("battery.sqlite", fill_history, read_history, id="battery"),
]


@pytest.mark.parametrize(("name", "fill", "read"), STORES)
def test_a_flipped_byte_of_a_row_is_never_a_wrong_value(
    tmp_path: Path, name: str, fill: Callable[[Path], None], read: Callable[[Path], Told]
) -> None:
    path = tmp_path / name
    fill(path)
    data = path.read_bytes()
    # where rows stand: what is not zero behind the schema on the first page
    filled = [at for at in range(4_096, len(data)) if data[at]]
    chance = random.Random(SEED)
    flip(path, chance.sample(filled, 120), 1 << chance.randrange(8), read)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "fill", "read"), STORES)
def test_no_flipped_byte_anywhere_is_a_wrong_value(
    tmp_path: Path,
    name: str,
    fill: Callable[[Path], None],
    read: Callable[[Path], Told],
) -> None:
    path = tmp_path / name
    fill(path)
    data = path.read_bytes()
    flip(path, [at for at in range(len(data)) if data[at]], 0x01, read)


def test_damaged_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    fill_state(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"trip-04.seg", b"trip-94.seg"))
    state = State.open(path)
    assert state.damaged_trips() == 1
    assert state.trip("trip-04") is None
    state.expire_trip("trip-04")  # a change does not make it whole
    assert state.damaged_trips() == 1
    state.close()
