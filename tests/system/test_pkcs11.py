"""Keys that never leave the token, with a real one: SoftHSM."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.consent.keys import (
    ECDSA_P256,
    KeyFileError,
    MissingKey,
    load_purpose_secret,
    load_verify_key,
)
from agent.store.vault import KeyLostError, Vault
from agent.token import (
    Token,
    TokenError,
    TokenSecrets,
    TokenWrapper,
    ledger_key,
    open_token,
)
from telemetry.purposes import Purpose

pytestmark = pytest.mark.system

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "123456"


@dataclass(frozen=True)
class Softhsm:
    folder: Path

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def open(self, label: str = "vehicle") -> Token:
        return open_token(MODULE, label, self.pin_file)


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Softhsm]:
    """Two tokens; the library reads its configuration once in the life of a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "pin").write_text(PIN + "\n")
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    for label in ("vehicle", "another", "empty", "locked"):
        subprocess.run(
            f"softhsm2-util --init-token --free --label {label} --pin {PIN} --so-pin {PIN}".split(),
            check=True,
            capture_output=True,
        )
    yield Softhsm(folder)
    open_token.cache_clear()
    shutil.rmtree(folder / "tokens")


@pytest.fixture
def token(softhsm: Softhsm) -> Token:
    opened = softhsm.open()
    opened.make_keys()
    return opened


def test_the_ledger_is_signed_in_the_token_and_verified_without_it(
    token: Token, softhsm: Softhsm, tmp_path: Path
) -> None:
    signer = ledger_key(MODULE, "vehicle", softhsm.pin_file)
    signature = signer.sign(b"an entry")
    assert len(signature) == 64
    assert signer.public.algorithm == ECDSA_P256
    (tmp_path / "vehicle.pem").write_bytes(token.signing_key().pem())
    elsewhere = load_verify_key(tmp_path / "vehicle.pem")
    assert elsewhere.key_id == signer.public.key_id
    assert elsewhere.is_signed(b"an entry", signature)
    assert not elsewhere.is_signed(b"another entry", signature)
    assert not elsewhere.is_signed(b"an entry", b"")
    assert not elsewhere.is_signed(b"an entry", signature[:-1])


def test_making_keys_again_leaves_them_as_they_are(token: Token) -> None:
    before = token.signing_key().public.key_id
    token.make_keys()
    assert token.signing_key().public.key_id == before


def test_what_is_stored_opens_with_the_token_and_with_no_other(
    token: Token, softhsm: Softhsm, tmp_path: Path
) -> None:
    softhsm.open("another").make_keys()
    wrappers = [TokenWrapper(MODULE, label, softhsm.pin_file) for label in ("vehicle", "another")]
    sealed = Vault(tmp_path, wrapper=wrappers[0]).seal("trip 1", "trip", b"a summary")
    assert [path.name for path in tmp_path.glob("*.*")] == ["trip.wrapped"]
    assert Vault(tmp_path, wrapper=wrappers[0]).open("trip 1", sealed) == b"a summary"
    with pytest.raises(KeyLostError, match="wrapped by another token"):
        Vault(tmp_path, wrapper=wrappers[1]).open("trip 1", sealed)


def test_a_token_that_is_gone_signs_nothing_and_opens_nothing_and_says_why(
    softhsm: Softhsm, tmp_path: Path
) -> None:
    gone = TokenWrapper(MODULE, "gone", softhsm.pin_file)
    vault = Vault(tmp_path, wrapper=gone)
    with pytest.raises(KeyLostError, match=r"token gone in .*NoSuchToken"):
        vault.seal("trip 1", "trip", b"a summary")
    key = ledger_key(MODULE, "gone", softhsm.pin_file)
    assert isinstance(key, MissingKey)
    assert "NoSuchToken" in (key.public.problem or "")
    with pytest.raises(KeyFileError, match="nothing was signed"):
        key.sign(b"an entry")


def test_a_token_without_keys_says_how_to_make_them(softhsm: Softhsm) -> None:
    with pytest.raises(TokenError, match="okdrive-agent token init makes it"):
        softhsm.open("empty").signing_key()


def test_a_wrong_pin_is_told(softhsm: Softhsm, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("000000")
    with pytest.raises(TokenError, match="PinIncorrect"):
        open_token(MODULE, "locked", tmp_path / "pin")
    with pytest.raises(TokenError, match="its PIN cannot be read"):
        open_token(MODULE, "vehicle", tmp_path / "none")


def test_a_module_that_is_none_is_told(softhsm: Softhsm) -> None:
    with pytest.raises(TokenError, match=r"none\.so"):
        open_token(Path("/none.so"), "vehicle", softhsm.pin_file)


def test_the_secret_of_a_purpose_is_wrapped_by_the_token_and_needs_it(
    token: Token, softhsm: Softhsm, tmp_path: Path
) -> None:
    assert token.signing_key()
    plain = load_purpose_secret(tmp_path, Purpose.TRAFFIC)  # before there was a token
    secrets = TokenSecrets(TokenWrapper(MODULE, "vehicle", softhsm.pin_file))
    assert load_purpose_secret(tmp_path, Purpose.TRAFFIC, secrets) == plain
    assert [path.name for path in tmp_path.iterdir()] == ["traffic.wrapped"]
    assert plain not in (tmp_path / "traffic.wrapped").read_bytes()
    again = TokenSecrets(TokenWrapper(MODULE, "vehicle", softhsm.pin_file))
    assert load_purpose_secret(tmp_path, Purpose.TRAFFIC, again) == plain
    gone = TokenSecrets(TokenWrapper(MODULE, "gone", softhsm.pin_file))
    with pytest.raises(KeyFileError, match=r"token gone in .*NoSuchToken"):
        load_purpose_secret(tmp_path, Purpose.TRAFFIC, gone)
    with pytest.raises(KeyFileError, match="NoSuchToken"):
        load_purpose_secret(tmp_path, Purpose.BATTERY, gone)
    assert [path.name for path in tmp_path.iterdir()] == ["traffic.wrapped"]
