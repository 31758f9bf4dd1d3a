"""What the driver's screen is told, and which one card it shows; pure.

The desk fills ``ScreenState``; everything that is seen follows from it. Texts that depend on
the language are not in here: a card carries codes and numbers, ``agent.hmi.pages`` finds the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from telemetry.purposes import SWITCHED, Purpose


class DrivingState(StrEnum):
    """How much attention the driver has for a screen (AAOS driving states)."""

    PARKED = "parked"  # gear P
    IDLING = "idling"  # not P, standing
    MOVING = "moving"  # not P, speed other than 0; also: nobody knows


class TripStatus(StrEnum):
    """Where the data of one trip stands."""

    WAITING = "waiting"  # for the driver's answer
    HELD = "held"  # answered OK, can still be taken back
    QUEUED = "queued"  # leaves as soon as there is a link
    DELIVERED = "delivered"  # the far end has signed a receipt
    REFUSED = "refused"  # the far end does not take it; it stays here and expires
    NOT_SHARED = "not_shared"  # answered No
    TAKEN_BACK = "taken_back"


class CardKind(StrEnum):
    """What a question is about."""

    TRIP = "trip"
    DAY = "day"  # days that are over, and the software itself
    WORKSHOP = "workshop"  # what the driver chose to show


class Criticality(StrEnum):
    """Why a release exists; the value is that of the signed release record."""

    FEATURE = "feature"
    SECURITY = "security"
    RECALL = "recall"


class UpdatePhase(StrEnum):
    """What the update is doing, as far as the driver is concerned."""

    READY = "ready"  # waits for Now, Tonight or Later
    SCHEDULED = "scheduled"  # answered Tonight
    COUNTDOWN = "countdown"  # answered Now; can be cancelled until 0
    INSTALLING = "installing"
    CHECKING = "checking"  # installed; the new version must prove that it is well


class Outcome(StrEnum):
    """How an update ended; the value is that of the vehicle version manifest."""

    INSTALLED = "installed"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"


class Decision(StrEnum):
    """The driver's answer to an update."""

    NOW = "now"
    TONIGHT = "tonight"
    LATER = "later"


