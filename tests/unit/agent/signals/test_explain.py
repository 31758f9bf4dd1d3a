import itertools
import json

from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.explain import decode_lines, summary
from agent.signals.model import Frame
from agent.signals.table import load_table
from sim.drive import synthetic_drive

ZE1 = load_table("nissan-leaf-ze1")


def test_a_summary_counts_what_a_vehicle_tells() -> None:
    row = summary(ZE1)
    assert (row.name, row.frames, row.signals) == ("nissan-leaf-ze1", 29, 208)
    assert row.buses == {"ev": "can0", "car": "can1", "chademo": "can2"}


def test_a_line_says_why_there_is_no_value() -> None:
    frames = itertools.islice(synthetic_drive(1), 3)
    lines = [line for line in decode_lines(Decoder(ZE1), frames) if "CurrentV" in line.path]
    assert json.loads(lines[0].json()) == {
        "t": 100.0,
        "path": catalog.PACK_VOLTAGE,
        "value": None,
        "unit": "V",
        "quality": "not_available",
        "frame": "1DB",
    }
    assert lines[0].text().endswith("CurrentVoltage = - V (not_available)")


def test_silence_is_a_line_too() -> None:
    pack = next(f for f in itertools.islice(synthetic_drive(1), 5_000, None) if f.can_id == 0x1DB)
    later = Frame(pack.time_s + 1, "can0", 0x7FF, b"")
    lines = list(decode_lines(Decoder(ZE1, [catalog.PACK_VOLTAGE]), [pack, later]))
    assert [line.quality for line in lines] == ["ok", "stale"]
    assert lines[0].text().startswith(f"{pack.time_s:13.3f}  1DB Powertrain.")
