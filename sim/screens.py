"""Every state of the driver's screen with made-up data.

Pictures, tests and people at a desk use the same states, so that none needs a vehicle; an agent
that plays them is `sim/played_agent.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from agent.hmi.door import (
    DrawnPlace,
    Erased,
    ErasedReceipt,
)
from agent.hmi.views import (
    BatchPreview,
    BatteryAlert,
    BatteryHealth,
    CardKind,
    Criticality,
    DriverChoice,
    DrivingState,
    Fetching,
    FieldPreview,
    GateLine,
    Level,
    Notice,
    Outcome,
    PauseState,
    Progress,
    PurposeToggle,
    ResultCard,
    ScreenState,
    TripCard,
    TripStatus,
    UpdateCard,
    UpdateFacts,
    UpdatePhase,
)
from telemetry.purposes import SWITCHED, Purpose

BATCH_ID = "3f9a1c07" * 8
CONTENT_HASH = "b41d22e9" * 8

_BATCH = BatchPreview(
    batch_id=BATCH_ID,
    purpose=Purpose.BATTERY,
    size_bytes=4812,
    travels_bytes=5182,
    recipient="ingest",
    fields=(
        FieldPreview(
            name="since_start_ms", unit="ms", precision=100, count=861, lowest=0, highest=860_000
        ),
        FieldPreview(
            name="pack_voltage_v", unit="V", precision=0.5, count=861, lowest=348.5, highest=389.0
        ),
        FieldPreview(
            name="pack_current_a", unit="A", precision=0.5, count=861, lowest=-212.0, highest=94.5
        ),
        FieldPreview(
            name="soc_percent", unit="%", precision=0.1, count=861, lowest=71.4, highest=78.2
        ),
        FieldPreview(
            name="cell_temp_c", unit="°C", precision=1.0, count=861, lowest=19.0, highest=24.0
        ),
        FieldPreview(name="soh_percent", unit="%", precision=1, count=1, lowest=91, highest=91),
        FieldPreview(name="month", unit="", precision=0, count=1, text="2026-11"),
    ),
    not_sent=("position", "speed", "exact_time", "vin"),
)
_TRIP = TripCard(
    trip_id="trip-0007",
    distance_km=11.34,
    duration_min=14.4,
    ended_text="18:10",
    energy_kwh=2.13,
    batches=(_BATCH,),
)
_FETCHING = Fetching(
    name="Trip Light",
    to_version="1.1.0",
    total_bytes=12_400_000,
    done_bytes=3_200_000,
    bytes_per_s=52_000.0,
    left_s=180,
)
_UPDATE = UpdateCard(
    content_hash=CONTENT_HASH,
    name="Trip Light",
    from_version="1.0.0",
    to_version="1.1.0",
    criticality=Criticality.FEATURE,
    size_bytes=1_842_000,
    facts={
        "en": UpdateFacts(
            purpose="Shows at a glance whether this trip is economical.",
            changes=("The light reacts faster", "Stays dark at night", "Uses less power"),
            duration_s=120,
            unavailable="the trip light stays off",
            instructions="Nothing. You can leave the car.",
        ),
        "de": UpdateFacts(
            purpose="Zeigt auf einen Blick, ob diese Fahrt sparsam ist.",
            changes=("Das Licht reagiert schneller", "Bleibt nachts dunkel", "Braucht weniger"),
            duration_s=120,
            unavailable="das Fahrtlicht bleibt aus",
            instructions="Nichts. Sie können aussteigen.",
        ),
    },
    gates=(
        GateLine(code="parked", ok=True),
        GateLine(code="soc", ok=True),
        GateLine(code="battery_12v", ok=True),
    ),
)
_RECALL = replace(
    _UPDATE,
    name="Battery Guard",
    from_version="2.4.0",
    to_version="2.4.1",
    criticality=Criticality.RECALL,
    recall_number="26V-123",
    gates=(
        GateLine(code="parked", ok=True),
        GateLine(code="soc", ok=True),
        GateLine(code="battery_12v", ok=False),
    ),
    facts={
        "en": UpdateFacts(
            purpose="Charging could stop too late when the battery is very hot. This corrects it.",
            changes=("Charging stops in time", "Warns one minute earlier"),
            duration_s=2400,
            unavailable="the car cannot be driven or charged",
            instructions="Lock the car and leave it parked.",
        ),
        "de": UpdateFacts(
            purpose="Bei sehr heißer Batterie könnte das Laden zu spät enden. Dies behebt es.",
            changes=("Das Laden endet rechtzeitig", "Warnt eine Minute früher"),
            duration_s=2400,
            unavailable="das Auto fährt und lädt nicht",
            instructions="Abschließen und geparkt stehen lassen.",
        ),
    },
)
_FAILED = ResultCard(
    outcome=Outcome.ROLLED_BACK,
    name="Trip Light",
    version="1.2.0",
    running_version="1.1.0",
    reason="Its own check did not pass.",
    code="ota.install.unhealthy",
)
_ON = (PurposeToggle(purpose=Purpose.BATTERY, granted=True),)
PARKED = ScreenState(
    driving=DrivingState.PARKED, vehicle_fresh=True, soc_percent=71.4, speed_km_h=0.0, purposes=_ON
)
_MOVING = replace(
    PARKED, driving=DrivingState.MOVING, speed_km_h=73.0, trip_km=11.34, recording=True
)


PROFILE = "c0ffee0123456789"
_DRIVERS = (
    DriverChoice(profile_id="0123456789abcdef", name="", is_here=True),
    DriverChoice(profile_id=PROFILE, name="Anna", is_here=False),
)
_RECORD = BatchPreview(
    batch_id=BATCH_ID,
    purpose=Purpose.JOURNEYS,
    size_bytes=104,
    travels_bytes=574,
    recipient="ingest",
    fields=(
        FieldPreview(name="kind", unit="", precision=0, count=1, text="school run"),
        FieldPreview(name="distance_from_km", unit="km", precision=0, count=1, lowest=5, highest=5),
        FieldPreview(name="month", unit="", precision=0, count=1, text="2026-11"),
    ),
    not_sent=("position", "speed", "exact_time", "vin"),
)
_DAY = replace(
    _TRIP, trip_id="day-1", kind=CardKind.DAY, batches=(_RECORD,), energy_kwh=None, ended_text=""
)
REPORT = replace(
    _DAY,
    trip_id="report-1",
    kind=CardKind.WORKSHOP,
    batches=(
        replace(
            _RECORD,
            purpose=Purpose.WORKSHOP,
            fields=(
                FieldPreview(name="contact", unit="", precision=0, count=1, text="0171 2345678"),
                FieldPreview(
                    name="figures", unit="", precision=0, count=1, text="health 91 (2026-11-21) %"
                ),
            ),
            not_sent=("position", "trips", "unseen"),
        ),
    ),
)


def _with_trip(status: TripStatus, *, hold_left_s: int | None = None) -> ScreenState:
    return replace(PARKED, trips=(replace(_TRIP, status=status, hold_left_s=hold_left_s),))


STATES: Mapping[str, ScreenState] = {
    "home-first": replace(PARKED, purposes=(PurposeToggle(purpose=Purpose.BATTERY),)),
    "home-quiet": _with_trip(TripStatus.DELIVERED),
    "moving": _MOVING,
    "moving-stale": replace(_MOVING, vehicle_fresh=False, soc_percent=None, recording=False),
    "idling-trip": replace(PARKED, driving=DrivingState.IDLING, trips=(_TRIP,)),
    "trip": replace(PARKED, trips=(_TRIP,)),
    "trip-two": replace(PARKED, trips=(_TRIP, replace(_TRIP, trip_id="trip-0006"))),
    "trip-day": replace(PARKED, trips=(_DAY,)),
    "trip-workshop": replace(PARKED, trips=(REPORT,)),
    "home-all": replace(
        _with_trip(TripStatus.DELIVERED),
        drivers=_DRIVERS,
        purposes=tuple(
            PurposeToggle(
                purpose=purpose,
                granted=purpose in {Purpose.BATTERY, Purpose.JOURNEYS},
                always_until=date(2026, 12, 22) if purpose is Purpose.JOURNEYS else None,
            )
            for purpose in SWITCHED
        ),
    ),
    "home-paused": replace(PARKED, pause=PauseState(until_text="19:10")),
    "home-guest": replace(PARKED, drivers=(replace(_DRIVERS[0], is_here=False),), is_guest=True),
    "home-driver-unknown": replace(PARKED, drivers=(replace(_DRIVERS[0], is_here=False),)),
    "shared-standing": replace(
        PARKED, trips=(replace(_TRIP, status=TripStatus.HELD, hold_left_s=587, is_standing=True),)
    ),
    "shared-held": _with_trip(TripStatus.HELD, hold_left_s=587),
    "shared-queued": _with_trip(TripStatus.QUEUED),
    "update-ready": replace(PARKED, update=_UPDATE),
    "update-recall": replace(PARKED, update=_RECALL),
    "update-fetching": replace(PARKED, fetching=_FETCHING),
    "update-fetching-waits": replace(
        PARKED,
        fetching=replace(
            _FETCHING,
            done_bytes=None,
            bytes_per_s=None,
            left_s=None,
            why_not="The image costs more data than this network may be used for.",
            code="ota.not_now.data_budget",
        ),
    ),
    "update-scheduled": replace(
        PARKED, update=replace(_UPDATE, phase=UpdatePhase.SCHEDULED, scheduled_text="02:30")
    ),
    "update-countdown": replace(
        PARKED, update=replace(_UPDATE, phase=UpdatePhase.COUNTDOWN, countdown_s=118)
    ),
    "update-installing": replace(
        PARKED,
        update=replace(
            _UPDATE,
            phase=UpdatePhase.INSTALLING,
            progress=Progress(step=3, steps=5, percent=41, left_s=70),
        ),
    ),
    "update-checking": replace(
        PARKED,
        update=replace(
            _UPDATE,
            phase=UpdatePhase.CHECKING,
            progress=Progress(step=5, steps=5, percent=96),
        ),
    ),
    "result-installed": replace(
        PARKED,
        result=ResultCard(
            outcome=Outcome.INSTALLED, name="Trip Light", version="1.1.0", running_version="1.1.0"
        ),
    ),
    "result-rolled-back": replace(PARKED, result=_FAILED),
    "result-refused": replace(
        PARKED,
        result=replace(
            _FAILED,
            outcome=Outcome.REFUSED,
            reason="The update was meant for another car.",
            code="ota.repository.foreign_vehicle",
        ),
    ),
    "battery-alert": replace(
        PARKED,
        alerts=(BatteryAlert(code="weak_cell", level=Level.WARNING),),
        health=BatteryHealth(
            percent=91.0,
            months=tuple((f"2026-{month:02}", 94.0 - month / 3) for month in range(1, 12)),
        ),
    ),
    "battery-danger": replace(PARKED, alerts=(BatteryAlert(code="relay_cut", level=Level.DANGER),)),
    "degraded": replace(PARKED, notices=(Notice(code="storage_full"),)),
    "danger": replace(
        PARKED,
        notices=(
            Notice(
                code="hv_isolation",
                level=Level.DANGER,
                text="Stop and leave the car. The high voltage is not safely isolated.",
            ),
        ),
    ),
}
"""Home screens by name."""

ERASED: tuple[Erased, ...] = (
    Erased(
        wish="trip 3f9a1c07d2e45b86",
        time="2026-11-22 18:03 UTC",
        requests=3,
        waiting=1,
        batches=2,
        rows=31,
        left=0,
        receipts=(
            ErasedReceipt(
                request="9d0c6f1be2a47350" * 4,
                time="2026-11-22 18:05 UTC",
                batches=2,
                rows=31,
                left=0,
            ),
        ),
    ),
    Erased(
        wish="withdrawn",
        time="2026-11-20 07:41 UTC",
        requests=1,
        waiting=0,
        batches=1,
        rows=10,
        left=0,
    ),
)
PLACES: tuple[DrawnPlace, ...] = tuple(
    DrawnPlace(
        zone_id=f"{number:08x}",
        name=name,
        latitude=48.0 + number,
        longitude=11.5,
        radius_m=500.0 * (1 + number),
        drawn=date(2026, 11, 1 + number),
    )
    for number, name in enumerate(("Home", "A name of 24 characters!", "", "", ""))
)
PAGES: Mapping[str, tuple[str, str]] = {
    "purposes": ("home-quiet", "/purposes"),
    "update-fetching-page": ("update-fetching", "/update"),
    "purpose-grant": ("home-first", "/purposes/battery"),
    "purpose-withdraw": ("home-quiet", "/purposes/battery"),
    "purpose-grant-traffic": ("home-all", "/purposes/traffic"),
    "purpose-grant-workshop": ("home-all", "/purposes/charging"),
    "purpose-always": ("home-all", "/purposes/battery/always"),
    "purpose-always-end": ("home-all", "/purposes/journeys/always"),
    "purposes-all": ("home-all", "/purposes"),
    "purpose-text": ("home-all", "/purposes/battery/text"),
    "more": ("home-all", "/more"),
    "drivers": ("home-all", "/driver"),
    "driver-choose": ("home-all", f"/driver/{PROFILE}"),
    "driver-guest": ("home-all", "/driver/guest"),
    "driver-new": ("home-all", "/driver/new"),
    "pause": ("home-all", "/pause"),
    "pause-today": ("home-all", "/pause/today"),
    "pause-end": ("home-paused", "/pause"),
    "language": ("home-all", "/language"),
    "zones": ("home-all", "/zones"),
    "zones-2": ("home-all", "/zones?page=2"),
    "zone-here": ("home-all", "/zones/here"),
    "zone-remove": ("home-all", "/zones/00000001"),
    "erasures": ("home-all", "/erasures"),
    "receipts": ("home-all", "/receipts"),
    "receipt": ("home-all", "/receipts/trip-0007"),
    "workshop": ("home-all", "/workshop"),
    "workshop-form": ("home-all", "/workshop/battery"),
    "battery": ("battery-alert", "/battery"),
    "preview": ("trip", f"/preview/{BATCH_ID}"),
    "exact": ("trip", f"/exact/{BATCH_ID}"),
    "update-none": ("home-quiet", "/update"),
}
"""Further pages by name: the state and the address."""
