from datetime import datetime

import pytest

from agent.privacy.patterns import (
    JourneyFacts,
    dwell_class,
    hour_of_week,
    journey,
    journey_class,
    lower_end,
    speed_tenths,
    to_step,
)
from telemetry.records import DwellClass, JourneyClass

MONDAY_8, SATURDAY_14 = datetime(2026, 11, 23, 8), datetime(2026, 11, 28, 14)  # noqa: DTZ001
MONDAY_21, MONDAY_3 = datetime(2026, 11, 23, 21), datetime(2026, 11, 23, 3)  # noqa: DTZ001
NIGHT_S, HOUR_S = 36_000.0, 3_600.0


@pytest.mark.parametrize(
    ("started", "km", "dwell_s", "expected"),
    [
        (MONDAY_8, 14, NIGHT_S, JourneyClass.COMMUTE),
        (MONDAY_8, 4, HOUR_S, JourneyClass.SCHOOL_RUN),
        (MONDAY_8, 4, NIGHT_S, JourneyClass.COMMUTE),
        (MONDAY_8, 1, NIGHT_S, JourneyClass.ERRAND),
        (MONDAY_8, 14, None, JourneyClass.ERRAND),
        (MONDAY_8, 150, NIGHT_S, JourneyClass.LONG),
        (SATURDAY_14, 30, NIGHT_S, JourneyClass.LEISURE),
        (SATURDAY_14, 4, NIGHT_S, JourneyClass.ERRAND),
        (MONDAY_21, 30, HOUR_S, JourneyClass.LEISURE),
        (MONDAY_3, 30, HOUR_S, JourneyClass.OTHER),
    ],
)
def test_the_first_rule_that_holds_names_the_trip(
    started: datetime, km: float, dwell_s: float | None, expected: JourneyClass
) -> None:
    facts = JourneyFacts(
        started=started, distance_m=km * 1_000, duration_s=900, dwell_before_s=dwell_s
    )
    assert journey_class(facts) is expected


def test_a_trip_is_told_in_lower_ends_and_steps() -> None:
    told = journey(
        JourneyFacts(
            started=MONDAY_8,
            distance_m=14_700,
            duration_s=1_560,
            dwell_before_s=NIGHT_S,
            energy_wh=2_300,
            ambient_c=6.4,
        )
    )
    assert (told.distance_from_km, told.duration_from_min) == (10, 20)
    assert (told.consumption_wh_km, told.ambient_c) == (150, 10)


@pytest.mark.parametrize(
    ("dwell_s", "expected"),
    [
        (0, DwellClass.SHORT),
        (1_799, DwellClass.SHORT),
        (1_800, DwellClass.HOUR),
        (7_200, DwellClass.HALF_DAY),
        (21_600, DwellClass.LONG),
        (9e9, DwellClass.LONG),
    ],
)
def test_a_stay_has_one_of_four_classes(dwell_s: float, expected: DwellClass) -> None:
    assert dwell_class(dwell_s) is expected


def test_hours_of_the_week_begin_on_monday() -> None:
    assert hour_of_week(MONDAY_3) == 3
    assert hour_of_week(SATURDAY_14) == 5 * 24 + 14


def test_buckets_and_steps_keep_values_inside() -> None:
    assert [lower_end(value, (0, 5, 10)) for value in (-1, 0, 4.9, 5, 99)] == [0, 0, 0, 5, 10]
    assert [to_step(value, 10, 0, 100) for value in (-5, 14, 16, 104)] == [0, 10, 20, 100]


def test_shares_that_do_not_fit_ten_tenths_go_where_most_is_missing() -> None:
    assert speed_tenths([5.0, 15.0, 25.0]) == (4, 3, 3, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="speeds: expected at least one"):
        speed_tenths([])
