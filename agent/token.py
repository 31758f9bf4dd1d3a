"""Keys that never leave a PKCS #11 token: a TPM, a secure element, SoftHSM. Needs ``[pkcs11]``.

Two keys are used, both made by ``okdrive-agent token init`` and not extractable: an EC key on P-256
(Ed25519 is missing in many tokens) that signs the ledger, and an AES key that wraps the keys of
what is stored and the secrets of purposes. The only module that knows python-pkcs11.
"""

import functools
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from agent.consent.keys import KeyFileError, MissingKey, PublicKey, Signer, VerifyKey
from agent.store.vault import KeyLostError

SIGNING, WRAPPING = "okdrive-sign", "okdrive-wrap"  # labels in the token
_IV_BYTES = _CHECK_BYTES = 16
_MAX_PIN_BYTES = 256


class TokenError(Exception):
    """The token, its PIN or a key in it cannot be used. ``str()`` says what to look at."""

    code = "agent.token"


class Token:
    """An open token. Every method blocks and may be called from any thread."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401 (untyped library)
        self._session = session
        self._lock = threading.Lock()

    def make_keys(self) -> None:
        """Make the keys that are missing; those that are there stay. Raises TokenError."""
        import pkcs11  # noqa: PLC0415 (an extra)

        with self._lock, _translated():
            if self._find(pkcs11.ObjectClass.PRIVATE_KEY, SIGNING) is None:
                self._make_signing_key()
            if self._find(pkcs11.ObjectClass.SECRET_KEY, WRAPPING) is None:
                self._session.generate_key(
                    pkcs11.KeyType.AES,
                    256,
                    label=WRAPPING,
                    store=True,
                    template={
                        pkcs11.Attribute.SENSITIVE: True,
                        pkcs11.Attribute.EXTRACTABLE: False,
                    },
                )

    def signing_key(self) -> "TokenSigner":
        """Return what signs the ledger; raise TokenError if there is no such key."""
        import pkcs11  # noqa: PLC0415 (an extra)
        from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

        with self._lock, _translated():
            public = self._needed(pkcs11.ObjectClass.PUBLIC_KEY, SIGNING)
            key = load_der_public_key(encode_ec_public_key(public))
        if not isinstance(key, EllipticCurvePublicKey):
            raise TokenError(f"token: expected an EC key called {SIGNING}, found another kind")
        return TokenSigner(self, VerifyKey(key))

    def sign(self, body: bytes) -> bytes:
        """Return the ECDSA signature (r and s, 32 bytes each) over the SHA-256 of ``body``."""
        import pkcs11  # noqa: PLC0415 (an extra)

        with self._lock, _translated():
            key = self._needed(pkcs11.ObjectClass.PRIVATE_KEY, SIGNING)
            digest = hashlib.sha256(body).digest()
            signature: bytes = key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        return signature

    def wrap(self, key: bytes) -> bytes:
        """Return ``key`` encrypted in the token, with what shows that it comes back whole."""
        import pkcs11  # noqa: PLC0415 (an extra)

        iv, check = os.urandom(_IV_BYTES), hashlib.sha256(key).digest()[:_CHECK_BYTES]
        with self._lock, _translated():
            wrapping = self._needed(pkcs11.ObjectClass.SECRET_KEY, WRAPPING)
            mechanism = pkcs11.Mechanism.AES_CBC  # every token has it
            sealed: bytes = wrapping.encrypt(key + check, mechanism=mechanism, mechanism_param=iv)
        return iv + sealed

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise TokenError if it was not wrapped here."""
        import pkcs11  # noqa: PLC0415 (an extra)

        iv, sealed = wrapped[:_IV_BYTES], wrapped[_IV_BYTES:]
        with self._lock, _translated():
            wrapping = self._needed(pkcs11.ObjectClass.SECRET_KEY, WRAPPING)
            mechanism = pkcs11.Mechanism.AES_CBC
            found: bytes = wrapping.decrypt(sealed, mechanism=mechanism, mechanism_param=iv)
        key, check = found[:-_CHECK_BYTES], found[-_CHECK_BYTES:]
        if hashlib.sha256(key).digest()[:_CHECK_BYTES] != check:
            raise TokenError("token: a key was wrapped by another token")
        return key

    def _make_signing_key(self) -> None:
        import pkcs11  # noqa: PLC0415 (an extra)
        from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = self._session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        domain.generate_keypair(store=True, label=SIGNING)

    def _find(self, kind: Any, label: str) -> Any:  # noqa: ANN401 (untyped library)
        import pkcs11  # noqa: PLC0415 (an extra)

        try:
            return self._session.get_key(object_class=kind, label=label)
        except pkcs11.NoSuchKey:
            return None

    def _needed(self, kind: Any, label: str) -> Any:  # noqa: ANN401 (untyped library)
        found = self._find(kind, label)
        if found is None:
            raise TokenError(f"token: no key called {label}; okdrive-agent token init makes it")
        return found


