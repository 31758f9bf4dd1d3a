import fcntl
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telemetry.codec.batch import batch_id
from telemetry.ingest.cli import main
from telemetry.ingest.config import load_config
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.errors import ConfigError
from telemetry.ingest.keys import make_keys
from telemetry.ingest.reports import ReportQueue
from telemetry.ingest.running import among_others
from telemetry.purposes import Purpose
from tests.support.batches import batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import unsealed

CONFIGS = Path(__file__).parents[4] / "configs"
PAYLOAD = batch_payload()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, keys, one stored batch and one refused."""
    (tmp_path / "ingest.toml").write_text((CONFIGS / "ingest.toml").read_text())
    pki = tmp_path / "pki"
    pki.mkdir()
    for name in ("ca.pem", "ingest.pem", "ingest.key"):
        (pki / name).write_text("")
    key = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (pki / "ingest-receipt.key").write_bytes(key)
    (pki / "ingest-receipt.key").chmod(0o600)
    monkeypatch.setenv("OKDRIVE_HOME", str(tmp_path))
    make_keys(tmp_path / "keys", [Purpose.BATTERY], recipient="us", now=NOW, days=30)
    store = local_store(tmp_path / "ingest")
    desk = Desk(store=store, open_batch=unsealed, clock=FakeClock(), settings=DeskSettings())
    desk.take("okdrive/1/up/battery", PAYLOAD)
    desk.take("okdrive/1/up/battery", PAYLOAD)
    desk.take("okdrive/1/up/battery", b"poison")
    store.close()
    return tmp_path


def run(*arguments: str) -> int:
    """Run the command; return its exit code."""
    try:
        main(arguments)
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    run(*arguments)
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def test_batches_list_prints_whole_ids_as_json(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = document(capsys, "batches", "list", "--json")
    assert printed["schema"] == "okdrive-ingest.batches.list/1"
    [batch] = printed["batches"]
    assert batch["batch_id"] == batch_id(PAYLOAD).hex()
    assert (batch["rows"], batch["bytes"]) == (5, len(PAYLOAD))


def test_batches_show_takes_the_first_digits(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = document(capsys, "batches", "show", batch_id(PAYLOAD).hex()[:8], "--json")
    assert len(printed["samples"]) == 5
    assert run("batches", "show", batch_id(PAYLOAD).hex()) == 0
    assert "pack_voltage_v" in capsys.readouterr().out


def test_an_unknown_batch_is_four_lines_and_exit_6(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("batches", "show", "ffffffff") == 6
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("okdrive-ingest: batch ffffffff: expected exactly one")
    assert lines[3].endswith("ingest.not_found  [exit 6]")


def test_quarantine_and_receipts_are_listed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [refused] = document(capsys, "quarantine", "list", "--json")["quarantine"]
    assert refused["batch_id"] == batch_id(b"poison").hex()
    given = document(capsys, "receipts", "list", "--json")["receipts"]
    statuses = {receipt["status"]: receipt["answers"] for receipt in given}
    assert statuses == {"stored": 1, "duplicate": 1, "refused": 1}


def test_a_refused_batch_is_shown_and_written_out_as_it_came(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [row] = document(capsys, "quarantine", "list", "--json")["quarantine"]
    out, digits = tmp_path / "received", row["batch_id"][:8]
    shown = document(capsys, "quarantine", "show", digits, "--json", "--write", str(out))
    assert (shown["code"], shown["kept_bytes"]) == (row["code"], 0)
    assert out.read_bytes() == b""  # it was not sealed: never kept
    assert run("quarantine", "show", "ffff") == 6
    assert "quarantine list --json" in capsys.readouterr().err


def test_what_waits_for_the_workshop_is_listed_and_worried_about(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(capsys, "reports", "list", "--json")["reports"] == []
    store = local_store(home / "ingest")
    queue = ReportQueue(store.index.database)
    queue.add(b"sealed", batch_id=bytes(32), today=NOW.date(), most=1)
    store.close()
    [row] = document(capsys, "reports", "list", "--json")["reports"]
    assert (row["bytes"], row["attempts"], row["day"]) == (6, 0, "2026-11-22")
    assert document(capsys, "status", "--json")["reports"] == 1
    run("doctor")
    assert "warn  workshop     none is named; 1 reports wait" in capsys.readouterr().out


def test_metrics_are_a_document_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = document(capsys, "metrics", "--json")
    assert (printed["batches"], printed["answers"]["duplicate"]) == (1, 1)


@pytest.mark.parametrize(
    "words",
    [
        ("batches", "list"),
        ("quarantine", "list"),
        ("receipts", "list"),
        ("reports", "list"),
        ("status",),
    ],
)
def test_the_text_for_people_fits_80_columns_and_names_the_batch(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run(*words) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") >= 1
    assert max(map(len, printed.splitlines())) <= 80


def test_status_knows_whether_a_receiver_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(capsys, "status", "--json")["running"] is False
    with (home / "ingest" / "ingest.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed = document(capsys, "status", "--json")
    assert printed["running"] is True
    assert (printed["batches"], printed["duplicates"], printed["quarantined"]) == (1, 1, 1)


def test_the_first_receiver_cleans_up_and_a_second_joins_it(home: Path) -> None:
    folder = home / "ingest"
    unfinished = next((folder / "parquet").glob("*/*/*.parquet")).with_suffix(".tmp")
    unfinished.write_bytes(b"half")
    config = load_config(home / "ingest.toml")
    with among_others(config):
        assert not unfinished.exists()
        unfinished.write_bytes(b"of the first one")
        with among_others(config):
            assert unfinished.exists()


def test_status_sees_a_receiver_that_shares_the_folder(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(capsys, "status", "--json")["running"] is False
    with among_others(load_config(home / "ingest.toml")):
        assert document(capsys, "status", "--json")["running"] is True


def test_metrics_are_prometheus_text(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("metrics") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "okdrive_ingest_stored_batches 1" in lines
    assert "# TYPE okdrive_ingest_receipts_total counter" in lines
    assert 'okdrive_ingest_receipts_total{status="duplicate"} 1' in lines
    assert 'okdrive_ingest_quarantined{code="codec.shape"} 1' in lines
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[a-z._]+"\})? \d+')
    assert all(line.startswith("# ") or sample.fullmatch(line) for line in lines)


def test_doctor_warns_of_refused_batches_and_fails_without_files(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor") == 4
    assert "-> okdrive-ingest quarantine list" in capsys.readouterr().out
    (home / "pki" / "ca.pem").unlink()
    next((home / "ingest" / "parquet").glob("*/*/*.parquet")).unlink()
    assert run("doctor", "--json") == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    failed = {check["name"] for check in checks if check["verdict"] == "fail"}
    assert failed == {"tls", "files"}


def test_doctor_on_an_empty_home_says_what_is_missing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "ingest" / "index.sqlite").unlink()
    assert run("doctor") == 1
    assert "start okdrive-ingest run once" in capsys.readouterr().out


def test_a_missing_configuration_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OKDRIVE_HOME", str(tmp_path))
    assert run("status") == 1
    assert f"{tmp_path}/ingest.toml: No such file" in capsys.readouterr().err


def test_a_key_that_others_can_read_stops_the_start(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "pki" / "ingest-receipt.key").chmod(0o644)
    assert run("run") == 1
    assert "expected mode 0600, found 0644" in capsys.readouterr().err


def test_help_teaches_and_wrong_usage_is_exit_2(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert "okdrive-ingest batches list" in printed
    assert run("batches", "remove") == 2


def test_the_shipped_configuration_is_valid() -> None:
    config = load_config(CONFIGS / "ingest.toml")
    assert config.folder == CONFIGS / "ingest"
    assert config.broker.ca_file == CONFIGS / "pki" / "ca.pem"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder = 'x'\nspeed = 3", "unknown field `speed`"),
        ("folder = 'x'", "missing required field"),
        ("folder = ", "ingest.toml"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "ingest.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_batch_file_is_told_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "batch.cbor"
    path.write_bytes(PAYLOAD)
    main(["batch", "inspect", str(path)])
    text = capsys.readouterr().out
    assert text.startswith(f"batch {batch_id(PAYLOAD).hex()}\n{len(PAYLOAD)} bytes for the purpose")
    assert "pack_voltage_v   in steps of 0.5 V: 360 to 362" in text
    main(["batch", "inspect", "--json", str(path)])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "okdrive-ingest.batch.inspect/1"
    assert document["schema_id"] == "battery.2"
    assert document["rows"] == len(document["values"]) == 5


def test_a_file_that_is_no_batch_is_refused_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "batch.cbor"
    path.write_bytes(PAYLOAD[:-1])
    with pytest.raises(SystemExit, match="1"):
        main(["batch", "inspect", str(path)])
    assert "codec.shape  [exit 1]" in capsys.readouterr().err
