"""What the vehicle keeps of its driver, as files: three forms, the same facts."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.export import Form, Table, write
from telemetry.purposes import Purpose
from tests.support.trips import TB, FakeTrip, open_sharing, write_segment
from tests.unit.agent.test_queue_cli import CONFIG

TABLES = {"trips", "charges", "batches", "receipts", "ledger", "samples/trip-1"} | {
    "drawn_places", "learnt_places", "drivers", "workshop_contact", "events",
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "agent.toml").write_text(CONFIG)
    (tmp_path / "agent").mkdir()
    sharing = open_sharing(tmp_path / "agent")
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(tmp_path / "agent" / "segments"))
    sharing.state.close()
    return tmp_path


def export(home: Path, *arguments: object, code: int = 0) -> str:
    words = ["--config", home / "agent.toml", "export", *arguments]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def test_json_holds_every_table_with_vss_names_units_and_times(home: Path) -> None:
    said = export(home, "-o", home / "all.json")
    document: dict[str, Any] = json.loads((home / "all.json").read_text())
    tables = {table["name"]: table for table in document["tables"]}
    assert set(tables) == TABLES
    samples = tables["samples/trip-1"]
    assert samples["units"][f"{TB}.CurrentVoltage"] == "V"
    first = dict(zip(samples["columns"], samples["rows"][0], strict=True))
    assert (first["since_start_s"], first[f"{TB}.CurrentVoltage"]) == (0.0, 360.0)
    assert len(samples["rows"]) == 60
    [trip] = tables["trips"]["rows"]
    assert trip[0] == "trip-1"
    assert "samples/trip-1" in said
    assert "60 rows" in said


def test_csv_is_a_folder_whose_headers_name_the_unit(home: Path) -> None:
    export(home, "--format", "csv", "-o", home / "files")
    with (home / "files" / "samples" / "trip-1.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["Vehicle.Speed [km/h]"]) == 50.0
    assert len(rows) == 60
    with (home / "files" / "ledger.csv").open(newline="") as file:
        [entry] = csv.DictReader(file)
    assert (entry["event"], entry["purpose"]) == ("grant", "battery")


def test_parquet_keeps_numbers_and_units(home: Path) -> None:
    export(home, "--format", "parquet", "-o", home / "files")
    table = pq.read_table(home / "files" / "samples" / "trip-1.parquet")
    assert table.num_rows == 60
    assert table.column("Vehicle.Speed").to_pylist()[0] == 50.0
    assert table.schema.field("Vehicle.Speed").metadata == {b"unit": b"km/h"}


def test_one_trip_is_exported_alone(home: Path) -> None:
    export(home, "--trip", "trip", "-o", home / "one.json")
    document = json.loads((home / "one.json").read_text())
    assert {table["name"] for table in document["tables"]} == {"trips", "charges", "samples/trip-1"}


def test_an_unknown_trip_is_said_and_nothing_is_written(home: Path) -> None:
    assert "expected one, found none" in export(
        home, "--trip", "zzz", "-o", home / "one.json", code=6
    )
    assert sorted(path.name for path in home.iterdir()) == ["agent", "agent.toml"]


def test_a_day_without_trips_is_an_export_without_trips(home: Path) -> None:
    export(home, "--since", "2031-01-01", "-o", home / "none.json")
    tables = json.loads((home / "none.json").read_text())["tables"]
    assert next(table["rows"] for table in tables if table["name"] == "trips") == []


def test_what_is_there_is_not_overwritten(home: Path) -> None:
    (home / "mine").write_text("precious")
    assert "nothing was written" in export(home, "-o", home / "mine", code=7)
    assert (home / "mine").read_text() == "precious"


def test_an_export_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    def tables() -> Any:
        yield Table(name="trips", columns=("id",), rows=[["a"]])
        raise RuntimeError("pulled out")

    with pytest.raises(RuntimeError, match="pulled out"):
        list(write(tables(), Form.CSV, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_only_the_driver_can_read_the_files(home: Path) -> None:
    export(home, "-o", home / "all.json")
    assert (home / "all.json").stat().st_mode & 0o077 == 0
