"""`okdrive-agent consent` on a state folder, without a daemon and with one that listens."""

import json
import sqlite3
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
from agent.sharing import Sharing
from telemetry.keyset import encode_key_set
from telemetry.purposes import SWITCHED, Purpose
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
        (folder / "e").write_bytes(private)
        (folder / "e").chmod(0o600)
        public = KEY.public_key()
        (folder / "vehicle.pem").write_bytes(
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        (folder / "i").write_bytes(encode_key_set(RECIPIENT.keys))

    def run(self, *arguments: object, code: int = 0, typed: str = "") -> str:
        words = ["--config", self.folder / "agent.toml", "consent", *arguments]
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
    assert "off  never switched on" in home.run("show")
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
    assert "whole   1 entries" in home.run(*check)
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
