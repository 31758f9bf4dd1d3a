"""Attack (e): what is inside, read from sizes and times at the broker.

Learned from one half of the vehicles, tried on the other: kind of journey, quarter of the day of a
stop or a cell, losses; for tracks, how long they are.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from telemetry.records import ChargingBatch, DiagnosticsBatch, JourneysBatch, TrafficBatch
from tests.support.attack_result import Result
from tests.support.leaks import Leak, Stored

LEARNED_FROM = 20  # below, what usually holds is the better guess


def read_sizes(stored: Leak) -> list[Result]:
    """Learn from one half of the vehicles what sizes and times say; try it on the other."""
    halves = [_read_half(form, stored[form], half) for form in stored for half in (0, 1)]
    return [
        Result(one.attack, one.form, [*one.hits, *two.hits], [*one.lucky, *two.lucky])
        for one, two in zip(halves[::2], halves[1::2], strict=True)
    ]


def _read_half(form: str, batches: Sequence[Stored], half: int) -> Result:
    learned: defaultdict[tuple[int, int], Counter[Any]] = defaultdict(Counter)
    overall: Counter[Any] = Counter()
    for batch in batches:
        if batch.vehicle % 2 != half:
            learned[_seen(batch)][_secret(batch)] += 1
            overall[_secret(batch)] += 1
    usual = overall.most_common(1)[0][0]
    tries = [batch for batch in batches if batch.vehicle % 2 == half]
    hits = [_read(learned.get(_seen(batch)), usual) == _secret(batch) for batch in tries]
    lucky = [float(_secret(batch) == usual) for batch in tries]
    return Result("e size and time", form, hits, lucky)


def _read(known: Counter[Any] | None, usual: Any) -> Any:
    """What is clearly more frequent under these marks, else what usually holds."""
    if known is None or known.total() < LEARNED_FROM:
        return usual
    best, count = known.most_common(1)[0]
    is_clear = count - known[usual] > 2 * math.sqrt(count + known[usual])
    return best if is_clear else usual


def _seen(batch: Stored) -> tuple[int, int]:
    """What the broker sees, in bands wide enough to learn from."""
    return batch.size_bytes // 512, batch.arrived.hour // 3


def _secret(batch: Stored) -> Any:
    body = batch.body
    if isinstance(body, ChargingBatch | TrafficBatch):
        return body.hour_of_week % 24 // 6
    if isinstance(body, JourneysBatch):
        return body.kind
    if isinstance(body, DiagnosticsBatch):
        return body.losses
    return len(body.points) and round(body.points[-1].time_s - body.points[0].time_s) // 300
