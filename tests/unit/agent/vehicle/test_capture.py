import pytest

from agent.signals.catalog import PACK_CURRENT, PACK_VOLTAGE, SPEED
from agent.signals.model import Quality, Signal
from agent.vehicle.capture import Event, EventCapture, EventRule, Trigger
from agent.vehicle.expression import ExpressionError


def rule(**changes: object) -> EventRule:
    fields: dict[str, object] = {
        "name": "fast",
        "condition": f"{SPEED} > 50",
        "before_s": 3.0,
        "after_s": 2.0,
        "cool_down_s": 20.0,
    }
    return EventRule(**(fields | changes))  # type: ignore[arg-type]


class Tape:
    """Plays one value a second into a capture, with a voltage that counts the seconds."""

    def __init__(self, *rules: EventRule, max_readings: int = 100) -> None:
        self.capture = EventCapture(rules, keep=(PACK_VOLTAGE,), max_readings=max_readings)
        self.time_s = 0.0
        self.events: list[Event] = []

    def play(self, *speeds: float | None) -> None:
        for speed in speeds:
            self.time_s += 1.0
            quality = Quality.OK if speed is not None else Quality.STALE
            signals = [
                Signal(PACK_VOLTAGE, self.time_s, Quality.OK, self.time_s),
                Signal(SPEED, speed, quality, self.time_s),
            ]
            self.events += self.capture.step(signals, self.time_s)


def test_an_event_holds_what_was_read_before_and_after() -> None:
    tape = Tape(rule())
    tape.play(*[40.0] * 10, *[60.0] * 5)
    (event,) = tape.events
    assert (event.name, event.time_s, event.is_cut) == ("fast", 11.0, False)
    assert [reading.value for reading in event.readings] == [8.0, 9.0, 10.0, 11.0, 12.0, 13.0]


def test_an_edge_counts_once_until_it_was_false() -> None:
    tape = Tape(rule(cool_down_s=0.0))
    tape.play(60.0, 60.0, 60.0, 40.0, 60.0, 60.0)
    assert tape.capture.fired == {"fast": 2}


def test_not_knowing_for_a_moment_is_no_new_edge() -> None:
    tape = Tape(rule(cool_down_s=0.0))
    tape.play(60.0, None, 60.0, None, 60.0)
    assert tape.capture.fired == {"fast": 1}


def test_a_level_counts_again_after_each_cool_down() -> None:
    tape = Tape(rule(trigger=Trigger.LEVEL, cool_down_s=10.0))
    tape.play(*[60.0] * 31)
    assert tape.capture.fired == {"fast": 4}


def test_a_condition_has_to_last_without_a_break() -> None:
    tape = Tape(rule(lasting_s=3.0))
    tape.play(60.0, 60.0, 60.0, 40.0, 60.0, 60.0, 60.0)
    assert tape.capture.fired == {"fast": 0}
    tape.play(60.0)
    assert tape.capture.fired == {"fast": 1}


def test_the_cool_down_keeps_a_flicker_to_one_event() -> None:
    tape = Tape(rule(cool_down_s=20.0))
    tape.play(*[60.0, 40.0] * 9)
    assert tape.capture.fired == {"fast": 1}
    tape.play(*[40.0] * 10, 60.0)
    assert tape.capture.fired == {"fast": 2}


def test_a_clock_that_goes_back_neither_blocks_nor_repeats_for_ever() -> None:
    tape = Tape(rule(cool_down_s=20.0))
    tape.time_s = 1000.0
    tape.play(40.0, 60.0, 40.0)
    tape.time_s = 0.0
    tape.play(40.0, 60.0, 60.0, 60.0, 60.0)
    assert tape.capture.fired == {"fast": 2}
    assert len(tape.events) == 2


def test_memory_is_bounded_and_the_cut_is_told() -> None:
    tape = Tape(rule(before_s=50.0, after_s=5.0), max_readings=4)
    tape.play(*[40.0] * 60, *[60.0] * 30)
    (event,) = tape.events
    assert event.is_cut
    assert len(event.readings) <= 8


def test_too_many_events_at_once_are_counted() -> None:
    rules = [rule(name=f"fast-{number}", after_s=99.0) for number in range(10)]
    tape = Tape(*rules)
    tape.play(40.0, 60.0)
    assert tape.capture.missed == 2


def test_a_freeze_on_demand_returns_the_last_seconds() -> None:
    tape = Tape(rule())
    tape.play(*[40.0] * 10)
    event = tape.capture.freeze("battery.weak_cell", 10.0, before_s=2.0)
    assert [reading.value for reading in event.readings] == [8.0, 9.0, 10.0]


def test_a_condition_over_an_unknown_path_is_refused_at_once() -> None:
    with pytest.raises(ExpressionError, match=r"unknown path Vehicle\.Nonsense"):
        EventCapture([rule(condition="Vehicle.Nonsense > 1")], keep=())


def test_the_paths_it_needs_are_told() -> None:
    capture = EventCapture([rule(condition=f"abs({PACK_CURRENT}) > 1")], keep=(PACK_VOLTAGE,))
    assert capture.paths == {PACK_CURRENT, PACK_VOLTAGE}


def test_what_did_not_change_within_the_window_is_told_as_it_held() -> None:
    capture = EventCapture([rule()], keep=(PACK_VOLTAGE, PACK_CURRENT), max_readings=4)
    capture.step([Signal(PACK_VOLTAGE, 390.0, Quality.OK, 0.0)], 0.0)
    for at in range(1, 20):  # the voltage has left the ring long ago
        capture.step([Signal(PACK_CURRENT, float(at), Quality.OK, float(at))], float(at))
    readings = capture.freeze("now", 19.0, before_s=1.0).readings
    assert [(one.path, one.value) for one in readings] == [
        (PACK_VOLTAGE, 390.0),
        (PACK_CURRENT, 18.0),
        (PACK_CURRENT, 19.0),
    ]
