"""What this vehicle runs and what became of its last update, signed, for the Director."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Signer

from ota.client.floor import Floor
from ota.client.installers.door import Installers
from ota.client.journal import JournalEntry
from ota.client.offer import Ecu
from ota.client.ports import Clock, Fetcher
from ota.client.wishes import Wishes
from ota.errors import InstallError
from ota.metadata.manifest import EcuReport, VehicleManifest, ecu_key, sign_manifest
from ota.metadata.models import format_utc

_MAX_ANSWER_BYTES = 65_536


class EcuKeyError(InstallError):
    """The key of the primary ECU cannot be used; without it nothing is reported."""

    code = "ota.install.ecu_key"
    advice = "Restore the key file named in the configuration (Ed25519, PEM, mode 0600)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Builds vehicle version manifests and delivers them; every method blocks.

    ``url``: where the Director takes manifests of this vehicle. ``signer`` holds the key of
    ``primary_ecu``.
    """

    vehicle: str
    primary_ecu: str
    ecus: Sequence[Ecu]
    signer: Signer
    url: str
    fetcher: Fetcher
    floor: Floor
    installers: Installers
    wishes: Wishes
    clock: Clock

    def send(self, entry: JournalEntry) -> None:
        """Deliver what is installed and what ``entry`` has not said yet; return when accepted.

        It may be sent again after a power cut: the counter grows, the result stays the same.

        Raises:
            DownloadError: The Director was not reached; ``ServerRefusedError``: it refused.
            InstallError: The floor or the record of what is installed cannot be read.
        """
        self.fetcher.post(self.url, self.signed(entry), max_bytes=_MAX_ANSWER_BYTES)

    def signed(self, entry: JournalEntry) -> bytes:
        """Return a new signed manifest of what is installed and what ``entry`` has not said yet.

        Raises:
            InstallError: The floor or the record of what is installed cannot be read.
        """
        return sign_manifest(self._manifest(entry), self.signer)

    def _manifest(self, entry: JournalEntry) -> VehicleManifest:
        return VehicleManifest(
            vehicle=self.vehicle,
            primary_ecu=self.primary_ecu,
            counter=self.floor.next_manifest_counter(),
            time=format_utc(self.clock.utc_now()),
            ecus=tuple(self._report(ecu, entry) for ecu in self.ecus),
        )

    def _report(self, ecu: Ecu, entry: JournalEntry) -> EcuReport:
        # Said once: a Director that assigns the same image again must not hear of the old failure.
        outcome = None if entry.reported else entry.outcome
        return EcuReport(
            ecu_id=ecu.ecu_id,
            hardware_id=ecu.hardware_id,
            installed=self.installers.installed(ecu),
            attack=None if entry.reported else entry.attack,
            result=None if outcome is None else outcome.result_of(ecu.ecu_id),
            wanted=self.wishes.read().get(ecu.name),
        )


def load_ecu_signer(path: Path) -> Signer:
    """Return the signer of the private Ed25519 key in ``path`` (PEM).

    Raises:
        EcuKeyError: It cannot be read, or is not such a key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise EcuKeyError(str(path), expected="a private key in PEM", got=str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise EcuKeyError(str(path), expected="an Ed25519 key", got=type(key).__name__)
    return CryptoSigner(key, ecu_key(key.public_key().public_bytes_raw()))
