"""Ingest killed (SIGKILL) while it joins parts and while it erases: once, and nothing left."""

import asyncio
import os
import signal
from collections.abc import Sequence

import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.erase import (
    RECEIPT_TYPE,
    EraseRequest,
    Erasure,
    decode_erasure,
    encode_erase,
    erase_id,
)
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
from telemetry.codec.receipt import decode_receipt, unpack_signed
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from telemetry.records import ReceiptStatus
from telemetry.seal import CONTENT_TYPE, ERASE
from telemetry.topics import ERASE_TOPIC, ack_topic, new_client_id
from tests.support.batches import TOKEN, batch_payload
from tests.support.broker import TestBroker
from tests.support.ingest_home import (
    ERASE_POINTS,
    PARTS_POINTS,
    IngestHome,
    child,
    ingest_process,
)
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

UP = "okdrive/1/up/battery"
PATIENCE_S = 60.0
Letter = tuple[str, bytes, str | None]  # topic, payload, content type


async def post(broker: TestBroker, letters: Sequence[Letter], *, answers: int) -> list[Message]:
    """Publish as a vehicle does, and wait for so many answers."""
    inbox: list[Message] = []
    client_id = new_client_id(os.urandom(16))
    link = MqttLink(broker.settings(), client_id=client_id, on_message=inbox.append)
    await link.connect()
    await link.subscribe(ack_topic(client_id), timeout_s=PATIENCE_S)
    for topic, payload, content_type in letters:
        await link.publish(
            topic,
            payload,
            timeout_s=PATIENCE_S,
            content_type=content_type,
            response_topic=ack_topic(client_id),
        )
    await wait_until(lambda: len(inbox) >= answers, timeout_s=PATIENCE_S)
    await link.disconnect()
    return inbox


def batches(home: IngestHome, count: int) -> list[Letter]:
    return [(UP, home.seal(batch_payload(number)), None) for number in range(count)]


@pytest.mark.parametrize("point", PARTS_POINTS)
async def test_killed_while_it_joins_parts_the_batch_is_stored_once(
    broker: TestBroker, home: IngestHome, point: str
) -> None:
    payload = batch_payload(rows=300)
    parts = [(UP, part, PART_TYPE) for part in split(home.seal(payload), max_bytes=300)]
    with ingest_process(home, *child(home, point)) as process:
        await post(broker, parts, answers=len(parts) - 1)
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == -signal.SIGKILL
    with ingest_process(home, *child(home, "never")):
        inbox = await post(broker, parts, answers=len(parts))
    last = decode_receipt(unpack_signed(inbox[-1].payload)[0])
    assert (last.part, last.batch_id) == (0, batch_id(payload))
    assert last.status in {ReceiptStatus.STORED, ReceiptStatus.DUPLICATE}
    counts = await asyncio.to_thread(home.counts)
    assert (counts["batches"], counts["files"], counts["parts"]) == (1, 1, 0)


@pytest.mark.parametrize("point", ["never", *ERASE_POINTS])
async def test_killed_anywhere_while_it_erases_nothing_is_left_in_the_end(
    broker: TestBroker, home: IngestHome, point: str
) -> None:
    message = encode_erase(EraseRequest(token=TOKEN), nonce=bytes(16))
    erase = [(ERASE_TOPIC, home.seal(message, ERASE), CONTENT_TYPE)]
    with ingest_process(home, *child(home, "never")):
        await post(broker, batches(home, 3), answers=3)
    with ingest_process(home, *child(home, point)) as process:
        if point == "never":
            [answer] = await post(broker, erase, answers=1)
            assert erased(home, answer) == Erasure(
                erase_id=erase_id(message), batches=3, rows=15, aside=0, left=0
            )
        else:
            await post(broker, erase, answers=int(point.startswith("after")))
            assert await asyncio.to_thread(process.wait, PATIENCE_S) == -signal.SIGKILL
    with ingest_process(home, *child(home, "never")):
        [answer] = await post(broker, erase, answers=1)
        late = await post(broker, batches(home, 1), answers=1)
    assert erased(home, answer).left == 0
    refusal = decode_receipt(unpack_signed(late[0].payload)[0])
    assert (refusal.status, refusal.code) == (ReceiptStatus.REFUSED, "ingest.withdrawn")
    counts = await asyncio.to_thread(home.counts)
    assert (counts["batches"], counts["files"], counts["quarantined"]) == (0, 0, 0)


def erased(home: IngestHome, message: Message) -> Erasure:
    """What the answer says, its signature checked with the key that vehicles have."""
    body, signature = unpack_signed(message.payload)
    assert message.content_type == RECEIPT_TYPE
    assert home.keys.receipts[0].is_signed(body, signature)
    erasure = decode_erasure(body)
    assert message.correlation_data == erasure.erase_id
    return erasure
