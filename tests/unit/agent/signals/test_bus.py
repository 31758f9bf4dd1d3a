import re

import pytest

from agent.signals.bus import (
    ERROR_BUS_OFF,
    ERROR_CONTROLLER,
    ERROR_NO_ACK,
    ERROR_RESTARTED,
    BusWatch,
    Trouble,
)
from agent.signals.model import Frame


def watch() -> BusWatch:
    return BusWatch(["can0", "can1"], periods_s={("can0", 0x1DB): 0.01}, requests={("can0", 0x79B)})


def frame(time_s: float, can_id: int = 0x1DB, bus: str = "can0") -> Frame:
    return Frame(time_s, bus, can_id, bytes(8))


def found(watched: BusWatch, now_s: float, bus: str = "can0") -> set[Trouble]:
    return {t.trouble for t in watched.troubles(now_s) if t.bus == bus}


def test_a_bus_that_is_heard_has_no_trouble() -> None:
    watched = watch()
    watched.take([frame(place / 100) for place in range(300)])
    assert found(watched, 3.0) == set()


def test_silence_is_a_state_with_a_sentence() -> None:
    watched = watch()
    watched.take([frame(1.0)])
    (silent,) = [t for t in watched.troubles(9.0) if t.bus == "can0"]
    assert silent.text == "can0: nothing came for 8 s; a vehicle that is off is silent"


@pytest.mark.parametrize(
    ("error_class", "data", "trouble"),
    [
        (ERROR_BUS_OFF, b"", Trouble.BUS_OFF),
        (ERROR_NO_ACK, b"", Trouble.NO_ACK),
        (ERROR_CONTROLLER, b"\x00\x10", Trouble.ERROR_PASSIVE),
        (ERROR_CONTROLLER, b"\x00\x01", Trouble.OVERFLOW),
    ],
)
def test_an_error_frame_of_the_kernel_is_a_state(
    error_class: int, data: bytes, trouble: Trouble
) -> None:
    watched = watch()
    watched.take([frame(1.0)])
    watched.error("can0", 1.5, error_class, data)
    assert found(watched, 2.0) == {trouble}


def test_a_controller_that_is_back_is_no_trouble_any_more() -> None:
    watched = watch()
    watched.error("can0", 1.0, ERROR_BUS_OFF)
    watched.error("can0", 2.0, ERROR_RESTARTED)
    assert found(watched, 2.1) == set()
    watched.error("can0", 3.0, ERROR_BUS_OFF)
    watched.take([frame(3.5)])
    assert found(watched, 3.6) == set()


def test_a_babbling_id_is_named() -> None:
    watched = watch()
    watched.take([frame(place / 2000) for place in range(2500)])
    (babbling,) = [t for t in watched.troubles(1.25) if t.bus == "can0"]
    assert babbling.trouble is Trouble.BABBLING
    assert re.search(r"id 1DB came 20\d\d times in 1 s", babbling.text)
    watched.take([frame(1.25 + place / 100) for place in range(250)])
    assert found(watched, 3.75) == set()


def test_a_request_that_is_not_ours_is_a_second_tester_for_ten_minutes() -> None:
    watched = watch()
    watched.take([frame(1.0, 0x79B)])
    assert watched.is_tester_there(2.0)
    assert found(watched, 2.0) == {Trouble.SECOND_TESTER}
    assert not watched.is_tester_there(700.0)
    watched.take([frame(700.0)])
    assert found(watched, 700.0) == set()


def test_an_interface_that_cannot_be_read_says_why() -> None:
    watched = watch()
    watched.down("can1", 1.0, "No such device")
    texts = [t.text for t in watched.troubles(2.0) if t.bus == "can1"]
    assert texts == ["can1: the interface cannot be read: No such device"]


def test_other_buses_are_left_alone() -> None:
    watched = watch()
    watched.take([frame(1.0, bus="vcan9")])
    watched.error("vcan9", 1.0, ERROR_BUS_OFF)
    watched.down("vcan9", 1.0, "gone")
    assert {t.bus for t in watched.troubles(1.0)} == set()
