"""What the update client speaks about: the vehicle's ECUs, a verified offer, and how it ended."""

import msgspec

from ota.metadata.custom import Chunks, Delta, ImageCustom, Kind
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
    ``deadline`` (``YYYY-MM-DDTHH:MM:SSZ``) is the Director's: past it a recall needs no OK.
    """

    content_hash: str
    ecu_id: str
    target: str
    length: int
    hashes: dict[str, str]
    custom: ImageCustom
    campaign: str | None = None
    deadline: str | None = None

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
    def deltas(self) -> tuple[Delta, ...]:
        """Return the signed differences that give this image."""
        return self.custom.delta

    def whole_costs(self, runs: str | None) -> int:
        """Return how many bytes the whole image costs where the image ``runs`` is installed."""
        return next(
            (each.length for each in self.custom.reuse if each.from_sha256 == runs), self.length
        )

    @property
    def unpacked_bytes(self) -> int | None:
        """Return how much room its files need; None for an older release."""
        return self.custom.unpacked_bytes


class EcuResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one ECU's part of an update."""

    ecu_id: str
    result: UpdateResult


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an update ended: ``sentence`` for the driver, ``detail`` for an engineer.

    ``ecu_id``, ``result``, ``name`` and ``version`` are those of the image that decided it,
    ``others`` the rest of its bundle. ``ended_utc`` is wall time, ``YYYY-MM-DDTHH:MM:SSZ``.
    """

    ecu_id: str
    result: UpdateResult
    name: str
    version: str
    sentence: str
    detail: str = ""
    others: tuple[EcuResult, ...] = ()
    ended_utc: str = ""

    def result_of(self, ecu_id: str) -> UpdateResult | None:
        """Return what became of the image for ``ecu_id``; None if it got none."""
        if ecu_id == self.ecu_id:
            return self.result
        return next((other.result for other in self.others if other.ecu_id == ecu_id), None)
