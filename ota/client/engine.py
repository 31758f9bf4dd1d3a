"""Drives an update through its states: journal first, act second."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from ota.client.journal import Journal, JournalDamagedError, JournalEntry
from ota.client.states import UpdateEvent, UpdateState, has_limited_attempts, next_state

# A download may meet many gaps in the network; what else fails three times will fail again.
MAX_ATTEMPTS = {UpdateState.DOWNLOADING: 20}
_MAX_ATTEMPTS_ELSE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step led to: the event, and fields of the journal entry that changed with it.

    No event: it could not begin yet, for a reason that is nobody's failure; ask again later.
    """

    event: UpdateEvent | None
    changes: Mapping[str, object] = field(default_factory=dict)


class Steps(Protocol):
    """What is done in each state; every step may run twice and is never skipped."""

    async def run(self, entry: JournalEntry) -> Step | None:
        """Do what ``entry.state`` asks for; None: it has to wait, ask again later."""

    def give_up(self, entry: JournalEntry) -> Step:
        """Return the step that ends a state whose attempts are used up. Blocks."""

    async def recover(self) -> JournalEntry:
        """Return where to go on after the journal was lost, asked from what is installed."""


class UpdateEngine:
    """The one interpreter of the table of states. One task at a time may use it.

    ``on_entry`` is told every entry that was read or written, in the event loop's thread.
    """

    def __init__(
        self,
        journal: Journal,
        steps: Steps,
        on_entry: Callable[[JournalEntry], None] = lambda _entry: None,
    ) -> None:
        self._journal = journal
        self._steps = steps
        self._on_entry = on_entry

    async def read(self) -> JournalEntry:
        """Return where the update stands; a damaged journal is set aside and recovered from.

        Raises:
            InstallError: The disk is broken.
        """
        try:
            entry = await asyncio.to_thread(self._journal.read)
        except JournalDamagedError:
            entry = await self._steps.recover()
            await asyncio.to_thread(self._journal.set_aside)
            await self._record(entry)
        self._on_entry(entry)
        return entry

    async def ask_check(self) -> bool:
        """Start a check; return False if an update is under way that must end first."""
        entry = await self.read()
        if entry.state not in {UpdateState.IDLE, UpdateState.AWAITING_OK}:
            return False
        await self._move(entry, Step(event=UpdateEvent.CHECK_ASKED))
        return True

    async def set_approved(self, content_hash: str | None, *, is_technician: bool = False) -> bool:
        """Store an OK to ``content_hash``, or take it back with None.

        Return False, and store nothing, unless exactly that update waits for an OK.
        """
        entry = await self.read()
        if not _waits(entry, content_hash):
            return False
        by_technician = is_technician and content_hash is not None
        await self._record(
            replace(entry, approved=content_hash, is_technician=by_technician, put_off_until=None)
        )
        return True

    async def put_off(self, until_utc: str) -> bool:
        """Store that an overdue recall leaves the driver alone until then; any OK is taken back.

        Return False, and store nothing, unless an update waits for an OK.
        """
        entry = await self.read()
        if not _waits(entry, None):
            return False
        await self._record(
            replace(entry, approved=None, is_technician=False, put_off_until=until_utc)
        )
        return True

    async def defer(self, content_hash: str) -> bool:
        """Count one more Later to ``content_hash``; any OK to it is taken back.

        Return False, and store nothing, unless exactly that update waits for an OK.
        """
        entry = await self.read()
        if not _waits(entry, content_hash):
            return False
        await self._record(
            replace(entry, approved=None, is_technician=False, deferrals=entry.deferrals + 1)
        )
        return True

    async def run_until_waiting(self) -> JournalEntry:
        """Advance until a step has to wait; return the entry it waits in.

        Raises:
            InstallError: The journal cannot be written; the update stands where it stood.
        """
        while True:
            entry = await self.read()
            step = await self._attempt(entry)
            if step is None:
                return await self.read()
            await self._move(entry, step)

    async def _attempt(self, entry: JournalEntry) -> Step | None:
        if has_limited_attempts(entry.state):
            if entry.attempt >= MAX_ATTEMPTS.get(entry.state, _MAX_ATTEMPTS_ELSE):
                return await asyncio.to_thread(self._steps.give_up, entry)
            await self._record(replace(entry, attempt=entry.attempt + 1))
        step = await self._steps.run(entry)
        if step is not None and step.event is None:
            await self._record(entry)  # it did not even begin: that was no attempt
            return None
        return step

    async def _move(self, entry: JournalEntry, step: Step) -> None:
        if step.event is None:
            raise RuntimeError(f"state {entry.state}: a step without an event moves nothing")
        state = next_state(entry.state, step.event)
        await self._record(replace(entry, **step.changes, state=state, attempt=0))

    async def _record(self, entry: JournalEntry) -> None:
        await asyncio.to_thread(self._journal.write, entry)
        self._on_entry(entry)


def _waits(entry: JournalEntry, content_hash: str | None) -> bool:
    is_waiting = entry.state is UpdateState.AWAITING_OK
    return is_waiting and content_hash in {None, entry.content_hash}