class TokenSigner:
    """Signs ledger entries in the token."""

    def __init__(self, token: Token, public: VerifyKey) -> None:
        self._token = token
        self._verify = public
        self.public: PublicKey = public

    def sign(self, body: bytes) -> bytes:
        """Return the 64-byte signature over ``body``; raise TokenError."""
        return self._token.sign(body)

    def pem(self) -> bytes:
        """Return the public half for others."""
        return self._verify.pem()


class TokenWrapper:
    """Wraps the keys of what is stored; the token is opened when the first one is needed."""

    def __init__(self, module: Path, label: str, pin_file: Path) -> None:
        self._where = (module, label, pin_file)

    def wrap(self, key: bytes) -> bytes:
        """Return ``key`` wrapped; raise KeyLostError without the token."""
        try:
            return open_token(*self._where).wrap(key)
        except TokenError as error:
            raise KeyLostError(str(error)) from error

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise KeyLostError without the token or with another."""
        try:
            return open_token(*self._where).unwrap(wrapped)
        except TokenError as error:
            raise KeyLostError(str(error)) from error


class TokenSecrets:
    """Wraps the secrets of purposes; each is unwrapped once in the life of this object."""

    def __init__(self, wrapper: TokenWrapper) -> None:
        self._wrapper = wrapper
        self._known: dict[bytes, bytes] = {}  # by what stands in the file, so that a new one counts

    def wrap(self, key: bytes) -> bytes:
        """Return ``key`` wrapped; raise KeyFileError without the token."""
        try:
            return self._wrapper.wrap(key)
        except KeyLostError as error:
            raise KeyFileError(str(error)) from error

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise KeyFileError without the token or with another."""
        if wrapped not in self._known:
            try:
                self._known[wrapped] = self._wrapper.unwrap(wrapped)
            except KeyLostError as error:
                raise KeyFileError(str(error)) from error
        return self._known[wrapped]


def ledger_key(module: Path, label: str, pin_file: Path) -> Signer:
    """Return what signs the ledger; without the token a key that signs nothing and says why."""
    try:
        return open_token(module, label, pin_file).signing_key()
    except TokenError as error:
        return MissingKey(str(error))


@functools.cache  # one session for a process: opening one takes a PIN and, with a TPM, seconds
def open_token(module: Path, label: str, pin_file: Path) -> Token:
    """Open the token ``label`` of a PKCS #11 module; raise TokenError. Blocks."""
    try:
        import pkcs11  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise TokenError("token: python-pkcs11 is missing; install okdrive[pkcs11]") from error
    try:
        pin = pin_file.read_bytes()[:_MAX_PIN_BYTES].decode().strip()
    except (OSError, ValueError) as error:
        raise TokenError(f"token: {pin_file}: its PIN cannot be read: {error}") from error
    try:
        token = pkcs11.lib(str(module)).get_token(token_label=label)
        return Token(token.open(user_pin=pin, rw=True))
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise TokenError(
            f"token {label} in {module}: {type(error).__name__} {error}".rstrip()
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Let only TokenErrors out of the library."""
    import pkcs11  # noqa: PLC0415 (an extra)

    try:
        yield
    except pkcs11.PKCS11Error as error:
        raise TokenError(f"token: {type(error).__name__} {error}".rstrip()) from error
