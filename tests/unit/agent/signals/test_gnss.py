import asyncio
from datetime import UTC, datetime

import pytest

from agent.signals.gnss import ACCURACY, LATITUDE, LONGITUDE, GnssReader, parse_report
from agent.signals.model import Quality
from tests.support.clock import FakeClock
from tests.support.wait import wait_until

FIX = (
    b'{"class":"TPV","mode":3,"lat":52.5,"lon":13.4,"track":90.0,"eph":4.5,'
    b'"time":"2026-11-22T12:00:00Z"}\n'
)


def test_a_fix_becomes_signals_and_what_it_does_not_say_is_not_available() -> None:
    found = {s.path: s for s in parse_report(b'{"class":"TPV","mode":2,"lat":52.5,"lon":13.4}', 1)}
    assert found[LATITUDE].value == 52.5
    assert found[LONGITUDE].value == 13.4
    assert found[ACCURACY].quality is Quality.SENTINEL


@pytest.mark.parametrize("mode", [0, 1])
def test_a_report_without_a_fix_carries_no_position(mode: int) -> None:
    line = b'{"class":"TPV","mode":%d,"lat":52.5,"lon":13.4}' % mode
    assert {signal.value for signal in parse_report(line, 1)} == {None}


def test_an_impossible_place_is_refused() -> None:
    found = parse_report(b'{"class":"TPV","mode":3,"lat":520.5,"lon":13.4}', 1)
    assert found[0].quality is Quality.RANGE


def test_other_reports_tell_nothing() -> None:
    assert parse_report(b'{"class":"VERSION","release":"3.25"}', 1) == []


@pytest.mark.parametrize(
    "line", [b"", b"\xff\x00", b"[]", b'{"mode":3}', b'{"class":"TPV","lat":"x"}']
)
def test_what_is_no_report_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_report(line, 1)


def test_before_the_first_fix_nobody_knows_where_here_is() -> None:
    assert GnssReader("127.0.0.1", 1, clock=FakeClock()).last_fix() is None


async def test_a_gpsd_that_goes_away_is_asked_again_and_old_fixes_grow_stale() -> None:
    clock = FakeClock()

    async def gpsd(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"garbage\n" + FIX)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(gpsd, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, stop = GnssReader("127.0.0.1", port, clock=clock, again_s=0.01), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.run(stop))
        await wait_until(lambda: reader.fixes >= 2)
        assert reader.latest()[LATITUDE].value == 52.5
        lines = {line.path: line for line in reader.lines(now_s=50.0)}
        assert (lines[LATITUDE].value, lines[LATITUDE].t, lines[LATITUDE].unit) == (
            52.5,
            50.0,
            "degrees",
        )
        assert reader.position() == (52.5, 13.4)
        assert set(reader.counted()) == {"gnss_fixes", "gnss_malformed", "gnss_losses"}
        clock.advance_s(40)
        assert reader.position() is None
        assert reader.last_fix() == (52.5, 13.4, 40.0)
        assert reader.utc_now() == datetime(2026, 11, 22, 12, 0, 40, tzinfo=UTC)
        stop.set()
    server.close()
    assert reader.malformed >= 2
    assert reader.losses >= 1
    clock.advance_s(10)
    assert reader.latest()[LATITUDE].quality is Quality.STALE
    clock.advance_s(60)
    assert reader.position() is None
