"""Which events are looked for, and how they lie on the disk."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.config import ConfigError, EventConfig, EventsConfig
from agent.signals.model import Quality
from agent.signals.table import known_vehicles, load_table
from agent.store.events import EventFiles, EventReading, StoredEvent
from agent.vehicle.capture import Trigger
from agent.vehicle.events import BUILT_IN
from agent.watch.events import event_paths, event_rules

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def stored(number: int, readings: int = 3) -> StoredEvent:
    return StoredEvent(
        name="fast",
        condition="Vehicle.Speed > 120",
        at_utc=NOON,
        is_time_proven=True,
        boot_id="boot-1",
        time_s=float(number),
        is_cut=False,
        readings=tuple(
            EventReading("Vehicle.Speed", at / 10, 121.0, Quality.OK) for at in range(readings)
        ),
    )


def test_every_built_in_event_is_about_paths_that_every_shipped_vehicle_tells() -> None:
    for name in known_vehicles():
        assert event_paths(BUILT_IN) <= set(load_table(name).paths())


def test_a_configured_event_joins_the_built_in_ones_or_takes_the_place_of_one() -> None:
    own = EventConfig(name="fast", condition="Vehicle.Speed > 120", trigger="level")
    replaced = EventConfig(name="full-power", condition="Vehicle.Speed > 1")
    rules = {rule.name: rule for rule in event_rules(EventsConfig(rules=(own, replaced)))}
    assert rules["fast"].trigger is Trigger.LEVEL
    assert rules["full-power"].condition == "Vehicle.Speed > 1"
    assert len(rules) == len(BUILT_IN) + 1


def test_events_can_be_left_out_or_switched_off() -> None:
    names = {rule.name for rule in event_rules(EventsConfig(without=("full-power",)))}
    assert names == {rule.name for rule in BUILT_IN} - {"full-power"}
    assert event_rules(EventsConfig(enabled=False)) == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            EventsConfig(rules=(EventConfig(name="x", condition="Vehicle.Sped > 1"),)),
            r"event 'x': .*Vehicle.Sped",
        ),
        (EventsConfig(without=("full",)), r"expected names of built-in events \(power-limited"),
        (
            EventsConfig(rules=(EventConfig(name="x", condition="Vehicle.Speed > 1"),) * 2),
            "expected each name once",
        ),
    ],
)
def test_what_is_no_event_is_refused_with_its_place(config: EventsConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        event_rules(config)


def test_events_come_back_newest_first(tmp_path: Path) -> None:
    files = EventFiles(tmp_path / "events", quota_bytes=1_000_000)
    for number in range(1, 12):
        files.put(stored(number))
    assert [row.number for row in files.rows(limit=3)] == [11, 10, 9]
    assert files.rows()[-1].event == stored(1)
    files.clear()
    assert files.rows() == []


def test_the_oldest_events_make_way(tmp_path: Path) -> None:
    size = len(msgspec.json.encode(stored(1)))
    files = EventFiles(tmp_path / "events", quota_bytes=3 * size + 100)
    for number in range(1, 6):
        files.put(stored(number))
    assert [row.number for row in files.rows()] == [5, 4, 3]
    files.put(stored(6, readings=1_000))  # larger than all there is room for: left out
    assert [row.number for row in files.rows()] == [5, 4, 3]


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_no_flipped_byte_of_an_event_is_a_wrong_value(tmp_path: Path, mask: int) -> None:
    files = EventFiles(tmp_path, quota_bytes=1_000_000)
    files.put(stored(1))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= mask
        path.write_bytes(flipped)
        assert [row.event for row in files.rows()] in ([], [stored(1)])
        assert files.damaged() == 1 - len(files.rows())
