"""The only module that knows paho: MQTT 5 over mutual TLS, driven by the event loop.

Source of the rules kept here: paho's ``loop_start`` waits with select(), which fails above file
descriptor 1,023, so the loop watches paho's socket itself (``add_reader``, ``add_writer``) and
calls ``loop_read``, ``loop_write`` and ``loop_misc``. Everything paho calls back happens in the
loop's thread; only name lookup, TCP connect and TLS handshake run in another one. TLS decrypts
whole records: after a read, bytes can wait inside the socket without the descriptor being
readable, so reading goes on until nothing is pending.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from telemetry.link import LinkError, LinkEvent, LinkState, next_state

NOT_AUTHORISED = 0x87
# MQTT 5, table 2-6: what the same packet would be told again. Not authorised, topic filter or
# name invalid, packet too large, retain or QoS not supported, payload format invalid; for
# CONNACK also malformed, protocol, version, client id, credentials, banned, method.
_PERMANENT = frozenset(
    {NOT_AUTHORISED, 0x8F, 0x90, 0x95, 0x99, 0x9A, 0x9B, 0x81, 0x82, 0x84, 0x85, 0x86, 0x8A, 0x8C}
)
# Same table: unavailable, busy, shutting down, rate too high, quota exceeded, use another server,
# server moved, connection rate exceeded. What one vehicle is told, all are told.
_OVERLOAD = frozenset({0x88, 0x89, 0x8B, 0x96, 0x97, 0x9C, 0x9D, 0x9F})
_REDIRECT = frozenset({0x9C, 0x9D})
_TRAFFIC_AT = 120  # source: linux/tcp.h, struct tcp_info: bytes_acked, bytes_received, 64 bits each
_HOUSEKEEPING_S = 1.0  # how often keepalive is looked at
_READS_AT_ONCE = 64  # then the loop gets a turn
_OVERHEAD_BYTES = 256  # topic and properties beside the payload; a batch has under 180
_HEAD_BYTES = 16  # fixed header, three lengths, packet id, length of the properties


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Where the broker is, who we are, how patient we are. TLS is always on."""

    host: str
    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path
    keepalive_s: int = 60
    connect_timeout_s: float = 10.0  # for TCP, for TLS and for CONNACK each
    receive_maximum: int = 4  # in flight, each way
    max_packet_bytes: int = (1 << 20) + 65_536  # the largest packet we are willing to receive
    session_expiry_s: int = 0  # 0: the broker forgets us at once, and we start clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it arrived; nothing in it is believed yet."""

    topic: str
    payload: bytes
    response_topic: str | None
    correlation_data: bytes | None
    content_type: str | None
    mid: int  # packet id within its connection
    connection: int = 0  # which connection of the link brought it


