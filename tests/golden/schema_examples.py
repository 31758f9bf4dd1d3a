"""Two versions of a schema of each kind, as they would stand side by side after a release.

They live here only: no vehicle has them. Rewrite their golden files with
``python -m tests.golden.schema_examples``.
"""

from pathlib import Path

from telemetry.codec.batch import encode_batch
from telemetry.codec.columns import PLAIN_FORMAT
from telemetry.codec.models import generic_model
from telemetry.codec.schemas import (
    BATTERY_1,
    SCHEMAS,
    AnySchema,
    Column,
    Field,
    RecordSchema,
    Schema,
)
from telemetry.codec.sessions import encode_records
from telemetry.purposes import Purpose
from tests.golden.codec_examples import NONCE, ONE_MINUTE, PSEUDONYM

FOLDER = Path(__file__).parent / "schemas"

BATTERY_FINE = Schema(  # finer volts, no temperature
    schema_id="example.battery.2",
    purpose=Purpose.BATTERY,
    columns=(*BATTERY_1.columns[:1], Column("pack_voltage_v", 10, "V"), *BATTERY_1.columns[2:4]),
    model=generic_model(4),
    column_format=PLAIN_FORMAT,
)
SESSION_1 = RecordSchema(
    schema_id="example.session.1",
    purpose=Purpose.BATTERY,
    fields=(
        Field("hour_of_week", "h", 0, 167),
        Field("kind", "", 0, 1, words=("AC", "DC")),
        Field("energy_kwh", "kWh", 0, 2000, per_unit=10, most=96),
    ),
)
SESSION_2 = RecordSchema(
    schema_id="example.session.2",
    purpose=Purpose.BATTERY,
    fields=(*SESSION_1.fields, Field("soc_out_percent", "%", 0, 100, is_optional=True)),
)
ALL: dict[str, AnySchema] = SCHEMAS | {
    schema.schema_id: schema for schema in (BATTERY_FINE, SESSION_1, SESSION_2)
}
SESSIONS = (
    {"hour_of_week": 18, "kind": 0, "energy_kwh": (11, 12, 9)},
    {"hour_of_week": 167, "kind": 1, "energy_kwh": ()},
)
SESSIONS_2 = tuple(
    {**session, "soc_out_percent": soc} for session, soc in zip(SESSIONS, (80, None), strict=True)
)
EXAMPLES = {
    "battery_fine.hex": encode_batch(
        ONE_MINUTE, pseudonym=PSEUDONYM, nonce=NONCE, schema=BATTERY_FINE
    ),
    "session_1.hex": encode_records(
        SESSION_1, SESSIONS, month="2026-11", pseudonym=PSEUDONYM, nonce=NONCE
    ),
    "session_2.hex": encode_records(
        SESSION_2, SESSIONS_2, month="2026-11", pseudonym=PSEUDONYM, nonce=NONCE
    ),
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, payload in EXAMPLES.items():
        (FOLDER / name).write_text(payload.hex() + "\n")
