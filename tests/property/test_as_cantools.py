"""The table decodes as cantools does: every vehicle, any payload of every frame."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.signals.crc import crc8, nibble_sum
from agent.signals.model import Frame
from agent.signals.table import FrameRule, known_vehicles
from tests.support.cantools_peer import Peer


def proven(rule: FrameRule, data: bytes) -> bytes:
    """Return ``data`` with the checksum that its frame has."""
    if rule.check == "crc8-85":
        return data[:7] + bytes((crc8(data[:7]),))
    if rule.check == "nibble-sum":
        return data[:7] + bytes((data[7] & 0xF0 | nibble_sum(rule.can_id, data),))
    return data


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", known_vehicles())
def test_whatever_a_frame_holds_our_value_is_that_of_cantools_or_none(name: str) -> None:
    peer, told = Peer(name), set[str]()

    @settings(deadline=None, max_examples=12)
    @given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=4))
    def agrees(payloads: list[bytes]) -> None:
        frames = [
            Frame(float(n), peer.table.buses[rule.bus], rule.can_id, proven(rule, data))
            for n, data in enumerate(payloads)
            for rule in peer.table.frames
        ]
        for path, ours, theirs in peer.compared(frames):
            if ours is not None and theirs is not None:
                told.add(path)
                assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9), path

    agrees()
    in_frames = {signal.path for rule in peer.table.frames for signal in rule.signals}
    assert len(told) > len(in_frames) * 0.9
