"""The vehicle version manifest: what a vehicle runs, signed by its primary ECU.

Shape (JSON, at most MAX_MANIFEST_BYTES)::

    {"signed": {"vehicle", "primary_ecu", "counter", "time", "ecus": [
        {"ecu_id", "hardware_id",
         "installed": {"name", "length", "hashes", "version", "release_counter"} | null,
         "attack": code | null,
         "result": {"update": content hash, "outcome", "code": code | null} | null,
         "wanted": true | false | null}]},
     "signatures": [{"keyid", "sig"}]}

Signed are the canonical JSON bytes (OLPC) of ``signed`` with Ed25519. ``counter`` grows with every
manifest, so that an old one cannot be sent again.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta, Struct
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError, VerificationError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Key, Signature, Signer, SSlibKey

from ota.errors import ManifestMalformedError, ManifestSignatureError

MAX_MANIFEST_BYTES = 65_536  # 256 ECUs at a good 200 bytes each
MAX_SIGNATURES = 8

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Code = Annotated[str, Meta(pattern=r"^[a-z0-9_.]{1,100}\Z")]
Utc = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]
Identifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class Outcome(StrEnum):
    """How an update of one ECU ended."""

    INSTALLED = "installed"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"


class Installed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The image an ECU runs; ``name`` is its target name, ``hashes`` maps algorithm to hex."""

    name: Annotated[str, Meta(min_length=1, max_length=300)]
    length: Annotated[int, Meta(ge=0)]
    hashes: Annotated[dict[str, str], Meta(min_length=1, max_length=8)]
    version: Annotated[str, Meta(min_length=1, max_length=64)]
    release_counter: Annotated[int, Meta(ge=0)]


class UpdateResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one update; ``update`` is the SHA-256 of its image, ``code`` says why not."""

    update: Sha256
    outcome: Outcome
    code: Code | None = None


class EcuReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ECU's version report; ``attack`` is the code of what was detected since the last one.

    ``wanted``: what the driver said about a downloadable app; None: nothing yet.
    """

    ecu_id: Identifier
    hardware_id: Identifier
    installed: Installed | None
    attack: Code | None = None
    result: UpdateResult | None = None
    wanted: bool | None = None


class VehicleManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a vehicle says about itself; ``time`` is its latest verifiable time, UTC."""

    vehicle: Identifier
    primary_ecu: Identifier
    counter: Annotated[int, Meta(ge=1, le=2**62)]
    time: Utc
    ecus: Annotated[tuple[EcuReport, ...], Meta(max_length=256)]

    def __post_init__(self) -> None:
        names = [ecu.ecu_id for ecu in self.ecus]
        if len(set(names)) != len(names):
            raise ValueError("ecus: expected each ECU once")


class _ManifestSignature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keyid: Annotated[str, Meta(max_length=128)]
    sig: Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){1,512}\Z")]


class _SignedManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    signed: dict[str, Any]
    signatures: Annotated[
        tuple[_ManifestSignature, ...], Meta(min_length=1, max_length=MAX_SIGNATURES)
    ]


def canonical_bytes(manifest: VehicleManifest) -> bytes:
    """Return the bytes that are signed: canonical JSON of the manifest."""
    return _canonical(msgspec.to_builtins(manifest))


def sign_manifest(manifest: VehicleManifest, signer: Signer) -> bytes:
    """Return ``manifest`` as signed JSON; ``signer`` holds the key of the primary ECU."""
    signature = signer.sign(canonical_bytes(manifest))
    return msgspec.json.encode(
        {
            "signed": msgspec.to_builtins(manifest),
            "signatures": [{"keyid": signature.keyid, "sig": signature.signature}],
        }
    )


def verify_manifest(data: bytes, key: Key) -> VehicleManifest:
    """Return the manifest in ``data`` if ``key`` signed it.

    Raises:
        ManifestMalformedError: Too long, not JSON, or not of the module's shape.
        ManifestSignatureError: No valid signature by ``key``.
    """
    document = _decode(data)
    offered = {entry.keyid: entry.sig for entry in document.signatures}
    if key.keyid not in offered:
        raise ManifestSignatureError(
            "manifest", expected=f"a signature by key {key.keyid[:12]}", got="other keys"
        )
    try:
        key.verify_signature(Signature(key.keyid, offered[key.keyid]), _canonical(document.signed))
    except (UnverifiedSignatureError, VerificationError) as error:
        raise ManifestSignatureError(
            "manifest", expected=f"a signature by key {key.keyid[:12]}", got="a wrong signature"
        ) from error
    return _to_manifest(document.signed)


def read_manifest(data: bytes) -> VehicleManifest:
    """Return the manifest in ``data``, whose signature was checked when it came.

    Raises:
        ManifestMalformedError: Too long, not JSON, or not of the module's shape.
    """
    return _to_manifest(_decode(data).signed)


def ecu_key(public_bytes: bytes) -> SSlibKey:
    """Return the TUF key of a raw 32-byte Ed25519 public key; its keyid is what manifests name.

    Raises:
        ValueError: Not 32 bytes.
    """
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public_bytes))


def _decode(data: bytes) -> _SignedManifest:
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestMalformedError(
            "manifest", expected=f"at most {MAX_MANIFEST_BYTES} bytes", got=str(len(data))
        )
    try:
        return msgspec.json.decode(data, type=_SignedManifest)
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from error


def _canonical(value: dict[str, Any]) -> bytes:
    try:
        text = encode_canonical(value)
        return str(text).encode()
    except (FormatError, RecursionError, UnicodeError) as error:
        raise _malformed(error) from error


def _to_manifest(signed: dict[str, Any]) -> VehicleManifest:
    try:
        manifest = msgspec.convert(signed, type=VehicleManifest)
    except (ValueError, TypeError, RecursionError) as error:
        raise _malformed(error) from error
    return manifest


def _malformed(error: Exception) -> ManifestMalformedError:
    return ManifestMalformedError(
        "manifest", expected="a vehicle version manifest", got=str(error)[:200]
    )
