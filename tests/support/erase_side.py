"""A vehicle that has shared, and a far end that answers erase requests, both in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from agent.delivery import Patience
from agent.departure import DepartureLimits, Surroundings
from agent.erasing import Eraser
from agent.spending import Spending
from agent.store.erasures import Erasures
from agent.store.events import EventFiles
from agent.store.uplink_notes import UplinkNotes
from agent.takeback import Takeback
from telemetry.codec.erase import Erasure, decode_erase, encode_erasure, erase_id
from telemetry.codec.receipt import pack_signed
from telemetry.link import LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.seal import ERASE
from telemetry.topics import ERASE_TOPIC
from tests.support.clock import FakeClock
from tests.support.sealing import RECIPIENT, FakeRecipient
from tests.support.trips import FakeTrip, open_sharing, write_segment


@dataclass
class FakeEraser:
    """Ingest as far as erasing goes; ``asked`` are the pseudonyms with their batch ids."""

    recipient: FakeRecipient = field(default_factory=lambda: RECIPIENT)
    asked: list[tuple[bytes, tuple[bytes, ...]]] = field(default_factory=list)
    client_ids: list[str] = field(default_factory=list)
    is_offline: bool = False
    is_silent: bool = False
    connection_bytes: int = 0  # what a link has cost once it is up
    mangle: Callable[[bytes], bytes] = bytes

    def make_link(self, client_id: str, on_message: Callable[[Message], None]) -> "FakeEraseLink":
        self.client_ids.append(client_id)
        return FakeEraseLink(self, on_message)

    def answer(self, sealed: bytes) -> bytes:
        message = self.recipient.open(ERASE, sealed)
        request = decode_erase(message)
        self.asked.append((request.pseudonym, request.batch_ids))
        count = len(request.batch_ids)
        body = encode_erasure(
            Erasure(erase_id=erase_id(message), batches=count, rows=9 * count, aside=0, left=0)
        )
        return self.mangle(pack_signed(body, self.recipient.signing[-1].sign(body)))


@dataclass
class FakeEraseLink:
    far_end: FakeEraser
    on_message: Callable[[Message], None]
    max_payload_bytes: int | None = None
    traffic_bytes: int = 0

    async def connect(self) -> None:
        if self.far_end.is_offline:
            raise LinkError("no network", code="link.unreachable")
        self.traffic_bytes = self.far_end.connection_bytes

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        pass

    async def publish(  # noqa: PLR0913 (one MQTT message has these parts)
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        assert topic == ERASE_TOPIC
        self.traffic_bytes += len(payload)
        assert correlation_data is None  # nothing on the message tells which batches it is about
        answer = self.far_end.answer(payload)
        if not self.far_end.is_silent:
            message = Message(
                topic=str(response_topic), payload=answer, response_topic=None,
                correlation_data=None, content_type=None, mid=1,
            )  # fmt: skip
            asyncio.get_running_loop().call_soon(self.on_message, message)

    async def wait_down(self) -> None:
        await asyncio.Event().wait()

    async def disconnect(self) -> None:
        pass


class Bench:
    """One vehicle with two trips whose batches were delivered, and one that waits for an answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.far_end = folder, FakeClock(), FakeEraser()
        self.secrets_destroyed = 0
        self.sharing = open_sharing(folder, clock=self.clock)

    def share(self, *trips: str) -> None:
        self.sharing.set_consent(Purpose.BATTERY, is_granted=True)
        for trip in trips:
            self.sharing.offer_trip(
                FakeTrip(trip_id=trip), write_segment(self.folder / "segments", trip)
            )
            batches = [offer.batch_id for offer in self.sharing.state.offers(trip)]
            self.sharing.answer(trip, batches, share=True)
            for batch in batches:
                self.sharing.outbox.begin_attempt(batch, recipient=self.recipient_name())

    def recipient_name(self) -> str:
        return self.sharing.recipients.named(Purpose.BATTERY).name

    @property
    def eraser(self) -> Eraser:
        return Eraser(
            self.sharing,
            segments=self.folder / "segments",
            now_utc=self.clock.utc_now,
            destroy_secrets=self._destroy,
            forget_events=EventFiles(self.folder / "events", quota_bytes=1 << 20).forget,
        )

    def _destroy(self) -> None:
        self.secrets_destroyed += 1

    @property
    def erasures(self) -> Erasures:
        return Erasures(self.sharing.state.database)

    @property
    def notes(self) -> UplinkNotes:
        return UplinkNotes(self.sharing.state.database)

    def takeback(
        self,
        surroundings: Surroundings | None = None,
        limits: DepartureLimits | None = None,
    ) -> Takeback:
        here, limits = surroundings or Surroundings(), limits or DepartureLimits()
        return Takeback(
            self.erasures,
            recipients=self.sharing.recipients,
            make_link=self.far_end.make_link,
            clock=self.clock,
            patience=Patience(receipt_s=0.2),
            limits=limits,
            spending=Spending(
                self.notes,
                clock=self.clock,
                network=lambda: here.network,
                bytes_per_day=limits.bytes_per_day,
            ),
            claim_withdrawn=self.eraser.claim_withdrawn,
            surroundings=lambda: here,
            chance=lambda: 0.5,
        )

    def wait_a_day(self) -> None:
        self.clock.advance_s(timedelta(days=1).total_seconds())
