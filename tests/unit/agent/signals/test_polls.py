import pytest

from agent.signals.isotp import segmented
from agent.signals.model import Frame
from agent.signals.polls import ANSWER_S, GAP_S, Poller
from agent.signals.table import load_table

POLLS = load_table("nissan-leaf-ze1").polls
BUSES = {"ev": "can0", "car": "can1"}


class Surroundings:
    def __init__(self) -> None:
        self.is_awake: bool | None = True
        self.is_tester_there = False

    def poller(self) -> Poller:
        return Poller(
            POLLS,
            BUSES,
            is_state=lambda _name: self.is_awake,
            is_tester_there=lambda _now_s: self.is_tester_there,
        )


def answer(poller: Poller, request: Frame, payload: bytes, now_s: float) -> list[Frame]:
    sent = (poller.heard(Frame(now_s, request.bus, 0x7BB, data)) for data in segmented(payload))
    return [frame for frame in sent if frame]


def test_a_question_is_asked_and_its_long_answer_is_let_through() -> None:
    poller = Surroundings().poller()
    request = poller.step(10.0)
    assert request == Frame(10.0, "can0", 0x79B, bytes.fromhex("0221040000000000"))
    assert poller.step(10.1) is None  # one question at a time
    flow = answer(poller, request, b"\x61\x04" + bytes(29), 10.2)
    assert [frame.data[:3] for frame in flow] == [b"\x30\x00\x00"]
    assert poller.step(10.2 + GAP_S) is not None
    assert poller.counters.unanswered == 0


def test_a_question_without_an_answer_is_counted_and_the_next_one_asked() -> None:
    poller = Surroundings().poller()
    assert poller.step(0.0)
    second = poller.step(ANSWER_S)
    assert second is not None
    assert second.data[1:3] == b"\x21\x61"
    assert poller.counters.unanswered == 1


@pytest.mark.parametrize("is_awake", [False, None])
def test_nothing_is_asked_of_a_vehicle_that_is_not_proven_awake(*, is_awake: bool | None) -> None:
    around = Surroundings()
    around.is_awake = is_awake
    poller = around.poller()
    assert [poller.step(float(now)) for now in range(100)] == [None] * 100
    assert poller.counters.asked == 0
    assert poller.counters.held_back > 0


def test_nothing_is_asked_while_another_tester_talks() -> None:
    around = Surroundings()
    poller = around.poller()
    around.is_tester_there = True
    assert poller.step(1.0) is None
    around.is_tester_there = False
    assert poller.step(1.0 + GAP_S) is not None


def test_each_question_waits_for_its_own_period() -> None:
    poller = Surroundings().poller()
    asked = [poller.step(now * ANSWER_S) for now in range(len(POLLS))]
    assert all(asked)
    assert poller.step(len(POLLS) * ANSWER_S) is None
    again = poller.step(75.0)
    assert again is not None
    assert again.data[1:3] in (b"\x21\x01", b"\x21\x02")


def test_frames_of_others_do_not_count_as_an_answer() -> None:
    poller = Surroundings().poller()
    poller.step(0.0)
    assert poller.heard(Frame(0.1, "can1", 0x7BB, b"\x10\x1f" + bytes(6))) is None
    assert poller.heard(Frame(0.1, "can0", 0x764, b"\x10\x1f" + bytes(6))) is None
    assert poller.step(0.2) is None
