"""Which vehicle a bus belongs to, from the ids and lengths seen on it, with the evidence. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from agent.signals.model import Frame
from agent.signals.table import Evidence, VehicleTable
from agent.wording import counted

MAX_KEYS: Final = 4_096  # (bus, id, length) that a census tells apart; a bus has about 60
_FEW: Final = 3  # frames of a role's own ids that are no accident


class Census:
    """How often each (bus, id, length) was seen."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int, int]] = Counter()
        self.left_out = 0  # frames past MAX_KEYS different keys

    def take(self, frames: Iterable[Frame]) -> None:
        """Count ``frames``."""
        for frame in frames:
            key = (frame.bus, frame.can_id, len(frame.data))
            if key in self.counts or len(self.counts) < MAX_KEYS:
                self.counts[key] += 1
            else:
                self.left_out += 1

    def interfaces(self) -> tuple[str, ...]:
        """Return every bus that was seen, sorted."""
        return tuple(sorted({bus for bus, _, _ in self.counts}))

    def seen(self, interface: str, evidence: Evidence) -> int:
        """Return how many frames on ``interface`` are ``evidence``."""
        return sum(
            count
            for (bus, can_id, length), count in self.counts.items()
            if bus == interface and can_id == evidence.can_id and evidence.length in (None, length)
        )


class Verdict(Struct, frozen=True, kw_only=True):
    """What speaks for and against one vehicle on one interface; ids in hex, lengths in bytes."""

    vehicle: str
    title: str
    interface: str
    is_match: bool
    seen: tuple[str, ...]  # required and seen, with the number of frames
    missing: tuple[str, ...]  # required and not seen
    against: tuple[str, ...]  # seen, though this vehicle does not send it

    def answer(self) -> str:
        """Return yes or no and the vehicle, in columns."""
        return f"{'yes' if self.is_match else 'no':<4}{self.vehicle:<18}"

    def evidence(self) -> str:
        """Return one sentence on what was seen, what is missing, and what speaks against it."""
        parts = [f"seen {', '.join(self.seen)}" if self.seen else "nothing of it seen"]
        parts += [f"missing {', '.join(self.missing)}"] if self.missing else []
        parts += [f"but also {', '.join(self.against)}"] if self.against else []
        return f"{self.interface}: {'; '.join(parts)}"


def detect(tables: Iterable[VehicleTable], census: Census) -> list[Verdict]:
    """Return the verdict for each vehicle on the interface that speaks most for it, best first."""
    verdicts: list[Verdict] = []
    for table in tables:
        if table.detection:
            tried = [_verdict(table, census, name) for name in census.interfaces()]
            verdicts += sorted(tried, key=_rank)[:1]
    return sorted(verdicts, key=_rank)


def roles_of(table: VehicleTable, census: Census) -> dict[str, str]:
    """Return which interface plays each role, for a recording made with other names.

    The role whose ids fit an interface best gets it; on a tie the table's own name counts. A role
    that fits nothing keeps its own name, or gets one that no bus has if that name is taken. A
    guess like this is for files only; on a vehicle the configuration says it.
    """
    fits = [
        (_own(table, census, role, name), name == expected, role, name)
        for role, expected in table.buses.items()
        for name in census.interfaces()
    ]
    found: dict[str, str] = {}
    for own, _, role, name in sorted(fits, key=lambda fit: fit[:2], reverse=True):
        if own >= _FEW and role not in found and name not in found.values():
            found[role] = name
    free = {
        role: nobody(role) if name in found.values() else name for role, name in table.buses.items()
    }
    return {role: found.get(role, free[role]) for role in table.buses}


def nobody(role: str) -> str:
    """Return the name of an interface that no bus has, for a ``role`` that nothing plays."""
    return f"-{role}"


def ambiguous_ids(
    table: VehicleTable, census: Census, buses: Mapping[str, str]
) -> frozenset[tuple[str, int]]:
    """Return each (interface, id) that two roles claim, where a file mixes both under one name.

    Some formats keep no bus. Two roles are mixed when an interface has ids that only the one
    sends, and ids that only the other sends; an id of both could then be of either.
    """
    ids = {role: {f.can_id for f in table.frames if f.bus == role} for role in table.buses}
    mixed: set[tuple[str, int]] = set()
    for role, name in buses.items():
        seen = {can_id for bus, can_id, _ in census.counts if bus == name}
        for other in table.buses:
            if other != role and len(seen & (ids[other] - ids[role])) >= _FEW:
                mixed |= {(name, can_id) for can_id in ids[role] & ids[other]}
    return frozenset(mixed)


def _own(table: VehicleTable, census: Census, role: str, interface: str) -> int:
    """Return how many different frames of ``role`` were seen on ``interface``."""
    frames = [frame for frame in table.frames if frame.bus == role]
    return sum(
        any(
            bus == interface and can_id == frame.can_id and length >= frame.length
            for bus, can_id, length in census.counts
        )
        for frame in frames
    )


def _verdict(table: VehicleTable, census: Census, interface: str) -> Verdict:
    needed = table.detection.seen if table.detection else ()
    counts = {evidence: census.seen(interface, evidence) for evidence in needed}
    unseen = table.detection.unseen if table.detection else ()
    against = {evidence: census.seen(interface, evidence) for evidence in unseen}
    return Verdict(
        vehicle=table.name,
        title=table.title,
        interface=interface,
        is_match=all(counts.values()) and not any(against.values()),
        seen=_told({evidence: count for evidence, count in counts.items() if count}),
        missing=tuple(_name(evidence) for evidence, count in counts.items() if not count),
        against=_told({evidence: count for evidence, count in against.items() if count}),
    )


def _rank(verdict: Verdict) -> tuple[bool, int, int, str]:
    return (
        not verdict.is_match,
        len(verdict.missing) + len(verdict.against),
        -len(verdict.seen),
        verdict.vehicle,
    )


def _told(counts: Mapping[Evidence, int]) -> tuple[str, ...]:
    return tuple(
        f"{_name(evidence)} ({counted(count, 'frame')})" for evidence, count in counts.items()
    )


def _name(evidence: Evidence) -> str:
    length = "" if evidence.length is None else f"/{evidence.length}"
    return f"{evidence.can_id:03X}{length}"


def matches(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts that match; more than one is no answer."""
    return [verdict for verdict in verdicts if verdict.is_match]
