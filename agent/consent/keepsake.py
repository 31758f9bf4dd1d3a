"""A ledger entry as a receipt the driver can keep: a JSON document, and a QR code that holds it.

The QR code is whole by itself: it holds the signed bytes, so that a telephone's picture of it can
be verified years later with the vehicle's public key, without this vehicle and without a network.

Shape of the text in the code (QR alphanumeric mode)::

    "OKD1:" base45( deflate( body, dictionary 1 ) signature )     ; RFC 9285, RFC 1950

``signature`` is the last 64 bytes. The dictionary is frozen: another one is another digit.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from io import BytesIO
from typing import Any, Final, Protocol

import msgspec
import segno

from agent.consent.keys import VerifyKey
from agent.consent.ledger import ConsentEvent, Entry, read_entry

PREFIX: Final = "OKD1:"
MAX_TEXT: Final = 4_096  # characters; the largest QR code holds 4,296
_MAX_BODY: Final = 16_384
_SIGNATURE_BYTES: Final = 64
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # source: RFC 9285, table 1
_BASE: Final = 45
_STATES: Final[Mapping[ConsentEvent, str]] = {
    ConsentEvent.GRANT: "given",
    ConsentEvent.WITHDRAW: "withdrawn",
    ConsentEvent.OK: "given",
    ConsentEvent.NO: "refused",
    ConsentEvent.TAKE_BACK: "withdrawn",
    ConsentEvent.STANDING: "given",
    ConsentEvent.STANDING_END: "withdrawn",
    ConsentEvent.ERASE: "withdrawn",
}


class KeepsakeError(Exception):
    """A text is no receipt, or not one that this vehicle's key signed; nothing was changed."""

    code = "consent.receipt"


class SignedRow(Protocol):
    """An entry as the store gives it back."""

    @property
    def sequence(self) -> int:
        """Return the place in the chain."""

    @property
    def body(self) -> bytes:
        """Return the signed bytes."""

    @property
    def signature(self) -> bytes:
        """Return the signature."""


class Delivery(Protocol):
    """A receipt of the far end, its signature checked."""

    @property
    def status(self) -> str:
        """Return stored, duplicate or refused."""

    @property
    def received_utc(self) -> Any:  # noqa: ANN401 (a datetime)
        """Return when it came."""


def receipt_document(row: SignedRow, deliveries: Iterable[Delivery] = ()) -> dict[str, Any]:
    """Return the receipt of one entry with the fields of ISO/IEC TS 27560.

    Raises:
        ValueError: The entry cannot be read; `consent verify` says what is wrong.
    """
    entry = read_entry(row.body)
    return {
        "record": _record(entry),
        "proof": {
            "sequence": row.sequence,
            "entry_sha256": hashlib.sha256(row.body).hexdigest(),
            "previous_sha256": entry.previous,
            "key_id": entry.principal,
            "signature": row.signature.hex(),
        },
        "delivered": [
            {"status": one.status, "received_utc": one.received_utc.isoformat(timespec="seconds")}
            for one in deliveries
        ],
        "qr": receipt_text(row.body, row.signature),
    }


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "schema_version": entry.schema_version,
        "record_id": entry.record_id,
        "pii_principal": {"vehicle_key": entry.principal, "profile": entry.profile},
        "event": {
            "type": entry.event,
            "state": _STATES[entry.event],
            "time": entry.event_time,
            "time_quality": entry.time_quality,
            "valid_until": entry.valid_until,
            "released_under": entry.released_under,
        },
        "notice": {
            "id": entry.notice_id,
            "language": entry.language,
            "sha256": entry.notice_sha256,
            "shown_sha256": entry.shown_sha256,
        },
        "purpose": {
            "name": entry.purpose,
            "schema": entry.schema_id,
            "lawful_basis": entry.lawful_basis,
            "data_categories": list(entry.data_categories),
            "batch_id": entry.batch_id,
        },
        "controller": entry.controller,
        "recipient": {"name": entry.recipient, "key_id": entry.recipient_key_id},
        "storage": {"location": "at the recipient", "retention": entry.retention},
        "withdrawal": entry.withdrawal,
    }


def receipt_text(body: bytes, signature: bytes) -> str:
    """Return what a QR code of this entry holds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zdict=_words())
    return PREFIX + base45(packer.compress(body) + packer.flush() + signature)


def read_receipt_text(text: str, key: VerifyKey) -> Entry:
    """Return the entry that a QR code holds, its signature checked.

    Raises:
        KeepsakeError: No such text, damaged, or signed by another key.
    """
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise KeepsakeError(f"receipt: expected a text that begins with {PREFIX}, got another")
    try:
        packed = from_base45(text.removeprefix(PREFIX).strip("\r\n"))
        body = _unpack(packed[:-_SIGNATURE_BYTES])
        entry = read_entry(body)
    except (ValueError, zlib.error, msgspec.DecodeError) as error:
        raise KeepsakeError(f"receipt: expected a whole one, found it damaged: {error}") from error
    if not key.is_signed(body, packed[-_SIGNATURE_BYTES:]):
        raise KeepsakeError(f"receipt: expected the signature of key {key.key_id}, found another")
    return entry


def _unpack(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS, zdict=_words())
    body: bytes = unpacker.decompress(packed, _MAX_BODY)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"expected one entry of at most {_MAX_BODY} bytes")
    return body


def _words() -> bytes:
    words: bytes = files("agent.consent").joinpath("receipt_words_1.txt").read_bytes()
    return words


def qr_svg(text: str) -> str:
    """Return the QR code of ``text`` as an SVG element, one unit per module."""
    out = BytesIO()
    _code(text).save(out, kind="svg", border=4, xmldecl=False, svgns=False, omitsize=True)
    return out.getvalue().decode().replace("<svg ", '<svg aria-hidden="true" ', 1)


def qr_lines(text: str) -> list[str]:
    """Return the QR code of ``text`` in half blocks, light on dark, for a terminal."""
    rows = [[bool(module) for module in row] for row in _code(text).matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_BLOCKS[pair] for pair in zip(*both, strict=True)) for both in pairs]


_BLOCKS: Final = {  # a dark module is dark: the light ones are drawn, as most terminals are dark
    (False, False): "█",
    (False, True): "▀",
    (True, False): "▄",
    (True, True): " ",
}


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="l", boost_error=False)


def base45(data: bytes) -> str:
    """Return ``data`` as RFC 9285 writes it."""
    return "".join(_group(data[at : at + 2]) for at in range(0, len(data), 2))


def _group(pair: bytes) -> str:
    value, digits = int.from_bytes(pair), 3 if len(pair) == 2 else 2  # noqa: PLR2004 (RFC 9285)
    return "".join(_ALPHABET[value // _BASE**place % _BASE] for place in range(digits))


def from_base45(text: str) -> bytes:
    """Return what ``base45`` wrote; raise ValueError."""
    values = [_ALPHABET.index(character) for character in text]
    groups = [values[at : at + 3] for at in range(0, len(values), 3)]
    return b"".join(_bytes(group) for group in groups)


def _bytes(group: list[int]) -> bytes:
    size = {3: 2, 2: 1}.get(len(group))
    value: int = sum(digit * _BASE**place for place, digit in enumerate(group))
    if size is None or value >= 1 << (8 * size):
        raise ValueError("base45: expected groups of three or two characters, found another")
    return value.to_bytes(size)
