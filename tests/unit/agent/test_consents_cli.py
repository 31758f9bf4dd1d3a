"""`okdrive-agent consent` on a state folder, without a daemon and with one that listens."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agent.cli import main
from agent.clock import SystemClock
from agent.consent.notices import load_notices
from agent.folders import Folders
from agent.sharing import Sharing
from agent.store.battery import BatteryHistory
from telemetry.codec.anybatch import decode_any
from telemetry.keyset import encode_key_set
from telemetry.purposes import SWITCHED, Purpose
from telemetry.records import WorkshopReport
from tests.support.sealing import RECIPIENT
from tests.support.trips import FakeTrip, open_sharing, write_segment
from tests.unit.agent.test_queue_cli import CONFIG

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "agent.toml").write_text(CONFIG)
        (folder / "agent").mkdir()
        private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "ecu.key").write_bytes(private)
        (folder / "ecu.key").chmod(0o600)
        public = KEY.public_key()
        (folder / "vehicle.pem").write_bytes(
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        (folder / "keys.json").write_bytes(encode_key_set(RECIPIENT.keys))

    def run(self, *arguments: object, code: int = 0, typed: str = "") -> str:
        return self.call("consent", *arguments, code=code, typed=typed)

    def call(self, *arguments: object, code: int = 0, typed: str = "") -> str:
        words = ["--config", self.folder / "agent.toml", *arguments]
        done = CliRunner().invoke(main, [str(word) for word in words], input=typed)
        assert done.exit_code == code, done.output
        return done.output

    def document(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code))
        return found

    def sharing(self) -> Sharing:
        return open_sharing(self.folder / "agent")

    def edit(self, statement: str, *values: object) -> None:
        with sqlite3.connect(self.folder / "agent/state.sqlite") as connection:
            connection.execute("DROP TRIGGER ledger_is_append_only_1")
            connection.execute("DROP TRIGGER ledger_is_append_only_2")
            connection.execute(statement, values)
        connection.close()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_everything_is_off_before_the_driver_switches_it_on(home: Home) -> None:
    assert "battery      off  never" in home.run("show")
    assert "0 entries" in home.run("verify")


def test_a_grant_shows_the_notice_and_asks(home: Home) -> None:
    shown = home.run("grant", "battery", typed="y\n")
    assert "No position" in shown
    assert "battery is on (ledger entry 1)" in shown
    granted = {row["purpose"]: row["is_granted"] for row in home.document("show")["purposes"]}
    assert [purpose for purpose, is_granted in granted.items() if is_granted] == ["battery"]
    assert set(granted) == set(SWITCHED)


def test_a_no_at_the_notice_changes_nothing(home: Home) -> None:
    home.run("grant", "battery", typed="n\n", code=1)
    assert not (home.folder / "agent/state.sqlite").exists()


def test_the_notice_is_read_in_german_too(home: Home) -> None:
    assert "Keine Position" in home.run("grant", "battery", "--language", "de", typed="y\n")


def test_to_withdraw_is_as_short_as_to_grant_and_empties_the_queue(home: Home) -> None:
    sharing = home.sharing()
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(home.folder / "agent/segments"))
    sharing.state.close()
    assert "nothing more leaves" in home.run("withdraw", "battery")
    sharing = home.sharing()
    assert sharing.state.offers() == []
    assert sharing.granted() == frozenset()
    sharing.state.close()


def test_a_second_grant_writes_nothing(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    assert "was on already" in home.run("grant", "battery", "--yes")
    assert len(home.document("history")["entries"]) == 1


def test_an_unknown_purpose_and_one_that_is_asked_each_time_are_refused(home: Home) -> None:
    assert "expected one of battery" in home.run("grant", "advertising", "--yes", code=2)
    assert "consent.asked_each_time" in home.run("grant", "workshop", "--yes", code=4)


def test_a_ledger_edited_by_one_byte_does_not_verify_and_changes_nothing_more(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    home.run("withdraw", "battery")
    assert home.document("verify")["is_whole"] is True
    home.edit("UPDATE ledger SET body = replace(body, 'withdraw\"', 'withdraX\"') WHERE sequence=2")
    found = home.run("verify", code=3)
    assert "entry 2: the signature does not fit" in found
    assert "consent.ledger_broken" in home.run("grant", "battery", "--yes", code=3)


def test_a_ledger_cut_at_its_end_does_not_verify(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    home.run("withdraw", "battery")
    home.edit("DELETE FROM ledger WHERE sequence=2")
    assert "expected 2 entries, found 1" in home.run("verify", code=3)


def test_an_export_is_verified_elsewhere_with_the_public_key_alone(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    export = home.folder / "ledger.json"
    home.run("history", "-o", export)
    check = ("verify", "--file", export, "--key", home.folder / "vehicle.pem")
    assert "whole   1 entry," in home.run(*check)
    export.write_text(export.read_text().replace('"signature": "', '"signature": "AAAA', 1))
    assert "the signature does not fit" in home.run(*check, code=3)


def test_what_is_no_export_is_refused_with_its_code(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    done = home.run("verify", "--file", other, "--key", home.folder / "vehicle.pem", code=6)
    assert "consent.export" in done


def test_one_entry_is_a_receipt_to_keep(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    home.run("withdraw", "battery")
    [entry] = home.document("history", "--entry", "2")["entries"]
    assert entry["entry"]["event"] == "withdraw"
    assert entry["entry"]["notice_id"] == "battery.en.2"
    assert len(entry["entry"]["notice_sha256"]) == 64


def test_a_daemon_beside_the_command_learns_of_a_withdrawal(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    sharing = home.sharing()
    assert sharing.may_record()
    home.run("withdraw", "battery")
    sharing.reload()  # what the word "consents" makes the daemon do
    assert not sharing.may_record()
    sharing.state.close()


def offered(home: Home, trip_id: str = "0f3a77b1c2d4e5f6") -> str:
    sharing = home.sharing()
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(
        FakeTrip(trip_id=trip_id), write_segment(home.folder / "agent/segments", trip_id)
    )
    sharing.state.close()
    return trip_id


def test_the_text_that_was_read_is_the_one_that_is_recorded(home: Home) -> None:
    home.run("grant", "battery", "--language", "de", "--yes")
    [row] = home.document("history")["entries"]
    assert (row["entry"]["language"], row["entry"]["notice_id"]) == ("de", "battery.de.2")
    assert row["entry"]["notice_sha256"] == load_notices("de")[Purpose.BATTERY].sha256


def test_a_trip_is_looked_at_confirmed_and_taken_back_in_a_terminal(home: Home) -> None:
    trip_id = offered(home)
    shown = home.call("preview")
    assert "Pack voltage              360 to 363 V   x 60" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "1 batch confirmed; the first may leave in 600 s" in home.run("ok", "0f3a")
    assert "Nothing waits for an answer" in home.call("preview")
    assert "1 batch taken back" in home.run("take-back", trip_id)
    assert "consent.not_on_offer" in home.run("take-back", trip_id, code=6)
    assert "consent.not_on_offer" in home.run("ok", trip_id, code=6)


def test_no_in_a_terminal_deletes_what_was_offered(home: Home) -> None:
    offered(home)
    assert "1 batch stays here and is deleted" in home.run("no", "0f3a")
    assert json.loads(home.call("preview", "--json"))["cards"] == []


def test_every_row_is_shown_on_request(home: Home) -> None:
    [card] = json.loads(home.call("preview", offered(home), "--rows", "--json"))["cards"] or [{}]
    assert len(card["batches"][0]["rows"]) == 60


def test_a_receipt_is_a_code_that_is_verified_without_the_vehicle(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    home.run("ok", offered(home))
    shown = home.run("receipt", "2", "--qr")
    assert "█▀▀" in shown or "▄▄▄▄▄" in shown
    assert max(map(len, shown.splitlines())) <= 80
    found = home.document("receipt", "2")
    assert found["record"]["event"]["type"] == "ok"
    check = ("verify", "--key", home.folder / "vehicle.pem", "--receipt")
    edited = found["qr"][:-2] + ("0" if found["qr"][-2] != "0" else "1") + found["qr"][-1]
    assert "genuine     signed by key" in home.run(*check, found["qr"])
    assert "consent.receipt" in home.run(*check, edited, code=3)
    assert found == home.document("receipt", found["record"]["purpose"]["batch_id"][:12])
    assert "consent.receipt" in home.run("receipt", "99", code=3)


def test_a_standing_ok_needs_a_clock_that_somebody_proves(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    if SystemClock().is_proven():
        assert "released without asking until" in home.run("always", "battery", "--days", "9")
        assert "not to 20" in home.run("show")
        assert "batch by batch again" in home.run("ask", "battery")
    else:
        assert "consent.clock_unknown" in home.run("always", "battery", code=4)
    assert "Invalid value" in home.run("always", "battery", "--days", "91", code=2)


def test_drivers_and_pauses_are_changed_in_a_terminal(home: Home) -> None:
    home.run("grant", "battery", "--yes")
    assert "agreed to nothing yet" in home.call("driver", "add", "Anna")
    assert "their own switches hold" in home.call("driver", "choose", "Anna")
    assert "battery      off  never" in home.run("show")
    assert "nothing of a trip is kept" in home.call("driver", "choose", "guest")
    assert "consent.driver_unknown" in home.run("grant", "battery", "--yes", code=4)
    assert "driver.unknown" in home.call("driver", "choose", "Ben", code=4)
    assert "Anna is called Anne" in home.call("driver", "rename", "Anna", "Anne")
    assert "Anne was removed" in home.call("driver", "remove", "Anne")
    assert "nothing is recorded, offered or sent" in home.call("pause", "always")
    assert "paused (always)" in home.run("show")
    assert "nothing is paused" in home.call("pause", "off")


def history(home: Home) -> None:
    with closing(BatteryHistory.open(Folders(root=home.folder / "agent").battery)) as found:
        found.add(date(2026, 11, 21), "health", 87.5)
        evidence = [{"name": "cell_spread", "value": 0.081, "unit": "V"}]
        body = json.dumps({"value": 1.0, "evidence": evidence})
        found.raise_alert(
            code="weak_cell",
            severity="warning",
            now_utc=datetime(2026, 11, 21, tzinfo=UTC),
            body=body,
            event="[]",
        )


def test_the_workshop_gets_what_the_driver_saw_and_contact_details_are_kept_on_wish(
    home: Home,
) -> None:
    history(home)
    shown = home.call("workshop", "both", "--contact", "0123", "--keep", typed="n\n")
    assert "health 87.5 (2026-11-21) %" in shown
    assert "weak_cell" in shown
    assert "0123" in shown
    assert "stays here and is deleted" in shown
    again = home.call("workshop", "alert", "--send")
    assert "0123" in again
    assert "1 batch confirmed" in again
    sharing = home.sharing()
    [row] = sharing.outbox.rows()
    report = decode_any(row.payload).body
    assert isinstance(report, WorkshopReport)
    assert (report.contact, report.figures) == ("0123", ())
    assert report.alert is not None
    assert report.alert.evidence[0].value == "0.081"
    sharing.state.close()


def test_a_report_without_a_way_to_answer_is_not_prepared(home: Home) -> None:
    history(home)
    assert "contact: expected 1 to 200 characters" in home.call("workshop", "battery", code=4)


def test_withdrawing_the_workshop_deletes_what_has_not_left(home: Home) -> None:
    history(home)
    home.call("workshop", "battery", "--contact", "0123", "--send")
    home.run("withdraw", "workshop")
    sharing = home.sharing()
    assert sharing.outbox.rows() == []
    sharing.state.close()
