"""What passes between a link and its session: where to connect, what arrives, what is answered."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telemetry.link import LinkError

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

    @property
    def where(self) -> str:
        """Return what begins the message of an error."""
        return f"broker {self.host}:{self.port}"


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What the broker said to one packet: an MQTT 5 reason code."""

    code: int
    text: str
    is_failure: bool

    @property
    def is_overload(self) -> bool:
        """Tell whether the broker has too much to do, so that others hear the same."""
        return self.code in _OVERLOAD

    def check(self, what: str, error_code: str) -> None:
        """Return if the broker said yes; raise LinkError if it refused ``what``."""
        if self.is_failure:
            redirect = "; we go only where our configuration says" * (self.code in _REDIRECT)
            raise LinkError(
                f"{what}: the broker refused: {self.text} (0x{self.code:02x}){redirect}",
                code=error_code,
                is_permanent=self.code in _PERMANENT,
                is_overload=self.is_overload,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker takes; None where it sets no limit."""

    max_packet_bytes: int | None = None
    receive_maximum: int | None = None
    max_qos: int = 1


class Hears(Protocol):
    """Who is told what a session hears; every call comes in the loop's thread."""

    def connected(self, answer: Answer, limits: Limits) -> None:
        """CONNACK came."""

    def published(self, mid: int, answer: Answer) -> None:
        """PUBACK came; in MQTT 5 it can say no."""

    def subscribed(self, mid: int, answer: Answer) -> None:
        """SUBACK came."""

    def arrived(self, message: Message) -> None:
        """A message came."""

    def closed(self, reason: str, *, said: Answer | None = None) -> None:
        """The connection is gone: why, if known, and what the broker said if it hung up."""
