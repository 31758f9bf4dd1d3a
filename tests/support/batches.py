"""Batches as a vehicle would send them."""

from hashlib import sha256

from telemetry.codec.batch import encode_batch
from telemetry.codec.schemas import BATTERY_2, Schema
from telemetry.records import BatteryBatch, BatterySample

TOKEN = b"t" * 32  # shown, it proves that the pseudonym is ours
PSEUDONYM = sha256(TOKEN).digest()[:16]


def batch_payload(
    number: int = 0, *, rows: int = 5, month: str = "2026-11", schema: Schema = BATTERY_2
) -> bytes:
    """One valid batch; another number is another batch id."""
    samples = tuple(
        BatterySample(
            since_start_ms=second * 1000,
            pack_voltage_v=360.0 + second % 3,
            pack_current_a=-15.0,
            soc_percent=None if second == 3 else 80.3,
            cell_temp_c=None,
            invalid=frozenset({"soc_percent"} if second == 3 else ()),
        )
        for second in range(rows)
    )
    body = BatteryBatch(month=month, soh_percent=91, samples=samples)
    return encode_batch(body, pseudonym=PSEUDONYM, nonce=number.to_bytes(16), schema=schema)
