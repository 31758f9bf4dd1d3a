from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.recording import Recording
from agent.signals.table import known_vehicles, load_table
from sim.drive import synthetic_drive
from sim.frames import write_candump
from tests.support.clock import FakeClock

ZE1, AZE0 = load_table("nissan-leaf-ze1"), load_table("nissan-leaf-aze0")
KNOWN = [load_table(name) for name in known_vehicles()]
DRIVE = list(synthetic_drive(1, hops=1))[:6_000]


def car_can() -> Iterator[Frame]:
    """Yield a second of a CAR-CAN alone: a wheel speed of 100 km/h among what only it sends."""
    for tick in range(50):
        for can_id in (0x180, 0x280, 0x284, 0x355, 0x385, 0x421, 0x510, 0x5B3, 0x5C5, 0x60D):
            yield Frame(10 + tick / 50, "can0", can_id, b"\x27\x10" * 4)


def recording(frames: Iterable[Frame], path: Path, *, vehicle: str = ZE1.name) -> Recording:
    write_candump(frames, path)
    return Recording(path, load_table(vehicle), clock=FakeClock())


def said(of: Recording, vehicle: str = ZE1.name) -> str:
    decoder = Decoder(load_table(vehicle), buses=of.buses)
    decoder.feed_all(list(of.frames(decoder.needed)))
    return "\n".join(of.notes(decoder, KNOWN))


def test_a_car_bus_alone_is_never_taken_for_the_other_bus(tmp_path: Path) -> None:
    found = recording(car_can(), tmp_path / "car.log", vehicle=AZE0.name)
    assert (found.buses["car"], found.buses["ev"]) == ("can0", "-ev")
    decoder = Decoder(AZE0, buses=found.buses)
    decoder.feed_all(list(found.frames()))
    assert decoder.latest[catalog.SPEED].value is None
    assert decoder.latest[f"{catalog.OVERLAY}.CarCan.Speed"].value == 100.0


def test_buses_with_exchanged_names_are_told_by_their_ids(tmp_path: Path) -> None:
    other = {"can0": "can1", "can1": "can0"}
    swapped = [Frame(f.time_s, other[f.bus], f.can_id, f.data) for f in DRIVE]
    swapped += [Frame(f.time_s + 90, "can0", f.can_id, f.data) for f in car_can()]
    found = recording(swapped, tmp_path / "swapped.log")
    assert (found.buses["ev"], found.buses["car"]) == ("can1", "can0")


def test_ids_of_two_buses_under_one_name_are_left_out_and_said(tmp_path: Path) -> None:
    both = [Frame(f.time_s, "can0", f.can_id, f.data) for f in DRIVE]
    both += [Frame(both[-1].time_s + f.time_s, "can0", f.can_id, f.data) for f in car_can()]
    found = recording(both, tmp_path / "both.log")
    assert not [frame for frame in found.frames() if frame.can_id == 0x284]
    assert "frames of 284, because the file mixes two buses" in said(
        recording(both, tmp_path / "both.log")
    )


def test_a_recording_of_one_bus_loses_nothing(tmp_path: Path) -> None:
    found = recording(DRIVE, tmp_path / "drive.log")
    assert len(list(found.frames())) == len(DRIVE)
    assert not found.mixed


def test_what_was_refused_or_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "worn.log"
    pack = next(f for f in DRIVE if f.can_id == 0x1DB)
    write_candump([*DRIVE, Frame(pack.time_s, "can0", 0x1DB, bytes(7) + b"\x01")], path)
    path.write_text(
        path.read_text() + "(1.0) can0 1DB##0123456789\n(1.0) can0 123#R\nnoise\n(1.0) can0 12"
    )
    text = said(Recording(path, ZE1, clock=FakeClock()))
    assert "1 x 1DB crc" in text
    assert "unreadable: 2 lines or messages" in text
    assert "left out: 2 remote, error or CAN FD frames" in text
    assert "time goes back" in text


def test_ids_that_nobody_knows_are_counted_and_said(tmp_path: Path) -> None:
    strange = [Frame(f.time_s, "can0", 0x700 + f.can_id % 16, f.data) for f in DRIVE]
    assert "ids that nissan-leaf-ze1 has no use for: every one" in said(
        recording(strange, tmp_path / "strange.log")
    )
    assert "has no use for: 6,000\n" in said(recording([*DRIVE, *strange], tmp_path / "both.log"))
    assert "has no use for" not in said(recording(DRIVE[:50], tmp_path / "known.log"))


def test_a_line_for_a_person_fits_into_eighty_columns(tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    write_candump(DRIVE, path)
    shown = CliRunner().invoke(main, ["vehicle", "decode", str(path), "--vehicle", ZE1.name])
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    seen = CliRunner().invoke(main, ["vehicle", "detect", str(path)])
    assert max(len(line) for line in seen.stdout.splitlines()) <= 80
    assert "no  nissan-leaf-ze1   can0: seen 355/8 (" in seen.stdout


def test_a_recording_of_another_vehicle_is_doubted(tmp_path: Path) -> None:
    found = recording(
        [Frame(1.0, "can0", i, bytes(n)) for i, n in ((0x390, 8), (0x5A9, 7), (0x5B9, 7))],
        tmp_path / "van.log",
    )
    assert "those of nissan-env200, not of nissan-leaf-ze1" in said(found)


@pytest.mark.parametrize("is_json", [True, False])
def test_the_command_says_it_on_standard_error_only(tmp_path: Path, *, is_json: bool) -> None:
    path = tmp_path / "drive.log"
    write_candump(DRIVE, path)
    arguments = ["vehicle", "decode", str(path), "--vehicle", ZE1.name]
    result = CliRunner().invoke(main, [*arguments, *(["--json"] if is_json else [])])
    assert result.exit_code == 0
    assert "6,000 frames read as nissan-leaf-ze1 (ev is can0, " in result.stderr
    assert "frames read" not in result.stdout
