"""What the transforms promise for any trip."""

import math
from datetime import date, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.privacy.cells import (
    cell_at,
    coarser,
    middle_of,
    reach_m,
    resolution_of,
    with_neighbours,
)
from agent.privacy.charging import ChargeFacts, charging_batch
from agent.privacy.cropping import MIN_RUN_M, MIN_RUN_S, TrackPoint, crop
from agent.privacy.patterns import JourneyFacts, dwell_class, journey, speed_tenths
from agent.privacy.places import (
    MARGIN_M,
    MAX_CUT_S,
    MAX_SHIFT_M,
    MIN_CUT_S,
    Place,
    Zone,
    cut_s,
    distance_m,
    moved,
    zone_around,
)
from agent.privacy.selection import BOUNDS, Bound, is_turn, pick, select_cell_hours
from agent.privacy.traffic import Track, traffic_batches
from agent.privacy.zones import DrawnZone
from telemetry.purposes import Purpose
from telemetry.records import CurrentKind

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 23)
secrets = st.binary(min_size=32, max_size=32)
places = st.builds(Place, latitude=st.floats(-65, 65), longitude=st.floats(-180, 180))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))  # noqa: DTZ001 (local time)


stops = st.builds(
    ChargeFacts,
    place=st.builds(
        Place,
        latitude=st.floats(-65, 65),
        longitude=st.floats(-180, 180),
        days=st.integers(1, 3),
        longest_s=st.floats(0, 30_000),
    ),
    arrived=moments,
    dwell_s=st.floats(0, 90_000),
    soc_in_percent=st.floats(0, 100),
    soc_out_percent=st.none() | st.floats(0, 100),
    current=st.none() | st.sampled_from(CurrentKind),
    quarter_hours_wh=st.lists(st.floats(0, 30_000), max_size=120).map(tuple),
)


def line(place: Place, count: int, step: float = 0.001) -> list[TrackPoint]:
    """Some 110 m every 5 s, northwards."""
    return [
        TrackPoint(
            time_s=5.0 * at,
            latitude=place.latitude + step * at,
            longitude=place.longitude,
            speed_km_h=80.0,
        )
        for at in range(count)
    ]


@given(places, secrets)
def test_a_zone_covers_its_place_with_room_to_spare(place: Place, secret: bytes) -> None:
    zone = zone_around(place, secret)
    assert zone.radius_m - distance_m(zone, place) >= MARGIN_M * 0.99
    assert zone.radius_m + distance_m(zone, place) <= 2 * MAX_SHIFT_M + MARGIN_M + 110


@given(places, secrets)
def test_the_same_place_is_always_cut_the_same_way(place: Place, secret: bytes) -> None:
    again = Place(latitude=place.latitude, longitude=place.longitude, days=9)
    assert zone_around(again, secret) == zone_around(place, secret)
    assert cut_s(again, secret) == cut_s(place, secret)
    assert MIN_CUT_S <= cut_s(place, secret) <= MAX_CUT_S


@given(secrets)
def test_the_centre_of_a_zone_is_not_its_place(secret: bytes) -> None:
    places = [Place(latitude=48 + at / 100, longitude=11.0) for at in range(40)]
    shifts = [distance_m(zone_around(place, secret), place) for place in places]
    assert sum(shift > MARGIN_M for shift in shifts) >= 20  # three quarters of them, on average


@given(
    places,
    st.lists(st.tuples(st.integers(0, 200), st.floats(50, 3_000)), max_size=4),
    st.integers(0, 250),
    st.floats(0, 600),
    st.floats(0, 600),
)
def test_nothing_inside_a_zone_or_near_an_end_survives(
    place: Place, around: list[tuple[int, float]], count: int, head_s: float, tail_s: float
) -> None:
    points = line(place, count)
    zones = [
        Zone(latitude=place.latitude + at / 1000, longitude=place.longitude, radius_m=radius_m)
        for at, radius_m in around
    ]
    for run in crop(points, zones=zones, head_s=head_s, tail_s=tail_s):
        assert run[0].time_s >= head_s
        assert run[-1].time_s <= points[-1].time_s - tail_s
        assert run[-1].time_s - run[0].time_s >= MIN_RUN_S
        assert distance_m(run[0], run[-1]) >= MIN_RUN_M * 0.999
        assert not any(zone.covers(point) for zone in zones for point in run)


@given(secrets, st.integers(1, 40), st.dates(date(2026, 1, 1), date(2030, 1, 1)))
def test_every_turn_has_exactly_one_day(secret: bytes, turn_days: int, day: date) -> None:
    first = date.fromordinal(day.toordinal() - day.toordinal() % turn_days)
    days = [first + timedelta(days=at) for at in range(turn_days)]
    assert sum(is_turn(secret, one, turn_days) for one in days) == 1


@given(secrets, st.sets(st.integers(0, 500)), st.integers(0, 20))
def test_a_pick_is_bounded_and_always_the_same(secret: bytes, items: set[int], count: int) -> None:
    picked = pick(secret, DAY, items, count)
    assert len(picked) == len(set(picked)) == min(count, len(items))
    assert set(picked) <= items
    assert pick(secret, DAY, sorted(items, reverse=True), count) == picked


