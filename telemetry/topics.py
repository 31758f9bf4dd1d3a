"""The topic grammar: topics are built and parsed here, nowhere else.

Shape (ABNF)::

    uplink = "okdrive/1/up/" purpose            ; all vehicles publish to the same topic
    erase  = "okdrive/1/up/erase"               ; what is to be taken back, whatever its purpose
    ack    = "okdrive/1/ack/" 32(%x30-39 / %x61-66)  ; the client id of one connection
"""

import re

from telemetry.purposes import Purpose

ERASE_TOPIC = "okdrive/1/up/erase"
CLIENT_ID_BYTES = 16  # 128 random bits per connection: nobody can guess an ack topic

_UPLINK = "okdrive/1/up/"
_ACK = "okdrive/1/ack/"
_CLIENT_ID = re.compile(r"[0-9a-f]{32}")


class TopicError(ValueError):
    """A topic from outside is none of ours."""

    code = "telemetry.topic.unknown"


def uplink_topic(purpose: Purpose) -> str:
    """Return the topic on which batches of ``purpose`` leave the vehicle."""
    return _UPLINK + purpose.value


def parse_uplink(topic: str) -> Purpose:
    """Return the purpose of an uplink topic; raise TopicError for any other text."""
    name = topic.removeprefix(_UPLINK)
    if name == topic or name not in set(Purpose):
        raise TopicError(f"expected {_UPLINK}<purpose>, got {topic[:80]!r}; the message is dropped")
    return Purpose(name)


def new_client_id(random16: bytes) -> str:
    """Return 32 hex digits made of 16 bytes from the system's random source.

    Raises:
        ValueError: Another number of bytes.
    """
    if len(random16) != CLIENT_ID_BYTES:
        raise ValueError(f"random16: expected 16 bytes, got {len(random16)}")
    return random16.hex()


def ack_topic(client_id: str) -> str:
    """Return the topic on which the receipts of one connection arrive.

    Raises:
        ValueError: ``client_id`` is not 32 lower-case hex digits.
    """
    if not _CLIENT_ID.fullmatch(client_id):
        raise ValueError(f"client_id: expected 32 hex digits, got {client_id[:80]!r}")
    return _ACK + client_id


def is_ack_topic(topic: str) -> bool:
    """Tell whether ``topic`` is the ack topic of some connection: ingest answers nowhere else."""
    return topic.startswith(_ACK) and _CLIENT_ID.fullmatch(topic, len(_ACK)) is not None
