"""The registry of batch schemas: an allow-list of what a batch may hold, each with its unit.

Two kinds: *columns*, for readings at a rate (a raw integer is ``round(value * per_unit)``; a value
is ``raw / per_unit``), and *records*, for sessions. A field that is not here cannot leave the
vehicle, and a schema id never changes its meaning: another set of fields is a new id, and the old
one stays readable.
"""

from dataclasses import dataclass, replace

from telemetry.codec import trained_battery_1
from telemetry.codec.columns import FORMAT, PLAIN_FORMAT
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
    column_format: int = FORMAT  # of the column code

    @property
    def tells_invalid(self) -> bool:
        """Tell whether a value that was not to be believed is more than a missing one."""
        return self.column_format != PLAIN_FORMAT


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: a whole number in steps of a unit, or a list of them.

    ``low`` and ``high`` bound each number; ``most`` is how many a list may have, 0 for no list;
    ``words`` says what the numbers stand for, if they are classes.
    """

    name: str
    unit: str
    low: int
    high: int
    per_unit: int = 1
    is_optional: bool = False
    most: int = 0
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.low > self.high or (self.words and self.high >= len(self.words)):
            raise ValueError(f"{self.name}: expected low <= high, and a word for each class")


@dataclass(frozen=True, slots=True)
class RecordSchema:
    """What a batch of sessions may hold: one list of fields for each record."""

    schema_id: str
    purpose: Purpose
    fields: tuple[Field, ...]
    max_records: int = 1_000


AnySchema = Schema | RecordSchema

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
    column_format=PLAIN_FORMAT,
)
BATTERY_2 = replace(BATTERY_1, schema_id="battery.2", column_format=FORMAT)  # tells invalid values

SCHEMAS: dict[str, AnySchema] = {schema.schema_id: schema for schema in (BATTERY_1, BATTERY_2)}
