"""The shared vocabulary of telemetry: frozen records with units in their names.

An impossible record cannot exist: every type checks its ranges when it is made, so agent, codec
and ingest need no second look.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_SINCE_START_MS = 7 * 24 * 3600 * 1000  # no trip and no charge session lasts a week
MAX_VOLTAGE_V = 1000.0  # source: highest pack class sold for cars (800 V systems, IEC 61851-23)
MAX_CURRENT_A = 2000.0  # source: four times the 500 A of a CCS2 plug; driving stays far below
MIN_TEMP_C, MAX_TEMP_C = -60.0, 150.0  # beyond the sensor ranges of reference packs
BATCH_ID_BYTES = 32  # SHA-256
MAX_CODE_LENGTH = 64

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySample:
    """One reading of the traction battery; None stands for missing or invalid.

    Raises:
        ValueError: A value outside its range, NaN and infinities included.
    """

    since_start_ms: int  # sampling instant, milliseconds since the trip began
    pack_voltage_v: float | None
    pack_current_a: float | None  # positive flows into the battery, as in VSS
    soc_percent: float | None  # 0 empty to 100 full
    cell_temp_c: float | None  # hottest cell

    def __post_init__(self) -> None:
        _check_whole("since_start_ms", self.since_start_ms, 0, MAX_SINCE_START_MS)
        _check_range("pack_voltage_v", self.pack_voltage_v, 0.0, MAX_VOLTAGE_V)
        _check_range("pack_current_a", self.pack_current_a, -MAX_CURRENT_A, MAX_CURRENT_A)
        _check_range("soc_percent", self.soc_percent, 0.0, 100.0)
        _check_range("cell_temp_c", self.cell_temp_c, MIN_TEMP_C, MAX_TEMP_C)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryBatch:
    """Everything the purpose ``battery`` may hold; a field outside it cannot be constructed.

    Raises:
        ValueError: No sample, samples out of time order, or a value outside its range.
    """

    month: str  # calendar month "YYYY-MM": the finest date that may leave
    soh_percent: int | None  # state of health, whole percent; None if the battery does not say
    samples: tuple[BatterySample, ...]  # oldest first, times strictly rising

    def __post_init__(self) -> None:
        if not _MONTH.fullmatch(self.month):
            raise ValueError(f"month: expected 'YYYY-MM' from 2000 to 2099, got {self.month!r}")
        if self.soh_percent is not None:
            _check_whole("soh_percent", self.soh_percent, 0, 100)
        _check_order(self.samples)


class ReceiptStatus(StrEnum):
    """What ingest did with a batch. The value is what receipts on the wire hold."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The far end's answer to one part of one batch.

    Raises:
        ValueError: A batch id of the wrong size, a negative part, a refusal without its code,
            or a code on an answer that is no refusal.
    """

    batch_id: bytes  # SHA-256 of the batch, 32 bytes
    part: int  # 0 for a batch that travels whole
    status: ReceiptStatus
    code: str | None  # why it was refused, e.g. "codec.version"; None otherwise

    def __post_init__(self) -> None:
        if len(self.batch_id) != BATCH_ID_BYTES:
            raise ValueError(f"batch_id: expected 32 bytes, got {len(self.batch_id)}")
        _check_whole("part", self.part, 0, 0xFFFF)
        if (self.code is not None) != (self.status is ReceiptStatus.REFUSED):
            raise ValueError(f"code: expected one exactly when refused, got {self.code!r}")
        if self.code is not None and not _is_code(self.code):
            raise ValueError(f"code: expected words joined by dots, got {self.code[:80]!r}")


def _is_code(code: str) -> bool:
    return len(code) <= MAX_CODE_LENGTH and _CODE.fullmatch(code) is not None


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:  # NaN fails every comparison
        raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:  # True is no number
        raise ValueError(f"{name}: expected a whole number {low} to {high}, got {value!r}")


def _check_order(samples: Sequence[BatterySample]) -> None:
    if not samples:
        raise ValueError("samples: expected at least one, got none")
    last_ms = -1
    for sample in samples:
        if sample.since_start_ms <= last_ms:
            raise ValueError(
                f"samples: expected rising times, got {sample.since_start_ms} ms after {last_ms} ms"
            )
        last_ms = sample.since_start_ms
