from datetime import UTC, datetime

from agent.privacy.battery import battery_batches, month_of
from agent.store.segments import SegmentColumn
from tests.support.trips import COLUMNS, TB

ROW = [720, -30, 803, 91, 500, 4_873_210]


def test_a_trip_becomes_samples_on_a_clock_that_starts_at_zero() -> None:
    [batch] = battery_batches(COLUMNS, [(5_300, ROW), (6_300, ROW)], month="2026-11")
    assert [sample.since_start_ms for sample in batch.samples] == [0, 1000]
    first = batch.samples[0]
    assert (first.pack_voltage_v, first.pack_current_a) == (360.0, -15.0)
    assert first.soc_percent is not None
    assert abs(first.soc_percent - 80.3) < 1e-9
    assert batch.soh_percent == 91
    assert batch.month == "2026-11"


def test_at_most_one_sample_a_second_leaves() -> None:
    rows = [(at, ROW) for at in range(0, 3000, 100)]
    [batch] = battery_batches(COLUMNS, rows, month="2026-11")
    assert [sample.since_start_ms for sample in batch.samples] == [0, 1000, 2000]


def test_a_missing_or_impossible_value_is_missing_and_the_row_stays() -> None:
    [batch] = battery_batches(COLUMNS, [(0, [None, -30, 5000, 91, 0, 0])], month="2026-11")
    sample = batch.samples[0]
    assert sample.pack_voltage_v is None
    assert sample.soc_percent is None
    assert sample.pack_current_a == -15.0


def test_rows_without_any_battery_value_are_left_out() -> None:
    assert battery_batches(COLUMNS, [(0, [None, None, None, 91, 1, 1])], month="2026-11") == []


def test_the_displayed_charge_level_is_used_when_there_is_no_other() -> None:
    columns = (SegmentColumn(f"{TB}.StateOfCharge.Displayed", "percent", 1.0, 0.0),)
    [batch] = battery_batches(columns, [(0, [77])], month="2026-11")
    assert batch.samples[0].soc_percent == 77.0


def test_a_long_trip_becomes_several_batches_each_on_its_own_clock() -> None:
    rows = [(second * 1000, ROW) for second in range(25)]
    batches = battery_batches(COLUMNS, rows, month="2026-11", max_rows=10)
    assert [len(batch.samples) for batch in batches] == [10, 10, 5]
    assert [batch.samples[0].since_start_ms for batch in batches] == [0, 0, 0]


def test_a_clock_that_steps_back_makes_no_sample_twice() -> None:
    rows = [(0, ROW), (1000, ROW), (500, ROW), (2000, ROW)]
    [batch] = battery_batches(COLUMNS, rows, month="2026-11")
    assert [sample.since_start_ms for sample in batch.samples] == [0, 1000, 2000]


def test_the_month_is_the_finest_date() -> None:
    assert month_of(datetime(2026, 2, 28, 23, 59, tzinfo=UTC)) == "2026-02"
