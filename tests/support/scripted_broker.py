"""A broker that says what the test wants: real TLS and real MQTT 5 bytes, no routing.

For answers that mosquitto cannot be made to give. Only what okdrive sends is understood.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.broker import Pki

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
SILENCE = -1  # a reason code that means: say nothing


@dataclass
class ScriptedBroker:
    """Reason codes to answer with; ``SILENCE`` is no answer at all."""

    port: int = 0
    connack: int = 0
    connack_properties: bytes = b""
    suback: int = 1  # granted QoS 1
    puback: int = 0
    goodbye_after_publish: int | None = None  # DISCONNECT with this reason
    connections: int = 0
    keepalives: list[int] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)  # bodies of PUBLISH packets
    flags: list[int] = field(default_factory=list)  # of these: 8 again, 6 QoS, 1 retain
    received: int = 0  # bytes

    def answer(self, first: int, body: bytes) -> bytes:
        kind = first >> 4
        if kind == CONNECT:
            self.keepalives.append(int.from_bytes(body[8:10]))
            properties = _size(len(self.connack_properties)) + self.connack_properties
            return _packet(0x20, b"\x00" + bytes([self.connack & 0xFF]) + properties, self.connack)
        if kind == SUBSCRIBE:
            return _packet(0x90, body[:2] + b"\x00" + bytes([self.suback & 0xFF]), self.suback)
        if kind == PUBLISH:
            self.published.append(body)
            self.flags.append(first & 0x0F)
            topic = int.from_bytes(body[:2])
            packet_id = body[2 + topic : 4 + topic]
            said = _packet(0x40, packet_id + bytes([self.puback & 0xFF]), self.puback)
            if self.goodbye_after_publish is not None:
                said += _packet(0xE0, bytes([self.goodbye_after_publish, 0]), 0)
            return said
        return b"\xd0\x00" if kind == PINGREQ else b""


def _packet(first: int, body: bytes, code: int) -> bytes:
    return b"" if code == SILENCE else bytes([first]) + _size(len(body)) + body


def _size(number: int) -> bytes:
    assert number < 128
    return bytes([number])


@asynccontextmanager
async def scripted_broker(pki: Pki) -> AsyncIterator[ScriptedBroker]:
    broker = ScriptedBroker()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.server.ca_file)
    context.load_cert_chain(pki.server.cert_file, pki.server.key_file)
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker.connections += 1
        try:
            while True:
                first, body = await _read(reader)
                kind = first >> 4
                broker.received += len(body)
                writer.write(broker.answer(first, body))
                await writer.drain()
                if kind == DISCONNECT or (kind == CONNECT and broker.connack > 0):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    broker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield broker


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, await reader.readexactly(length)
