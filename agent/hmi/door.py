"""The one door between the screen and the rest of the agent: callables that are handed in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from agent.hmi.views import Decision, ScreenState
from telemetry.purposes import Purpose


class DoorRefusedError(Exception):
    """The agent does not do what was asked; nothing changed.

    ``code`` is stable, ``sentence`` is for a person, ``status`` is the HTTP status: 404 for what
    does not exist, 409 for what is not possible now.
    """

    def __init__(self, code: str, sentence: str, status: int = 409) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.status = code, sentence, status


class AnswerTrip(Protocol):
    """Take the driver's answer for exactly these batches of a trip, shown in ``language``."""

    def __call__(
        self, trip_id: str, batch_ids: tuple[str, ...], *, share: bool, language: str
    ) -> Awaitable[None]:
        """Share or decline; raise DoorRefusedError."""


class SetPurpose(Protocol):
    """Switch one purpose; ``notice_hash`` names the text the driver saw (SHA-256, hex)."""

    def __call__(
        self, purpose: Purpose, *, granted: bool, notice_hash: str, language: str
    ) -> Awaitable[None]:
        """Grant or withdraw; raise DoorRefusedError."""


class SetStanding(Protocol):
    """Share without asking from now on, or ask again; the text was shown in ``language``."""

    def __call__(self, purpose: Purpose, *, is_on: bool, language: str) -> Awaitable[None]:
        """Begin or end a standing OK; raise DoorRefusedError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopWish:
    """What the driver wants to show the workshop: ``battery``, ``alert`` or ``both``."""

    show: str
    contact: str
    name: str = ""
    message: str = ""
    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The newest entry of the ledger about a trip, to be kept; ``qr`` is an SVG element."""

    number: int
    event: str
    time: str
    purpose: Purpose
    recipient: str
    delivered: tuple[str, ...]
    qr: str
    document: object  # for clients


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedReceipt:
    """What ingest signed about one request (``request``: its SHA-256, hex); ``time`` is UTC."""

    request: str
    time: str
    batches: int
    rows: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """One wish to erase, and what ingest has signed of it so far; ``time`` is UTC in figures."""

    wish: str
    time: str
    requests: int
    waiting: int
    batches: int
    rows: int
    left: int
    receipts: tuple[ErasedReceipt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleDoor:
    """What the screen may ask about drivers, pauses, receipts and the workshop.

    Each may raise DoorRefusedError. ``choose_driver`` takes a profile id, or None for a guest;
    ``set_pause`` takes ``hour``, ``today`` or ``always``, or None to end it; ``contact`` returns
    contact details and name as far as they are kept; ``notice`` the full text of a purpose;
    ``erasures`` every wish to erase, the newest first.
    """

    set_standing: SetStanding
    choose_driver: Callable[[str | None], Awaitable[None]]
    add_driver: Callable[[str], Awaitable[None]]
    set_pause: Callable[[str | None], Awaitable[None]]
    receipt: Callable[[str], Awaitable[Receipt]]
    contact: Callable[[], Awaitable[tuple[str, str]]]
    ask_workshop: Callable[[WorkshopWish], Awaitable[None]]
    notice: Callable[[Purpose, str], tuple[str, ...]]
    erasures: Callable[[], Awaitable[tuple[Erased, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPlace:
    """A place that nobody may see; degrees in WGS 84."""

    zone_id: str
    name: str
    latitude: float
    longitude: float
    radius_m: float
    drawn: date


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlace:
    """A place to keep secret; ``position`` None: where the vehicle is."""

    position: tuple[float, float] | None
    radius_m: float
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """Batches dropped from cards, taken back from the queue, and of those under way already."""

    offered: int
    queued: int
    under_way: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacesDoor:
    """What the screen may ask about drawn places. Each may raise DoorRefusedError.

    A guest may add a place, but neither see nor remove one: that would show where others live.
    """

    drawn: Callable[[], Awaitable[tuple[DrawnPlace, ...]]]
    add: Callable[[NewPlace], Awaitable[TakenBack]]
    remove: Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the screen may ask of the agent. Each action may raise DoorRefusedError.

    ``state`` never blocks. ``wait_change(after)`` returns the number of the newest change as soon
    as that is greater than ``after``; numbers grow by any step, and start above 0.
    ``preview_rows`` returns the decoded batch as plain objects for JSON.
    """

    state: Callable[[], ScreenState]
    wait_change: Callable[[int], Awaitable[int]]
    answer_trip: AnswerTrip
    take_back: Callable[[str], Awaitable[None]]
    set_purpose: SetPurpose
    answer_update: Callable[[str, Decision], Awaitable[None]]
    cancel_update: Callable[[str], Awaitable[None]]
    acknowledge: Callable[[], Awaitable[None]]
    acknowledge_alert: Callable[[str], Awaitable[None]]
    preview_rows: Callable[[str], Awaitable[object]]
    people: PeopleDoor
    places: PlacesDoor
