from hypothesis import given, settings
from hypothesis import strategies as st

from agent.signals.decode import Decoder
from agent.signals.isotp import Fault, Outcome, Reassembler, segmented
from agent.signals.model import Frame, Quality
from agent.signals.table import load_table

ZE1 = load_table("nissan-leaf-ze1")
POLLED = sorted({path for poll in ZE1.polls for path in poll.paths()})
payloads = st.binary(min_size=1, max_size=400)


def outcomes(frames: list[bytes], *, gap_s: float = 0.01) -> list[Outcome]:
    reassembler = Reassembler()
    return [reassembler.feed(place * gap_s, data) for place, data in enumerate(frames)]


@given(payloads)
def test_what_is_put_together_is_what_was_taken_apart(payload: bytes) -> None:
    found = outcomes(segmented(payload))
    assert [outcome.payload for outcome in found if outcome.payload] == [payload]
    assert not [outcome.fault for outcome in found if outcome.fault]


@given(st.binary(min_size=14, max_size=400), st.data())
def test_a_lost_doubled_or_swapped_frame_drops_the_whole_reply(
    payload: bytes, data: st.DataObject
) -> None:
    frames = segmented(payload)
    at = data.draw(st.integers(1, len(frames) - 1))
    how = data.draw(st.sampled_from(["lost", "doubled", "swapped"]))
    if how == "lost":
        frames = frames[:at] + frames[at + 1 :]
    elif how == "doubled":
        frames = [*frames[: at + 1], *frames[at:]]
    elif at + 1 < len(frames):
        frames[at], frames[at + 1] = frames[at + 1], frames[at]
    else:
        frames = frames[:at]
    whole = [outcome.payload for outcome in outcomes(frames) if outcome.payload]
    # doubling the last frame comes after the reply is complete; nothing else gets through
    assert whole in ([], [payload]) if how == "doubled" else whole == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.binary(max_size=16)), max_size=40))
def test_no_bytes_raise_and_a_payload_is_never_longer_than_it_says(
    frames: list[tuple[float, bytes]],
) -> None:
    reassembler = Reassembler()
    for time_s, data in frames:
        outcome = reassembler.feed(time_s, data)
        assert outcome.payload is None or 0 < len(outcome.payload) <= 4095


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=40), st.sampled_from(["can0", "can1"]))
def test_random_replies_never_raise_and_never_carry_an_impossible_number(
    datas: list[bytes], bus: str
) -> None:
    decoder = Decoder(ZE1, POLLED)
    for place, data in enumerate(datas):
        for can_id in (0x7BB, 0x79A):
            for signal in decoder.feed(Frame(place / 100, bus, can_id, data)):
                assert (signal.value is not None) == (signal.quality is Quality.OK)


def test_a_reply_that_comes_too_slowly_is_dropped() -> None:
    found = outcomes(segmented(bytes(40)), gap_s=1.5)
    assert [outcome.fault for outcome in found][1] is Fault.TIMING
    assert not [outcome for outcome in found if outcome.payload]


def test_a_new_reply_in_the_middle_of_one_drops_the_first_only() -> None:
    first, second = segmented(bytes(20)), segmented(b"\x61\x01" + bytes(20))
    found = outcomes([*first[:2], *second])
    assert [outcome.fault for outcome in found if outcome.fault] == [Fault.SEQUENCE]
    assert [outcome.payload for outcome in found if outcome.payload] == [b"\x61\x01" + bytes(20)]
