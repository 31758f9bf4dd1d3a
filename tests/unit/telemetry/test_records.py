"""Records that cannot be wrong."""

import math
from typing import Any

import pytest

from telemetry.records import BatteryBatch, BatterySample, Receipt, ReceiptStatus

SAMPLE = BatterySample(
    since_start_ms=0,
    pack_voltage_v=355.5,
    pack_current_a=-12.5,
    soc_percent=81.3,
    cell_temp_c=None,
)


def sample(**changes: Any) -> BatterySample:
    values = {name: getattr(SAMPLE, name) for name in BatterySample.__slots__}
    return BatterySample(**(values | changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("since_start_ms", -1),
        ("since_start_ms", 1.0),
        ("since_start_ms", True),
        ("pack_voltage_v", -0.5),
        ("pack_voltage_v", math.nan),
        ("pack_current_a", 2000.5),
        ("pack_current_a", -math.inf),
        ("soc_percent", 100.1),
        ("cell_temp_c", -61.0),
    ],
)
def test_an_impossible_sample_cannot_exist(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}: expected"):
        sample(**{field: value})


def test_every_reading_may_be_missing() -> None:
    nothing = BatterySample(
        since_start_ms=5,
        pack_voltage_v=None,
        pack_current_a=None,
        soc_percent=None,
        cell_temp_c=None,
    )
    assert nothing.since_start_ms == 5


def test_a_reading_is_invalid_by_name_and_has_no_value_then() -> None:
    wrong = sample(pack_current_a=None, invalid=frozenset({"pack_current_a"}))
    assert wrong.invalid == {"pack_current_a"}
    assert sample(pack_current_a=None) != wrong


@pytest.mark.parametrize("name", ["pack_current_a", "since_start_ms", "speed_km_h"])
def test_nothing_with_a_value_is_invalid_and_nothing_unknown(name: str) -> None:
    with pytest.raises(ValueError, match=f"expected fields without a value, got {name}"):
        sample(invalid=frozenset({name}))


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "26-01", "2026-11-22", "1999-12", ""])
def test_a_batch_knows_its_month_and_no_finer_date(month: str) -> None:
    with pytest.raises(ValueError, match="month: expected 'YYYY-MM'"):
        BatteryBatch(month=month, soh_percent=90, samples=(SAMPLE,))


@pytest.mark.parametrize("soh", [-1, 101, 90.0, True])
def test_state_of_health_is_whole_percent(soh: Any) -> None:
    with pytest.raises(ValueError, match="soh_percent: expected a whole number 0 to 100"):
        BatteryBatch(month="2026-11", soh_percent=soh, samples=(SAMPLE,))


def test_a_batch_without_samples_cannot_exist() -> None:
    with pytest.raises(ValueError, match="samples: expected at least one"):
        BatteryBatch(month="2026-11", soh_percent=None, samples=())


@pytest.mark.parametrize("second_ms", [0, 999])
def test_samples_are_in_time_order(second_ms: int) -> None:
    first = sample(since_start_ms=999)
    with pytest.raises(ValueError, match=f"expected rising times, got {second_ms} ms after 999 ms"):
        BatteryBatch(
            month="2026-11", soh_percent=None, samples=(first, sample(since_start_ms=second_ms))
        )


def test_a_batch_has_no_room_for_anything_else() -> None:
    assert set(BatteryBatch.__slots__) == {"month", "soh_percent", "samples"}
    assert set(BatterySample.__slots__) == {
        "since_start_ms",
        "pack_voltage_v",
        "pack_current_a",
        "soc_percent",
        "cell_temp_c",
        "invalid",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_id": bytes(31)}, "batch_id: expected 32 bytes"),
        ({"part": -1}, "part: expected a whole number"),
        ({"status": ReceiptStatus.REFUSED}, "code: expected one exactly when refused"),
        ({"code": "codec.version"}, "code: expected one exactly when refused"),
        ({"status": ReceiptStatus.REFUSED, "code": "No!"}, "code: expected words joined by dots"),
        ({"status": ReceiptStatus.REFUSED, "code": "a" * 65}, "code: expected words"),
    ],
)
def test_an_impossible_receipt_cannot_exist(changes: dict[str, Any], message: str) -> None:
    values = {"batch_id": bytes(32), "part": 0, "status": ReceiptStatus.STORED, "code": None}
    with pytest.raises(ValueError, match=message):
        Receipt(**(values | changes))  # type: ignore[arg-type]
