"""The closed list of purposes for which data may leave a vehicle.

Adding one is a new screen text, a new consent and an ADR. Only purposes that are built stand
here; the others of the design enter with the commit that builds them.
"""

from enum import StrEnum


class Purpose(StrEnum):
    """Why data may leave. The value is what topics, batches and ledger entries hold."""

    BATTERY = "battery"
