"""Which installer takes which image: one for each kind, behind one door."""

from collections.abc import Callable, Mapping, Sequence

from ota.client.offer import Ecu, Offer
from ota.client.ports import Installer
from ota.metadata.custom import Kind
from ota.metadata.manifest import Installed


class Installers:
    """The installers of one vehicle by the kind of image; several kinds may share one."""

    def __init__(self, by_kind: Mapping[Kind, Installer], ecus: Sequence[Ecu]) -> None:
        missing = {ecu.kind for ecu in ecus} - by_kind.keys()
        if missing:
            raise ValueError(f"ecus: expected kinds {sorted(by_kind)}, got {sorted(missing)}")
        self._by_kind = by_kind

    def of(self, offer: Offer) -> Installer:
        """Return who installs ``offer``."""
        return self._by_kind[offer.custom.kind]

    def installed(self, ecu: Ecu) -> Installed | None:
        """Return what ``ecu`` runs; raise InstallError if that cannot be read. Blocks."""
        return self._by_kind[ecu.kind].installed(ecu.name)

    def recover(self, is_committed: Callable[[str, int], bool]) -> None:
        """End every trial that nobody remembers; see ``ports.Installer``. Blocks."""
        for installer in set(self._by_kind.values()):
            installer.recover(is_committed)
