from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.explain import DecodedLine, chosen, explain, signals_now, watch_row
from agent.signals.model import Frame, Quality
from agent.signals.table import load_table
from sim import frames as sim
from sim.frames import VehicleState

ZE1 = load_table("nissan-leaf-ze1")
STATE = VehicleState(speed_km_h=50.0)


def decoder() -> Decoder:
    known = Decoder(ZE1)
    known.feed(Frame(10.0, "can0", 0x284, sim.wheel_speed(STATE, 0)))
    bad = sim.pack_state(STATE, 0)[:7] + b"\x00"
    known.feed(Frame(10.0, "can0", 0x1DB, bad))
    return known


def test_every_row_fits_into_eighty_columns() -> None:
    now = signals_now(decoder(), 10.5)
    rows = [watch_row(line, now.now_s) for line in now.signals]
    assert len(rows) == len(ZE1.paths())
    assert max(len(row) for row in rows) <= 80


def test_a_row_tells_value_unit_and_age_or_why_there_is_none() -> None:
    now = signals_now(decoder(), 10.5)
    rows = {line.path: watch_row(line, now.now_s).split() for line in now.signals}
    assert rows[catalog.SPEED] == ["Speed", "50", "km/h", "0.5", "s", "ago"]
    assert rows[catalog.PACK_VOLTAGE][-3:] == ["-", "V", "crc"]
    assert rows[catalog.SOC][-1] == "missing"


def row(path: str, value: float) -> str:
    line = DecodedLine(t=10.0, path=path, value=value, unit="m", quality=Quality.OK, frame="5C5")
    return watch_row(line, 10.5)


def test_a_large_number_has_no_exponent() -> None:
    assert row(catalog.ODOMETER, 77_665_000.0).split()[:3] == ["TraveledDistance", "77665000", "m"]
    assert row(catalog.ODOMETER, 999_999.0).split()[1] == "999999"


def test_a_path_that_is_too_long_loses_its_first_branches() -> None:
    path = "Vehicle.Powertrain.TractionBattery.StateOfCharge.CurrentEnergy"
    assert row(path, 1.0).startswith("…TractionBattery.StateOfCharge.CurrentEnergy ")
    assert len(row(f"Vehicle.{'x' * 90}", 1.0)) <= 80


def test_a_pattern_is_a_part_of_the_path_or_has_stars() -> None:
    now = signals_now(decoder(), 10.5)
    assert {line.path for line in chosen(now, "speed")} > {catalog.SPEED}
    assert [line.path for line in chosen(now, "vehicle.speed")] == [catalog.SPEED]
    assert [line.path for line in chosen(now, "*ery.StateOfHealth")] == [catalog.SOH]


def test_what_was_refused_is_counted_by_frame_and_reason() -> None:
    now = signals_now(decoder(), 10.5)
    assert now.rejected == {"1DB": {"crc": 1}}
    found = explain(decoder(), catalog.PACK_POWER)
    assert (found.quality, found.rejections) == ("crc", {"crc": 1})
    assert found.said == "the checksum of its frame is wrong"


def test_every_path_of_every_vehicle_can_be_explained() -> None:
    for name in ("nissan-leaf-ze0", "nissan-leaf-aze0", "nissan-leaf-ze1", "nissan-env200"):
        known = Decoder(load_table(name))
        for path in known.latest:
            found = explain(known, path)
            assert found.source
            assert found.rules
