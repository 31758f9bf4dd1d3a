"""Certificates for one machine: a CA, a broker, vehicles, ingest. For demo, stack and tests.

The keys lie unencrypted beside the certificates (mode 0600): this CA trusts nobody outside the
machine it was made on, and nobody should trust it.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 397  # source: CA/Browser Forum baseline requirements 6.3.2, as a habit
_BACKDATED = timedelta(days=1)  # clocks on the other side may run behind
_USAGE_BITS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Files of one party: the CA it trusts, its certificate, its key (PEM)."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class Authority:
    """A CA in a folder: ``ca.pem``, ``ca.key`` and one pair of files per name."""

    def __init__(
        self, folder: Path, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate
    ) -> None:
        self.folder = folder
        self._key = key
        self._cert = cert

    @classmethod
    def create(cls, folder: Path, *, name: str, now: datetime) -> "Authority":
        """Make a new CA called ``name``, valid from ``now``; write it to ``folder``."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, key.public_key(), now).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        cert = builder.sign(key, hashes.SHA256())
        _write(folder / "ca.key", _key_pem(key))
        _write(folder / "ca.pem", cert.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, cert)

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Return the CA that ``create`` wrote to ``folder``.

        Raises:
            OSError: No CA there.
            ValueError: The files hold no EC key and certificate.
        """
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{folder / 'ca.key'}: expected an EC key")  # noqa: TRY004 (content)
        return cls(folder, key, x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()))

    def identity(self, name: str) -> Identity:
        """Return the files of the party called ``name``."""
        return Identity(
            self.folder / "ca.pem", self.folder / f"{name}.pem", self.folder / f"{name}.key"
        )

    def issue_server(self, name: str, *, hosts: tuple[str, ...], now: datetime) -> Identity:
        """Issue a certificate for a server reachable under ``hosts`` (names or addresses)."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._issue(name, now, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def issue_client(self, name: str, *, now: datetime) -> Identity:
        """Issue a certificate for a client; a vehicle's ``name`` is a random id, never a VIN."""
        return self._issue(name, now, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        name: str,
        now: datetime,
        purpose: x509.ObjectIdentifier,
        hosts: x509.SubjectAlternativeName | None,
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        builder = (
            _builder(name, str(issuer), key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if hosts is not None:
            builder = builder.add_extension(hosts, critical=False)
        cert = builder.sign(self._key, hashes.SHA256())
        identity = self.identity(name)
        _write(identity.key_file, _key_pem(key))
        _write(identity.cert_file, cert.public_bytes(serialization.Encoding.PEM))
        return identity


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=VALID_DAYS))
    )


def _usage(*granted: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{bit: bit in granted for bit in _USAGE_BITS})


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
