"""Full verification: two TUF repositories, the floor below them, the Uptane rules above them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ota.client.documents import Documents
from ota.client.floor import Floor
from ota.client.offer import Ecu, Offer
from ota.client.ports import Fetcher
from ota.client.repository import Refreshed, Repository, RepositoryAddress
from ota.client.timekeeper import TimeKeeper, no_earlier
from ota.client.uptane import Assignment, check_together, match, read_assignments
from ota.errors import DownloadError, StaleError

# Source: openpilot prompts after ten days without a check and refuses to engage after fourteen.
STALE_AFTER = timedelta(days=14)


class Verifier:
    """Asks both repositories what this vehicle should run, and believes only what holds.

    ``folder`` keeps the metadata of both repositories (``director/``, ``image/``). ``running`` says
    which hashes the image has that an ECU runs for good, by the name of its app. ``documents`` are
    fetched once both repositories hold.
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
        time: TimeKeeper,
        running: Callable[[str], Mapping[str, str] | None],
        documents: Documents | None = None,
    ) -> None:
        self._ecus = ecus
        self._floor = floor
        self._time = time
        self._running = running
        self._documents = documents
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
        offline = director.offline()
        for state in states:
            self._time.check_issued(state.repository, state.issued)
        now = no_earlier(self._time.witnessed(), self._floor.lowest_time(states))
        director.check_expiry(now)
        image.check_expiry(now)
        self._floor.admit(states if offline is None else (*states, offline))
        offers = tuple(self._offer(assignment, image, now) for assignment in assignments)
        ids = [ecu.ecu_id for ecu in self._ecus]
        committed = {ecu_id: self._floor.release_counter(ecu_id) for ecu_id in ids}
        check_together(offers, self._ecus, committed)
        self._commit_running(offers)
        if self._documents is not None:
            self._documents.collect(image.targets)
        return offers

    def worse(self, error: DownloadError) -> DownloadError:
        """Return ``error``, or that the repositories were last heard too long ago. Blocks.

        Raises:
            InstallError: The floor cannot be used.
        """
        lowest = self._floor.lowest_time()
        if lowest is None or not self._time.is_known():
            return error
        unheard = self._time.utc_now() - lowest
        if unheard <= STALE_AFTER:
            return error
        return StaleError(
            "repositories",
            expected=f"an answer within {STALE_AFTER.days} days",
            got=f"none for {unheard.days} days: {error.code}",
        )

    def _commit_running(self, offers: Sequence[Offer]) -> None:
        """Raise the release counters of what runs already: there is nothing left to commit.

        Else an emergency roll-back would leave those who still run the old content open to the
        release that was taken back.
        """
        for offer in offers:
            if self._running(offer.name) == offer.hashes:
                self._floor.raise_release_counter(offer.ecu_id, offer.release_counter)

    def _offer(self, assignment: Assignment, image: Refreshed, now: datetime) -> Offer:
        ecu = assignment.ecu
        floor = self._floor.release_counter(ecu.ecu_id)
        released = image.find(assignment.file.path, hardware_id=ecu.hardware_id, now=now)
        return match(assignment, released, counter_floor=floor)
