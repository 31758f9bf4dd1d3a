from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.daylight import is_dark, sun_elevation_deg

BERLIN, QUITO, TROMSOE = (52.52, 13.40), (-0.18, -78.47), (69.65, 18.96)
CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("position", "moment", "expected_deg"),
    [
        # highest sun = 90 - latitude + declination; at the solstices the declination is 23.44
        (BERLIN, datetime(2026, 6, 21, 11, 8, tzinfo=UTC), 90 - 52.52 + 23.44),
        (BERLIN, datetime(2026, 12, 21, 11, 4, tzinfo=UTC), 90 - 52.52 - 23.44),
        (QUITO, datetime(2026, 3, 20, 17, 21, tzinfo=UTC), 89.7),
        (TROMSOE, datetime(2026, 6, 21, 22, 46, tzinfo=UTC), 69.65 + 23.44 - 90),  # midnight sun
    ],
)
def test_the_sun_stands_where_it_must(
    position: tuple[float, float], moment: datetime, expected_deg: float
) -> None:
    assert sun_elevation_deg(moment, position) == pytest.approx(expected_deg, abs=0.3)


def test_with_a_position_the_sun_decides() -> None:
    summer_evening = datetime(2026, 6, 21, 20, 30, tzinfo=CET)
    assert not is_dark(summer_evening, BERLIN)
    assert is_dark(summer_evening + timedelta(hours=1, minutes=30), BERLIN)
    assert is_dark(datetime(2026, 12, 21, 17, 0, tzinfo=CET), BERLIN)


@pytest.mark.parametrize(("hour", "expected"), [(6, True), (7, False), (18, False), (19, True)])
def test_without_a_position_the_hour_decides(hour: int, *, expected: bool) -> None:
    assert is_dark(datetime(2026, 6, 21, hour, 30, tzinfo=CET), None) is expected


def test_a_clock_that_was_never_set_leaves_the_screen_bright() -> None:
    assert not is_dark(datetime(1970, 1, 1, 0, 0, tzinfo=UTC), None)