class _TlsSocket(ssl.SSLSocket):
    """A socket that closes when its handshake fails; paho would leave it to the collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 (ssl's signature)
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(slots=True)
class _Attempt:
    """A connection being made in another thread, which may be given up meanwhile."""

    client: paho.Client | None = None
    is_abandoned: bool = False

    def abandon(self) -> None:
        self.is_abandoned = True
        self.close_if_abandoned()

    def close_if_abandoned(self) -> None:
        # both threads set their half first and look second, so one of them sees both
        sock = self.client.socket() if self.client is not None else None
        if self.is_abandoned and sock is not None:
            sock.close()


@dataclass(slots=True)
class _Waiting:
    """Answers of the broker somebody waits for."""

    connack: asyncio.Future[ReasonCode] | None = None
    pubacks: dict[int, asyncio.Future[ReasonCode]] = field(default_factory=dict)
    subacks: dict[int, asyncio.Future[ReasonCode]] = field(default_factory=dict)

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
        self._client: paho.Client | None = None
        self._connection = 0
        self._waiting = _Waiting()
        self._down = asyncio.Event()
        self._down.set()
        self._housekeeping: asyncio.TimerHandle | None = None
        self._socket_error = ""
        self._said: ReasonCode | None = None  # why the broker hung up
        self._max_packet_bytes: int | None = None
        self._max_qos = 1
        self._traffic_bytes = 0
        self._window = asyncio.Semaphore(settings.receive_maximum)

    # -- what others call ---------------------------------------------------------------------

    @property
    def max_payload_bytes(self) -> int | None:
        """What the broker takes in one message; None if it sets no limit. Known once up."""
        limit = self._max_packet_bytes
        return None if limit is None else max(0, limit - _OVERHEAD_BYTES)

    @property
    def traffic_bytes(self) -> int:
        """Bytes of all connections so far, both ways, TLS included, TCP and IP headers not."""
        sock = self._client.socket() if self._client is not None else None
        return self._traffic_bytes + (_traffic(sock) if sock is not None else 0)

    async def connect(self) -> None:
        """Connect, and return when the broker has accepted.

        Raises:
            LinkError: link.config, link.unreachable, link.server_certificate, link.tls,
                link.timeout, link.closed or link.refused; the link is down again.
        """
        self._move(LinkEvent.CONNECT)
        self._loop = asyncio.get_running_loop()
        self._connection += 1
        self._socket_error, self._said = "", None
        try:
            client = self._client = await self._open()
            await self._accepted(client)
        except BaseException:
            self._move(LinkEvent.FAILED)
            self._drop()
            raise
        self._move(LinkEvent.ACCEPTED)
        self._down.clear()
        if client.socket() is None:  # the broker hung up right behind its CONNACK
            self._lost(self._socket_error or "connection closed")
            raise LinkError(f"{self._where()}: closed at once", code="link.closed")

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        """Subscribe with QoS 1 and wait for SUBACK.

        Raises:
            LinkError: link.not_up, link.lost, link.suback_timeout or link.suback_refused.
        """
        client = self._up()
        _, mid = client.subscribe(topic, qos=1)
        if mid is None:
            raise LinkError(f"{topic}: paho took no subscription", code="link.lost")
        code = await self._answer(self._waiting.subacks, mid, f"{topic}: SUBACK", timeout_s)
        self._check(code, topic, "link.suback_refused")

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
        properties = _publish_properties(content_type, response_topic, correlation_data)
        async with self._window:  # no more in flight than the broker wants
            mid = self._up().publish(topic, payload, qos=1, properties=properties).mid
            code = await self._answer(self._waiting.pubacks, mid, f"{topic}: PUBACK", timeout_s)
        self._check(code, topic, "link.puback_refused")

    def ack(self, message: Message) -> None:
        """Tell the broker that ``message`` is dealt with (``manual_ack`` links only).

        Does nothing when the connection that brought it is gone: its packet id means another
        message by now, and the broker delivers again what it owes to a lasting session.
        """
        if self.state is LinkState.UP and message.connection == self._connection:
            self._up().ack(message.mid, 1)

    async def wait_down(self) -> None:
        """Return when there is no connection, at once if there is none now."""
        await self._down.wait()

    async def disconnect(self) -> None:
        """Say goodbye and close; return at once if there is no connection."""
        if self.state is not LinkState.UP or self._client is None:
            return
        self._move(LinkEvent.CLOSE)
        self._client.disconnect()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await self._down.wait()
        except TimeoutError:
            self._lost("no goodbye")

    # -- connecting ---------------------------------------------------------------------------

    async def _open(self) -> paho.Client:
        attempt = _Attempt()
        try:
            return await asyncio.to_thread(self._open_in_thread, attempt)
        except BaseException:
            attempt.abandon()
            raise

    def _open_in_thread(self, attempt: _Attempt) -> paho.Client:
        client = attempt.client = self._new_client()
        try:
            client.connect(
                self._settings.host,
                self._settings.port,
                keepalive=self._settings.keepalive_s,
                clean_start=self._settings.session_expiry_s == 0,
                properties=_connect_properties(self._settings),
            )
        except (OSError, ValueError) as error:  # ssl's errors are OSErrors
            raise self._open_error(error) from error
        attempt.close_if_abandoned()
        return client

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=self._manual_ack,
        )
        client.tls_set_context(_tls_context(self._settings))
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_inflight_messages_set(self._settings.receive_maximum)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_paho_message
        client.on_log = self._on_log
        client.on_socket_register_write = self._on_socket_register_write
        client.on_socket_unregister_write = self._on_socket_unregister_write
        client.on_socket_close = self._on_socket_close
        return client

    def _open_error(self, error: OSError | ValueError) -> LinkError:
        where, reason = self._where(), str(error) or type(error).__name__
        if isinstance(error, ssl.SSLCertVerificationError):
            return LinkError(
                f"{where}: the broker's certificate is not one we trust: {error.verify_message}; "
                f"expected one for {self._settings.host} signed by {self._settings.ca_file}",
                code="link.server_certificate",
            )
        if isinstance(error, TimeoutError):
            return LinkError(
                f"{where}: no answer within {self._settings.connect_timeout_s:g} s",
                code="link.timeout",
            )
        if isinstance(error, ssl.SSLError):
            return LinkError(f"{where}: no TLS session: {reason}", code="link.tls")
        return LinkError(
            f"{where}: cannot be reached: {reason}",
            code="link.unreachable",
            is_overload=isinstance(error, ConnectionRefusedError),  # its machine is there, it not
        )

    async def _accepted(self, client: paho.Client) -> None:
        connack: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._waiting = _Waiting(connack=connack)
        self._watch(client)
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                code = await connack
        except TimeoutError:
            raise LinkError(
                f"{self._where()}: no CONNACK within {self._settings.connect_timeout_s:g} s",
                code="link.timeout",
            ) from None
        self._check(code, self._where(), "link.refused")
        if self._max_qos == 0:
            raise LinkError(
                f"{self._where()}: expected a broker that acknowledges (QoS 1), this one does not",
                code="link.no_qos1",
                is_permanent=True,
            )

    def _watch(self, client: paho.Client) -> None:
        sock = client.socket()
        if sock is None:
            raise LinkError(f"{self._where()}: closed at once", code="link.closed")
        self._loop.add_reader(sock, self._read, client)
        if client.want_write():
            self._loop.add_writer(sock, client.loop_write)
        self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house, client)

    # -- the loop's side of paho's socket -----------------------------------------------------

    def _read(self, client: paho.Client) -> None:
        for _ in range(_READS_AT_ONCE):
            try:
                client.loop_read()
            except (MQTTException, ValueError, IndexError, struct.error) as error:
                self._socket_error = f"malformed packet ({error})"
                self._drop()
                self._fail_or_lose()
                return
            sock = client.socket()
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return
        self._loop.call_soon(self._read, client)

    def _keep_house(self, client: paho.Client) -> None:
        client.loop_misc()
        if client.socket() is not None:
            self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house, client)

    def _on_socket_register_write(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        if self._client is client:  # while connecting, paho calls from the other thread
            self._loop.add_writer(sock, client.loop_write)

    def _on_socket_unregister_write(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        if self._client is client:
            self._loop.remove_writer(sock)

    def _on_socket_close(self, client: paho.Client, _userdata: Any, sock: Any) -> None:
        if self._client is client:
            self._traffic_bytes += _traffic(sock)
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _on_log(self, _client: paho.Client, _userdata: Any, level: int, text: str) -> None:
        if level == paho.MQTT_LOG_ERR:
            self._socket_error = text

    # -- paho's callbacks, all in the loop's thread -------------------------------------------

    def _on_connect(
        self, _client: paho.Client, _userdata: Any, _flags: Any, code: ReasonCode, props: Any
    ) -> None:
        self._max_packet_bytes = getattr(props, "MaximumPacketSize", None)
        self._max_qos = getattr(props, "MaximumQoS", 1)
        theirs = getattr(props, "ReceiveMaximum", self._settings.receive_maximum)
        self._window = asyncio.Semaphore(min(theirs, self._settings.receive_maximum))
        if self._waiting.connack is not None:
            _settle(self._waiting.connack, code)

    def _on_disconnect(
        self, client: paho.Client, _userdata: Any, flags: Any, code: ReasonCode, _props: Any
    ) -> None:
        if client is not self._client:
            return
        if flags.is_disconnect_packet_from_server:
            self._socket_error, self._said = f"the broker said: {code}", code
        self._fail_or_lose()

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, mid: int, code: ReasonCode, _props: Any
    ) -> None:
        if mid in self._waiting.pubacks:
            _settle(self._waiting.pubacks[mid], code)  # MQTT 5: a PUBACK can say no

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        if mid in self._waiting.subacks and codes:
            _settle(self._waiting.subacks[mid], codes[0])

    def _on_paho_message(
        self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage
    ) -> None:
        # not called from here: an exception inside paho's reader would leave it in mid-packet
        if self._on_message is not None:
            self._loop.call_soon(self._on_message, _message(message, self._connection))

    # -- state --------------------------------------------------------------------------------

    def _move(self, event: LinkEvent) -> None:
        self.state = next_state(self.state, event)

    def _up(self) -> paho.Client:
        if self.state is not LinkState.UP or self._client is None:
            raise LinkError(
                f"expected the link up, got {self.state.value}; nothing was sent",
                code="link.not_up",
            )
        return self._client

    def _fail_or_lose(self) -> None:
        if self.state is LinkState.CONNECTING:
            self._waiting.fail_all(self._closed_while_connecting())
        else:
            self._lost(self._socket_error or "connection closed")

    def _closed_while_connecting(self) -> LinkError:
        reason = self._socket_error or "connection closed without a word"
        return LinkError(
            f"{self._where()}: closed before it accepted us: {reason}; "
            f"is {self._settings.cert_file} signed by the broker's CA, and still valid?",
            code="link.closed",
        )

    def _lost(self, reason: str) -> None:
        if self.state in {LinkState.UP, LinkState.CLOSING}:
            closing = self.state is LinkState.CLOSING
            self._move(LinkEvent.CLOSED if closing else LinkEvent.LOST)
            self._drop()
            said = self._said
            error = LinkError(
                f"{self._where()}: lost: {reason}",
                code="link.lost",
                is_overload=said is not None and said.value in _OVERLOAD,
            )
            self._waiting.fail_all(error)
            self._down.set()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        sock = client.socket() if client is not None else None
        if sock is not None:
            self._traffic_bytes += _traffic(sock)
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()

    async def _answer(
        self, waiting: dict[int, asyncio.Future[ReasonCode]], mid: int, what: str, timeout_s: float
    ) -> ReasonCode:
        answer = waiting[mid] = self._loop.create_future()  # no await since the packet was queued
        try:
            async with asyncio.timeout(timeout_s):
                return cast("ReasonCode", await answer)
        except TimeoutError:
            code = (
                "link.suback_timeout" if waiting is self._waiting.subacks else "link.puback_timeout"
            )
            raise LinkError(
                f"{what} expected within {timeout_s:g} s, none came", code=code
            ) from None
        finally:
            del waiting[mid]

    def _check(self, code: ReasonCode, what: str, error_code: str) -> None:
        if code.is_failure:
            redirect = "; we go only where our configuration says" * (code.value in _REDIRECT)
            raise LinkError(
                f"{what}: the broker refused: {code} (0x{code.value:02x}){redirect}",
                code=error_code,
                is_permanent=code.value in _PERMANENT,
                is_overload=code.value in _OVERLOAD,
            )

    def _check_size(self, topic: str, payload: bytes, *properties: str | bytes | None) -> None:
        limit = self._max_packet_bytes
        heads = sum(len(value) + 3 for value in (topic, *properties) if value is not None)
        if limit is not None and len(payload) + heads + _HEAD_BYTES > limit:
            raise LinkError(
                f"{topic}: the broker takes packets of {limit} bytes, this payload has "
                f"{len(payload)}; nothing was sent",
                code="link.too_large",
                is_permanent=True,
            )

    def _where(self) -> str:
        return f"broker {self._settings.host}:{self._settings.port}"


def _traffic(sock: Any) -> int:
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TRAFFIC_AT + 16)
        return sum(struct.unpack_from("=QQ", info, _TRAFFIC_AT))
    except (OSError, struct.error):  # closed already, or a kernel that does not count
        return 0


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:  # a missing file; ssl.SSLError for one that is no certificate
        raise LinkError(
            f"expected CA, certificate and key in {settings.ca_file}, {settings.cert_file} and "
            f"{settings.key_file}: {error}",
            code="link.config",
            is_permanent=True,
        ) from error
    context.sslsocket_class = _TlsSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _connect_properties(settings: MqttSettings) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = settings.session_expiry_s
    properties.ReceiveMaximum = settings.receive_maximum
    properties.MaximumPacketSize = settings.max_packet_bytes
    return properties


def _publish_properties(
    content_type: str | None, response_topic: str | None, correlation_data: bytes | None
) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if content_type is not None:
        properties.ContentType = content_type
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    if correlation_data is not None:
        properties.CorrelationData = correlation_data
    return properties


def _message(message: paho.MQTTMessage, connection: int) -> Message:
    properties = message.properties
    return Message(
        topic=message.topic,
        payload=bytes(message.payload),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation_data=getattr(properties, "CorrelationData", None),
        content_type=getattr(properties, "ContentType", None),
        mid=message.mid,
        connection=connection,
    )


def _settle(future: asyncio.Future[ReasonCode], code: ReasonCode) -> None:
    if not future.done():
        future.set_result(code)
