"""The examples behind the golden files of the codec.

Rewrite the files after a change of format (the diff is the review)::

    python -m tests.golden.codec_examples
"""

from dataclasses import replace
from pathlib import Path

from telemetry.codec.batch import batch_id, encode_batch
from telemetry.codec.erase import EraseRequest, Erasure, encode_erase, encode_erasure, erase_id
from telemetry.codec.receipt import encode_receipt, pack_signed
from telemetry.codec.schemas import BATTERY_1, BATTERY_2
from telemetry.codec.workshop import encode_report
from telemetry.records import (
    BatteryBatch,
    BatterySample,
    Receipt,
    ReceiptStatus,
    WorkshopAlert,
    WorkshopFigure,
    WorkshopReport,
)

FOLDER = Path(__file__).parent / "data"
PSEUDONYM = bytes(range(16))
NONCE = bytes(range(16, 32))

ONE_SAMPLE = BatteryBatch(
    month="2026-11",
    soh_percent=91,
    samples=(
        BatterySample(
            since_start_ms=0,
            pack_voltage_v=355.5,
            pack_current_a=-12.5,
            soc_percent=81.3,
            cell_temp_c=21.0,
        ),
    ),
)
ONE_MINUTE = BatteryBatch(
    month="2026-11",
    soh_percent=None,
    samples=tuple(
        BatterySample(
            since_start_ms=row * 1000,
            pack_voltage_v=None if row == 7 else 355 - (row * row % 11) / 2,
            pack_current_a=(row * row % 11) * 7.5 - 40,
            soc_percent=(813 - row // 6) / 10,
            cell_temp_c=None if row < 3 else 21.0 + row // 40,
        )
        for row in range(60)
    ),
)
GAPS = BatteryBatch(  # some readings never came, some came and were wrong
    month="2026-11",
    soh_percent=91,
    samples=tuple(
        replace(
            sample,
            pack_current_a=None if row in {8, 20, 21} else sample.pack_current_a,
            invalid=frozenset(
                name
                for name, rows in {"pack_voltage_v": {7}, "pack_current_a": {20, 21}}.items()
                if row in rows
            ),
        )
        for row, sample in enumerate(ONE_MINUTE.samples)
    ),
)
_CODED = {
    "battery_1_one_sample.hex": (ONE_SAMPLE, BATTERY_1),
    "battery_1_one_minute.hex": (ONE_MINUTE, BATTERY_1),
    "battery_2_one_sample.hex": (ONE_SAMPLE, BATTERY_2),
    "battery_2_gaps.hex": (GAPS, BATTERY_2),
}
EXAMPLES = {
    name: encode_batch(batch, pseudonym=PSEUDONYM, nonce=NONCE, schema=schema)
    for name, (batch, schema) in _CODED.items()
}
BATCHES = {name: (batch, schema.schema_id) for name, (batch, schema) in _CODED.items()}
RECEIPTS = {
    "receipt_stored.hex": Receipt(
        batch_id=batch_id(EXAMPLES["battery_1_one_sample.hex"]),
        part=0,
        status=ReceiptStatus.STORED,
        code=None,
    ),
    "receipt_refused.hex": Receipt(
        batch_id=bytes(32), part=2, status=ReceiptStatus.REFUSED, code="codec.version"
    ),
}
EXAMPLES |= {
    name: pack_signed(encode_receipt(receipt), bytes(range(64)))
    for name, receipt in RECEIPTS.items()
}
ERASES = {
    "erase_two_batches.hex": EraseRequest(
        token=bytes(range(32)), batch_ids=(bytes(32), bytes([255] * 32))
    ),
    "erase_all.hex": EraseRequest(token=bytes(range(32))),
}
EXAMPLES |= {name: encode_erase(request, nonce=NONCE) for name, request in ERASES.items()}
ERASURES = {
    "erasure.hex": Erasure(
        erase_id=erase_id(EXAMPLES["erase_two_batches.hex"]), batches=2, rows=600, aside=1, left=0
    )
}
EXAMPLES |= {
    name: pack_signed(encode_erasure(erasure), bytes(range(64)))
    for name, erasure in ERASURES.items()
}
REPORTS = {
    "workshop_1_alert.hex": WorkshopReport(
        day="2026-11-22",
        contact="+49 30 1234567",
        name="A. Driver",
        message="Range is down since last week.\nPlease call.",
        figures=(
            WorkshopFigure(name="soh", value="87.5", unit="%"),
            WorkshopFigure(name="cell_spread", value="64", unit="mV"),
        ),
        alert=WorkshopAlert(
            code="cell_imbalance",
            severity="warning",
            evidence=(WorkshopFigure(name="readings", value="2"),),
        ),
    ),
    "workshop_1_message.hex": WorkshopReport(
        day="2026-11-22", contact="driver@example.org", message="Is this normal?"
    ),
}
EXAMPLES |= {
    name: encode_report(report, pseudonym=PSEUDONYM, nonce=NONCE)
    for name, report in REPORTS.items()
}

if __name__ == "__main__":
    for name, payload in EXAMPLES.items():
        (FOLDER / name).write_text(payload.hex() + "\n")