class Level(StrEnum):
    """How urgent a notice is. Red is kept for DANGER: do not drive."""

    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeToggle:
    """One purpose, and whether it is switched on. Title and notice are language texts.

    ``always_until`` is the day on which a standing OK ends; None without one. ``always_waits``: one
    was given and does not hold now, because nobody proves what time it is.
    """

    purpose: Purpose
    granted: bool = False
    always_until: date | None = None
    always_waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPreview:
    """One field of a batch as it would be sent.

    ``name`` is the field of the record (``pack_voltage_v``); ``precision`` is the step of the
    values in ``unit``, 0 for none; ``count`` counts values that are present; ``lowest`` and
    ``highest`` are None if there are none. ``text`` is the value where it is not a number, such as
    a month.
    """

    name: str
    unit: str
    precision: float
    count: int
    lowest: float | None = None
    highest: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPreview:
    """What one batch holds; made by decoding the very bytes that would be sent.

    ``batch_id`` is the SHA-256 of those bytes in hex. ``not_sent`` holds keys of what this purpose
    never contains (``position``, ``speed``, ``exact_time``, ``vin``).
    """

    batch_id: str
    purpose: Purpose
    size_bytes: int
    travels_bytes: int  # the same, padded and sealed: what the network carries
    recipient: str
    fields: tuple[FieldPreview, ...]
    not_sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCard:
    """One finished trip. ``ended_text`` is local time in figures, such as ``18:10``, or empty.

    ``hold_left_s`` counts only in HELD: seconds in which it can be taken back. ``expires_days``:
    without an answer the trip is deleted after so many days. ``receipt`` is the start of the
    receipt's batch id once DELIVERED. ``is_standing``: released under a standing OK.
    """

    trip_id: str
    distance_km: float
    duration_min: float
    ended_text: str
    energy_kwh: float | None
    batches: tuple[BatchPreview, ...]
    status: TripStatus = TripStatus.WAITING
    hold_left_s: int | None = None
    expires_days: int = 7
    kind: CardKind = CardKind.TRIP
    is_standing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverChoice:
    """One driver profile; ``name`` is empty until there is a second one to tell apart."""

    profile_id: str
    name: str
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseState:
    """A pause that is on. ``until_text`` is local time in figures; empty: until it is ended."""

    until_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFacts:
    """The five facts of a release in one language, as signed in its release record."""

    purpose: str  # what it is and why
    changes: tuple[str, ...]
    duration_s: int  # worst case
    unavailable: str  # what will not work meanwhile
    instructions: str  # what the driver has to do


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLine:
    """One precondition. ``code`` finds the words in the language file; else ``text`` is shown."""

    code: str
    ok: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an installation is; ``left_s`` is None when nobody can say."""

    step: int
    steps: int
    percent: int  # 0 to 100
    left_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """An update on its way into the vehicle. None: not known yet, or nothing comes at the moment.

    ``why_not`` is one sentence on why nothing comes at the moment, ``code`` its stable code.
    """

    name: str
    to_version: str
    total_bytes: int
    done_bytes: int | None = None
    bytes_per_s: float | None = None
    left_s: int | None = None
    why_not: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateCard:
    """One verified and downloaded update. ``content_hash``: SHA-256 of the image in hex.

    ``facts`` by language code; a language that is missing falls back to English, then to any.
    ``countdown_s`` is set in COUNTDOWN, ``scheduled_text`` (local time in figures) in SCHEDULED,
    ``progress`` in INSTALLING. ``can_defer``: Later is still an answer.
    """

    content_hash: str
    name: str
    from_version: str | None  # None: newly installed
    to_version: str
    criticality: Criticality
    facts: Mapping[str, UpdateFacts]
    size_bytes: int
    recall_number: str | None = None
    gates: tuple[GateLine, ...] = ()
    phase: UpdatePhase = UpdatePhase.READY
    progress: Progress | None = None
    countdown_s: int | None = None
    scheduled_text: str = ""
    can_defer: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCard:
    """How the last update ended, until the driver acknowledges it.

    ``running_version`` is what runs now. ``reason`` is one sentence and ``code`` its stable code
    (small print, for the workshop); both are for what did not go well.
    """

    outcome: Outcome
    name: str
    version: str
    running_version: str | None
    reason: str = ""
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that is not as it should be. ``code`` finds the words; else ``text`` is shown."""

    code: str
    level: Level = Level.WARNING
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryAlert:
    """One alert of the battery watch. ``code`` finds the words: ``battery.<code>.title``.

    DANGER stays on the screen in every driving state, WARNING comes at the next stop, INFO when
    the trip is over; the last two are put away with OK until they are told again.
    """

    code: str
    level: Level
    is_acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryHealth:
    """What the battery's history says. ``months``: (``2026-11``, percent of new), oldest first."""

    percent: float | None = None
    capacity_ah: float | None = None
    months: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenState:
    """Everything the driver's screen knows.

    ``vehicle_fresh``: gear and speed are at most 2 s old, or the vehicle fell asleep in P. While
    it is false the screen behaves as in MOVING. ``trips``: newest first. ``dismissed_update``: the
    content hash of an update the driver answered with Later in this ignition cycle.
    """

    driving: DrivingState
    vehicle_fresh: bool
    recording: bool = False
    soc_percent: float | None = None
    speed_km_h: float | None = None
    trip_km: float | None = None  # of the trip under way
    purposes: tuple[PurposeToggle, ...] = field(
        default_factory=lambda: tuple(PurposeToggle(purpose=purpose) for purpose in SWITCHED)
    )
    trips: tuple[TripCard, ...] = ()
    update: UpdateCard | None = None
    fetching: Fetching | None = None
    dismissed_update: str | None = None
    result: ResultCard | None = None
    queue_count: int = 0
    notices: tuple[Notice, ...] = ()
    alerts: tuple[BatteryAlert, ...] = ()  # most severe first
    health: BatteryHealth = BatteryHealth()
    night: bool = False
    drivers: tuple[DriverChoice, ...] = ()
    is_guest: bool = False
    pause: PauseState | None = None

    @property
    def is_driver_unknown(self) -> bool:
        """Whether nobody said who drives."""
        return bool(self.drivers) and not self.is_guest and not any(d.is_here for d in self.drivers)


class Card(StrEnum):
    """The one card that the home screen shows."""

    AMBIENT = "ambient"
    DANGER = "danger"
    RUNNING_UPDATE = "running_update"
    RECALL = "recall"
    BATTERY = "battery"
    RESULT = "result"
    UPDATE = "update"
    TRIP = "trip"
    DEGRADED = "degraded"
    SHARED = "shared"
    HOME = "home"


class Action(StrEnum):
    """Everything a person can do on this screen or through the local API."""

    ANSWER_TRIP = "answer_trip"
    TAKE_BACK = "take_back"
    GRANT = "grant"
    WITHDRAW = "withdraw"
    ANSWER_UPDATE = "answer_update"
    CANCEL_UPDATE = "cancel_update"
    ACKNOWLEDGE = "acknowledge"
    READ_PREVIEW = "read_preview"
    CHOOSE_DRIVER = "choose_driver"
    PAUSE = "pause"
    RESUME = "resume"
    STAND = "stand"
    ASK_AGAIN = "ask_again"
    ASK_WORKSHOP = "ask_workshop"
    HIDE_PLACE = "hide_place"
    TELL_PLACE = "tell_place"


