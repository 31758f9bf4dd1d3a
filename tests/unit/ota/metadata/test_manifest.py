import json
from typing import Any

import pytest
from securesystemslib.formats import encode_canonical

from ota.errors import ManifestMalformedError, ManifestSignatureError
from ota.metadata.manifest import MAX_MANIFEST_BYTES, ecu_key, sign_manifest, verify_manifest
from tests.support.publisher import ecu_signer, manifest, signed_manifest

KEY = ecu_signer().public_key


def changed(**signed: object) -> bytes:
    document: dict[str, Any] = json.loads(signed_manifest())
    document["signed"].update(signed)
    return json.dumps(document).encode()


def test_what_is_verified_is_what_was_signed() -> None:
    assert verify_manifest(signed_manifest(4), KEY) == manifest(4)


def test_a_raw_public_key_names_the_same_key_as_its_signer() -> None:
    assert ecu_key(bytes.fromhex(KEY.keyval["public"])) == KEY
    with pytest.raises(ValueError, match="32"):
        ecu_key(b"short")


def test_one_changed_value_is_a_wrong_signature() -> None:
    with pytest.raises(ManifestSignatureError, match="wrong signature"):
        verify_manifest(changed(counter=2), KEY)


def test_another_key_is_refused_even_under_the_right_key_id() -> None:
    other = sign_manifest(manifest(), ecu_signer("thief"))
    with pytest.raises(ManifestSignatureError, match="other keys"):
        verify_manifest(other, KEY)
    forged = json.loads(other)
    forged["signatures"][0]["keyid"] = KEY.keyid
    with pytest.raises(ManifestSignatureError, match="wrong signature"):
        verify_manifest(json.dumps(forged).encode(), KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 60_000,
        b'{"signed": {}, "signatures": []}',
        b" " * (MAX_MANIFEST_BYTES + 1),
        changed(counter=1.5),
        changed(time="\ud800"),
    ],
    ids=["nothing", "empty", "deep", "unsigned", "endless", "float", "surrogate"],
)
def test_rubbish_is_malformed(data: bytes) -> None:
    with pytest.raises(ManifestMalformedError, match="expected"):
        verify_manifest(data, KEY)


@pytest.mark.parametrize(
    "signed",
    [
        {"counter": 0},
        {"time": "yesterday"},
        {"vehicle": "../car"},
        {"surprise": 1},
        {"ecus": [json.loads(signed_manifest())["signed"]["ecus"][0]] * 2},
    ],
    ids=lambda signed: next(iter(signed)),
)
def test_a_signature_does_not_excuse_a_wrong_shape(signed: dict[str, Any]) -> None:
    document = json.loads(signed_manifest())["signed"] | signed
    with pytest.raises(ManifestMalformedError, match="vehicle version manifest"):
        verify_manifest(_sign_anything(document), KEY)


def _sign_anything(document: dict[str, Any]) -> bytes:
    signature = ecu_signer().sign(str(encode_canonical(document)).encode())
    signatures = [{"keyid": signature.keyid, "sig": signature.signature}]
    return json.dumps({"signed": document, "signatures": signatures}).encode()
