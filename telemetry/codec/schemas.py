"""The registry of batch schemas: an allow-list of columns, each with resolution and unit.

A raw integer is ``round(value * per_unit)``; a value is ``raw / per_unit``. A field that has no
column here cannot leave the vehicle, and a schema id never changes its meaning: a new set of
columns is a new id.
"""

from dataclasses import dataclass

from telemetry.codec import trained_battery_1
from telemetry.codec.models import Model, trained_model
from telemetry.purposes import Purpose


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the record's field, steps per unit, unit."""

    field: str
    per_unit: int
    unit: str


@dataclass(frozen=True, slots=True)
class Schema:
    """What a batch of one purpose may hold, under the id that travels in it."""

    schema_id: str
    purpose: Purpose
    columns: tuple[Column, ...]
    model: Model  # part of the format: what the columns are expected to be like


BATTERY_1 = Schema(
    schema_id="battery.1",
    purpose=Purpose.BATTERY,
    columns=(
        Column("since_start_ms", 1, "ms"),
        Column("pack_voltage_v", 2, "V"),  # 0.5 V: the sensor's own step
        Column("pack_current_a", 2, "A"),  # 0.5 A: the sensor's own step
        Column("soc_percent", 10, "%"),
        Column("cell_temp_c", 1, "degC"),
    ),
    model=trained_model(
        order=(0, 2, 3, 1, 4),  # current and charge first: they tell most about the voltage
        columns=trained_battery_1.COLUMNS,
        odds=trained_battery_1.ODDS,
    ),
)

SCHEMAS: dict[str, Schema] = {schema.schema_id: schema for schema in (BATTERY_1,)}