_P, _I = DrivingState.PARKED, DrivingState.IDLING
_ANY = frozenset(DrivingState)
ALLOWED: Mapping[Action, frozenset[DrivingState]] = {
    Action.ANSWER_TRIP: frozenset({_P}),
    Action.TAKE_BACK: frozenset({_P, _I}),
    Action.GRANT: frozenset({_P}),
    Action.WITHDRAW: _ANY,  # as easy as giving, at any moment (EDPB 1/2020)
    Action.ANSWER_UPDATE: frozenset({_P}),
    Action.CANCEL_UPDATE: _ANY,  # backing out is never dangerous
    Action.ACKNOWLEDGE: frozenset({_P, _I}),
    Action.READ_PREVIEW: frozenset({_P}),
    Action.CHOOSE_DRIVER: frozenset({_P, _I}),
    Action.PAUSE: _ANY,  # less is always allowed
    Action.RESUME: frozenset({_P}),
    Action.STAND: frozenset({_P}),
    Action.ASK_AGAIN: _ANY,
    Action.ASK_WORKSHOP: frozenset({_P}),
    Action.HIDE_PLACE: _ANY,  # less is always allowed
    Action.TELL_PLACE: frozenset({_P}),
}
_RUNNING = frozenset({UpdatePhase.COUNTDOWN, UpdatePhase.INSTALLING, UpdatePhase.CHECKING})
_UNDER_WAY = frozenset({TripStatus.HELD, TripStatus.QUEUED})


def effective_driving(state: ScreenState) -> DrivingState:
    """Return the driving state to act on: without fresh signals, MOVING."""
    return state.driving if state.vehicle_fresh else DrivingState.MOVING


def is_allowed(action: Action, state: ScreenState) -> bool:
    """Return whether ``action`` may be done in the present driving state."""
    return effective_driving(state) in ALLOWED[action]


def waiting_trips(state: ScreenState) -> tuple[TripCard, ...]:
    """Return the trips that wait for an answer and have something to answer, newest first."""
    return tuple(t for t in state.trips if t.status is TripStatus.WAITING and t.batches)


def shown_trip(state: ScreenState) -> TripCard | None:
    """Return the trip the home screen is about: one that waits, or else the newest answered."""
    waiting = waiting_trips(state)
    if waiting:
        return waiting[0]
    return next((t for t in state.trips if t.status is not TripStatus.WAITING), None)


def shown_alert(state: ScreenState) -> BatteryAlert | None:
    """Return the battery alert that the home screen is about now; None if there is none."""
    is_parked = effective_driving(state) is DrivingState.PARKED
    waiting = [alert for alert in state.alerts if not alert.is_acknowledged]
    told = [alert for alert in waiting if is_parked or alert.level is not Level.INFO]
    return next((a for a in state.alerts if a.level is Level.DANGER), next(iter(told), None))


def choose_card(state: ScreenState) -> Card:
    """Return the one card of the home screen.

    Order: do not drive, an update that runs, recall, battery, result, update ready, trip to share;
    then what is wrong, what is on its way out, and the plain home screen (ecosystem rule 4.3.5).
    """
    levels = {alert.level for alert in state.alerts} | {one.level for one in state.notices}
    if Level.DANGER in levels:
        return Card.DANGER
    if effective_driving(state) is DrivingState.MOVING:
        return Card.AMBIENT
    return _update_card(state) or _data_card(state)


def _update_card(state: ScreenState) -> Card | None:
    update = state.update
    if update is not None and update.phase in _RUNNING:
        return Card.RUNNING_UPDATE
    asks = update is not None and update.phase is UpdatePhase.READY and _is_new(state)
    if asks and update is not None and update.criticality is Criticality.RECALL:
        return Card.RECALL
    if shown_alert(state) is not None:
        return Card.BATTERY
    if state.result is not None:
        return Card.RESULT
    return Card.UPDATE if asks else None


def _is_new(state: ScreenState) -> bool:
    return state.update is not None and state.update.content_hash != state.dismissed_update


def _data_card(state: ScreenState) -> Card:
    if waiting_trips(state):
        return Card.TRIP
    if any(notice.level is Level.WARNING for notice in state.notices):
        return Card.DEGRADED
    trip = shown_trip(state)
    return Card.SHARED if trip is not None and trip.status in _UNDER_WAY else Card.HOME
