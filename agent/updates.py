"""Flow 3: when to update; drives the update client and tells the driver and the Director.

campaign -> verify -> download -> gates, driver's OK -> install -> health check -> commit or roll
back -> report. What each step does is in ``ota.client``; here is when, and what a person sees.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.gatekeeper import Clock, Gatekeeper, UpdatePolicy
from ota.client.client import UpdateClient
from ota.client.gates import MOST_DEFERRALS, Refusal, VehicleState
from ota.client.journal import JournalEntry
from ota.client.offer import Offer as VerifiedOffer
from ota.client.offer import Outcome
from ota.client.states import WATCHED, UpdateState
from ota.client.transfer import Progress
from ota.client.watch import Word
from ota.errors import DownloadError, InstallError, ServerRefusedError
from ota.metadata.custom import Criticality, Facts, Kind

log = logging.getLogger(__name__)

_RETRY_FIRST_S = 5.0
_RETRY_MOST_S = 300.0
_LISTEN_S = 0.5  # how soon a stop, a changed vehicle or an OK is noticed at the latest
_WORST = (Criticality.FEATURE, Criticality.SECURITY, Criticality.RECALL)

GONE = Refusal("update.gone", "This update is no longer offered.")
NOT_WAITING = Refusal("update.not_waiting", "This update does not wait for an answer.")
TOO_LATE = Refusal("update.too_late", "There is nothing left to cancel.")
NO_MORE_LATER = Refusal(
    "update.no_more_later", "It was put off as often as possible: answer Now or Tonight."
)
UNKNOWN_APP = Refusal("update.unknown_app", "This vehicle has no place for an app of that name.")
EMBEDDED = Refusal("update.embedded", "A system app is part of the vehicle; it stays.")
BUSY = Refusal("update.busy", "An update is under way; ask again when it has ended.")
NOT_ON_TRIAL = Refusal("update.not_on_trial", "No new version is on trial.")
COMMITTED = Refusal(
    "update.committed",
    "What was committed is not taken back here; the publisher releases the way back.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The update that waits for the driver: what the card shows. ``facts`` by language.

    ``content_hash`` is what an OK is bound to; ``others`` are names and versions of what is
    installed together with it; ``deadline`` is UTC; ``can_defer``: Later is still an answer.
    """

    content_hash: str
    name: str
    from_version: str | None  # None: not installed yet
    to_version: str
    size_bytes: int
    criticality: Criticality
    recall_number: str | None
    facts: Mapping[str, Facts]
    others: tuple[str, ...] = ()
    deadline: str | None = None
    is_overdue: bool = False
    can_defer: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateView:
    """Where the update stands, for screen and command line.

    ``refusals`` say why it is not installed now; ``countdown_s`` how long an OK can still be taken
    back; ``last`` how the update before ended; ``attack`` the code of what the last check refused;
    ``problem`` what is tried again, and why; ``checks`` how many checks have ended since the start.
    """

    state: UpdateState = UpdateState.IDLE
    offer: Offer | None = None
    is_approved: bool = False
    refusals: tuple[Refusal, ...] = ()
    countdown_s: float | None = None
    progress: Progress | None = None
    last: Outcome | None = None
    attack: str | None = None
    problem: Refusal | None = None
    checks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView:
    """One place for an app: what runs there (None: nothing), and what the driver said about it."""

    name: str
    is_embedded: bool
    version: str | None
    is_wanted: bool | None


