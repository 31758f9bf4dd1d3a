"""A report for the workshop: handed on as it came, as often as it takes, and then forgotten."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.clock import SystemClock
from sim.broker import free_port
from sim.pki import Authority
from telemetry.codec.erase import EraseRequest, Erasure, encode_erase
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
from telemetry.codec.workshop import decode_report, encode_report
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.errors import ConfigError
from telemetry.ingest.reports import ReportQueue, wait_s
from telemetry.ingest.store import Store
from telemetry.ingest.webhook import Deliverer, Webhook, WebhookSettings
from telemetry.purposes import Purpose
from telemetry.records import ReceiptStatus, WorkshopReport
from telemetry.seal import open_sealed, seal
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import new_key, unsealed
from tests.support.wait import wait_until
from tests.support.workshop import FakeWorkshop

UP = "okdrive/1/up/workshop"
WORKSHOP = new_key()
SIGNING = Ed25519PrivateKey.generate()
REPORT = WorkshopReport(day="2026-11-22", contact="driver@example.org", message="Please call me.")
PLAIN = encode_report(REPORT, pseudonym=bytes(16), nonce=bytes(16))
BATCH_ID = sha256(PLAIN).digest()


def sealed() -> bytes:
    return seal(PLAIN, purpose=Purpose.WORKSHOP, key=WORKSHOP.public)


@dataclass
class Bench:
    folder: Path
    store: Store
    desk: Desk
    deliverer: Deliverer
    clock: FakeClock

    @property
    def queue(self) -> ReportQueue:
        return ReportQueue(self.store.index.database)

    def on_disk(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.glob("index.sqlite*"))


def open_bench(folder: Path, workshop: FakeWorkshop, *, reports_max: int = 2) -> Bench:
    clock, store = FakeClock(), local_store(folder)
    settings = WebhookSettings(url=f"http://127.0.0.1:{workshop.port}/reports?from=us", idle_s=0.01)
    desk = Desk(
        store=store,
        open_batch=unsealed,
        clock=clock,
        settings=DeskSettings(takes_reports=True, reports_max=reports_max),
    )
    deliverer = Deliverer(
        queue=ReportQueue(store.index.database),
        webhook=Webhook(settings, SIGNING),
        clock=clock,
        random=lambda: 1.0,
    )
    return Bench(folder, store, desk, deliverer, clock)


@pytest.fixture
def bench(tmp_path: Path, workshop: FakeWorkshop) -> Iterator[Bench]:
    opened = open_bench(tmp_path, workshop)
    yield opened
    opened.store.close()


def test_a_report_reaches_the_workshop_as_it_came_and_nothing_stays(
    bench: Bench, workshop: FakeWorkshop
) -> None:
    report = sealed()
    receipt = bench.desk.take(UP, report, None, BATCH_ID)
    assert (receipt.batch_id, receipt.status) == (BATCH_ID, ReceiptStatus.STORED)
    assert report in bench.on_disk()
    assert PLAIN not in bench.on_disk()
    assert bench.deliverer.step()
    assert not bench.deliverer.step()
    [(_, body)] = workshop.got
    opened = open_sealed(body, purpose=Purpose.WORKSHOP, key=WORKSHOP)
    assert decode_report(opened) == REPORT
    assert bench.queue.waiting() == []
    assert report[-64:] not in bench.on_disk()
    assert bench.store.index.batches() == []
    assert list(bench.store.files.names()) == []


def test_what_is_handed_on_is_signed_under_one_id(bench: Bench, workshop: FakeWorkshop) -> None:
    workshop.answers = [500]
    report = sealed()
    bench.desk.take(UP, report, None, BATCH_ID)
    bench.deliverer.step()
    bench.clock.advance_s(5)
    bench.deliverer.step()
    (first, _), (second, body) = workshop.got
    assert first["webhook-id"] == second["webhook-id"] == sha256(report).hexdigest()
    assert second["okdrive-key-id"] == WORKSHOP.public.key_id.hex()
    version, signature = second["webhook-signature"].split(",")
    signed = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
    SIGNING.public_key().verify(base64.b64decode(signature), signed)
    assert version == "v1a"


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
def test_whatever_the_workshop_says_but_yes_is_tried_again_later(
    bench: Bench, workshop: FakeWorkshop, status: int
) -> None:
    workshop.answers = [status]
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    assert bench.deliverer.step()
    assert not bench.deliverer.step()  # not at once
    bench.clock.advance_s(5)
    assert bench.deliverer.step()
    assert len(workshop.got) == 2
    assert bench.queue.waiting() == []


def test_a_workshop_that_is_away_costs_nothing_but_time(bench: Bench) -> None:
    bench.deliverer._webhook._port = free_port()
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    waits = []
    for _ in range(12):
        before = bench.clock.utc_now()
        while not bench.deliverer.step():
            bench.clock.advance_s(5)
        waits.append((bench.clock.utc_now() - before).total_seconds())
    assert waits == [0, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]
    [waiting] = bench.queue.waiting()
    assert waiting.attempts == 12


def test_killed_after_the_workshop_took_it_the_same_id_comes_again(
    bench: Bench, workshop: FakeWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    report = bench.queue.next_due(0, lease_s=21, longest_s=3600)
    assert report is not None
    assert bench.deliverer._webhook.deliver(report, 0) is None  # and here the power goes
    bench.clock.advance_s(60)
    assert bench.deliverer.step()
    assert len({headers["webhook-id"] for headers, _ in workshop.got}) == 1
    assert bench.queue.waiting() == []


def test_two_receivers_do_not_hand_on_the_same_report_at_the_same_time(
    bench: Bench, workshop: FakeWorkshop, tmp_path: Path
) -> None:
    other = open_bench(tmp_path, workshop)
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    assert bench.queue.next_due(100, lease_s=21, longest_s=3600) is not None
    assert other.queue.next_due(101, lease_s=21, longest_s=3600) is None
    assert other.queue.next_due(122, lease_s=21, longest_s=3600) is not None
    other.store.close()


def test_a_clock_that_jumps_back_does_not_hold_a_report_for_years(bench: Bench) -> None:
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    far = 2_000_000_000
    assert bench.queue.next_due(far, lease_s=21, longest_s=3600) is not None
    assert bench.queue.next_due(far - 10_000, lease_s=21, longest_s=3600) is not None


def test_a_report_that_comes_again_is_a_duplicate_also_after_it_was_handed_on(
    bench: Bench, workshop: FakeWorkshop
) -> None:
    report = sealed()
    statuses = [bench.desk.take(UP, report, None, BATCH_ID).status for _ in range(2)]
    bench.deliverer.step()
    statuses.append(bench.desk.take(UP, report, None, BATCH_ID).status)
    assert statuses == [ReceiptStatus.STORED, ReceiptStatus.DUPLICATE, ReceiptStatus.DUPLICATE]
    assert len(workshop.got) == 1


def test_a_report_in_parts_is_one_report(bench: Bench, workshop: FakeWorkshop) -> None:
    report = sealed()
    parts = split(report, max_bytes=len(report) // 2 + 66)
    receipts = [bench.desk.take(UP, part, PART_TYPE, BATCH_ID) for part in parts]
    assert (receipts[-1].batch_id, receipts[-1].part) == (BATCH_ID, 0)
    bench.deliverer.step()
    assert [body for _, body in workshop.got] == [report]


def test_a_report_taken_back_before_it_was_handed_on_is_gone(bench: Bench) -> None:
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    request = EraseRequest(token=bytes(32), batch_ids=(BATCH_ID,))
    answer = bench.desk.erase(encode_erase(request, nonce=bytes(16)))
    assert isinstance(answer, Erasure)
    assert answer.aside == 1
    assert not bench.deliverer.step()


def test_a_report_nobody_takes_goes_after_seven_days(bench: Bench) -> None:
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    bench.clock.advance_s(8 * 86_400)
    assert bench.desk.purge() == 1
    assert not bench.deliverer.step()


@pytest.mark.parametrize(
    ("payload", "correlation", "code"),
    [
        (PLAIN, BATCH_ID, "seal.shape"),
        (b"", BATCH_ID, "seal.shape"),
        (sealed(), None, "ingest.correlation"),
        (sealed(), b"short", "ingest.correlation"),
    ],
    ids=["plain", "empty", "no-name", "bad-name"],
)
def test_what_is_no_sealed_report_is_refused_and_never_kept_readable(
    bench: Bench, payload: bytes, correlation: bytes | None, code: str
) -> None:
    receipt = bench.desk.take(UP, payload, None, correlation)
    assert (receipt.status, receipt.code) == (ReceiptStatus.REFUSED, code)
    assert bench.queue.waiting() == []
    assert PLAIN not in bench.on_disk()


def test_without_a_workshop_or_without_room_a_report_is_refused(bench: Bench) -> None:
    codes = [bench.desk.take(UP, sealed(), None, bytes([number]) * 32).code for number in range(3)]
    assert codes == [None, None, "ingest.workshop_full"]
    alone = Desk(store=bench.store, open_batch=unsealed, clock=bench.clock, settings=DeskSettings())
    assert alone.take(UP, sealed(), None, BATCH_ID).code == "ingest.no_workshop"


async def test_the_service_hands_on_what_comes_until_it_is_stopped(
    bench: Bench, workshop: FakeWorkshop
) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.deliverer.run(stop))
        await asyncio.to_thread(bench.desk.take, UP, sealed(), None, BATCH_ID)
        await wait_until(lambda: bench.deliverer.counters["reports.delivered"] == 1, timeout_s=60)
        stop.set()
    assert len(workshop.got) == 1


def test_a_workshop_with_a_certificate_nobody_vouches_for_gets_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    now = SystemClock().utc_now()
    ours = Authority.create(tmp_path / "ours", name="workshop CA", now=now)
    server = ours.issue_server("workshop", hosts=("127.0.0.1",), now=now)
    fake = FakeWorkshop()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), fake.handler())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.cert_file, server.key_file)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    bench.desk.take(UP, sealed(), None, BATCH_ID)
    report = bench.queue.next_due(0, lease_s=21, longest_s=3600)
    assert report is not None
    url = f"https://127.0.0.1:{listener.server_port}/"
    strange = Webhook(WebhookSettings(url=url), SIGNING).deliver(report, 0)
    trusted = Webhook(WebhookSettings(url=url, ca_file=server.ca_file), SIGNING).deliver(report, 0)
    listener.shutdown()
    listener.server_close()
    thread.join()
    assert strange is not None
    assert "certificate verify failed" in strange
    assert trusted is None
    assert len(fake.got) == 1


@pytest.mark.parametrize("url", ["http://workshop.example/", "ftp://127.0.0.1/", "nonsense", ""])
def test_an_address_that_others_could_read_on_the_way_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an https address"):
        Webhook(WebhookSettings(url=url), SIGNING)


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    settings = WebhookSettings(url="https://workshop.example/", ca_file=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"workshop\.ca_file: .*none\.pem: No such file"):
        Webhook(settings, SIGNING)


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    waits = [wait_s(n, shortest_s=5, longest_s=60, random=0.0) for n in (1, 2, 3, 4, 5, 99)]
    assert waits == [2, 5, 10, 20, 30, 30]
