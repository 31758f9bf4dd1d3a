"""The closed list of purposes for which data may leave a vehicle.

Adding one is a new screen text, a new consent and an ADR. What each may hold stands in
`telemetry/records.py` as a type; there is no other way into a batch.
"""

from enum import StrEnum


class Purpose(StrEnum):
    """Why data may leave. The value is what topics, batches and ledger entries hold."""

    BATTERY = "battery"
    CHARGING = "charging"
    JOURNEYS = "journeys"
    TRAFFIC = "traffic"
    DIAGNOSTICS = "diagnostics"
    WORKSHOP = "workshop"


# only for these a position may be kept in the vehicle; journeys tell distances, never a place
NEED_PLACE = frozenset({Purpose.CHARGING, Purpose.TRAFFIC})

# What a driver switches on, and may give a standing OK for. The workshop is asked each time.
SWITCHED = tuple(purpose for purpose in Purpose if purpose is not Purpose.WORKSHOP)
