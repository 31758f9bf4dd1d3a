"""The driver's side of erasing: what a wish covers, and how it is carried out. Blocks.

Order is everything. First the list of what ingest shall erase is durable, in the same transaction
in which the rows of this vehicle go; then files are deleted; and only after that secrets are
destroyed, because without its secret nobody can lay claim to a batch any more. A power cut between
two steps leaves a wish that can be repeated, and nothing at ingest that nobody can name.
"""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from agent.consent.keys import KeyFileError
from agent.sharing import Sharing
from agent.store.claims import Claim
from agent.store.erasures import Erasures
from agent.store.rows import TripRow
from agent.store.sessions import Sessions
from agent.store.shred import shred
from agent.store.tracks import delete_segment
from telemetry.codec.erase import MAX_BATCH_IDS, NONCE_BYTES, EraseRequest, encode_erase
from telemetry.purposes import Purpose

log = logging.getLogger(__name__)

SPREAD_S = 21_600.0  # a request leaves at a random moment of the next six hours
_FRACTION_BYTES = 6
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class EraseError(Exception):
    """Nothing was erased. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Scope(StrEnum):
    """How much is erased."""

    TRIP = "trip"
    SINCE = "since"
    ALL = "all"
    WITHDRAWN = "withdrawn"  # by switching a purpose off while a batch was on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the driver wants erased; ``name`` is what has to be typed to mean it."""

    scope: Scope
    name: str  # the trip's whole id, the day, or "all"
    since_utc: datetime | None = None

    def __str__(self) -> str:
        return self.name if self.scope is Scope.ALL else f"{self.scope} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a wish covers."""

    wish: Wish
    trips: tuple[TripRow, ...]
    sessions: tuple[str, ...]  # ids of charge sessions
    claims: tuple[Claim, ...]  # of batches that may have left


