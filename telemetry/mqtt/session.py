"""The only module that knows paho: one connection, its socket driven by the event loop.

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
from dataclasses import dataclass
from typing import Any, NoReturn

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from telemetry.link import LinkError
from telemetry.mqtt.messages import Answer, Hears, Limits, Message, MqttSettings

_TRAFFIC_AT = 120  # source: linux/tcp.h, struct tcp_info: bytes_acked, bytes_received, 64 bits each
_HOUSEKEEPING_S = 1.0  # how often keepalive is looked at
_READS_AT_ONCE = 64  # then the loop gets a turn
_Socket = Any  # paho's own type for sockets asks for fewer methods than the loop does


class _TlsSocket(ssl.SSLSocket):
    """A socket that closes when its handshake fails; paho would leave it to the collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 (ssl's signature)
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(slots=True)
class Attempt:
    """A connection being made in another thread, which may be given up meanwhile."""

    client: paho.Client | None = None
    is_abandoned: bool = False

    def abandon(self) -> None:
        """Close the connection, now or as soon as there is one."""
        self.is_abandoned = True
        self.close_if_abandoned()

    def close_if_abandoned(self) -> None:
        """Close the connection if nobody wants it any more."""
        # both threads set their half first and look second, so one of them sees both
        sock = self.client.socket() if self.client is not None else None
        if self.is_abandoned and sock is not None:
            sock.close()


class Session:
    """One connection from its first packet to its last; used once, in one event loop."""

    def __init__(
        self, settings: MqttSettings, hears: Hears, *, client_id: str, manual_ack: bool, number: int
    ) -> None:
        self._settings = settings
        self._hears = hears
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._client = self._new_client(client_id, manual_ack=manual_ack)
        self._is_ours = False  # only while the loop drives the socket
        self._housekeeping: asyncio.TimerHandle | None = None
        self._closed_traffic_bytes = 0
        self.error = ""  # the last thing that went wrong below MQTT

    # -- what the link calls ------------------------------------------------------------------

    async def open(self) -> None:
        """Connect TCP and TLS, send CONNECT, and let the loop drive the socket from now on.

        Raises:
            LinkError: link.config, link.unreachable, link.server_certificate, link.tls,
                link.timeout or link.closed.
        """
        attempt = Attempt()
        try:
            await asyncio.to_thread(self.open_in_thread, attempt)
        except BaseException:
            attempt.abandon()
            raise
        self._watch()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        content_type: str | None,
        response_topic: str | None,
        correlation_data: bytes | None,
    ) -> int:
        """Queue a message with QoS 1 and return its packet id."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if content_type is not None:
            properties.ContentType = content_type
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation_data is not None:
            properties.CorrelationData = correlation_data
        return self._client.publish(topic, payload, qos=1, properties=properties).mid

    def subscribe(self, topic: str) -> int:
        """Queue a subscription with QoS 1 and return its packet id; raise LinkError."""
        _, mid = self._client.subscribe(topic, qos=1)
        if mid is None:
            raise LinkError(f"{topic}: paho took no subscription", code="link.lost")
        return mid

    def ack(self, mid: int) -> None:
        """Queue a PUBACK for a message that came under packet id ``mid``."""
        self._client.ack(mid, 1)

    def goodbye(self) -> None:
        """Queue DISCONNECT."""
        self._client.disconnect()

    def drop(self) -> None:
        """Close the socket without a word; nothing is heard from this session any more."""
        self._is_ours = False
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        sock = self._client.socket()
        if sock is not None:
            self._closed_traffic_bytes += _traffic(sock)
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()

    @property
    def traffic_bytes(self) -> int:
        """Bytes so far, both ways, TLS included, TCP and IP headers not."""
        sock = self._client.socket()
        return self._closed_traffic_bytes + (_traffic(sock) if sock is not None else 0)

    @property
    def is_connected(self) -> bool:
        """Tell whether there still is a socket."""
        return self._client.socket() is not None

    # -- connecting ---------------------------------------------------------------------------

    def open_in_thread(self, attempt: Attempt) -> None:
        """Connect; blocks. Closes at once what was abandoned meanwhile; raise LinkError."""
        client = attempt.client = self._client
        try:
            client.tls_set_context(_tls_context(self._settings))
            client.connect(
                self._settings.host,
                self._settings.port,
                keepalive=self._settings.keepalive_s,
                clean_start=self._settings.session_expiry_s == 0,
                properties=_connect_properties(self._settings),
            )
        except (OSError, ValueError) as error:  # ssl's errors are OSErrors
            _raise_open_error(self._settings, error)
        attempt.close_if_abandoned()

    def _new_client(self, client_id: str, *, manual_ack: bool) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        client.connect_timeout = self._settings.connect_timeout_s
        client.max_inflight_messages_set(self._settings.receive_maximum)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_log = self._on_log
        client.on_socket_register_write = self._on_socket_register_write
        client.on_socket_unregister_write = self._on_socket_unregister_write
        client.on_socket_close = self._on_socket_close
        return client

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            raise LinkError(f"{self._settings.where}: closed at once", code="link.closed")
        self._is_ours = True
        self._loop.add_reader(sock, self._read)
        if self._client.want_write():
            self._loop.add_writer(sock, self._client.loop_write)
        self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house)

    # -- the loop's side of paho's socket -----------------------------------------------------

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            try:
                self._client.loop_read()
            except (MQTTException, ValueError, IndexError, struct.error) as error:
                self.error = f"malformed packet ({error})"
                self.drop()
                self._hears.closed(self.error)
                return
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return
        self._loop.call_soon(self._read)

    def _keep_house(self) -> None:
        self._client.loop_misc()
        if self._client.socket() is not None:
            self._housekeeping = self._loop.call_later(_HOUSEKEEPING_S, self._keep_house)

    def _on_socket_register_write(
        self, client: paho.Client, _userdata: object, sock: _Socket
    ) -> None:
        if self._is_ours:  # while connecting, paho calls from the other thread
            self._loop.add_writer(sock, client.loop_write)

    def _on_socket_unregister_write(
        self, _client: paho.Client, _userdata: object, sock: _Socket
    ) -> None:
        if self._is_ours:
            self._loop.remove_writer(sock)

    def _on_socket_close(self, _client: paho.Client, _userdata: object, sock: _Socket) -> None:
        if self._is_ours:
            self._closed_traffic_bytes += _traffic(sock)
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _on_log(self, _client: paho.Client, _userdata: object, level: int, text: str) -> None:
        if level == paho.MQTT_LOG_ERR:
            self.error = text

    # -- paho's callbacks, all in the loop's thread -------------------------------------------

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: object,
        code: ReasonCode,
        properties: object,
    ) -> None:
        self._hears.connected(
            _answer(code),
            Limits(
                max_packet_bytes=getattr(properties, "MaximumPacketSize", None),
                receive_maximum=getattr(properties, "ReceiveMaximum", None),
                max_qos=getattr(properties, "MaximumQoS", 1),
            ),
        )

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: object,
    ) -> None:
        if not self._is_ours:
            return
        said = None
        if flags.is_disconnect_packet_from_server:
            self.error, said = f"the broker said: {code}", _answer(code)
        self._hears.closed(self.error, said=said)

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        code: ReasonCode,
        _properties: object,
    ) -> None:
        self._hears.published(mid, _answer(code))

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        codes: list[ReasonCode],
        _properties: object,
    ) -> None:
        if codes:
            self._hears.subscribed(mid, _answer(codes[0]))

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        # not told from here: an exception inside paho's reader would leave it in mid-packet
        self._loop.call_soon(self._hears.arrived, _message(message, self._number))


def _raise_open_error(settings: MqttSettings, error: OSError | ValueError) -> NoReturn:
    where, reason = settings.where, str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        raise LinkError(
            f"{where}: the broker's certificate is not one we trust: {error.verify_message}; "
            f"expected one for {settings.host} signed by {settings.ca_file}",
            code="link.server_certificate",
        ) from error
    if isinstance(error, TimeoutError):
        raise LinkError(
            f"{where}: no answer within {settings.connect_timeout_s:g} s", code="link.timeout"
        ) from error
    if isinstance(error, ssl.SSLError):
        raise LinkError(f"{where}: no TLS session: {reason}", code="link.tls") from error
    raise LinkError(
        f"{where}: cannot be reached: {reason}",
        code="link.unreachable",
        is_overload=isinstance(error, ConnectionRefusedError),  # its machine is there, it not
    ) from error


def _traffic(sock: _Socket) -> int:
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


def _answer(code: ReasonCode) -> Answer:
    return Answer(code=code.value, text=str(code), is_failure=code.is_failure)
