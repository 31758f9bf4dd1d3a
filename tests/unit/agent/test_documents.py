"""From the update chain to the uplink: a verified set of ingest keys is used at once, and later."""

from pathlib import Path

import pytest

from agent.consent.recipients import load_recipients
from agent.documents import INGEST_KEYS, ingest_keys_taker
from agent.folders import Folders
from ota.errors import DocumentError
from telemetry.keyset import KeySetError, encode_key_set
from telemetry.purposes import Purpose
from tests.support.packages import make_package
from tests.support.repository_simulator import RepositorySimulator
from tests.support.sealing import FakeRecipient, new_key
from tests.support.update_client import make_verifier


def test_published_keys_reach_the_vehicle_and_outlive_a_restart(tmp_path: Path) -> None:
    ingest, woken = FakeRecipient(), list[bool]()
    provisioned, folders = tmp_path / "keys.json", Folders(root=tmp_path / "agent")
    provisioned.write_bytes(encode_key_set(ingest.keys))
    recipients = load_recipients(provisioned, folders.ingest_keys)
    ingest.opening.append(new_key())
    ingest.serial += 1
    simulator = RepositorySimulator()
    simulator.release(make_package(), "1.0.0", counter=1)
    simulator.put_document(INGEST_KEYS, encode_key_set(ingest.keys))

    folders.update.mkdir(parents=True)
    take = ingest_keys_taker(recipients, lambda: woken.append(True))
    make_verifier(simulator, folders.update, takers={INGEST_KEYS: take}).check()
    assert woken == [True]
    assert recipients.keys == ingest.keys
    newest = ingest.opening[-1].public.key_id.hex()
    assert recipients.named(Purpose.BATTERY).key_id == newest
    assert load_recipients(provisioned, folders.ingest_keys).keys == ingest.keys


def test_a_document_that_is_no_newer_set_is_refused_and_the_set_in_use_stays(
    tmp_path: Path,
) -> None:
    ingest = FakeRecipient(serial=3)
    provisioned = tmp_path / "keys.json"
    provisioned.write_bytes(encode_key_set(ingest.keys))
    recipients = load_recipients(provisioned, tmp_path / "none.json")
    take = ingest_keys_taker(recipients, lambda: None)
    for content in (b"{}", encode_key_set(FakeRecipient(serial=2).keys)):
        with pytest.raises(DocumentError, match="expected a newer set of ingest keys"):
            take(content)
    assert recipients.keys == ingest.keys


def test_a_received_set_that_is_damaged_or_older_is_left_out(tmp_path: Path) -> None:
    ingest, old = FakeRecipient(serial=3), FakeRecipient(serial=2)
    provisioned, received = tmp_path / "keys.json", tmp_path / "received.json"
    provisioned.write_bytes(encode_key_set(ingest.keys))
    for content in (b"half", encode_key_set(old.keys)):
        received.write_bytes(content)
        assert load_recipients(provisioned, received).keys == ingest.keys


def test_without_a_provisioned_set_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(KeySetError, match="No such file"):
        load_recipients(tmp_path / "none.json", tmp_path / "received.json")