GRID = [(cell_at(48 + at // 30 / 500, 11 + at % 30 / 330, 9), at % 168) for at in range(900)]


@given(secrets)
def test_no_two_told_cells_touch_and_the_day_is_bounded(secret: bytes) -> None:
    always = Bound(turn_days=1, per_day=9)
    first = select_cell_hours(GRID[::2], secret=secret, day=DAY, bound=always)
    told = [*first, *select_cell_hours(GRID, secret=secret, day=DAY, told=first, bound=always)]
    assert len(told) <= always.per_day
    assert all(one not in with_neighbours(other) for (one, _), (other, _) in combinations(told, 2))


@settings(max_examples=40)
@given(secrets)
def test_no_area_is_told_on_two_days_of_a_turn(secret: bytes) -> None:
    items = [(cell_at(48 + at / 200, 11.0, 9), 8) for at in range(60)]
    turn = BOUNDS[Purpose.TRAFFIC].turn_days
    first = DAY.toordinal() - DAY.toordinal() % turn
    areas = [
        {coarser(cell, 7) for cell, _ in select_cell_hours(items, secret=secret, day=day)}
        for day in (date.fromordinal(first + at) for at in range(turn))
    ]
    assert not any(one & other for one, other in combinations(areas, 2))
    assert all(len(told) <= 1 for told in areas)
    assert set().union(*areas) <= {coarser(cell, 7) for cell, _ in items}
    assert any(areas)


@settings(max_examples=60)
@given(secrets, places, moments)
def test_no_told_cell_holds_a_point_within_300_m_of_an_end(
    secret: bytes, start: Place, started: datetime
) -> None:
    points = line(start, 200)
    end = Place(latitude=points[-1].latitude, longitude=points[-1].longitude)
    track = Track(started=started, points=points, start=start, end=end)
    near = [p for p in points if min(distance_m(p, start), distance_m(p, end)) < MARGIN_M * 0.99]
    hidden = {cell_at(point.latitude, point.longitude, 9) for point in near}
    open_ = [p for p in points if p not in near]
    for day in (DAY + timedelta(days=at) for at in range(BOUNDS[Purpose.TRAFFIC].turn_days)):
        for batch in traffic_batches(track, secret=secret, day=day):
            assert batch.cell in {cell_at(p.latitude, p.longitude, 9) for p in open_}
            if batch.cell in hidden:  # a cell on the edge is told by its far side only
                assert any(cell_at(p.latitude, p.longitude, 9) == batch.cell for p in open_)


@settings(max_examples=60)
@given(secrets, places, moments, st.integers(0, 199), st.floats(100, 5_000))
def test_no_told_cell_touches_a_place_that_was_drawn(
    secret: bytes, start: Place, started: datetime, at: int, radius_m: float
) -> None:
    points = line(start, 200)
    end = Place(latitude=points[-1].latitude, longitude=points[-1].longitude)
    track = Track(started=started, points=points, start=start, end=end)
    zone = DrawnZone(
        zone_id="", latitude=points[at].latitude, longitude=start.longitude, radius_m=radius_m,
        drawn=DAY,
    )  # fmt: skip
    for day in (DAY + timedelta(days=ahead) for ahead in range(BOUNDS[Purpose.TRAFFIC].turn_days)):
        for batch in traffic_batches(track, secret=secret, day=day, covers=[zone.cover(secret)]):
            assert distance_m(zone, middle_of(batch.cell)) > radius_m + reach_m(batch.cell)


@given(secrets, places, st.floats(100, 5_000))
def test_the_cover_of_a_drawn_place_hides_all_of_it_and_not_where_its_middle_is(
    secret: bytes, place: Place, radius_m: float
) -> None:
    zone = DrawnZone(
        zone_id="", latitude=place.latitude, longitude=place.longitude, radius_m=radius_m,
        drawn=DAY,
    )  # fmt: skip
    cover = zone.cover(secret)
    assert cover == zone.cover(secret)
    assert cover.radius_m - distance_m(cover, zone) >= radius_m * 0.99
    assert cover.radius_m + distance_m(cover, zone) <= radius_m + max(1_300, radius_m) + 110


@given(stops, secrets, st.floats(0, 3_000), st.floats(0, 6.28))
def test_no_area_is_told_of_a_stop_in_a_place_that_was_drawn(
    stop: ChargeFacts, secret: bytes, far_m: float, angle: float
) -> None:
    latitude, longitude = moved(stop.place, far_m * math.cos(angle), far_m * math.sin(angle))
    zone = DrawnZone(
        zone_id="", latitude=latitude, longitude=longitude, radius_m=far_m + 100, drawn=DAY
    )
    assert charging_batch(stop, covers=[zone.cover(secret)]).cell is None


@given(st.lists(st.floats(0, 250), min_size=1, max_size=200))
def test_every_vehicle_adds_ten_tenths_to_a_cell(speeds: list[float]) -> None:
    assert sum(speed_tenths(speeds)) == 10


@given(stops, st.lists(places, max_size=3))
def test_any_stop_becomes_a_record_with_a_cell_only_where_nobody_knows_it(
    stop: ChargeFacts, private: list[Place]
) -> None:
    batch = charging_batch(stop, private)
    is_stranger = stop.place.days == 1 and stop.place.longest_s < 4 * 3_600
    assert charging_batch(stop, [*private, stop.place]).cell is None
    assert batch.cell is None or (is_stranger and resolution_of(batch.cell) == 7)


trips = st.builds(
    JourneyFacts,
    started=moments,
    distance_m=st.floats(0, 1_500_000),
    duration_s=st.floats(0, 90_000),
    dwell_before_s=st.none() | st.floats(0, 1e6),
    energy_wh=st.none() | st.floats(-1e4, 2e5),
    ambient_c=st.none() | st.floats(-80, 90),
)


@given(trips)
def test_any_trip_has_a_class_and_buckets(trip: JourneyFacts) -> None:
    found = journey(trip)
    assert found.distance_from_km <= trip.distance_km
    assert found.duration_from_min <= trip.duration_s / 60
    assert dwell_class(trip.duration_s)
