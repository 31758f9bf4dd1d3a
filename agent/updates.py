"""Flow 3: when to update; drives the update client and tells the driver and the Director.

campaign -> verify -> download -> gates, driver's OK -> install -> health check -> commit or roll
back -> report. What each step does is in ``ota.client``; here is when, and what a person sees.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ota.client.client import UpdateClient
from ota.client.gates import GateLimits, Refusal, Situation, VehicleState, closed_gates
from ota.client.offer import Offer as VerifiedOffer
from ota.client.offer import Outcome
from ota.client.states import UpdateState
from ota.client.transfer import Progress
from ota.errors import DownloadError, InstallError, ServerRefusedError
from ota.metadata.custom import Criticality, Facts

log = logging.getLogger(__name__)

_RETRY_FIRST_S = 5.0
_RETRY_MOST_S = 300.0
_LIMITS = GateLimits()
_LISTEN_S = 0.5  # how soon a stop, a changed vehicle or an OK is noticed at the latest


class Clock(Protocol):
    """Durations only: when to check and when a countdown ends."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """When to look for updates and how long "Now" can be cancelled, in seconds."""

    check_every_s: float = 86_400.0
    countdown_s: float = 120.0
    limits: GateLimits = _LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The update that waits for the driver: what the card shows. ``facts`` by language."""

    content_hash: str
    name: str
    from_version: str | None  # None: not installed yet
    to_version: str
    size_bytes: int
    criticality: Criticality
    recall_number: str | None
    facts: Mapping[str, Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateView:
    """Where the update stands, for screen and command line.

    ``refusals`` say why it is not installed now; ``countdown_s`` how long an OK can still be taken
    back; ``last`` how the update before ended; ``attack`` the code of what the last check refused;
    ``problem`` one sentence about what is tried again.
    """

    state: UpdateState = UpdateState.IDLE
    offer: Offer | None = None
    is_approved: bool = False
    refusals: tuple[Refusal, ...] = ()
    countdown_s: float | None = None
    progress: Progress | None = None
    last: Outcome | None = None
    attack: str | None = None
    problem: str | None = None


class UpdateService:
    """The service of flow 3. All methods belong to the event loop's thread and do not block."""

    def __init__(
        self,
        open_client: Callable[[Callable[[VerifiedOffer, str | None], list[Refusal]]], UpdateClient],
        *,
        vehicle_state: Callable[[], VehicleState],
        policy: UpdatePolicy,
        clock: Clock,
    ) -> None:
        """Build the client through ``open_client``, which is given the gates to ask. Blocks."""
        self._vehicle_state = vehicle_state
        self._policy = policy
        self._clock = clock
        self._client = open_client(self._ask_gates)
        self._waited_in = UpdateState.IDLE
        self._versions: dict[str, str | None] = {}
        self._turn = asyncio.Lock()  # one at a time moves the journal
        self._wake = asyncio.Event()
        self._check_at_s = clock.monotonic_s()  # the first check is due at once
        self._approved_at_s: float | None = None
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

    async def approve(self, content_hash: str) -> bool:
        """Take the driver's OK for exactly this image; False if another or none waits for one."""
        return await self._answer(content_hash)

    async def postpone(self) -> bool:
        """Take an OK back, as long as nothing is being installed; False if it is too late."""
        return await self._answer(None)

    def view(self) -> UpdateView:
        """Return where the update stands now."""
        entry, situation = self._client.entry, self._client.situation
        is_waiting = entry.state is UpdateState.AWAITING_OK
        return UpdateView(
            state=entry.state,
            offer=None if entry.offer is None else self._offer(entry.offer),
            is_approved=entry.approved is not None,
            refusals=situation.refusals if is_waiting else (),
            countdown_s=self._countdown_s() if is_waiting and entry.approved else None,
            progress=self._client.progress,
            last=entry.outcome,
            attack=entry.attack,
            problem=None if situation.problem is None else situation.problem.sentence,
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
            if self._clock.monotonic_s() >= self._check_at_s:
                await self._ask_check()
            before, entry = self._waited_in, await self._client.advance()
            self._waited_in = entry.state
            if entry.approved is None:
                self._approved_at_s = None
            if entry.state is UpdateState.IDLE:
                await self._rest()
        if entry.state is not before:
            log.info("update_state", extra={"state": entry.state})

    async def _ask_check(self) -> None:
        if await self._client.engine.ask_check():
            self._check_at_s = self._clock.monotonic_s() + self._policy.check_every_s

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

    async def _answer(self, content_hash: str | None) -> bool:
        if self._client.entry.state is not UpdateState.AWAITING_OK:
            return False
        async with self._turn:
            is_taken = await self._client.engine.set_approved(content_hash)
            if is_taken:
                given = None if content_hash is None else self._clock.monotonic_s()
                self._approved_at_s = given
        self._wake.set()
        return is_taken

    def _ask_gates(self, offer: VerifiedOffer, approved: str | None) -> list[Refusal]:
        now = Situation(
            vehicle=self._vehicle_state(),
            limits=self._policy.limits,
            offered=offer.content_hash,
            approved=approved,
        )
        refusals = list(closed_gates(now))
        left_s = self._countdown_s() if approved == offer.content_hash else 0.0
        if left_s > 0:
            sentence = f"Starting in {left_s:.0f} s; it can still be cancelled."
            refusals.append(Refusal("ota.gate.countdown", sentence))
        return refusals

    def _countdown_s(self) -> float:
        if self._approved_at_s is None:  # approved before a restart: the countdown starts anew
            self._approved_at_s = self._clock.monotonic_s()
        end_s = self._approved_at_s + self._policy.countdown_s
        return max(0.0, end_s - self._clock.monotonic_s())

    def _offer(self, offer: VerifiedOffer) -> Offer:
        return Offer(
            content_hash=offer.content_hash,
            name=offer.name,
            from_version=self._versions.get(offer.ecu_id),
            to_version=offer.version,
            size_bytes=offer.length,
            criticality=offer.custom.release.criticality,
            recall_number=offer.custom.release.recall_number,
            facts=offer.custom.release.facts,
        )

    async def _wait(self, stop: asyncio.Event) -> None:
        """Return when there may be something to do; at the latest when a retry or check is due."""
        until_s = self._clock.monotonic_s() + self._pause_s()
        while not stop.is_set() and self._clock.monotonic_s() < until_s:
            try:
                async with asyncio.timeout(_LISTEN_S):
                    await self._wake.wait()
            except TimeoutError:
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
