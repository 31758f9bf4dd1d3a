from agent.signals import catalog
from agent.signals.decode import Decoder, Rejection
from agent.signals.explain import decode_lines, signals_now
from agent.signals.isotp import segmented
from agent.signals.model import Frame, Quality
from agent.signals.table import load_table

ZE1 = load_table("nissan-leaf-ze1")
REPLY = 0x7BB


def frames(payload: bytes, *, bus: str = "can0", can_id: int = REPLY) -> list[Frame]:
    parts = enumerate(segmented(payload))
    return [Frame(1.0 + place / 100, bus, can_id, data) for place, data in parts]


def pack_reply(length: int = 51, *, charge: int = 926_378) -> bytes:
    data = bytearray(length)
    data[31:34] = charge.to_bytes(3)
    data[35:38] = (1_621_998).to_bytes(3)
    return b"\x61\x01" + bytes(data)


def test_a_reply_becomes_signals_whoever_asked() -> None:
    decoder = Decoder(ZE1)
    decoder.feed_all(frames(pack_reply()))
    assert decoder.latest[catalog.CAPACITY_AH].value == 162.1998
    assert decoder.latest[f"{catalog.OVERLAY}.Battery.PolledStateOfCharge"].value == 92.6378


def test_a_reply_of_unknown_length_is_counted_and_tells_nothing() -> None:
    decoder = Decoder(ZE1)
    decoder.feed_all(frames(pack_reply(42)))
    assert decoder.latest[catalog.CAPACITY_AH].quality is Quality.MISSING
    assert decoder.counters == {Rejection("can0", REPLY, Quality.LENGTH): 1}


def test_two_buses_are_never_put_together_into_one_reply() -> None:
    decoder = Decoder(ZE1)
    ours, others = frames(pack_reply()), frames(pack_reply(charge=36_000), bus="can1")
    mixed = [frame for pair in zip(ours, others, strict=True) for frame in pair]
    decoder.feed_all(mixed)
    assert decoder.latest[f"{catalog.OVERLAY}.Battery.PolledStateOfCharge"].value == 92.6378
    assert not decoder.counters


def test_a_reply_of_another_question_is_counted() -> None:
    decoder = Decoder(ZE1)
    decoder.feed_all(frames(b"\x61\x99" + bytes(20)))
    assert decoder.counters == {Rejection("can0", REPLY, Quality.MUX): 1}


def test_a_refusal_of_the_control_unit_is_no_fault() -> None:
    decoder = Decoder(ZE1)
    decoder.feed_all(frames(b"\x7f\x21\x12"))
    assert not decoder.counters


def test_an_absent_cell_and_an_absent_thermistor_are_no_numbers() -> None:
    decoder = Decoder(ZE1)
    cells = b"".join((4100 + place).to_bytes(2) for place in range(95)) + (5000).to_bytes(2)
    decoder.feed_all(frames(b"\x61\x02" + cells + bytes(4)))
    assert decoder.latest[catalog.CELL_VOLTAGES[95]].quality is Quality.RANGE
    assert decoder.latest[catalog.CELL_VOLTAGE_MAX].value == 4.194
    assert decoder.latest[f"{catalog.BATTERY}.CellVoltage.IdMax"].value == 95
    sensors = bytes.fromhex("01fe14 01fb15 ffff00 020c13") + b"\xff" * 17
    decoder.feed_all(frames(b"\x61\x04" + sensors))
    assert decoder.latest[catalog.CELL_TEMPERATURES[2]].quality is Quality.SENTINEL
    assert decoder.latest[catalog.CELL_TEMPERATURE_MIN].value == 19


def test_what_was_polled_grows_stale_after_three_periods() -> None:
    decoder = Decoder(ZE1, [catalog.CAPACITY_AH])
    decoder.feed_all(frames(pack_reply()))
    assert not decoder.age(180.0)
    (stale,) = decoder.age(182.0)
    assert stale.quality is Quality.STALE


def test_the_vin_becomes_no_signal_no_line_and_no_watch() -> None:
    decoder = Decoder(ZE1)
    vin = b"SJNFAAZE1U0123456\x00\x00"
    seen = frames(b"\x61\x81" + vin, bus="can1", can_id=0x79A)
    lines = [line.json() for line in decode_lines(decoder, seen)]
    watched = str(signals_now(decoder, 2.0))
    assert not lines
    assert "SJNFAAZE" not in watched
    assert "SJNFAAZE" not in str(decoder.latest)
