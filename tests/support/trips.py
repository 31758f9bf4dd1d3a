"""A finished trip with its segment on disk, and a Sharing over a state file."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.consent.keys import SigningKey
from agent.consent.ledger import Recipient
from agent.consent.notices import all_notices
from agent.consent.recipients import Recipients
from agent.offers import AgentHealth
from agent.sharing import Clock, Sharing, SharingSettings
from agent.store.segment_records import SegmentColumn
from agent.store.segments import SegmentWriter
from agent.store.state import State
from tests.support.clock import FakeClock
from tests.support.sealing import recipients as known_recipients

TB = "Vehicle.Powertrain.TractionBattery"
COLUMNS = (
    SegmentColumn(f"{TB}.CurrentVoltage", "V", 0.5, 0.0),
    SegmentColumn(f"{TB}.CurrentCurrent", "A", 0.5, 0.0),
    SegmentColumn(f"{TB}.StateOfCharge.Current", "percent", 0.1, 0.0),
    SegmentColumn(f"{TB}.StateOfHealth", "percent", 1.0, 0.0),
    SegmentColumn("Vehicle.Speed", "km/h", 0.1, 0.0),
    SegmentColumn("Vehicle.CurrentLocation.Latitude", "degrees", 0.00001, 0.0),
)
VEHICLE_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


RECIPIENT = Recipient(name="okdrive ingest", key_id="0011223344556677")


@dataclass(frozen=True, kw_only=True)
class FakeTrip:
    trip_id: str = "trip-1"
    started_utc: datetime | None = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
    distance_m: float = 12_345.0


def write_segment(folder: Path, trip_id: str = "trip-1", *, rows: int = 60) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{trip_id}.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for second in range(rows):
        noise = second * second * 31 % 101
        row = [720 + noise % 7, noise - 60, 803 - second // 30, 91, 500, 4_873_210]
        writer.append(5_000 + second * 1000, row)
    writer.close()
    return path


def open_sharing(  # noqa: PLR0913 (each by name)
    folder: Path,
    *,
    clock: Clock | None = None,
    hold_s: float = 0.0,
    unanswered_days: int = 7,
    connect: Callable[[Path], sqlite3.Connection] | None = None,
    key: SigningKey = VEHICLE_KEY,
    health: Callable[[], AgentHealth] | None = None,
    recipients: Recipients | None = None,
) -> Sharing:
    """A Sharing whose state and segments lie in ``folder``; started."""
    sharing = Sharing(
        state=State.open(folder / "state.sqlite", connect=connect),
        key=key,
        notices=all_notices(),
        recipients=recipients or known_recipients(),
        secret_of=lambda _purpose: b"s" * 32,
        segments=folder / "segments",
        clock=clock or FakeClock(),
        settings=SharingSettings(hold_s=hold_s, unanswered_days=unanswered_days, zone=UTC),
        health=health,
    )
    sharing.start()
    return sharing
