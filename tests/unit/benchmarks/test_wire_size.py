"""The size figures: what they compare, and that they come back."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.signals.candump import format_line
from agent.signals.catalog import PACK_VOLTAGE
from agent.signals.table import load_table
from benchmarks.i3 import SIGNALS, Table, read_i3
from benchmarks.leaf import read_candump
from benchmarks.peers import fleetwise, fleetwise_snappy, json_gzip
from benchmarks.train import TRAINING, fit_all
from benchmarks.wire_size import (
    REPORTED,
    battery_payloads,
    decode,
    encode,
    main,
    measure_table,
)
from sim.drive import synthetic_drive
from telemetry.codec.batch import decode_batch

HEADER = ["Time [s]", *(signal.header for signal in SIGNALS)]


def write_trip(path: Path, seconds: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [";".join(HEADER)]
    for tenth in range(seconds * 10):
        second = tenth // 10
        cells = [tenth / 10, 360 - second % 7 / 2, second % 7 * -5, 80.1, 79.5, 21, second % 40]
        cells += [second % 9 * 2, second % 5, 18.5, 0.35, 0, ""]
        rows.append(";".join(str(cell) for cell in cells))
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    return write_trip(tmp_path / "TripX01.csv.gz", 150)


def test_a_trip_becomes_twelve_integer_columns(trip: Path) -> None:
    table = read_i3(trip, rate_hz=1)
    assert table.times_ms == [second * 1000 for second in range(150)]
    assert len(table.columns) == 12
    assert table.columns[0][:3] == [720, 719, 718]
    assert table.columns[4][0] == 61
    assert table.columns[11] == [0] * 150


def test_windows_hold_a_minute_and_begin_at_zero(trip: Path) -> None:
    windows = list(read_i3(trip, rate_hz=1).windows(60_000))
    assert [len(window.times_ms) for window in windows] == [60, 60, 30]
    assert all(window.times_ms[0] == 0 for window in windows)


def test_a_batch_comes_back_as_it_went(trip: Path) -> None:
    table = read_i3(trip, rate_hz=1)
    assert decode(encode(table, seed="x")) == [table.times_ms, *table.columns]


def test_the_fleetwise_form_has_one_tagged_double_per_value() -> None:
    table = Table([0, 200], [[2, 4]], ("a",), (0.5,), (0.0,))
    message = fleetwise(table)
    first = bytes.fromhex("2a0b 1001 19000000000000f03f")  # proto3 leaves out the time 0
    assert first in message
    assert message.endswith(bytes.fromhex("2a0e 089003 1001 190000000000000040"))


@pytest.mark.parametrize("window", ["60", "trip"])
def test_the_command_prints_every_figure(trip: Path, tmp_path: Path, window: str) -> None:
    folder = tmp_path / "batches"
    arguments = [str(trip), "--window", window, "--json", "--write", str(folder)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)
    total = figures["total"]
    assert total["values"] == 1800
    assert total["round_trip"] is True
    assert figures["files"][0]["okdrive_bytes"] == total["okdrive_bytes"]
    written = sorted(folder.iterdir())
    assert sum(file.stat().st_size for file in written) == total["okdrive_bytes"]
    assert len(written) == (3 if window == "60" else 1)
    for name in ("fleetwise_snappy", "json_gzip", "parquet", "pcodec"):
        assert total[f"{name}_bytes"] > total["okdrive_bytes"]


def test_batches_of_namesakes_do_not_overwrite_each_other(trip: Path, tmp_path: Path) -> None:
    other = write_trip(tmp_path / "other" / trip.name, 30)
    folder = tmp_path / "batches"
    arguments = [str(trip), str(other), str(trip), "--window", "trip", "--write", str(folder)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    written = {file.name: len(decode(file.read_bytes())[0]) for file in folder.iterdir()}
    assert written == {
        "TripX01-0000.cbor": 150,
        "TripX01-2-0000.cbor": 30,
        "TripX01-3-0000.cbor": 150,
    }


def test_the_command_prints_a_table_too(trip: Path) -> None:
    result = CliRunner().invoke(main, [str(trip), "--signals", "4", "--rate", "10"])
    assert result.exit_code == 0, result.output
    assert "okdrive_bytes" in result.output
    assert "TripX01.csv.gz" in result.output


def test_a_candump_recording_becomes_the_columns_of_a_segment(tmp_path: Path) -> None:
    recording = tmp_path / "drive.log"
    frames = (frame for frame, _ in zip(synthetic_drive(seed=1), range(20_000), strict=False))
    recording.write_text("\n".join(format_line(frame) for frame in frames) + "\n")
    table = read_candump(recording, rate_hz=1)
    assert table.names == load_table("nissan-leaf-ze1").record
    assert len(table.times_ms) > 5
    voltage = table.names.index(PACK_VOLTAGE)
    assert 300 < table.value(voltage, 3) < 420
    assert decode(encode(table, seed="x")) == [table.times_ms, *table.columns]
    result = CliRunner().invoke(main, [str(recording), "--json"])
    assert json.loads(result.output)["total"]["round_trip"] is True
    [batch] = battery_payloads(table, seed="x")
    body = decode_batch(batch).body
    assert len(body.samples) == len(table.times_ms)
    assert body.samples[0].pack_voltage_v is not None


def test_an_unknown_vehicle_gives_the_bytes_of_its_frames(tmp_path: Path) -> None:
    recording = tmp_path / "other.log"
    lines = [f"({at / 10:.6f}) can0 7A1#00{at % 256:02X}" for at in range(100)]
    recording.write_text("\n".join(lines) + "\n")
    table = read_candump(recording, rate_hz=1)
    assert table.names == ("7A1.1", "7A1.0")
    assert table.columns == [[9, 19, 29, 39, 49, 59, 69, 79, 89], [0] * 9]
    assert table.times_ms == [1000 * row for row in range(9)]


def rows_of(trip: Path) -> list[str]:
    return gzip.decompress(trip.read_bytes()).decode().splitlines()


def read_lines(tmp_path: Path, lines: list[str], *, rate_hz: int = 1) -> Table:
    plain = tmp_path / "TripX02.csv"
    plain.write_text("\n".join(lines))
    return read_i3(plain, rate_hz=rate_hz)


def test_a_file_of_another_rate_is_sampled_by_its_own_times(trip: Path, tmp_path: Path) -> None:
    header, *rows = rows_of(trip)
    expected = read_i3(trip, rate_hz=1)
    assert read_lines(tmp_path, [header, *rows[::10]]) == expected
    assert read_lines(tmp_path, [header, *rows[::5]]) == expected
    assert read_lines(tmp_path, [header, *rows[::10]], rate_hz=10) == expected


def test_blank_lines_short_rows_and_cells_that_say_nan_do_no_harm(
    trip: Path, tmp_path: Path
) -> None:
    lines = rows_of(trip)
    lines[11] = lines[11].split(";", maxsplit=1)[0]  # only the time
    lines[21] = ";".join([lines[21].split(";", maxsplit=1)[0], *["nan"] * 12])
    table = read_lines(tmp_path, [*lines[:30], "", "\ufeff", *lines[30:]][:30])
    assert table.times_ms == [0, 1000, 2000]
    assert all(column == column[:1] * 3 for column in table.columns)


def changed(lines: list[str], number: int, cell: int, text: str) -> list[str]:
    cells = lines[number - 1].split(";")
    cells[cell] = text
    return [*lines[: number - 1], ";".join(cells), *lines[number:]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: [], "found an empty file"),
        (lambda lines: lines[:1], "rows below the header, found none"),
        (lambda lines: [line[:50] for line in lines], "a column that begins with"),
        (lambda lines: changed(lines, 12, 1, "379,5"), "line 12: Battery Voltage.*'379,5'"),
        (lambda lines: changed(lines, 12, 1, "1e300"), "line 12: Battery Voltage.*no vehicle"),
        (lambda lines: changed(lines, 12, 1, "-inf"), "line 12: expected a finite number"),
        (lambda lines: changed(lines, 22, 0, "0.5"), "line 22: expected times that rise"),
        (lambda lines: changed(lines, 12, 0, "-1"), "line 12: expected seconds since the start"),
        (lambda lines: [*lines, ";" * 70_000], "expected less than 65,536 bytes"),
    ],
)
def test_a_file_that_is_no_trip_is_refused_in_one_sentence(
    trip: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_lines(tmp_path, change(rows_of(trip)))


def test_a_gzip_file_that_is_cut_off_is_refused(trip: Path) -> None:
    trip.write_bytes(trip.read_bytes()[:-20])
    result = CliRunner().invoke(main, [str(trip), "--json"])
    assert result.exit_code == 1
    assert "TripX01.csv.gz: damaged gzip after line" in result.output
    assert "No figures were printed" in result.output


def test_the_battery_batches_are_slices_with_gaps_whatever_the_window(tmp_path: Path) -> None:
    table = read_i3(write_trip(tmp_path / "TripX03.csv.gz", 700), rate_hz=1)
    batches = [decode_batch(payload).body for payload in battery_payloads(table, seed="x")]
    assert len(batches) == 2
    assert sum(len(batch.samples) for batch in batches) < 670
    minutes, whole = (measure_table("x", table, length_ms) for length_ms in (60_000, None))
    assert minutes.battery_wire_bytes == whole.battery_wire_bytes > 0


@pytest.mark.recorded
def test_the_peers_are_no_larger_than_the_recordings_readme_says(recordings: Path) -> None:
    table = read_i3(recordings / "trips" / "TripA06.csv.gz", rate_hz=1)
    assert (len(table.times_ms), table.values) == (3_165, 37_980)
    assert len(fleetwise(table)) == 671_071
    assert 229_800 < len(fleetwise_snappy(table)) <= 229_869
    assert 42_900 < len(json_gzip(table)) <= 42_996


@pytest.mark.recorded
def test_a_real_trip_stays_below_the_budget(recordings: Path) -> None:
    table = read_i3(recordings / "trips" / "TripA11.csv.gz", rate_hz=1)
    for length_ms, must in ((None, 0.060), (60_000, 0.066)):
        sizes = measure_table("A11", table, length_ms)
        assert sizes.round_trip
        assert sizes.ratio <= must


@pytest.mark.recorded
@pytest.mark.slow
def test_training_on_the_six_trips_alone_gives_the_models_that_ship(recordings: Path) -> None:
    assert TRAINING == ("A01", "A02", "A03", "A04", "A05", "B02")
    assert not set(TRAINING) & set(REPORTED)
    assert [fit.path.name for fit in fit_all(recordings / "trips") if not fit.is_shipped] == []
