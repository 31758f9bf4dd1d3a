"""How much faster two receivers are than one: real broker, real processes, one shared store.

One run: the same number of batches, first to one `okdrive-ingest run`, then to two; from the first
publish to the last signed receipt. A receiver is two processes, one talks and stores, one decodes;
on a machine with two cores two receivers share them with the broker and with this program.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.clock import SystemClock
from benchmarks.result import Result
from sim.broker import INGEST_NAME, Broker, free_port, render_config
from sim.pki import Authority
from telemetry.codec.batch import encode_batch
from telemetry.codec.receipt import decode_receipt, unpack_signed
from telemetry.ingest.keys import make_keys
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message, MqttSettings
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, BatterySample, ReceiptStatus
from telemetry.seal import seal
from telemetry.topics import ack_topic, new_client_id, uplink_topic

TEMPLATES = Path(__file__).parent.parent / "configs"
ROWS = 8_000  # of five columns: 40,000 values, as the budget of the design says
BATCHES = 30
TIMEOUT_S = 300.0


def measure(*, quick: bool = False) -> list[Result]:
    """Return batches a second of one and of two receivers."""
    count = 2 if quick else BATCHES
    payloads = iter(_payloads(2 * count + 8))
    with tempfile.TemporaryDirectory(prefix="okdrive-bench-") as folder:
        home = _Home(Path(folder))
        with _broker(home):
            one = _rate(home, payloads, count, workers=1)
            two = _rate(home, payloads, count, workers=2)
    return [
        _result("ingest over a broker, 1 receiver", one, peer=None),
        _result("ingest over a broker, 2 receivers", two, peer=one),
    ]


def _result(name: str, rate: float, *, peer: float | None) -> Result:
    return Result(
        name=name,
        value=rate,
        unit="batches/s",
        peer=peer,
        ratio=None if peer is None else rate / peer,
        must=None,
        aim=None,
        ok=None,
    )


class _Home:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.ingest_port = free_port(), free_port()
        now = SystemClock().utc_now()
        authority = Authority.create(folder / "pki", name="bench CA", now=now)
        self.server = authority.issue_server("broker", hosts=("127.0.0.1",), now=now)
        self.ingest = authority.issue_client(INGEST_NAME, now=now)
        self.vehicle = authority.issue_client("0123456789abcdef", now=now)
        key = Ed25519PrivateKey.generate()
        path = folder / "receipt.key"
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        document = make_keys(folder / "keys", [Purpose.BATTERY], recipient="bench", now=now, days=1)
        self.sealing = document.sealing[0].key
        (folder / "ingest.toml").write_text(
            f'folder = "ingest"\nreceipt_key = "receipt.key"\nsealing_keys = "keys"\n'
            f'[broker]\nhost = "127.0.0.1"\n'
            f'port = {self.ingest_port}\nca_file = "{self.ingest.ca_file}"\n'
            f'cert_file = "{self.ingest.cert_file}"\nkey_file = "{self.ingest.key_file}"\n'
        )


@contextmanager
def _broker(home: _Home) -> Iterator[None]:
    config = render_config(
        home.folder,
        templates=TEMPLATES,
        server=home.server,
        port=home.port,
        ingest_port=home.ingest_port,
    )
    broker = Broker(config, port=home.port, log_file=home.folder / "broker.log")
    broker.start()
    try:
        yield
    finally:
        broker.stop()


@contextmanager
def _receiver(home: _Home, number: int) -> Iterator[None]:
    log = home.folder / f"receiver-{number}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from telemetry.ingest.cli import main; main(['-v', 'run'])"],
            env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
            stderr=out,
        )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while b"ingest_receiving" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the receiver did not start: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _rate(home: _Home, payloads: Iterator[bytes], count: int, *, workers: int) -> float:
    with ExitStack() as stack:
        for number in range(workers):
            stack.enter_context(_receiver(home, 10 * workers + number))
        asyncio.run(_exchange(home, [next(payloads) for _ in range(2 * workers)]))  # warm them
        batches = [next(payloads) for _ in range(count)]
        began = time.perf_counter()
        asyncio.run(_exchange(home, batches))
        return count / (time.perf_counter() - began)


async def _exchange(home: _Home, batches: list[bytes]) -> None:
    """Publish ``batches`` and wait until each has its receipt."""
    stored: set[bytes] = set()
    complete = asyncio.Event()

    def on_message(message: Message) -> None:
        receipt = decode_receipt(unpack_signed(message.payload)[0])
        if receipt.status is ReceiptStatus.STORED:
            stored.add(receipt.batch_id)
        if len(stored) == len(batches):
            complete.set()

    client_id = new_client_id(os.urandom(16))
    settings = MqttSettings(
        host="127.0.0.1",
        port=home.port,
        ca_file=home.vehicle.ca_file,
        cert_file=home.vehicle.cert_file,
        key_file=home.vehicle.key_file,
        receive_maximum=20,
    )
    link = MqttLink(settings, client_id=client_id, on_message=on_message)
    await link.connect()
    await link.subscribe(ack_topic(client_id), timeout_s=30)
    topic = uplink_topic(Purpose.BATTERY)
    async with asyncio.timeout(TIMEOUT_S):
        for payload in batches:
            sealed = seal(payload, purpose=Purpose.BATTERY, key=home.sealing)
            await link.publish(topic, sealed, timeout_s=60, response_topic=ack_topic(client_id))
        await complete.wait()
    await link.disconnect()


def _payloads(count: int) -> Iterator[bytes]:
    samples = tuple(
        BatterySample(
            since_start_ms=second * 1000,
            pack_voltage_v=360.0 + (second * second * 31 % 17) / 2,
            pack_current_a=-15.0 + (second * second * 13 % 101) / 2,
            soc_percent=80.0 - second / 400,
            cell_temp_c=20.0 + second // 600,
        )
        for second in range(ROWS)
    )
    body = BatteryBatch(month="2026-11", soh_percent=91, samples=samples)
    for number in range(count):
        yield encode_batch(body, pseudonym=b"p" * 16, nonce=number.to_bytes(16))


if __name__ == "__main__":
    for result in measure():
        print(result)
