"""Full verification: two TUF repositories, the floor below them, the Uptane rules above them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ota.client.floor import Floor
from ota.client.offer import Ecu, Offer
from ota.client.ports import Clock, Fetcher
from ota.client.repository import Refreshed, Repository, RepositoryAddress
from ota.client.uptane import Assignment, check_together, match, read_assignments


class Verifier:
    """Asks both repositories what this vehicle should run, and believes only what holds.

    ``folder`` keeps the metadata of both repositories (``director/``, ``image/``).
    """

    def __init__(  # noqa: PLR0913 (the doors of one decision, all by name)
        self,
        *,
        vehicle: str,
        ecus: Sequence[Ecu],
        director: RepositoryAddress,
        image: RepositoryAddress,
        folder: Path,
        fetcher: Fetcher,
        floor: Floor,
        clock: Clock,
    ) -> None:
        self._ecus = ecus
        self._floor = floor
        self._clock = clock
        self._director = Repository(
            "director", director, folder=folder / "director", fetcher=fetcher, vehicle=vehicle
        )
        self._image = Repository("image", image, folder=folder / "image", fetcher=fetcher)

    def check(self) -> tuple[Offer, ...]:
        """Refresh both repositories; return what the Director wants each ECU to run.

        Blocks for network and disk. Offers that are installed already are among the result.

        Raises:
            RepositoryError: A leaf that names the attack. The floor has not gone down; it may have
                risen to what the repositories have properly signed.
            DownloadError: The network is wrong.
            InstallError: Floor or metadata folder cannot be used.
        """
        director = self._director.refresh(self._floor)
        assignments = read_assignments(director.targets, self._ecus)
        image = self._image.refresh(self._floor)
        states = (director.state, image.state)
        now = no_earlier(self._clock.utc_now(), self._floor.lowest_time(states))
        director.check_expiry(now)
        image.check_expiry(now)
        self._floor.admit(states)
        offers = tuple(self._offer(assignment, image, now) for assignment in assignments)
        ids = [ecu.ecu_id for ecu in self._ecus]
        committed = {ecu_id: self._floor.release_counter(ecu_id) for ecu_id in ids}
        check_together(offers, self._ecus, committed)
        return offers

    def _offer(self, assignment: Assignment, image: Refreshed, now: datetime) -> Offer:
        ecu = assignment.ecu
        floor = self._floor.release_counter(ecu.ecu_id)
        released = image.find(assignment.file.path, hardware_id=ecu.hardware_id, now=now)
        return match(assignment, released, counter_floor=floor)


def no_earlier(wall: datetime, lowest: datetime | None) -> datetime:
    """Return ``wall``, or the ``lowest`` time it can be when the clock is behind that."""
    return wall if lowest is None else max(wall, lowest)
