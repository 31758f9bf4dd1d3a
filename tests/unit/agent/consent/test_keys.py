from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from agent.consent.keys import (
    KeyFileError,
    destroy_secrets,
    load_purpose_secret,
    load_signing_key,
    load_verify_key,
)
from telemetry.purposes import Purpose


def write_private(path: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def test_what_the_signing_key_signs_its_public_half_accepts(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    key = load_signing_key(write_private(tmp_path / "ecu.key", private))
    public = tmp_path / "ecu.pub"
    public.write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    verify = load_verify_key(public)
    assert verify.key_id == key.public.key_id
    assert verify.is_signed(b"body", key.sign(b"body"))
    assert not verify.is_signed(b"bodY", key.sign(b"body"))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = write_private(tmp_path / "ecu.key", Ed25519PrivateKey.generate())
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="expected mode 0600, found 0640"):
        load_signing_key(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = write_private(tmp_path / "ecu.key", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(KeyFileError, match="expected an Ed25519 key"):
        load_signing_key(path)


@pytest.mark.parametrize("load", [load_signing_key, load_verify_key])
def test_a_file_that_is_no_key_is_refused(load: object, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="in PEM"):
        load(path)  # type: ignore[operator]


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"ecu\.key: No such file"):
        load_signing_key(tmp_path / "ecu.key")


def test_a_secret_is_made_once_and_only_for_us(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    secret = load_purpose_secret(folder, Purpose.BATTERY)
    assert len(secret) == 32
    assert load_purpose_secret(folder, Purpose.BATTERY) == secret
    assert (folder / "battery.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["battery.secret"]


def test_a_secret_of_another_length_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "battery.secret"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="expected 32 bytes, found 5"):
        load_purpose_secret(tmp_path, Purpose.BATTERY)
    assert path.read_bytes() == b"short"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="cannot write the secret"):
        load_purpose_secret(tmp_path / "file" / "secrets", Purpose.BATTERY)


class FakeToken:
    """Wraps by turning bytes round; ``is_there`` is whether it can be asked."""

    is_there = True

    def wrap(self, key: bytes) -> bytes:
        self._expect_there()
        return key[::-1]

    def unwrap(self, wrapped: bytes) -> bytes:
        self._expect_there()
        return wrapped[::-1]

    def _expect_there(self) -> None:
        if not self.is_there:
            raise KeyFileError("the token is gone")


def test_with_a_token_a_secret_is_never_on_the_disk_as_it_is(tmp_path: Path) -> None:
    token = FakeToken()
    secret = load_purpose_secret(tmp_path, Purpose.BATTERY, token)
    assert load_purpose_secret(tmp_path, Purpose.BATTERY, token) == secret
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "battery.wrapped": secret[::-1]
    }
    assert (tmp_path / "battery.wrapped").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_was_there_before_the_token_is_wrapped_and_stays_the_same(
    tmp_path: Path,
) -> None:
    secret = load_purpose_secret(tmp_path, Purpose.BATTERY)
    token = FakeToken()
    assert load_purpose_secret(tmp_path, Purpose.BATTERY, token) == secret
    assert [path.name for path in tmp_path.iterdir()] == ["battery.wrapped"]


def test_the_power_may_go_between_wrapping_a_secret_and_destroying_the_plain_one(
    tmp_path: Path,
) -> None:
    secret = load_purpose_secret(tmp_path, Purpose.BATTERY)
    (tmp_path / "battery.wrapped").write_bytes(secret[::-1])
    (tmp_path / "battery.wrapped").chmod(0o600)
    assert load_purpose_secret(tmp_path, Purpose.BATTERY, FakeToken()) == secret
    assert [path.name for path in tmp_path.iterdir()] == ["battery.wrapped"]


def test_two_different_secrets_of_a_purpose_are_told_and_both_stay(tmp_path: Path) -> None:
    load_purpose_secret(tmp_path, Purpose.BATTERY)
    (tmp_path / "battery.wrapped").write_bytes(bytes(32))
    (tmp_path / "battery.wrapped").chmod(0o600)
    with pytest.raises(KeyFileError, match="found another secret"):
        load_purpose_secret(tmp_path, Purpose.BATTERY, FakeToken())
    assert len(list(tmp_path.iterdir())) == 2


def test_without_its_token_a_secret_is_not_made_anew(tmp_path: Path) -> None:
    token = FakeToken()
    load_purpose_secret(tmp_path, Purpose.BATTERY, token)
    with pytest.raises(KeyFileError, match="expected the token that wrapped it, found none"):
        load_purpose_secret(tmp_path, Purpose.BATTERY)
    token.is_there = False
    with pytest.raises(KeyFileError, match="the token is gone"):
        load_purpose_secret(tmp_path, Purpose.BATTERY, token)
    assert [path.name for path in tmp_path.iterdir()] == ["battery.wrapped"]


def test_destroying_secrets_destroys_wrapped_ones_too(tmp_path: Path) -> None:
    load_purpose_secret(tmp_path, Purpose.BATTERY, FakeToken())
    assert destroy_secrets(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
