"""What people type after an option of okdrive-ota, turned into values or a sentence that helps."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from ota.publisher.config import parse_listen
from ota.publisher.errors import NotFoundError, SettingsError
from ota.publisher.inventory import EcuRecord
from ota.publisher.layout import Threshold

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}


def parse_threshold(text: str) -> tuple[str, Threshold]:
    """Return role and threshold of ``ROLE=NofM``; raise SettingsError if ``text`` is none."""
    found = re.fullmatch(r"([a-z]+)=(\d{1,2})of(\d{1,2})", text, re.ASCII)
    if found is None:
        raise _usage("--threshold", "ROLE=NofM, for example root=2of3", text)
    return found[1], Threshold(needed=int(found[2]), keys=int(found[3]))


def parse_expires(text: str) -> dict[str, int]:
    """Return the lifetimes of ``ROLE=TIME,...`` by ``<role>_s``; raise SettingsError if none."""
    found = {}
    for part in filter(None, text.split(",")):
        match = re.fullmatch(
            r"(root|targets|snapshot|timestamp)=(\d{1,5})([smhdwy])", part, re.ASCII
        )
        if match is None:
            raise _usage("--expires", "ROLE=TIME,... for example root=1y,timestamp=1d", part)
        found[f"{match[1]}_s"] = int(match[2]) * _UNITS_S[match[3]]
    return found


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; raise SettingsError if ``text`` is none."""
    try:
        return parse_listen(text)
    except ValueError as error:
        raise _usage("--listen", "HOST:PORT", text) from error


def parse_ecu(text: str) -> EcuRecord:
    """Return the ECU in ``ID=HARDWARE:APP``; raise SettingsError if ``text`` is none."""
    found = re.fullmatch(r"([^=]+)=([^:]+):([^:]+)", text)
    if found is None:
        raise _usage("--ecu", "ID=HARDWARE:APP, for example ecu-1=okdrive-app:trip-light", text)
    return EcuRecord(ecu_id=found[1], hardware_id=found[2], name=found[3])


def _usage(option: str, expected: str, got: str) -> SettingsError:
    return SettingsError(option, expected=expected, got=repr(got), intact="nothing was done")


def read_public_key(path: Path) -> bytes:
    """Return the raw 32 bytes of the Ed25519 public key in ``path``: PEM, or 64 hex digits.

    Raises:
        NotFoundError: There is no such file.
        SettingsError: It holds neither.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFoundError(str(path), expected="a public key", got=str(error)) from error
    if re.fullmatch(rb"\s*[0-9a-fA-F]{64}\s*", data):
        return bytes.fromhex(data.decode())
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise _no_key(path, str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, type(key).__name__)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _no_key(path: Path, got: str) -> SettingsError:
    return SettingsError(str(path), expected="an Ed25519 public key, PEM or hex", got=got)
