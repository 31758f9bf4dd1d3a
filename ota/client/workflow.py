"""What is done in each state of an update: verify, download, wait, install, check, report."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from ota.client.bundle import bundles, content_hash
from ota.client.download import Downloader
from ota.client.engine import Step
from ota.client.floor import Floor
from ota.client.gates import Refusal
from ota.client.history import Ended, History
from ota.client.installers.door import Installers
from ota.client.journal import JournalEntry
from ota.client.offer import Ecu, Offer, Outcome
from ota.client.ports import Clock
from ota.client.report import Reporter
from ota.client.states import WATCHED, UpdateEvent, UpdateState
from ota.client.stick import Source
from ota.client.verdicts import (
    failure,
    has_failed,
    is_refused,
    is_sign_of_attack,
    may_pass,
    success,
)
from ota.client.watch import Watch
from ota.client.ways import Ways
from ota.client.wishes import Wishes
from ota.errors import (
    DownloadError,
    InstallError,
    InterruptedStepError,
    NotNowError,
    OtaError,
    QuarantinedError,
    RepositoryError,
    ServerRefusedError,
    SlowRetrievalError,
    StoppedError,
    TimeUnknownError,
    UnhealthyError,
    sentence_of,
)
from ota.metadata.manifest import Outcome as OutcomeKind
from ota.metadata.models import format_utc

log = logging.getLogger(__name__)

# States that are repeated whatever happens, and states that wait for a better network or disk.
_STUBBORN = frozenset({UpdateState.COMMITTING, UpdateState.ROLLING_BACK})
_PATIENT = frozenset({UpdateState.DOWNLOADING, UpdateState.REPORTING})
_MOST_INTERRUPTIONS = 3  # then the driver is asked again
_NO_OK: Mapping[str, object] = {"approved": None, "is_technician": False}
_NO_OFFER: Mapping[str, object] = {
    "offer": None,
    "others": (),
    "deferrals": 0,
    "put_off_until": None,
    "interruptions": 0,
    "interrupted": None,
    **_NO_OK,
}


class Gates(Protocol):
    """Who knows the vehicle. Both methods belong to the event loop's thread and do not block."""

    def closed(self, entry: JournalEntry) -> Sequence[Refusal]:
        """Return why the update of ``entry`` may not be installed now; empty: it may."""
        ...

    def broken(self, entry: JournalEntry) -> Refusal | None:
        """Return why the installation of ``entry``, which has begun, must not go on, if so."""
        ...


@dataclass
class Situation:
    """What a person may want to know of the step that waits; not needed to go on."""

    refusals: tuple[Refusal, ...] = ()
    problem: OtaError | None = None


