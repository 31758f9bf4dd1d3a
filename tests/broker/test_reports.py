"""A driver's report, from the broker to the workshop, through the program as it is installed."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telemetry.codec.batch import batch_id
from telemetry.codec.receipt import decode_receipt, unpack_signed
from telemetry.codec.workshop import decode_report, encode_report
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import ReceiptStatus, WorkshopReport
from telemetry.seal import open_sealed, seal
from telemetry.topics import ack_topic, uplink_topic
from tests.support.broker import TestBroker
from tests.support.ingest_home import IngestHome, ingest_process
from tests.support.sealing import new_key
from tests.support.wait import wait_until
from tests.support.workshop import FakeWorkshop

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

CLIENT_ID = "cd" * 16
COMMAND = ("-c", "from telemetry.ingest.cli import main; main(['-v', 'run'])")
REPORT = WorkshopReport(day="2026-11-22", contact="driver@example.org", message="Please call me.")


def name_workshop(home: IngestHome, address: FakeWorkshop) -> None:
    key = Ed25519PrivateKey.generate()
    path = home.folder / "workshop.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    lines = ["[workshop]", f'url = "http://127.0.0.1:{address.port}/"', 'key = "workshop.key"']
    home.config.write_text("\n".join([home.config.read_text(), *lines]))


async def test_a_report_is_receipted_handed_to_the_workshop_and_forgotten(
    broker: TestBroker,
    home: IngestHome,
    workshop: FakeWorkshop,
) -> None:
    name_workshop(home, workshop)
    key = new_key()
    plain = encode_report(REPORT, pseudonym=bytes(16), nonce=bytes(16))
    inbox: list[Message] = []
    link = MqttLink(broker.settings(), client_id=CLIENT_ID, on_message=inbox.append)
    with ingest_process(home, *COMMAND):
        await link.connect()
        await link.subscribe(ack_topic(CLIENT_ID), timeout_s=60)
        await link.publish(
            uplink_topic(Purpose.WORKSHOP),
            seal(plain, purpose=Purpose.WORKSHOP, key=key.public),
            timeout_s=60,
            response_topic=ack_topic(CLIENT_ID),
            correlation_data=batch_id(plain),
        )
        await wait_until(lambda: inbox and workshop.got, timeout_s=60)
        await link.disconnect()
    receipt = decode_receipt(unpack_signed(inbox[0].payload)[0])
    assert (receipt.batch_id, receipt.status) == (batch_id(plain), ReceiptStatus.STORED)
    [(_, body)] = workshop.got
    opened = open_sealed(body, purpose=Purpose.WORKSHOP, key=key)
    assert decode_report(opened) == REPORT
    counts = await asyncio.to_thread(home.counts)
    assert (counts["batches"], counts["files"], counts["quarantined"]) == (0, 0, 0)
