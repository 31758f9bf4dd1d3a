"""Builds with one transform off each: what an attack has to notice, or it proves nothing."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.privacy.charging import ChargeFacts, charging_batch
from agent.privacy.delay import MAX_DELAY_S, MIN_DELAY_S
from agent.privacy.patterns import hour_of_week, speed_tenths
from agent.privacy.selection import BOUNDS, is_turn
from telemetry.purposes import Purpose
from telemetry.records import TRAFFIC_RESOLUTION, ChargingBatch, TrafficBatch
from telemetry.seal import sealed_bytes
from tests.support.leaks import Leak, Stored, find_cell
from tests.support.traces import Driver, Stop, Town, Trip, place_of

SIZE_BYTES = sealed_bytes(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class On:
    """Which transforms of ``charging`` are on."""

    turns: bool = True
    names: bool = True  # another one every day
    silence: bool = True  # no cell at home
    delay: bool = True


def leaky_charging(town: Town, days: int, on: On) -> Leak:
    """Return what is stored of ``charging`` with some of its transforms off."""
    found = []
    for driver in town.drivers:
        told = set()
        for _, stop in town.life(driver, days):
            if stop.current and stop.day not in told and _speaks(driver, stop, on):
                told.add(stop.day)  # one record a day
                found.append(_stored(driver, stop, on))
    return {"charging": found}


def _speaks(driver: Driver, stop: Stop, on: On) -> bool:
    turn_days = BOUNDS[Purpose.CHARGING].turn_days if on.turns else 1
    return is_turn(_hash(driver.number), stop.arrived.date(), turn_days)


def _stored(driver: Driver, stop: Stop, on: On) -> Stored:
    waits_s = MIN_DELAY_S + (stop.number * 7_919 % 997) / 997 * (MAX_DELAY_S - MIN_DELAY_S)
    return Stored(
        _hash(driver.number, stop.day if on.names else "always")[:16],
        stop.arrived + timedelta(seconds=waits_s if on.delay else 0.0),
        SIZE_BYTES,
        _body(driver, stop, on),
        driver.number,
        stop.day,
        stop.number,
    )


def _body(driver: Driver, stop: Stop, on: On) -> ChargingBatch:
    facts = ChargeFacts(
        place=place_of(stop.spot),
        arrived=stop.arrived,
        dwell_s=stop.dwell_s,
        soc_in_percent=stop.soc_in,
        soc_out_percent=stop.soc_out,
        current=stop.current,
        quarter_hours_wh=stop.quarter_hours_wh,
    )
    private = [place_of(driver.home), place_of(driver.work)] if on.silence else []
    return charging_batch(facts, private)


def leaky_traffic(town: Town, days: int) -> Leak:
    """Return whole routes as cells in order, under one name a day, with both ends on them."""
    found = []
    for driver in town.drivers:
        for trip, _ in town.life(driver, days):
            found += list(_route(driver, trip))
    return {"traffic": found}


def _route(driver: Driver, trip: Trip) -> Iterator[Stored]:
    cells: dict[int, datetime] = {}
    for point in trip.points:
        cell = find_cell(point.latitude, point.longitude, TRAFFIC_RESOLUTION)
        cells.setdefault(cell, trip.started + timedelta(seconds=point.time_s))
    for cell, when in cells.items():
        body = TrafficBatch(
            cell=cell, hour_of_week=hour_of_week(when), speed_tenths=speed_tenths([28.0])
        )
        name = _hash(driver.number, trip.day)[:16]
        yield Stored(name, when, SIZE_BYTES, body, driver.number, trip.day, trip.number)


def _hash(*about: object) -> bytes:
    return hashlib.sha256(repr(about).encode()).digest()
