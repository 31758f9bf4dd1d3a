"""Repositories that release several images at once: a downloadable app and a system app."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tuf.api.metadata import TargetFile

from ota.client.client import UpdateSettings
from ota.client.offer import Ecu
from ota.metadata.custom import (
    Criticality,
    DirectorCustom,
    EcuAssignment,
    ImageCustom,
    Kind,
    Release,
    to_custom,
)
from ota.metadata.models import target_name
from tests.support.repository_simulator import ECU, FACTS, RepositorySimulator

SYSTEM = Ecu(ecu_id="ecu-2", hardware_id="board-1", kind=Kind.EMBEDDED, name="door-chime")
ECUS = (ECU, SYSTEM)


class BundleSimulator(RepositorySimulator):
    """As its parent, with an embedded system app beside the downloadable one."""

    def settings(self, folder: Path, *, settle_s: float = 0.05) -> UpdateSettings:
        return replace(super().settings(folder, settle_s=settle_s), ecus=ECUS)

    def release_all(
        self,
        packages: Mapping[str, bytes],
        version: str,
        *,
        counter: int,
        campaign: str | None = "c-1",
        **fields: object,
    ) -> list[str]:
        """Release a package for each app by name, and assign all of them; return their hashes.

        ``fields`` are of each image; ``deadline`` is the Director's.
        """
        deadline = fields.pop("deadline", None)
        targets = {}
        for ecu in self._ecus_of(packages):
            package = packages[ecu.name]
            path = target_name(ecu.name, version, ecu.kind)
            hashes = {"sha256": hashlib.sha256(package).hexdigest()}
            custom = to_custom(self._custom(ecu, version, counter, fields))
            self.image.targets[path] = TargetFile(
                len(package), hashes, path, {"custom": {**custom}}
            )
            self.images[hashes["sha256"]] = package
            word = EcuAssignment(hardware_id=ecu.hardware_id, release_counter=counter)
            said = DirectorCustom(
                ecus={ecu.ecu_id: word},
                campaign=campaign,
                deadline=deadline,  # type: ignore[arg-type]
            )
            targets[path] = TargetFile(len(package), hashes, path, {"custom": to_custom(said)})
        self.image.publish()
        self.director.targets = targets
        self.director.publish()
        return [target.hashes["sha256"] for target in targets.values()]

    def _ecus_of(self, packages: Mapping[str, bytes]) -> Sequence[Ecu]:
        return [ecu for ecu in ECUS if ecu.name in packages]

    def _custom(
        self, ecu: Ecu, version: str, counter: int, fields: Mapping[str, object]
    ) -> ImageCustom:
        known: dict[str, object] = {
            "hardware_ids": (ecu.hardware_id,),
            "release_counter": counter,
            "version": version,
            "kind": ecu.kind,
            "name": ecu.name,
            "release": Release(criticality=Criticality.SECURITY, facts={"en": FACTS}),
        }
        return ImageCustom(**(known | dict(fields)))  # type: ignore[arg-type]