class UpdateSteps:
    """Meets ``engine.Steps``. ``watch`` is how a step that runs is told to end."""

    def __init__(  # noqa: PLR0913 (the doors of one flow, all by name)
        self,
        *,
        ecus: Sequence[Ecu],
        verifier: Source,
        downloader: Downloader,
        installers: Installers,
        reporter: Reporter,
        floor: Floor,
        history: History,
        wishes: Wishes,
        gates: Gates,
        clock: Clock,
        is_clock_set: Callable[[], bool],
    ) -> None:
        self._ecus = ecus
        self._verifier = verifier
        self._downloader = downloader
        self._ways = Ways(downloader, lambda offer: installers.of(offer).files(offer.name))
        self._installers = installers
        self._reporter = reporter
        self._floor = floor
        self._history = history
        self._wishes = wishes
        self._gates = gates
        self._clock = clock
        self._is_clock_set = is_clock_set
        self.watch = Watch()
        self.situation = Situation()
        self.is_reached: bool | None = None  # whether the last check reached the repositories
        self._actions: dict[UpdateState, Callable[[JournalEntry], Step]] = {
            UpdateState.VERIFYING: self._verify,
            UpdateState.DOWNLOADING: self._download,
            UpdateState.PREPARING: self._prepare,
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
        try:
            if entry.state is UpdateState.AWAITING_OK:
                return self._await_ok(entry, await asyncio.to_thread(self._is_time_known))
            self._begin(entry)
            step = await asyncio.to_thread(self._actions[entry.state], entry)
        except OtaError as error:
            self.situation = Situation(problem=error)
            return await asyncio.to_thread(self._judge, entry, error)  # it asks the time floor
        self.situation = Situation()
        return step

    def give_up(self, entry: JournalEntry) -> Step:
        """Return the step that ends a state whose attempts are used up. Blocks."""
        broken = f"{entry.attempt} attempts that did not end"
        error: OtaError = UnhealthyError(f"state {entry.state}", expected="an end", got=broken)
        if entry.state in {UpdateState.VERIFYING, UpdateState.DOWNLOADING}:
            last = self.situation.problem
            error = SlowRetrievalError(f"state {entry.state}", expected="an end", got=broken)
            error = last if last is not None and is_sign_of_attack(last) else error
        return self._failed(entry, error, UpdateEvent.GIVE_UP)

    async def recover(self) -> JournalEntry:
        """End any trial, because nobody remembers how far it had come."""
        await asyncio.to_thread(self._installers.recover, self._is_committed)
        return JournalEntry()

    # --- one method per state; they block, and return what the state led to ---------------------

    def _begin(self, entry: JournalEntry) -> None:
        """Let the watch begin anew; a gate that closed over a restart ends the step at once."""
        if entry.state not in WATCHED:
            return
        if entry.state is UpdateState.PREPARING:
            self.watch.begin()
        broken = self._gates.broken(entry)
        if broken is not None:
            raise InterruptedStepError(broken.code, broken.sentence)

    def _await_ok(self, entry: JournalEntry, is_time_known: bool) -> Step | None:  # noqa: FBT001
        refusals = tuple(self._gates.closed(entry))
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
        offered = self._verifier.check()
        self.is_reached = True
        for offers in bundles(self._not_installed(self._not_refused(offered))):
            if any(is_refused(offer, entry.outcome) for offer in offers):
                continue
            for offer in offers:
                if self._installers.of(offer).is_quarantined(offer.content_hash):
                    error = QuarantinedError(
                        offer.target, expected="an image that works", got="not"
                    )
                    found = replace(entry, offer=offer, others=())
                    return self._failed(found, error, UpdateEvent.FAILED)
            return Step(event=UpdateEvent.DONE, changes={**told, **_offered(entry, offers)})
        return Step(event=UpdateEvent.NOTHING_NEW, changes={**told, **_NO_OFFER})

    def _download(self, entry: JournalEntry) -> Step:
        self._ways.keep_only(entry.offers)
        for offer in entry.offers:
            self._ways.get(offer)
        return Step(event=UpdateEvent.DONE)

    def _prepare(self, entry: JournalEntry) -> Step:
        for offer in entry.offers:
            with _about(offer):
                image = self._downloader.path_of(offer)
                self._installers.of(offer).prepare(image, offer, self.watch)
        return Step(event=UpdateEvent.DONE)

    def _install(self, entry: JournalEntry) -> Step:
        self.watch.check()
        for offer in entry.offers:
            with _about(offer):
                self._installers.of(offer).switch(offer)
        return Step(event=UpdateEvent.DONE)

    def _check(self, entry: JournalEntry) -> Step:
        for offer in entry.offers:
            with _about(offer):
                self._installers.of(offer).check(offer, self.watch)
        return Step(event=UpdateEvent.DONE)

    def _commit(self, entry: JournalEntry) -> Step:
        # The floor first, of all images in one transaction: it is the commit point, also for
        # ``recover``. A cut in between repeats this state, and never leaves it below.
        self._floor.raise_release_counters(
            {offer.ecu_id: offer.release_counter for offer in entry.offers}
        )
        for offer in entry.offers:
            self._installers.of(offer).commit(offer)
            self._downloader.remove(offer)
        outcome = success(entry.offers, self._now())
        return Step(
            event=UpdateEvent.DONE, changes={"outcome": outcome, "reported": False, **_NO_OK}
        )

    def _roll_back(self, entry: JournalEntry) -> Step:
        is_interrupted = entry.interrupted is not None
        for offer in reversed(entry.offers):
            is_to_blame = not is_interrupted and has_failed(offer, entry.outcome)
            self._installers.of(offer).roll_back(offer, has_failed=is_to_blame)
        if not is_interrupted:
            for offer in entry.offers:
                self._downloader.remove(offer)
            return Step(event=UpdateEvent.DONE, changes=_NO_OK)
        interruptions = entry.interruptions + 1
        changes: dict[str, object] = {"interrupted": None, "interruptions": interruptions}
        if interruptions >= _MOST_INTERRUPTIONS:
            changes |= {**_NO_OK, "interruptions": 0}
        return Step(event=UpdateEvent.INTERRUPTED, changes=changes)

    def _report(self, entry: JournalEntry) -> Step:
        if not entry.reported:
            self._remember(entry)
        try:
            self._reporter.send(entry)
        except DownloadError:
            if not self._verifier.is_offline():
                raise
            return Step(event=UpdateEvent.FAILED, changes=_NO_OFFER)  # told at the next check
        return Step(event=UpdateEvent.DONE, changes={**_NO_OFFER, "reported": True})

    def _remember(self, entry: JournalEntry) -> None:
        if entry.outcome is not None:
            self._history.add(ended(entry.outcome))
        if entry.attack is not None and (entry.outcome is None or not entry.offers):
            self._history.add(attacked(entry.attack, self._now()))

    # --- what an error means in each state ------------------------------------------------------

    def _judge(self, entry: JournalEntry, error: OtaError) -> Step | None:
        """Return where ``error`` leads: on, back, or nowhere yet."""
        if isinstance(error, InterruptedStepError):
            return Step(event=UpdateEvent.INTERRUPTED, changes={"interrupted": error.gate})
        if isinstance(error, NotNowError | StoppedError):
            return Step(event=None)
        if _waits_for_better(entry.state, error):
            return None
        if entry.state is UpdateState.REPORTING:
            return Step(event=UpdateEvent.FAILED, changes=_NO_OFFER)
        if entry.state is UpdateState.VERIFYING and not isinstance(error, RepositoryError):
            return self._not_verified(entry, error)
        return self._failed(entry, error, UpdateEvent.FAILED)

    def _not_verified(self, entry: JournalEntry, error: OtaError) -> Step:
        if not isinstance(error, DownloadError):
            return Step(event=UpdateEvent.NOTHING_NEW, changes=_NO_OFFER)
        self.is_reached = False
        told = _told(self._verifier.worse(error))
        if entry.offer is not None:
            return Step(event=UpdateEvent.DONE, changes=told)  # what was verified before stands
        return Step(event=UpdateEvent.NOTHING_NEW, changes={**told, **_NO_OFFER})

    def _failed(self, entry: JournalEntry, error: OtaError, event: UpdateEvent) -> Step:
        """Return a step that remembers what failed, for the driver and for the Director."""
        changes = _told(error)
        if entry.state is UpdateState.VERIFYING and not isinstance(error, InstallError):
            changes |= _NO_OFFER  # nothing that was offered is believed
        elif entry.offers and not isinstance(error, DownloadError):
            # A bad network says nothing about the image: the Director shall offer it again.
            was_tried = entry.state is UpdateState.CHECKING
            kind = OutcomeKind.ROLLED_BACK if was_tried else OutcomeKind.REFUSED
            about = [offer for offer in entry.offers if offer.ecu_id == error.about]
            to_blame = about[0] if about else entry.offers[0]
            outcome = failure(entry.offers, to_blame, kind, error, self._now())
            changes |= {"outcome": outcome, "reported": False}
        return Step(event=event, changes=changes)

    def _tell_director(self, entry: JournalEntry) -> bool:
        """Say what is installed, and what was not said yet; return whether it was accepted."""
        try:
            self._reporter.send(entry)
        except DownloadError as error:
            # Counters out of step, or a stick far from any network, keep nobody from an update.
            if not (isinstance(error, ServerRefusedError) or self._verifier.is_offline()):
                raise
            log.warning("manifest_refused", extra={"code": error.code, "reason": str(error)})
            return False
        return True

    def _not_refused(self, offers: Sequence[Offer]) -> list[Offer]:
        """Return ``offers`` without the apps that the driver does not want."""
        wishes = self._wishes.read()
        return [offer for offer in offers if wishes.get(offer.name) is not False]

    def _not_installed(self, offers: Sequence[Offer]) -> list[Offer]:
        ecus = {ecu.ecu_id: ecu for ecu in self._ecus}
        runs = {ecu_id: self._installers.installed(ecu) for ecu_id, ecu in ecus.items()}
        return [
            offer
            for offer in offers
            if (found := runs[offer.ecu_id]) is None or found.hashes != offer.hashes
        ]

    def _is_committed(self, name: str, release_counter: int) -> bool:
        ecu = next((ecu for ecu in self._ecus if ecu.name == name), None)
        return ecu is not None and self._floor.release_counter(ecu.ecu_id) >= release_counter

    def _now(self) -> str:
        return format_utc(self._clock.utc_now())


@contextmanager
def _about(offer: Offer) -> Iterator[None]:
    """Name the image of a bundle that an error inside is about."""
    try:
        yield
    except OtaError as error:
        error.about = offer.ecu_id
        raise


def _waits_for_better(state: UpdateState, error: OtaError) -> bool:
    """Return whether the state is simply repeated: half of it is no resting place, or it may pass.

    Waiting for an OK without a floor, or without a time, nothing is installed.
    """
    if state is UpdateState.AWAITING_OK or state in _STUBBORN:
        return True
    return state in _PATIENT and may_pass(error)


def _told(error: OtaError) -> dict[str, object]:
    """Return what the next report says of ``error``: its code, if it is a sign of an attack."""
    return {"attack": error.code, "reported": False} if is_sign_of_attack(error) else {}


def _offered(entry: JournalEntry, offers: tuple[Offer, ...]) -> dict[str, object]:
    """Return what the journal remembers of ``offers``; what was said to the same ones stays."""
    first, *others = offers
    offered: dict[str, object] = {"offer": first, "others": tuple(others)}
    is_same = entry.content_hash == content_hash(offers)
    return offered if is_same else {**_NO_OFFER, **offered}


def attacked(code: str, at_utc: str) -> Ended:
    """Return the line that history keeps of an offer that was not believed."""
    return Ended(at_utc=at_utc, outcome="attack", code=code, sentence=sentence_of(code))


def ended(outcome: Outcome) -> Ended:
    """Return ``outcome`` as the line that history keeps."""
    return Ended(
        at_utc=outcome.ended_utc,
        outcome=outcome.result.outcome,
        name=outcome.name,
        version=outcome.version,
        content_hash=outcome.result.update,
        code=outcome.result.code,
        sentence=outcome.sentence,
        detail=outcome.detail,
    )
