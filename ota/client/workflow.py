"""What is done in each state of an update: verify, download, wait, install, check, report."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from ota.client.download import Downloader
from ota.client.engine import Step
from ota.client.floor import Floor
from ota.client.gates import Refusal
from ota.client.journal import JournalEntry
from ota.client.offer import Ecu, Offer, Outcome
from ota.client.ports import Clock, Installer
from ota.client.report import Reporter
from ota.client.states import UpdateEvent, UpdateState
from ota.client.verifier import Verifier
from ota.errors import (
    DownloadError,
    InstallError,
    NoRoomError,
    NotNowError,
    OtaError,
    QuarantinedError,
    RepositoryError,
    ServerRefusedError,
    SlowRetrievalError,
    StoppedError,
    TimeUnknownError,
    UnhealthyError,
)
from ota.metadata.manifest import Outcome as OutcomeKind
from ota.metadata.manifest import UpdateResult

_MAX_CLIENT_ERROR = 499  # an HTTP status of 400 to 499 says: not like this, ever
_TRY_LATER = frozenset({408, 425, 429})

log = logging.getLogger(__name__)

# States that are repeated whatever happens, and states that wait for a better network or disk.
_STUBBORN = frozenset({UpdateState.COMMITTING, UpdateState.ROLLING_BACK})
_PATIENT = frozenset({UpdateState.DOWNLOADING, UpdateState.REPORTING})
_NO_OFFER: Mapping[str, object] = {"offer": None, "approved": None}

AskGates = Callable[[Offer, str | None], Sequence[Refusal]]


@dataclass
class Situation:
    """What a person may want to know of the step that waits; not needed to go on."""

    refusals: tuple[Refusal, ...] = ()
    problem: OtaError | None = None


class UpdateSteps:
    """Meets ``engine.Steps``. ``ask_gates`` says why an offer may not be installed now."""

    def __init__(  # noqa: PLR0913 (the doors of one flow, all by name)
        self,
        *,
        ecus: Sequence[Ecu],
        verifier: Verifier,
        downloader: Downloader,
        installer: Installer,
        reporter: Reporter,
        floor: Floor,
        ask_gates: AskGates,
        clock: Clock,
        is_clock_set: Callable[[], bool],
    ) -> None:
        self._ecus = ecus
        self._verifier = verifier
        self._downloader = downloader
        self._installer = installer
        self._reporter = reporter
        self._floor = floor
        self._ask_gates = ask_gates
        self._clock = clock
        self._is_clock_set = is_clock_set
        self.situation = Situation()
        self._actions: dict[UpdateState, Callable[[JournalEntry], Step]] = {
            UpdateState.VERIFYING: self._verify,
            UpdateState.DOWNLOADING: self._download,
            UpdateState.INSTALLING: self._install,
            UpdateState.CHECKING: self._check,
            UpdateState.COMMITTING: self._commit,
            UpdateState.ROLLING_BACK: self._roll_back,
            UpdateState.REPORTING: self._report,
        }

    async def run(self, entry: JournalEntry) -> Step | None:
        """Do what ``entry.state`` asks for; see ``engine.Steps``."""
        if entry.state is UpdateState.IDLE:
            return None
        if entry.state is UpdateState.AWAITING_OK:
            try:
                return self._await_ok(entry, await asyncio.to_thread(self._is_time_known))
            except OtaError as error:
                self.situation = Situation(problem=error)
                return None  # no floor, no time: nothing is installed
        try:
            step = await asyncio.to_thread(self._actions[entry.state], entry)
        except OtaError as error:
            self.situation = Situation(problem=error)
            return self._judge(entry, error)
        self.situation = Situation()
        return step

    def give_up(self, entry: JournalEntry) -> Step:
        """Return the step that ends a state whose attempts are used up."""
        broken = f"{entry.attempt} attempts that did not end"
        error: OtaError = UnhealthyError(f"state {entry.state}", expected="an end", got=broken)
        if entry.state in {UpdateState.VERIFYING, UpdateState.DOWNLOADING}:
            error = SlowRetrievalError(f"state {entry.state}", expected="an end", got=broken)
        return self._failed(entry, error, UpdateEvent.GIVE_UP)

    async def recover(self) -> JournalEntry:
        """End any trial, because nobody remembers how far it had come."""
        await asyncio.to_thread(self._installer.roll_back, None)
        return JournalEntry()

    # --- one method per state; they block, and return what the state led to ---------------------

    def _await_ok(self, entry: JournalEntry, is_time_known: bool) -> Step | None:  # noqa: FBT001
        refusals = tuple(self._ask_gates(_offer_of(entry), entry.approved))
        if not is_time_known:
            refusals = (Refusal(TimeUnknownError.code, TimeUnknownError.sentence), *refusals)
        self.situation = Situation(refusals=refusals)
        return None if refusals else Step(event=UpdateEvent.DONE)

    def _is_time_known(self) -> bool:
        """Return whether somebody set the wall clock, and not to before the latest signed time."""
        lowest = self._floor.lowest_time()
        return self._is_clock_set() and (lowest is None or self._clock.utc_now() >= lowest)

    def _verify(self, entry: JournalEntry) -> Step:
        was_told = self._tell_director(entry)
        told = {"attack": None, "reported": was_told or entry.reported}
        for offer in self._verifier.check():
            if self._is_settled(offer, entry.outcome):
                continue
            if self._installer.is_quarantined(offer.content_hash):
                error = QuarantinedError(offer.target, expected="an image that works", got="not")
                return self._failed(replace(entry, offer=offer), error, UpdateEvent.FAILED)
            approved = entry.approved if entry.approved == offer.content_hash else None
            return Step(
                event=UpdateEvent.DONE,
                changes={**told, "offer": offer, "approved": approved},
            )
        return Step(event=UpdateEvent.NOTHING_NEW, changes={**told, **_NO_OFFER})

    def _download(self, entry: JournalEntry) -> Step:
        offer = _offer_of(entry)
        self._downloader.keep_only(offer)
        self._downloader.download(offer)
        return Step(event=UpdateEvent.DONE)

    def _install(self, entry: JournalEntry) -> Step:
        offer = _offer_of(entry)
        self._installer.install(self._downloader.path_of(offer), offer)
        return Step(event=UpdateEvent.DONE)

    def _check(self, entry: JournalEntry) -> Step:
        self._installer.check(_offer_of(entry))
        return Step(event=UpdateEvent.DONE)

    def _commit(self, entry: JournalEntry) -> Step:
        offer = _offer_of(entry)
        # The floor first: a cut in between repeats this state, and never leaves it below.
        self._floor.raise_release_counter(offer.ecu_id, offer.release_counter)
        self._installer.commit(offer)
        self._downloader.remove(offer)
        sentence = f"{offer.name} {offer.version} is installed and well."
        outcome = _outcome(offer, OutcomeKind.INSTALLED, sentence)
        return Step(
            event=UpdateEvent.DONE,
            changes={"outcome": outcome, "approved": None, "reported": False},
        )

    def _roll_back(self, entry: JournalEntry) -> Step:
        offer = _offer_of(entry)
        self._installer.roll_back(offer)
        self._downloader.remove(offer)
        return Step(event=UpdateEvent.DONE, changes={"approved": None})

    def _report(self, entry: JournalEntry) -> Step:
        self._reporter.send(entry)
        return Step(event=UpdateEvent.DONE, changes={**_NO_OFFER, "reported": True})

    # --- what an error means in each state ------------------------------------------------------

    def _judge(self, entry: JournalEntry, error: OtaError) -> Step | None:
        """Return where ``error`` leads: on, back, or nowhere yet."""
        state = entry.state
        if isinstance(error, NotNowError | StoppedError):
            return Step(event=None)
        if state in _STUBBORN or (state in _PATIENT and _may_pass(error)):
            return None
        if state is UpdateState.REPORTING:
            return Step(event=UpdateEvent.FAILED, changes=_NO_OFFER)
        if state is UpdateState.VERIFYING and not isinstance(error, RepositoryError):
            if isinstance(error, DownloadError) and entry.offer is not None:
                return Step(event=UpdateEvent.DONE)  # what was verified before still stands
            return Step(event=UpdateEvent.NOTHING_NEW, changes=_NO_OFFER)
        return self._failed(entry, error, UpdateEvent.FAILED)

    def _failed(self, entry: JournalEntry, error: OtaError, event: UpdateEvent) -> Step:
        """Return a step that remembers what failed, for the driver and for the Director."""
        changes: dict[str, object] = {}
        if isinstance(error, RepositoryError | SlowRetrievalError):
            changes |= {"attack": error.code, "reported": False}
        offer = entry.offer
        if entry.state is UpdateState.VERIFYING and not isinstance(error, InstallError):
            changes |= _NO_OFFER  # nothing that was offered is believed
        elif offer is not None and not isinstance(error, DownloadError):
            # A bad network says nothing about the image: the Director shall offer it again.
            was_tried = entry.state is UpdateState.CHECKING
            kind = OutcomeKind.ROLLED_BACK if was_tried else OutcomeKind.REFUSED
            outcome = _outcome(offer, kind, error.sentence, error)
            changes |= {"outcome": outcome, "reported": False}
        return Step(event=event, changes=changes)

    def _tell_director(self, entry: JournalEntry) -> bool:
        """Say what is installed, and what was not said yet; return whether it was accepted."""
        try:
            self._reporter.send(entry)
        except ServerRefusedError as error:
            # Counters out of step must not keep the vehicle from being updated.
            log.warning("manifest_refused", extra={"code": error.code, "status": error.status})
            return False
        return True

    def _is_settled(self, offer: Offer, last: Outcome | None) -> bool:
        ecu = next(ecu for ecu in self._ecus if ecu.ecu_id == offer.ecu_id)
        installed = self._installer.installed(ecu.name)
        if installed is not None and installed.hashes == offer.hashes:
            return True
        # A package that breaks the rules breaks them next time too, and costs a download each time.
        return (
            last is not None
            and last.result.update == offer.content_hash
            and (last.result.code or "").startswith((RepositoryError.code, QuarantinedError.code))
        )


def _offer_of(entry: JournalEntry) -> Offer:
    if entry.offer is None:
        raise RuntimeError(f"state {entry.state} was entered without an offer")
    return entry.offer


def _outcome(
    offer: Offer, kind: OutcomeKind, sentence: str, error: OtaError | None = None
) -> Outcome:
    return Outcome(
        ecu_id=offer.ecu_id,
        result=UpdateResult(
            update=offer.content_hash, outcome=kind, code=error.code if error else None
        ),
        name=offer.name,
        version=offer.version,
        sentence=sentence,
        detail=str(error) if error else "",
    )


def _may_pass(error: OtaError) -> bool:
    """Return whether waiting may help: not if a server that was reached says "not like this"."""
    if isinstance(error, ServerRefusedError):
        return error.status > _MAX_CLIENT_ERROR or error.status in _TRY_LATER
    return not isinstance(error, RepositoryError | NoRoomError)
