"""The fuzz target of the frame path: any frames, any order, any instants, every vehicle."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.signals.catalog import CATALOG
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality
from agent.signals.table import known_vehicles, load_table

DECODERS = {name: Decoder(load_table(name)) for name in known_vehicles()}
IDS = sorted({key.can_id for decoder in DECODERS.values() for key in decoder.needed})
frames = st.builds(
    Frame,
    time_s=st.one_of(st.floats(0, 1e9), st.sampled_from([0.0, 1.0, 5e9])),
    bus=st.sampled_from(["can0", "can1", "can2", "vcan9"]),
    can_id=st.one_of(st.sampled_from(IDS), st.integers(0, 0x1FFFFFFF)),
    data=st.one_of(st.binary(min_size=8, max_size=8), st.binary(max_size=64)),
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", DECODERS)
@settings(deadline=None, max_examples=200)
@given(st.lists(frames, max_size=20))
def test_no_frames_raise_and_no_impossible_value_gets_through(name: str, seen: list[Frame]) -> None:
    decoder = DECODERS[name]
    for frame in seen:
        for signal in (*decoder.feed(frame), *decoder.age(frame.time_s)):
            assert (signal.value is not None) == (signal.quality is Quality.OK)
            if signal.value is not None:
                entry = CATALOG[signal.path]
                assert math.isfinite(signal.value)
                assert entry.minimum - 1e-9 <= signal.value <= entry.maximum + 1e-9
