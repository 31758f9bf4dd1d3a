"""A home folder for okdrive-ingest at a test's broker, and ingest as a child process.

Run as a module it is that child: ``python -m tests.support.ingest_home CONFIG POINT``. It is the
product's own service; at POINT, once, it kills itself as a power cut would.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telemetry.codec.part import Part
from telemetry.ingest.clock import SystemClock
from telemetry.ingest.config import load_config
from telemetry.ingest.dedupe import Standing
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.keyring import Keyring
from telemetry.ingest.keys import add_receipt_key, make_keys
from telemetry.ingest.service import IngestService
from telemetry.ingest.store import open_to_read
from telemetry.ingest.wiring import build_service
from telemetry.keyset import KeySet
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.seal import ERASE, seal
from tests.support.broker import TestBroker
from tests.support.wait import wait_until_sync

ROOT = Path(__file__).parents[2]
PARTS_POINTS = ("parts-complete", "parts-stored")
ERASE_POINTS = (
    "erase-withdrawn",
    "erase-files-gone",
    "erase-rows-gone",
    "before-receipt",
    "after-receipt",
    "after-ack",
)
POINTS = (
    "before-file",
    "before-commit",
    "after-commit",
    "before-receipt",
    "after-receipt",
    "after-ack",
)


@dataclass(frozen=True)
class IngestHome:
    folder: Path
    keys: KeySet

    @property
    def config(self) -> Path:
        return self.folder / "ingest.toml"

    def seal(self, batch: bytes, purpose: str = Purpose.BATTERY) -> bytes:
        """What a vehicle does before it sends."""
        [entry] = self.keys.of(purpose)
        return seal(batch, purpose=purpose, key=entry.key)

    def open(self, sealed: bytes) -> bytes:
        """What ingest does."""
        return Keyring(self.folder / "keys", max_bytes=1 << 20).open(Purpose.BATTERY, sealed)

    def batches(self) -> list[StoredBatch]:
        store = open_to_read(load_config(self.config))
        try:
            return store.index.batches()
        finally:
            store.close()

    def keep_in(self, **store: str) -> None:
        """Let the store be somewhere else: ``index`` and ``batches`` by URL."""
        lines = [f'{key} = "{value}"' for key, value in store.items()]
        self.config.write_text("\n".join([self.config.read_text(), "[store]", *lines]))

    def counts(self) -> dict[str, int]:
        store = open_to_read(load_config(self.config))
        try:
            return store.index.counts() | {"files": len(list(store.files.names()))}
        finally:
            store.close()

    def files(self) -> list[Path]:
        return sorted((self.folder / "ingest" / "parquet").glob("*/*/*"))


def make_home(folder: Path, broker: TestBroker) -> IngestHome:
    key = Ed25519PrivateKey.generate()
    path = folder / "receipt.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    now, keys, name = SystemClock().utc_now(), folder / "keys", "okdrive ingest"
    make_keys(keys, [*Purpose, ERASE], recipient=name, now=now, days=90)
    document = add_receipt_key(keys, key.public_key(), recipient=name, now=now, days=1)
    identity = broker.pki.ingest
    (folder / "ingest.toml").write_text(
        f"""
        folder = "ingest"
        receipt_key = "receipt.key"
        sealing_keys = "keys"
        [broker]
        host = "127.0.0.1"
        port = {broker.ingest_port}
        ca_file = "{identity.ca_file}"
        cert_file = "{identity.cert_file}"
        key_file = "{identity.key_file}"
        answer_timeout_s = 2
        """
    )
    return IngestHome(folder, document)


@contextmanager
def ingest_process(home: IngestHome, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command with this home until the end of the block; ready when this returns."""
    log = home.folder / f"log-{len(list(home.folder.glob('log-*')))}"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
            stderr=stderr,
            start_new_session=True,
        )
        try:
            wait_until_sync(
                lambda: b"ingest_receiving" in log.read_bytes() or process.poll() is not None,
                timeout_s=15,
            )
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=10)


def child(home: IngestHome, point: str) -> list[str]:
    return ["-m", "tests.support.ingest_home", str(home.config), point]


def _kill_at(point: str, wanted: str) -> None:
    if point == wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def _break(service: IngestService, point: str) -> None:
    """Wrap sink and link so that the process dies at ``point``."""
    index = service._desk._index
    genuine_begin, genuine_finish = index.begin, index.finish
    genuine_make = service._make_link

    def begin(batch: StoredBatch) -> Standing:
        standing = genuine_begin(batch)
        _kill_at(point, "before-file")
        return standing

    def finish(batch: StoredBatch) -> Standing:
        _kill_at(point, "before-commit")
        standing = genuine_finish(batch)
        _kill_at(point, "after-commit")
        return standing

    def make_link(on_message: Callable[[Message], None]) -> MqttLink:
        link = genuine_make(on_message)
        assert isinstance(link, MqttLink)
        publish, ack = link.publish, link.ack

        async def publish_or_die(*args: object, **kwargs: object) -> None:
            _kill_at(point, "before-receipt")
            await publish(*args, **kwargs)  # type: ignore[arg-type]
            _kill_at(point, "after-receipt")

        def ack_or_die(message: Message) -> None:
            ack(message)
            _kill_at(point, "after-ack")

        link.publish = publish_or_die  # type: ignore[method-assign]
        link.ack = ack_or_die  # type: ignore[method-assign]
        return link

    eraser = service._desk._eraser
    genuine_keep, genuine_end = index.keep_part, index.end_parts
    genuine_withdraw, genuine_rows = eraser._withdraw, eraser._delete_rows

    def keep_part(*args: object, **kwargs: object) -> list[Part]:
        parts = genuine_keep(*args, **kwargs)  # type: ignore[arg-type]
        _kill_at(point if parts else "", "parts-complete")
        return parts

    def end_parts(*args: object) -> None:
        _kill_at(point, "parts-stored")
        genuine_end(*args)  # type: ignore[arg-type]

    def withdraw(*args: object) -> object:
        found = genuine_withdraw(*args)  # type: ignore[arg-type]
        _kill_at(point, "erase-withdrawn")
        return found

    def delete_rows(*args: object) -> object:
        _kill_at(point, "erase-files-gone")
        done = genuine_rows(*args)  # type: ignore[arg-type]
        _kill_at(point, "erase-rows-gone")
        return done

    index.keep_part, index.end_parts = keep_part, end_parts  # type: ignore[method-assign]
    eraser._withdraw, eraser._delete_rows = withdraw, delete_rows  # type: ignore[method-assign, assignment]
    index.begin = begin  # type: ignore[method-assign]
    index.finish = finish  # type: ignore[method-assign]
    service._make_link = make_link


def _main() -> None:
    import logging  # noqa: PLC0415 (only the child logs)

    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    config = load_config(Path(sys.argv[1]))
    parts = build_service(config, clock=SystemClock())
    _break(parts.service, sys.argv[2])
    asyncio.run(parts.service.run(asyncio.Event()))


if __name__ == "__main__":
    _main()
