import zlib
from datetime import UTC, datetime
from itertools import pairwise

from agent.privacy.battery import battery_batches, battery_slices, month_of
from agent.store.segment_records import SegmentColumn
from telemetry.codec.cells import INVALID, Cell
from telemetry.records import BatteryBatch
from tests.support.trips import COLUMNS, TB

ROW: list[Cell] = [720, -30, 803, 91, 500, 4_873_210]


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


def test_a_missing_value_is_missing_and_an_impossible_or_wrong_one_invalid() -> None:
    rows = [(0, [None, -30, 5000, 91, 0, 0]), (1000, [720, INVALID, 803, 91, 0, 0])]
    [batch] = battery_batches(COLUMNS, rows, month="2026-11")
    impossible, wrong = batch.samples
    assert (impossible.pack_voltage_v, impossible.soc_percent) == (None, None)
    assert impossible.pack_current_a == -15.0
    assert impossible.invalid == {"soc_percent"}
    assert wrong.pack_current_a is None
    assert wrong.invalid == {"pack_current_a"}


def test_a_second_source_stands_in_for_one_that_is_wrong() -> None:
    columns = (
        SegmentColumn(f"{TB}.StateOfCharge.Current", "percent", 0.1, 0.0),
        SegmentColumn(f"{TB}.StateOfCharge.Displayed", "percent", 1.0, 0.0),
    )
    [batch] = battery_batches(columns, [(0, [INVALID, 77])], month="2026-11")
    assert batch.samples[0].soc_percent == 77.0
    assert batch.samples[0].invalid == frozenset()


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


def _fraction(*labels: object) -> float:
    return zlib.crc32(repr(labels).encode()) / 2**32


def _voltage(batch: BatteryBatch, at: int) -> float:
    voltage = batch.samples[at].pack_voltage_v
    assert voltage is not None
    return voltage


def test_slices_are_five_minutes_at_most_with_gaps_and_each_starts_at_zero() -> None:
    columns = [SegmentColumn(f"{TB}.CurrentVoltage", "V", 0.25, 0.0)]
    rows = [(1_000 * second, [700 + second]) for second in range(2_000)]
    slices = battery_slices(columns, rows, month="2026-11", fraction=_fraction)
    spans = sorted((_voltage(one, 0), _voltage(one, -1)) for one in slices)
    assert len(slices) >= 5
    assert all(one.samples[0].since_start_ms == 0 for one in slices)
    assert all(one.samples[-1].since_start_ms < 300_000 for one in slices)
    gaps_s = [(later[0] - earlier[1]) * 4 for earlier, later in pairwise(spans)]
    assert all(30 <= gap_s <= 122 for gap_s in gaps_s)


def test_slices_come_in_another_order_than_they_were_driven() -> None:
    columns = [SegmentColumn(f"{TB}.CurrentVoltage", "V", 0.25, 0.0)]
    rows = [(1_000 * second, [700 + second]) for second in range(1_990)]
    slices = battery_slices(columns, rows, month="2026-11", fraction=_fraction)
    firsts = [_voltage(one, 0) for one in slices]
    assert firsts != sorted(firsts)
    assert battery_slices(columns, rows, month="2026-11", fraction=_fraction) == slices


def test_a_trip_without_rows_has_no_slice() -> None:
    assert battery_slices([], [], month="2026-11", fraction=_fraction) == []