class UpdateService:
    """The service of flow 3. All methods belong to the event loop's thread and do not block."""

    def __init__(
        self,
        open_client: Callable[[Gatekeeper], UpdateClient],
        *,
        vehicle_state: Callable[[], VehicleState],
        policy: UpdatePolicy,
        clock: Clock,
    ) -> None:
        """Build the client through ``open_client``, which is given the gates to ask. Blocks."""
        self._policy = policy
        self._clock = clock
        self._keeper = Gatekeeper(vehicle_state, policy, clock)
        self._client = open_client(self._keeper)
        self._waited_in = UpdateState.IDLE
        self._versions: dict[str, str | None] = {}
        self._turn = asyncio.Lock()  # one at a time moves the journal
        self._wake = asyncio.Event()
        self._check_at_s = clock.monotonic_s()  # the first check is due at once
        self._checks = 0
        self._retry_s = _RETRY_FIRST_S

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; a step that runs when it is set is finished first.

        Raises:
            InstallError: The state directory cannot be used.
        """
        await self._start_apps()
        await self._note_versions()
        while not stop.is_set():
            await self._turn_once()
            await self._wait(stop)

    def check_now(self) -> None:
        """Look for an update as soon as what is under way allows it."""
        self._check_at_s = self._clock.monotonic_s()
        self._wake.set()

    async def approve(self, content_hash: str, *, is_technician: bool = False) -> Refusal | None:
        """Take an OK for exactly this update; return why not, if another or none waits for one.

        A technician's OK needs no countdown and no window: somebody stands beside the vehicle.
        """
        entry = self._client.entry
        if entry.content_hash != content_hash:
            return GONE
        async with self._answering(entry) as can_answer:
            is_taken = can_answer and await self._client.engine.set_approved(
                content_hash, is_technician=is_technician
            )
        return None if is_taken else NOT_WAITING

    async def postpone(self) -> Refusal | None:
        """Take an OK back, or put an overdue recall off; return why not, if it is too late."""
        entry = self._client.entry
        is_overdue = self._keeper.is_overdue(entry)
        if entry.approved is None and not is_overdue:
            return TOO_LATE
        async with self._answering(entry) as can_answer:
            engine, until = self._client.engine, self._keeper.put_off_until()
            is_taken = can_answer and await (
                engine.put_off(until) if is_overdue else engine.set_approved(None)
            )
        return None if is_taken else TOO_LATE

    async def defer(self, content_hash: str) -> Refusal | None:
        """Take Later for exactly this update; return why not, if that was said too often."""
        entry = self._client.entry
        if entry.content_hash != content_hash:
            return GONE
        if not _can_defer(entry):
            return NO_MORE_LATER
        async with self._answering(entry) as can_answer:
            is_taken = can_answer and await self._client.engine.defer(content_hash)
        return None if is_taken else NOT_WAITING

    async def apps(self) -> list[AppView]:
        """Return every place for an app in this vehicle."""
        wishes = await self._client.wishes()
        return [
            AppView(
                name=ecu.name,
                is_embedded=ecu.kind is Kind.EMBEDDED,
                version=self._versions.get(ecu.ecu_id),
                is_wanted=wishes.get(ecu.name),
            )
            for ecu in self._client.ecus
        ]

    async def wish(self, name: str, *, is_wanted: bool) -> Refusal | None:
        """Take the driver's wish for a downloadable app; return why not.

        The Director is told with the check that follows; one that is not wanted is removed at once.
        """
        kinds = {ecu.name: ecu.kind for ecu in self._client.ecus}
        if name not in kinds:
            return UNKNOWN_APP
        if kinds[name] is not Kind.APP:
            return EMBEDDED
        if self._client.entry.state not in {UpdateState.IDLE, UpdateState.AWAITING_OK}:
            return BUSY
        async with self._turn:
            await self._client.wish(name, is_wanted=is_wanted)
            await self._note_versions()
        self.check_now()
        return None

    def decide_trial(self, word: Word) -> Refusal | None:
        """Pass on a person's word about the version on trial; return why not, if there is none."""
        state = self._client.entry.state
        if state in {UpdateState.INSTALLING, UpdateState.CHECKING}:
            self._client.watch.say(word)
            return None
        last = self._client.entry.outcome
        is_done = word is Word.BACK and last is not None and last.result.code is None
        return COMMITTED if is_done or state is UpdateState.COMMITTING else NOT_ON_TRIAL

    async def signed_manifest(self) -> bytes:
        """Return what the Director would be told now, signed; for a stick.

        Raises:
            InstallError: The state directory cannot be used.
        """
        async with self._turn:
            return await self._client.signed_manifest()

    @property
    def is_reached(self) -> bool | None:
        """Return whether the last check reached the repositories; None before the first."""
        return self._client.is_reached

    def installed(self) -> dict[str, str | None]:
        """Return the version that each ECU runs, by ECU id; None: nothing is installed."""
        return dict(self._versions)

    def view(self) -> UpdateView:
        """Return where the update stands now."""
        entry, situation = self._client.entry, self._client.situation
        is_waiting = entry.state is UpdateState.AWAITING_OK
        problem = situation.problem
        return UpdateView(
            state=entry.state,
            offer=None if entry.offer is None else self._offer(entry, entry.offer),
            is_approved=entry.approved is not None,
            refusals=situation.refusals if is_waiting else (),
            countdown_s=self._keeper.countdown_s(entry) if is_waiting else None,
            progress=self._client.progress,
            last=entry.outcome,
            attack=entry.attack,
            problem=None if problem is None else Refusal(problem.code, problem.sentence),
            checks=self._checks,
        )

    def version(self, ecu_id: str) -> str | None:
        """Return the version that an ECU runs; None if nothing is installed or known yet."""
        return self._versions.get(ecu_id)

    async def _start_apps(self) -> None:
        try:
            await self._client.start_apps()
        except InstallError as error:
            log.warning("app_not_started", extra={"code": error.code, "reason": str(error)})

    async def _turn_once(self) -> None:
        async with self._turn:
            is_check = self._clock.monotonic_s() >= self._check_at_s and await self._ask_check()
            before, entry = self._waited_in, await self._advance()
            self._waited_in = entry.state
            self._checks += is_check
            if entry.state is UpdateState.IDLE:
                await self._rest()
        if entry.state is not before:
            log.info("update_state", extra={"state": entry.state})

    async def _advance(self) -> JournalEntry:
        """Go on until a step has to wait; a gate that closes meanwhile ends an installation."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch_gates(), name="gates")
            try:
                return await self._client.advance()
            finally:
                watching.cancel()

    async def _watch_gates(self) -> None:
        while True:
            await asyncio.sleep(_LISTEN_S)
            entry = self._client.entry
            broken = self._keeper.broken(entry) if entry.state in WATCHED else None
            if broken is not None:
                log.info("update_interrupted", extra={"code": broken.code})
                self._client.watch.close(broken)

    async def _ask_check(self) -> bool:
        is_taken = await self._client.engine.ask_check()
        if is_taken:
            self._check_at_s = self._clock.monotonic_s() + self._policy.check_every_s
        return is_taken

    async def _rest(self) -> None:
        """Note what is installed now; look again soon if the network kept us from looking."""
        await self._note_versions()
        if isinstance(self._client.situation.problem, DownloadError):
            soon_s = self._clock.monotonic_s() + self._next_retry_s()
            self._check_at_s = min(self._check_at_s, soon_s)
        else:
            self._retry_s = _RETRY_FIRST_S

    async def _note_versions(self) -> None:
        installed = await self._client.installed()
        self._versions = {
            ecu_id: None if found is None else found.version for ecu_id, found in installed.items()
        }

    @asynccontextmanager
    async def _answering(self, entry: JournalEntry) -> AsyncIterator[bool]:
        """Hold the journal while an answer is stored; False: nothing waits for one."""
        if entry.state is not UpdateState.AWAITING_OK:
            yield False
            return
        async with self._turn:
            yield True
            self._keeper.answered()
        self._wake.set()

    def _offer(self, entry: JournalEntry, offer: VerifiedOffer) -> Offer:
        release = max(entry.offers, key=_criticality).custom.release
        return Offer(
            content_hash=entry.content_hash or offer.content_hash,
            name=offer.name,
            from_version=self._versions.get(offer.ecu_id),
            to_version=offer.version,
            size_bytes=sum(each.length for each in entry.offers),
            criticality=release.criticality,
            recall_number=release.recall_number,
            facts=offer.custom.release.facts,
            others=tuple(f"{other.name} {other.version}" for other in entry.others),
            deadline=min((each.deadline for each in entry.offers if each.deadline), default=None),
            is_overdue=self._keeper.is_overdue(entry),
            can_defer=_can_defer(entry),
        )

    async def _wait(self, stop: asyncio.Event) -> None:
        """Return when there may be something to do; at the latest when a retry or check is due."""
        until_s = self._clock.monotonic_s() + self._pause_s()
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            try:
                async with asyncio.timeout(_LISTEN_S):
                    await self._wake.wait()
            except TimeoutError:
                if self._client.entry.state is UpdateState.AWAITING_OK:
                    return  # the vehicle may have changed, whatever the clock says
                continue
            self._wake.clear()
            return

    def _pause_s(self) -> float:
        if self._client.entry.state is UpdateState.AWAITING_OK:
            return _LISTEN_S
        if self._client.entry.state is UpdateState.IDLE:
            return max(0.0, self._check_at_s - self._clock.monotonic_s())
        return self._next_retry_s()

    def _next_retry_s(self) -> float:
        """Return a random pause that grows; a server that named its own is not asked earlier."""
        problem = self._client.situation.problem
        wished_s = problem.retry_after_s if isinstance(problem, ServerRefusedError) else None
        self._retry_s = min(_RETRY_MOST_S, self._retry_s * 2)
        jitter_s = random.uniform(_RETRY_FIRST_S, self._retry_s)  # noqa: S311 (no secret)
        return (wished_s or 0.0) + jitter_s


def _criticality(offer: VerifiedOffer) -> int:
    return _WORST.index(offer.custom.release.criticality)


def _can_defer(entry: JournalEntry) -> bool:
    """Return whether the driver may still say Later to every part of the update."""
    limits = [MOST_DEFERRALS[offer.custom.release.criticality] for offer in entry.offers]
    return all(most is None or entry.deferrals < most for most in limits)
