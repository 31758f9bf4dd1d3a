"""The link: its state, what the broker still owes us, and how long we wait for it. No paho here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from telemetry.link import LinkError, LinkEvent, LinkState, next_state
from telemetry.mqtt.messages import Answer, Limits, Message, MqttSettings
from telemetry.mqtt.session import Session

_OVERHEAD_BYTES = 256  # topic and properties beside the payload; a batch has under 180
_HEAD_BYTES = 16  # fixed header, three lengths, packet id, length of the properties


@dataclass(slots=True)
class _Waiting:
    """Answers of the broker somebody waits for."""

    connack: asyncio.Future[Answer] | None = None
    pubacks: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)
    subacks: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)

    def fail_all(self, error: LinkError) -> None:
        for future in [self.connack, *self.pubacks.values(), *self.subacks.values()]:
            if future is not None and not future.done():
                future.set_exception(error)


class MqttLink:
    """One connection to the broker at a time; the state is always one of the link table."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        on_message: Callable[[Message], None] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self.state = LinkState.DOWN
        self._settings = settings
        self._client_id = client_id
        self._on_message = on_message
        self._manual_ack = manual_ack
        self._session: Session | None = None
        self._connection = 0
        self._waiting = _Waiting()
        self._down = asyncio.Event()
        self._down.set()
        self._limits = Limits()
        self._traffic_bytes = 0  # of the connections before this one
        self._window = asyncio.Semaphore(settings.receive_maximum)

    # -- what others call ---------------------------------------------------------------------

    @property
    def max_payload_bytes(self) -> int | None:
        """What the broker takes in one message; None if it sets no limit. Known once up."""
        limit = self._limits.max_packet_bytes
        return None if limit is None else max(0, limit - _OVERHEAD_BYTES)

    @property
    def traffic_bytes(self) -> int:
        """Bytes of all connections so far, both ways, TLS included, TCP and IP headers not."""
        return self._traffic_bytes + (self._session.traffic_bytes if self._session else 0)

    async def connect(self) -> None:
        """Connect, and return when the broker has accepted.

        Raises:
            LinkError: link.config, link.unreachable, link.server_certificate, link.tls,
                link.timeout, link.closed or link.refused; the link is down again.
        """
        self._move(LinkEvent.CONNECT)
        self._connection += 1
        try:
            session = await self._open()
        except BaseException:
            self._move(LinkEvent.FAILED)
            self._drop()
            raise
        self._move(LinkEvent.ACCEPTED)
        self._down.clear()
        if not session.is_connected:  # the broker hung up right behind its CONNACK
            self._lost(session.error or "connection closed")
            raise LinkError(f"{self._settings.where}: closed at once", code="link.closed")

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        """Subscribe with QoS 1 and wait for SUBACK.

        Raises:
            LinkError: link.not_up, link.lost, link.suback_timeout or link.suback_refused.
        """
        mid = self._up().subscribe(topic)
        answer = await self._answer(self._waiting.subacks, mid, f"{topic}: SUBACK", timeout_s)
        answer.check(topic, "link.suback_refused")

    async def publish(  # noqa: PLR0913 (the MQTT 5 properties we use, each by name)
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        """Publish with QoS 1 and wait for PUBACK: the broker has it, not yet the far end.

        After a timeout paho may still hold the message for this connection: disconnect before
        the next attempt.

        Raises:
            LinkError: link.not_up, link.too_large, link.lost, link.puback_timeout, or
                link.puback_refused (``is_permanent`` if the broker would say no again).
        """
        self._up()
        self._check_size(topic, payload, content_type, response_topic, correlation_data)
        async with self._window:  # no more in flight than the broker wants
            mid = self._up().publish(
                topic,
                payload,
                content_type=content_type,
                response_topic=response_topic,
                correlation_data=correlation_data,
            )
            answer = await self._answer(self._waiting.pubacks, mid, f"{topic}: PUBACK", timeout_s)
        answer.check(topic, "link.puback_refused")

    def ack(self, message: Message) -> None:
        """Tell the broker that ``message`` is dealt with (``manual_ack`` links only).

        Does nothing when the connection that brought it is gone: its packet id means another
        message by now, and the broker delivers again what it owes to a lasting session.
        """
        if self.state is LinkState.UP and message.connection == self._connection:
            self._up().ack(message.mid)

    async def wait_down(self) -> None:
        """Return when there is no connection, at once if there is none now."""
        await self._down.wait()

    async def disconnect(self) -> None:
        """Say goodbye and close; return at once if there is no connection."""
        if self.state is not LinkState.UP or self._session is None:
            return
        self._move(LinkEvent.CLOSE)
        self._session.goodbye()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._down.wait()
        except TimeoutError:
            self._lost("no goodbye")

    # -- what the session says (Hears) --------------------------------------------------------

    def connected(self, answer: Answer, limits: Limits) -> None:
        """Keep the broker's limits; it has answered CONNECT."""
        self._limits = limits
        ours = self._settings.receive_maximum
        self._window = asyncio.Semaphore(min(limits.receive_maximum or ours, ours))
        if self._waiting.connack is not None:
            _settle(self._waiting.connack, answer)

    def published(self, mid: int, answer: Answer) -> None:
        """Settle a publish."""
        if mid in self._waiting.pubacks:
            _settle(self._waiting.pubacks[mid], answer)

    def subscribed(self, mid: int, answer: Answer) -> None:
        """Settle a subscription."""
        if mid in self._waiting.subacks:
            _settle(self._waiting.subacks[mid], answer)

    def arrived(self, message: Message) -> None:
        """Hand on a message."""
        if self._on_message is not None:
            self._on_message(message)

    def closed(self, reason: str, *, said: Answer | None = None) -> None:
        """Fail what waits, and be down."""
        if self.state is LinkState.CONNECTING:
            self._waiting.fail_all(self._closed_while_connecting(reason))
        else:
            self._lost(reason or "connection closed", said=said)

    # -- state --------------------------------------------------------------------------------

    async def _open(self) -> Session:
        connack: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting = _Waiting(connack=connack)
        session = self._session = Session(
            self._settings,
            self,
            client_id=self._client_id,
            manual_ack=self._manual_ack,
            number=self._connection,
        )
        await session.open()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                answer = await connack
        except TimeoutError:
            raise LinkError(
                f"{self._settings.where}: no CONNACK within {self._settings.connect_timeout_s:g} s",
                code="link.timeout",
            ) from None
        answer.check(self._settings.where, "link.refused")
        if self._limits.max_qos == 0:
            raise LinkError(
                f"{self._settings.where}: expected a broker that acknowledges (QoS 1), "
                "this one does not",
                code="link.no_qos1",
                is_permanent=True,
            )
        return session

    def _move(self, event: LinkEvent) -> None:
        self.state = next_state(self.state, event)

    def _up(self) -> Session:
        if self.state is not LinkState.UP or self._session is None:
            raise LinkError(
                f"expected the link up, got {self.state.value}; nothing was sent",
                code="link.not_up",
            )
        return self._session

    def _closed_while_connecting(self, reason: str) -> LinkError:
        return LinkError(
            f"{self._settings.where}: closed before it accepted us: "
            f"{reason or 'connection closed without a word'}; "
            f"is {self._settings.cert_file} signed by the broker's CA, and still valid?",
            code="link.closed",
        )

    def _lost(self, reason: str, *, said: Answer | None = None) -> None:
        if self.state in {LinkState.UP, LinkState.CLOSING}:
            closing = self.state is LinkState.CLOSING
            self._move(LinkEvent.CLOSED if closing else LinkEvent.LOST)
            self._drop()
            error = LinkError(
                f"{self._settings.where}: lost: {reason}",
                code="link.lost",
                is_overload=said is not None and said.is_overload,
            )
            self._waiting.fail_all(error)
            self._down.set()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.drop()
            self._traffic_bytes += session.traffic_bytes

    async def _answer(
        self, waiting: dict[int, asyncio.Future[Answer]], mid: int, what: str, timeout_s: float
    ) -> Answer:
        # no await since the packet was queued, so the answer cannot have come yet
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting[mid] = answer
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            code = (
                "link.suback_timeout" if waiting is self._waiting.subacks else "link.puback_timeout"
            )
            raise LinkError(
                f"{what} expected within {timeout_s:g} s, none came", code=code
            ) from None
        finally:
            del waiting[mid]

    def _check_size(self, topic: str, payload: bytes, *properties: str | bytes | None) -> None:
        limit = self._limits.max_packet_bytes
        heads = sum(len(value) + 3 for value in (topic, *properties) if value is not None)
        if limit is not None and len(payload) + heads + _HEAD_BYTES > limit:
            raise LinkError(
                f"{topic}: the broker takes packets of {limit} bytes, this payload has "
                f"{len(payload)}; nothing was sent",
                code="link.too_large",
                is_permanent=True,
            )


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
