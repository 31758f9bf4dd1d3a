"""What the update client speaks about: the vehicle's ECUs, a verified offer, and how it ended."""

import msgspec

from ota.metadata.custom import Chunks, ImageCustom, Kind
from ota.metadata.manifest import UpdateResult


class Ecu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One part of the vehicle that takes images; an app's place is an ECU of its own."""

    ecu_id: str
    hardware_id: str
    kind: Kind
    name: str


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image for one ECU, as both repositories have signed it; made by ``uptane.match`` only.

    ``target`` is the target name, ``hashes`` maps algorithm to hex and holds every signed one,
    ``content_hash`` is the SHA-256 among them: what the driver's OK and every report name.
    """

    content_hash: str
    ecu_id: str
    target: str
    length: int
    hashes: dict[str, str]
    custom: ImageCustom
    campaign: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the app."""
        return self.custom.name

    @property
    def version(self) -> str:
        """Return the offered version, MAJOR.MINOR.PATCH."""
        return self.custom.version

    @property
    def release_counter(self) -> int:
        """Return the counter that only grows from release to release."""
        return self.custom.release_counter

    @property
    def chunks(self) -> Chunks | None:
        """Return what is signed of its list of pieces; None for an older release."""
        return self.custom.chunks

    @property
    def unpacked_bytes(self) -> int | None:
        """Return how much room its files need; None for an older release."""
        return self.custom.unpacked_bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the update of one ECU ended: ``sentence`` for the driver, ``detail`` for an engineer."""

    ecu_id: str
    result: UpdateResult
    name: str
    version: str
    sentence: str
    detail: str = ""
