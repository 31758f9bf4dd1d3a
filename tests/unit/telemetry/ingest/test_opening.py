"""What came is opened, recomputed and only then believed; what is refused is kept as ciphertext."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.erase import EraseRequest, Erasure, encode_erase, erase_id
from telemetry.codec.part import CONTENT_TYPE, split
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.errors import ConfigError
from telemetry.ingest.keyring import Keyring
from telemetry.ingest.keys import DOCUMENT, drop, make_keys, read_document, retire
from telemetry.keyset import decode_key_set
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import ERASE, SealError, seal
from tests.support.batches import batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import RECIPIENT, FakeRecipient

UP = "okdrive/1/up/battery"
BATCH = batch_payload()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    store = local_store(tmp_path)
    yield Desk(store=store, open_batch=RECIPIENT.open, clock=FakeClock(), settings=DeskSettings())
    store.close()


def test_a_sealed_batch_is_stored_and_answered_under_its_own_id(desk: Desk) -> None:
    sealed = RECIPIENT.seal(BATCH)
    receipt = desk.take(UP, sealed)
    assert (receipt.batch_id, receipt.status) == (batch_id(BATCH), ReceiptStatus.STORED)
    [stored] = desk._index.batches()
    assert (stored.batch_id, stored.size_bytes) == (batch_id(BATCH), len(sealed))


def test_a_batch_sealed_again_is_a_duplicate_of_itself(desk: Desk) -> None:
    first, second = (RECIPIENT.seal(BATCH) for _ in range(2))
    assert first != second
    assert desk.take(UP, first).status is ReceiptStatus.STORED
    assert desk.take(UP, second).status is ReceiptStatus.DUPLICATE


def test_a_batch_that_was_opened_is_refused_under_its_own_id_and_kept_as_it_came(
    desk: Desk,
) -> None:
    sealed = RECIPIENT.seal(b"no batch")
    receipt = desk.take(UP, sealed)
    assert (receipt.batch_id, receipt.code) == (batch_id(b"no batch"), "codec.shape")
    [kept] = desk._index.quarantined()
    assert (kept.batch_id, kept.payload, kept.code) == (receipt.batch_id, sealed, receipt.code)


@pytest.mark.parametrize("payload", [b"", BATCH], ids=["empty", "a-batch-as-it-is"])
def test_what_is_not_sealed_is_refused_and_only_the_reason_is_kept(
    desk: Desk, payload: bytes
) -> None:
    receipt = desk.take(UP, payload)
    assert (receipt.batch_id, receipt.code) == (batch_id(payload), "seal.shape")
    [kept] = desk._index.quarantined()
    assert (kept.payload, kept.size_bytes) == (None, len(payload))


def test_what_cannot_be_opened_is_refused_under_the_hash_of_what_came(
    desk: Desk, tmp_path: Path
) -> None:
    changed = bytearray(RECIPIENT.seal(BATCH))
    changed[-1] ^= 1
    strange = FakeRecipient().seal(BATCH)
    for sealed, code in ((bytes(changed), "seal.broken"), (strange, "seal.key")):
        receipt = desk.take(UP, sealed)
        assert (receipt.batch_id, receipt.code) == (batch_id(sealed), code)
    kept = {batch.code: batch.payload for batch in desk._index.quarantined()}
    assert kept == {"seal.broken": bytes(changed), "seal.key": strange}
    assert BATCH not in b"".join(path.read_bytes() for path in tmp_path.glob("index.sqlite*"))


def test_parts_are_joined_before_anything_is_opened(desk: Desk) -> None:
    sealed = RECIPIENT.seal(BATCH)
    receipts = [desk.take(UP, part, CONTENT_TYPE) for part in split(sealed, max_bytes=300)]
    assert {receipt.batch_id for receipt in receipts[:-1]} == {batch_id(sealed)}
    assert receipts[-1] == Receipt(
        batch_id=batch_id(BATCH), part=0, status=ReceiptStatus.STORED, code=None
    )


def test_what_a_vehicle_takes_back_comes_sealed_too(desk: Desk) -> None:
    message = encode_erase(EraseRequest(token=b"t" * 32, batch_ids=(bytes(32),)), nonce=bytes(16))
    answer = desk.erase(RECIPIENT.seal(message, ERASE))
    assert isinstance(answer, Erasure)
    assert answer.erase_id == erase_id(message)
    refused = desk.erase(RECIPIENT.seal(message, Purpose.BATTERY))
    assert isinstance(refused, Receipt)
    assert refused.code == "seal.broken"


# keys in files


def new_ring(folder: Path, **chosen: object) -> Keyring:
    make(folder, **chosen)
    return Keyring(folder, max_bytes=1 << 20)


def make(folder: Path, *, is_hybrid: bool = False) -> None:
    now = FakeClock().utc_now()
    make_keys(folder, [Purpose.BATTERY], recipient="us", now=now, days=30, is_hybrid=is_hybrid)


def sealed_to_newest(folder: Path) -> bytes:
    document = read_document(folder)
    assert document is not None
    return seal(BATCH, purpose=Purpose.BATTERY, key=document.sealing[-1].key)


@pytest.mark.parametrize("is_hybrid", [False, True], ids=["x25519", "hybrid"])
def test_a_made_key_opens_what_its_public_half_sealed(tmp_path: Path, is_hybrid: bool) -> None:  # noqa: FBT001
    ring = new_ring(tmp_path / "keys", is_hybrid=is_hybrid)
    assert ring.open(Purpose.BATTERY, sealed_to_newest(tmp_path / "keys")) == BATCH
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_a_key_made_while_ingest_runs_is_found(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    before = sealed_to_newest(tmp_path)
    make(tmp_path)
    after = sealed_to_newest(tmp_path)
    assert ring.open(Purpose.BATTERY, after) == ring.open(Purpose.BATTERY, before) == BATCH
    assert len(ring) == 2


def test_a_retired_key_still_opens_and_a_dropped_one_does_not(tmp_path: Path) -> None:
    now = FakeClock().utc_now()
    make(tmp_path)
    document = read_document(tmp_path)
    assert document is not None
    key_id, sealed = document.sealing[0].key_id, sealed_to_newest(tmp_path)
    retired = retire(tmp_path, key_id, now=now)
    assert not retired.sealing[0].is_valid(now)
    assert Keyring(tmp_path, max_bytes=1 << 20).open(Purpose.BATTERY, sealed) == BATCH
    assert drop(tmp_path, key_id, now=now).sealing == ()
    with pytest.raises(SealError, match=r"no key .* here; not opened"):
        Keyring(tmp_path, max_bytes=1 << 20).open(Purpose.BATTERY, sealed)


def test_the_serial_grows_with_every_change(tmp_path: Path) -> None:
    serials = []
    for _ in range(3):
        make(tmp_path)
        serials.append(decode_key_set((tmp_path / DOCUMENT).read_bytes()).serial)
    assert serials == [1, 2, 3]


def test_a_key_of_one_purpose_opens_nothing_of_another(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    with pytest.raises(SealError, match="charging: no key"):
        ring.open(Purpose.CHARGING, sealed_to_newest(tmp_path))


def test_a_key_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    make(tmp_path)
    next(tmp_path.glob("*.pem")).chmod(0o640)
    with pytest.raises(ConfigError, match="expected mode 0600, found 0640"):
        Keyring(tmp_path, max_bytes=1 << 20)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("battery-0011223344556677.pem", "expected key 0011223344556677, found key"),
        ("lunch-0011223344556677.pem", "expected a name like"),
    ],
)
def test_a_key_under_another_name_stops_the_start(tmp_path: Path, name: str, why: str) -> None:
    make(tmp_path)
    path = next(tmp_path.glob("*.pem"))
    path.rename(tmp_path / name)
    with pytest.raises(ConfigError, match=why):
        Keyring(tmp_path, max_bytes=1 << 20)


def test_the_key_of_a_workshop_keeps_its_name_when_it_is_made_anew(tmp_path: Path) -> None:
    for workshop in ("Garage Huber", ""):
        made = make_keys(
            tmp_path, [Purpose.WORKSHOP, Purpose.BATTERY], recipient="us", days=30,
            now=FakeClock().utc_now(),
            workshop=workshop,
        )  # fmt: skip
    assert [made.name_of(entry) for entry in made.of("workshop")] == ["Garage Huber"] * 2
    assert {made.name_of(entry) for entry in made.of("battery")} == {"us"}
    assert b'"recipient": ""' not in (tmp_path / DOCUMENT).read_bytes()  # older vehicles read it
