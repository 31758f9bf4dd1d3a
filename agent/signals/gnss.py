"""Position fixes from gpsd: its JSON lines on TCP 2947. Kept in memory; nothing here is stored.

The recorder writes them beside a trip where a purpose needs place (`agent/store/tracks.py`); the
local API and `signals watch` show them; `doctor` and vitals count them and hold no place.

Source of the format: gpsd_json(5), class TPV. Every line is bounded and checked; one that is no fix
is counted and skipped. gpsd that goes away is asked again; a fix that grows old is no fix.
"""

import asyncio
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from agent.signals.explain import DecodedLine
from agent.signals.model import Quality, Signal

LATITUDE: Final = "Vehicle.CurrentLocation.Latitude"
LONGITUDE: Final = "Vehicle.CurrentLocation.Longitude"
HEADING: Final = "Vehicle.CurrentLocation.Heading"
ACCURACY: Final = "Vehicle.CurrentLocation.HorizontalAccuracy"
STALE_S: Final = 3.0  # gpsd tells once a second
MAX_LINE_BYTES: Final = 8_192
_AGAIN_S: Final = 5.0
_WATCH: Final = b'?WATCH={"enable":true,"json":true};\n'
_MIN_MODE: Final = 2  # 0 and 1: no fix, 2: position, 3: with height
UNITS: Final = {LATITUDE: "degrees", LONGITUDE: "degrees", HEADING: "degrees", ACCURACY: "m"}
_RANGES: Final = {
    LATITUDE: (-90.0, 90.0),
    LONGITUDE: (-180.0, 180.0),
    HEADING: (0.0, 360.0),
    ACCURACY: (0.0, 10_000.0),
}


class Clock(Protocol):
    """The one hand of a clock that fixes are stamped with."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


class _Report(Struct, rename={"kind": "class"}):
    kind: str
    mode: int = 0
    lat: float | None = None
    lon: float | None = None
    track: float | None = None
    eph: float | None = None
    time: str | None = None


def parse_time(line: bytes) -> datetime | None:
    """Return the time of a fix in one line of gpsd, aware UTC; None if it tells none.

    Without a fix gpsd passes on what the receiver's own battery clock says, which is no time.

    Raises:
        ValueError: Not a report of gpsd.
    """
    report = msgspec.json.decode(line, type=_Report)
    if report.kind != "TPV" or report.mode < _MIN_MODE or report.time is None:
        return None
    try:
        said = datetime.fromisoformat(report.time)
    except ValueError:
        return None
    return None if said.tzinfo is None else said.astimezone(UTC)


def parse_report(line: bytes, time_s: float) -> list[Signal]:
    """Return the signals of one line of gpsd; empty for a line that tells no position.

    Raises:
        ValueError: Not a report of gpsd.
    """
    report = msgspec.json.decode(line, type=_Report)
    return list(_signals(report, time_s)) if report.kind == "TPV" else []


def _signals(report: _Report, time_s: float) -> Iterator[Signal]:
    values = (
        (LATITUDE, report.lat),
        (LONGITUDE, report.lon),
        (HEADING, report.track),
        (ACCURACY, report.eph),
    )
    for path, value in values:
        if report.mode < _MIN_MODE or value is None:
            yield Signal(path, None, Quality.SENTINEL, time_s)
        elif not (math.isfinite(value) and _RANGES[path][0] <= value <= _RANGES[path][1]):
            yield Signal(path, None, Quality.RANGE, time_s)
        else:
            yield Signal(path, value, Quality.OK, time_s)


class GnssReader:
    """Follows one gpsd; ``latest`` tells what is known now.

    ``fixes`` counts positions, ``malformed`` lines that are no report, ``losses`` connections that
    ended or could not be made.
    """

    def __init__(self, host: str, port: int, *, clock: Clock, again_s: float = _AGAIN_S) -> None:
        """Prepare; nothing is connected yet. ``again_s``: pause before the next attempt."""
        self.fixes = self.malformed = self.losses = 0
        self._host, self._port = host, port
        self._clock = clock
        self._again_s = again_s
        self._latest: dict[str, Signal] = {}
        self._fix: tuple[float, float, float] | None = None  # the last one, and when it came
        self._time: tuple[datetime, float] | None = None  # the last fix's, and when it came

    def latest(self) -> dict[str, Signal]:
        """Return the signals as far as they are known; an old one is stale."""
        now_s = self._clock.monotonic_s()
        return {
            path: signal
            if now_s - signal.time_s <= STALE_S
            else Signal(path, None, Quality.STALE, now_s)
            for path, signal in self._latest.items()
        }

    def utc_now(self) -> datetime | None:
        """Return the satellites' time of now, aware UTC; None before the first fix.

        From any thread. It goes on with the monotonic clock where a tunnel hides the sky.
        """
        known = self._time
        if known is None:
            return None
        return known[0] + timedelta(seconds=self._clock.monotonic_s() - known[1])

    def position(self) -> tuple[float, float] | None:
        """Return degrees north and east; None without a fresh fix."""
        latest = self.latest()
        found = [latest[path].value for path in (LATITUDE, LONGITUDE) if path in latest]
        north, east = found if len(found) == 2 else (None, None)  # noqa: PLR2004 (both)
        return None if north is None or east is None else (north, east)

    def last_fix(self) -> tuple[float, float, float] | None:
        """Return degrees north and east of the last fix, and how many seconds old it is.

        None before the first one. A garage hides the sky, not where its entrance is.
        """
        if self._fix is None:
            return None
        north, east, at_s = self._fix
        return north, east, self._clock.monotonic_s() - at_s

    def lines(self, now_s: float) -> tuple[DecodedLine, ...]:
        """Return what is known now as the signals of the vehicle are shown, at ``now_s``."""
        ours_s = self._clock.monotonic_s()
        return tuple(
            DecodedLine(
                t=now_s - (ours_s - signal.time_s),
                path=signal.path,
                value=signal.value,
                unit=UNITS[signal.path],
                quality=signal.quality,
                frame="gnss",
            )
            for signal in self.latest().values()
        )

    def counted(self) -> dict[str, int]:
        """Return what was heard and lost; no place is in it."""
        return {
            "gnss_fixes": self.fixes,
            "gnss_malformed": self.malformed,
            "gnss_losses": self.losses,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Read until ``stop``; a gpsd that is not there is asked again."""
        while not stop.is_set():
            try:
                await self._follow(stop)
            except (OSError, ValueError):  # a line past the limit is a ValueError of the reader
                self.losses += 1
            try:
                async with asyncio.timeout(self._again_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _follow(self, stop: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=MAX_LINE_BYTES)
        try:
            writer.write(_WATCH)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(reader), name="gnss-read")
                stopping = group.create_task(_wait(stop), name="gnss-stop")
                await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
                failure = None if not reading.done() else reading.result()
                reading.cancel()
                stopping.cancel()
            if failure:
                raise failure
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> OSError | ValueError | None:
        """Take lines until the connection ends; a failure is returned, not raised."""
        try:
            while line := await reader.readline():
                self._take(line)
        except (OSError, ValueError) as error:
            return error
        return ConnectionResetError("gpsd closed the connection")

    def _take(self, line: bytes) -> None:
        try:
            now_s = self._clock.monotonic_s()
            signals, told = parse_report(line, now_s), parse_time(line)
        except ValueError:
            self.malformed += 1
            return
        if told is not None:
            self._time = told, now_s
        self._latest |= {signal.path: signal for signal in signals}
        position = self.position() if signals else None
        if position is not None:
            self.fixes += 1
            self._fix = (*position, now_s)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