class Eraser:
    """Carries out wishes on one state folder."""

    def __init__(  # noqa: PLR0913 (the doors, each named)
        self,
        sharing: Sharing,
        *,
        segments: Path,
        now_utc: Callable[[], datetime],
        destroy_secrets: Callable[[], None],
        forget_events: Callable[[datetime, datetime], object],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Wire; ``destroy_secrets`` ends every pseudonym of the past.

        ``forget_events`` deletes what was captured from one moment to another.
        """
        self._sharing = sharing
        self._segments = segments
        self._now_utc = now_utc
        self._destroy_secrets = destroy_secrets
        self._forget_events = forget_events
        self._random_bytes = random_bytes
        self._database = sharing.state.database
        self._erasures = Erasures(self._database)

    def trip(self, prefix: str) -> Wish:
        """Return the wish to erase the one trip or charge whose id begins with ``prefix``.

        Raises:
            EraseError: There is none, or several.
        """
        ids = [row.trip_id for row in self._sharing.state.trips(limit=-1)]
        ids += [row.session_id for row in Sessions(self._database).rows(limit=-1)]
        found = [one for one in ids if one.startswith(prefix)] if prefix else []
        if len(found) != 1:
            raise EraseError(
                "erase.trip",
                f"trip {prefix}: expected exactly one, found {len(found)}; nothing was erased",
            )
        return Wish(scope=Scope.TRIP, name=found[0])

    def plan(self, wish: Wish) -> Plan:
        """Return what ``wish`` covers as things stand."""
        trips = [row for row in self._sharing.state.trips(limit=-1) if _fits(wish, row)]
        sessions = [
            row.session_id
            for row in Sessions(self._database).rows(limit=-1)
            if _covers(wish, row.session_id, row.created_utc) and not row.is_open
        ]
        claims = self._claims(wish, [row.trip_id for row in trips])
        return Plan(wish=wish, trips=tuple(trips), sessions=tuple(sessions), claims=tuple(claims))

    def carry_out(self, plan: Plan) -> int:
        """Erase; return how many requests wait for ingest now. May be repeated."""
        wish, now = plan.wish, self._now_utc()
        with self._database.transaction():
            messages = [(message, self._moment(now)) for message in self._messages(plan)]
            self._erasures.ask(messages, wish=str(wish), now_utc=now)
            self._sharing.note_erased(
                {(claim.profile_id, Purpose(claim.purpose)) for claim in plan.claims}
            )
            self._sharing.state.forget_trips(
                [row.trip_id for row in plan.trips],
                batches=[claim.batch_id for claim in plan.claims],
            )
            Sessions(self._database).forget(plan.sessions)
            if wish.scope is Scope.ALL:
                self._sharing.state.forget_past()
        shred(self._database)
        self._delete_files(plan)
        if wish.scope is Scope.ALL:
            self._destroy_secrets()
        return len(messages)

    def claim_withdrawn(self) -> int:
        """Ask ingest to erase what was withdrawn while it was on its way; return how many."""
        claims = self._sharing.claims.withdrawn()
        if not claims:
            return 0
        wish = Wish(scope=Scope.WITHDRAWN, name="while it was on its way")
        plan = Plan(wish=wish, trips=(), sessions=(), claims=tuple(claims))
        now = self._now_utc()
        try:
            messages = [(message, self._moment(now)) for message in self._messages(plan)]
        except KeyFileError as error:  # the token is gone: the claims wait for it
            log.warning("withdrawn_not_claimed", extra={"code": error.code})
            return 0
        with self._database.transaction():
            self._erasures.ask(messages, wish=Scope.WITHDRAWN, now_utc=now)
            self._sharing.state.forget_trips([], batches=[claim.batch_id for claim in claims])
        return len(messages)

    # -- what is asked of ingest ---------------------------------------------------------------

    def _claims(self, wish: Wish, trips: Sequence[str]) -> list[Claim]:
        if wish.scope is Scope.ALL:
            return self._sharing.claims.sent()
        found = set(trips)
        return [claim for claim in self._sharing.claims.sent() if claim.trip_id in found]

    def _messages(self, plan: Plan) -> Iterator[bytes]:
        """Yield one message for each pseudonym; a full erase names no batch: it means them all."""
        by_token: dict[bytes, set[bytes]] = defaultdict(set)
        for claim in plan.claims:
            by_token[self._sharing.offering.token(claim)].add(claim.batch_id)
        for token, batches in by_token.items():
            for some in _chunks(sorted(batches)) if plan.wish.scope is not Scope.ALL else [()]:
                request = EraseRequest(token=token, batch_ids=tuple(some))
                yield encode_erase(request, nonce=self._random_bytes(NONCE_BYTES))

    def _moment(self, now: datetime) -> datetime:
        drawn = int.from_bytes(self._random_bytes(_FRACTION_BYTES)) / (1 << 8 * _FRACTION_BYTES)
        return now + timedelta(seconds=drawn * SPREAD_S)

    def _delete_files(self, plan: Plan) -> None:
        for row in plan.trips:
            if row.segment:
                delete_segment(self._segments / row.segment)
        for first, last in _spans(plan):
            self._forget_events(first, last)


def _spans(plan: Plan) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when to when what was captured goes too."""
    match plan.wish.scope:
        case Scope.ALL:
            yield _EVER
        case Scope.SINCE if plan.wish.since_utc:
            yield plan.wish.since_utc, _EVER[1]
        case _:
            for row in plan.trips:
                began = json.loads(row.summary).get("started_utc")
                if began:
                    yield datetime.fromisoformat(began), row.created_utc


def _fits(wish: Wish, row: TripRow) -> bool:
    return _covers(wish, row.trip_id, row.created_utc)


def _covers(wish: Wish, identity: str, when: datetime) -> bool:
    match wish.scope:
        case Scope.ALL:
            return True
        case Scope.SINCE:
            return wish.since_utc is not None and when >= wish.since_utc
        case Scope.TRIP:
            return identity == wish.name
        case Scope.WITHDRAWN:
            return False


def _chunks(batches: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(batches), MAX_BATCH_IDS):
        yield batches[start : start + MAX_BATCH_IDS]
