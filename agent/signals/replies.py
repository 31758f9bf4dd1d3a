"""Replies to polls -> signals, whoever asked: our own polls, or a tester in a recording. Pure.

The layout of a reply goes by its length, because the pack and the vehicle around it can be of two
generations. A reply that is broken or of unknown length is counted and changes nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from agent.signals.isotp import Outcome, Reassembler
from agent.signals.model import Frame, Quality
from agent.signals.scaling import exact
from agent.signals.table import Number, PolledArray, PollRule, Reply

_NEVER: Final = float("-inf")
_NEGATIVE: Final = 0x7F  # "no": the service is refused or not available now

Reading = tuple[str, float | None, Quality]


class Replies:
    """Follows the replies of one (bus, reply id); ``emit`` takes what they tell."""

    def __init__(
        self,
        polls: Sequence[PollRule],
        wanted: Collection[str],
        *,
        emit: Callable[[str, float | None, Quality, float], None],
        reject: Callable[[Quality], None],
    ) -> None:
        """Prepare for ``polls``, which share one reply id.

        Args:
            polls: The questions whose replies come under this id.
            wanted: Paths to tell; others are left out.
            emit: Told path, value, quality and instant of every reading.
            reject: Told the reason of every reply that was dropped.
        """
        self._polls = tuple(polls)
        self._wanted = frozenset(wanted)
        self._emit, self._reject = emit, reject
        self._reassembler = Reassembler()
        self._seen_s: dict[str, float] = {}
        self.private: dict[str, bytes] = {}  # never a signal, a line or a row

    def feed(self, frame: Frame) -> None:
        """Take one frame of the reply id."""
        outcome: Outcome = self._reassembler.feed(frame.time_s, frame.data)
        if outcome.fault:
            self._reject(Quality(outcome.fault.value))
        if outcome.payload:
            self._take(outcome.payload, frame.time_s)

    def age(self, now_s: float) -> None:
        """Make stale what was not told for its allowed age."""
        for poll in self._polls:
            seen_s = self._seen_s.get(poll.name, _NEVER)
            if seen_s > now_s:
                self._seen_s[poll.name] = now_s
            elif now_s - seen_s > poll.stale_s and seen_s != _NEVER:
                del self._seen_s[poll.name]
                for path in self._wanted.intersection(poll.paths()):
                    self._emit(path, None, Quality.STALE, now_s)

    def _take(self, payload: bytes, time_s: float) -> None:
        for poll in self._polls:
            echo = poll.echo()
            if payload.startswith(echo):
                self._told(poll, payload[len(echo) :], time_s)
                return
        if payload[0] != _NEGATIVE:
            self._reject(Quality.MUX)  # a reply to something that the definition does not ask

    def _told(self, poll: PollRule, data: bytes, time_s: float) -> None:
        reply = next((reply for reply in poll.replies if reply.length == len(data)), None)
        if poll.is_private:
            self.private[poll.name] = data
        elif reply is None:
            self._reject(Quality.LENGTH)
        else:
            self._seen_s[poll.name] = time_s
            for path, value, quality in readings(reply, data):
                if path in self._wanted:
                    self._emit(path, value, quality, time_s)


def readings(reply: Reply, data: bytes) -> Iterator[Reading]:
    """Yield what ``data`` says of every path of ``reply``."""
    for signal in reply.signals:
        yield signal.path, *_read(signal.number, data, signal.number.at)
    for array in reply.arrays:
        yield from _array(array, data)


def _array(array: PolledArray, data: bytes) -> Iterator[Reading]:
    known: dict[int, float] = {}
    for place, path in enumerate(array.members()):
        at = array.number.at + place * array.every
        value, quality = _read(array.number, data, at)
        if array.absent_at is not None and _absent(array, data, at):
            value, quality = None, Quality.SENTINEL
        if value is not None:
            known[place + 1] = value
        yield path, value, quality
    yield from _together(array, known)


def _absent(array: PolledArray, data: bytes, at: int) -> bool:
    start = at + (array.absent_at or 0)
    return int.from_bytes(data[start : start + 2]) == array.absent


def _together(array: PolledArray, known: Mapping[int, float]) -> Iterator[Reading]:
    quality = Quality.OK if known else Quality.SENTINEL
    lowest = min(known, key=lambda place: known[place], default=None)
    highest = max(known, key=lambda place: known[place], default=None)
    told = (
        (array.lowest, known.get(lowest or 0)),
        (array.highest, known.get(highest or 0)),
        (array.mean, sum(known.values()) / len(known) if known else None),
        (array.lowest_id, lowest),
        (array.highest_id, highest),
    )
    for path, value in told:
        if path:
            yield path, None if value is None else float(value), quality


def _read(number: Number, data: bytes, at: int) -> tuple[float | None, Quality]:
    raw = int.from_bytes(data[at : at + number.size], signed=number.is_signed)
    if raw in number.sentinels:
        return None, Quality.SENTINEL
    value = float(raw * exact(number.factor) + exact(number.offset))
    if not number.minimum <= value <= number.maximum:
        return None, Quality.RANGE
    return value, Quality.OK


def placed(
    polls: Sequence[PollRule], interfaces: Mapping[str, str]
) -> dict[tuple[str, int], list[PollRule]]:
    """Return the polls of each (interface, reply id)."""
    found: dict[tuple[str, int], list[PollRule]] = {}
    for poll in polls:
        found.setdefault((interfaces[poll.bus], poll.reply_id), []).append(poll)
    return found
