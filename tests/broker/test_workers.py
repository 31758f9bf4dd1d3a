"""Two receivers on one store: the broker gives each batch to one of them, each is stored once."""

import asyncio
import re
from functools import partial
from pathlib import Path

import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from tests.support.batches import batch_payload
from tests.support.broker import TestBroker
from tests.support.ingest_home import IngestHome, ingest_process
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(90)]

UP, ACK = "okdrive/1/up/battery", "okdrive/1/ack/"
COMMAND = ("-c", "from telemetry.ingest.cli import main; main(['-v', 'run'])")


def answered(home: IngestHome, number: int) -> int:
    log = (home.folder / f"log-{number}").read_text()
    return len(re.findall(r"service batch batch_status=", log, flags=re.MULTILINE))


async def send(broker: TestBroker, messages: list[tuple[bytes, str | None]]) -> list[Message]:
    inbox: list[Message] = []
    link = MqttLink(broker.settings(), client_id="ab" * 16, on_message=inbox.append)
    await link.connect()
    await link.subscribe(ACK + "ab" * 16, timeout_s=5)
    for payload, content_type in messages:
        await link.publish(
            UP, payload, timeout_s=5, content_type=content_type, response_topic=ACK + "ab" * 16
        )
    await wait_until(lambda: len(inbox) >= len(messages), timeout_s=30)
    await link.disconnect()
    return inbox


@pytest.fixture(params=["one-machine", "many-machines"])
def shared(request: pytest.FixtureRequest, home: IngestHome, tmp_path: Path) -> IngestHome:
    """A home that receivers share: SQLite and a folder, or PostgreSQL and an object store."""
    if request.param == "many-machines":
        (tmp_path / "bucket").mkdir()
        url = request.getfixturevalue("postgres").new_database()
        home.keep_in(index=url, batches=f"file://{tmp_path}/bucket")
    return home


async def test_two_receivers_share_the_batches_and_store_each_once(
    broker: TestBroker, shared: IngestHome
) -> None:
    home = shared
    payloads = [batch_payload(number) for number in range(30)]
    with ingest_process(home, *COMMAND), ingest_process(home, *COMMAND):
        await send(broker, [(home.seal(payload), None) for payload in [*payloads, *payloads[:5]]])
        shares = [answered(home, 0), answered(home, 1)]
    assert sum(shares) == 35
    assert min(shares) > 5
    stored = [batch.batch_id for batch in await asyncio.to_thread(home.batches)]
    assert sorted(stored) == sorted(map(batch_id, payloads))
    assert (await asyncio.to_thread(home.counts))["files"] == len(payloads)


async def test_parts_that_go_to_different_receivers_make_one_batch(
    broker: TestBroker, shared: IngestHome
) -> None:
    home = shared
    payloads = [batch_payload(number, rows=300) for number in range(3)]
    parts = [part for payload in payloads for part in split(home.seal(payload), max_bytes=300)]
    with ingest_process(home, *COMMAND), ingest_process(home, *COMMAND):
        await send(broker, [(part, PART_TYPE) for part in parts])
        shares = [answered(home, 0), answered(home, 1)]
    assert min(shares) > 1
    stored = [batch.batch_id for batch in await asyncio.to_thread(home.batches)]
    assert sorted(stored) == sorted(map(batch_id, payloads))


async def test_a_busy_receiver_holds_the_broker_back(broker: TestBroker) -> None:
    """Until something is acknowledged, no more than the receive maximum is on its way."""
    taken: list[Message] = []
    settings = broker.settings(broker.pki.ingest, receive_maximum=4)
    slow = MqttLink(settings, client_id="cd" * 16, on_message=taken.append, manual_ack=True)
    await slow.connect()
    await slow.subscribe("$share/ingest/okdrive/1/up/+", timeout_s=5)
    link = MqttLink(broker.settings(), client_id="ab" * 16)
    await link.connect()
    for number in range(12):
        await link.publish(UP, batch_payload(number), timeout_s=5)
    assert len(taken) == 4
    for count in range(12):
        await wait_until(partial(has, taken, count + 1))
        slow.ack(taken[count])
    assert len({message.payload for message in taken}) == 12
    await link.disconnect()
    await slow.disconnect()


def has(inbox: list[Message], count: int) -> bool:
    return len(inbox) >= count
