"""The compiled vehicle table: what the decoder needs of a DBC and a TOML file, and no more.

Shape: JSON, one object per ``VehicleTable``, written by ``agent.signals.compile``. Physical
numbers are already in the unit of the catalogue. Tables ship as package data in ``tables/``.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from agent.signals.errors import DefinitionError, Problem, UnknownVehicleError

FORMAT = 2  # of the JSON; a table of another format is compiled again
MAX_TABLE_BYTES = 1_048_576  # the largest table is 40 kB; anything near this is no table


class Bits(Struct, frozen=True, array_like=True):
    """``width`` bits of byte ``byte``, their lowest at bit ``shift``."""

    byte: int
    shift: int
    width: int


Field = tuple[Bits, ...]  # most significant piece first


class Counter(Struct, frozen=True):
    """A rolling counter inside a frame: +1 per frame, modulo 2**width."""

    bits: Bits


class Selector(Struct, frozen=True):
    """The signal is in the frame only when ``field`` reads ``value`` (a multiplexer)."""

    field: Field
    value: int


class Scales(Struct, frozen=True):
    """The factor depends on another signal: odometer in kilometres or in miles."""

    path: str
    factors: dict[int, float]


class SignalRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One VSS path and how it is found in its frame.

    value = raw x factor + offset, or ``values[raw]``. ``step`` and ``store_offset`` are the grid
    on which segments keep it: stored = round((value - store_offset) / step).
    """

    path: str
    name: str
    field: Field
    is_signed: bool = False
    factor: float = 1.0
    offset: float = 0.0
    minimum: float
    maximum: float
    sentinels: tuple[int, ...] = ()
    sentinel_of: str | None = None  # n/a also when this other path of the frame is n/a
    selector: Selector | None = None
    values: dict[int, float] | None = None
    scales: Scales | None = None
    step: float
    store_offset: float = 0.0
    stale_s: float


class Product(Struct, frozen=True):
    """A path that is the product of two others of the same frame, so of one instant."""

    path: str
    of: tuple[str, str]
    step: float
    store_offset: float = 0.0


class FrameRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One frame: where it comes from, how it proves itself, what it holds."""

    bus: str  # role, see VehicleTable.buses
    can_id: int
    name: str
    length: int  # bytes it must have at least
    period_s: float
    check: Literal["crc8-85", "nibble-sum"] | None = None
    counter: Counter | None = None
    signals: tuple[SignalRule, ...]
    products: tuple[Product, ...] = ()


class Number(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a number stands in a poll's reply: big-endian, value = raw x factor + offset."""

    at: int  # first byte, counted after the echo of the request
    size: int
    is_signed: bool = False
    factor: float = 1.0
    offset: float = 0.0
    minimum: float
    maximum: float
    sentinels: tuple[int, ...] = ()


class PolledSignal(Struct, frozen=True, kw_only=True):
    """One number of a reply and its VSS path."""

    path: str
    number: Number


class PolledArray(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``count`` numbers of one kind: path ``prefix`` + 1, 2, ... and what they say together.

    ``every`` is the distance of their first bytes; ``absent`` is a raw code of the two bytes at
    ``absent_at`` (relative to the number) that says there is no such sensor. ``lowest_id`` and
    ``highest_id`` are paths of the number, from 1, of the extreme one.
    """

    prefix: str
    count: int
    every: int
    number: Number
    absent_at: int | None = None
    absent: int = 0xFFFF
    lowest: str | None = None
    highest: str | None = None
    mean: str | None = None
    lowest_id: str | None = None
    highest_id: str | None = None

    def members(self) -> tuple[str, ...]:
        """Return the path of every number."""
        return tuple(f"{self.prefix}{place}" for place in range(1, self.count + 1))

    def paths(self) -> tuple[str, ...]:
        """Return every path, the members first."""
        also = (self.lowest, self.highest, self.mean, self.lowest_id, self.highest_id)
        return (*self.members(), *(path for path in also if path))


class Reply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reply of exactly ``length`` bytes (after the echo) holds; may be nothing of use."""

    length: int
    signals: tuple[PolledSignal, ...] = ()
    arrays: tuple[PolledArray, ...] = ()

    def paths(self) -> tuple[str, ...]:
        """Return every path of this reply."""
        found = [signal.path for signal in self.signals]
        for array in self.arrays:
            found += array.paths()
        return tuple(found)


class PollRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to a control unit. The layout of its reply goes by the reply's length.

    ``is_private``: the reply is asked for and kept in memory only; it becomes no signal, no row,
    no line, no log. ``needs``: the named state in which it is asked at all.
    """

    name: str
    bus: str  # role
    request_id: int
    reply_id: int
    service: str  # hex
    period_s: float
    stale_s: float
    needs: str | None = None
    is_private: bool = False
    replies: tuple[Reply, ...]

    def echo(self) -> bytes:
        """Return how a positive reply starts: the service + 0x40, then what was asked."""
        asked = bytes.fromhex(self.service)
        return bytes((asked[0] + 0x40,)) + asked[1:]

    def paths(self) -> tuple[str, ...]:
        """Return every path that any of its replies tells, once."""
        return tuple(dict.fromkeys(path for reply in self.replies for path in reply.paths()))


class Polled(Struct, frozen=True):
    """A path that comes from a poll, with the grid on which segments keep it."""

    path: str
    poll: PollRule
    step: float
    store_offset: float = 0.0


class DerivedState(Struct, frozen=True):
    """A path that is true, false or unknown as the named state is."""

    path: str
    state: str
    step: float = 1.0
    store_offset: float = 0.0


class Evidence(Struct, frozen=True):
    """A frame that tells kinds of vehicle apart; ``length`` None: any."""

    can_id: int
    length: int | None = None


class Detection(Struct, frozen=True, omit_defaults=True):
    """What has to be seen on the bus of role ``bus``, and what must not be, for this vehicle."""

    bus: str
    seen: tuple[Evidence, ...] = ()
    unseen: tuple[Evidence, ...] = ()


class Condition(Struct, frozen=True):
    """One comparison: the value of ``path`` is at least, at most or exactly ``value``."""

    path: str
    op: Literal["==", ">=", "<="]
    value: float


Rule: TypeAlias = SignalRule | Product | Polled | DerivedState

# name of the state -> alternatives, each a list of conditions that hold together
States = Mapping[str, tuple[tuple[Condition, ...], ...]]


class VehicleTable(Struct, frozen=True, kw_only=True):
    """Everything known about one kind of vehicle.

    ``buses`` maps each role to the interface it is expected on; a configuration may map it to
    another. ``record`` lists the paths that a trip's segment holds, in column order.
    """

    format: int
    name: str
    title: str
    buses: dict[str, str]
    frames: tuple[FrameRule, ...]
    polls: tuple[PollRule, ...] = ()
    states: dict[str, tuple[tuple[Condition, ...], ...]]
    derived: tuple[DerivedState, ...] = ()
    detection: Detection | None = None
    record: tuple[str, ...]

    def rule(self, path: str) -> Rule | None:
        """Return the rule that yields ``path``; None if this vehicle does not tell it."""
        return next((rule for rule in self.rules() if rule.path == path), None)

    def rules(self) -> tuple[Rule, ...]:
        """Return the rule of every path: of the frames in their order, derived, then polls."""
        rules: list[Rule] = []
        for frame in self.frames:
            rules += frame.signals
            rules += frame.products
        rules += self.derived
        for poll in self.polls:
            rules += _polled(poll)
        return tuple(rules)

    def paths(self) -> tuple[str, ...]:
        """Return every path this vehicle tells, in the order of ``rules``."""
        return tuple(rule.path for rule in self.rules())

    def paths_of_state(self, name: str) -> tuple[str, ...]:
        """Return what the state ``name`` rests on."""
        rows = self.states[name]
        return tuple(dict.fromkeys(condition.path for row in rows for condition in row))


def _polled(poll: PollRule) -> Iterator[Polled]:
    steps: dict[str, float] = {}
    for reply in poll.replies:
        steps |= {signal.path: signal.number.factor for signal in reply.signals}
        for array in reply.arrays:
            steps |= dict.fromkeys(array.paths(), array.number.factor)
            steps |= {path: 1.0 for path in (array.lowest_id, array.highest_id) if path}
    return (Polled(path, poll, step) for path, step in steps.items())


def known_vehicles() -> tuple[str, ...]:
    """Return the names of the shipped tables, sorted."""
    shipped = _shipped_folder().iterdir()
    return tuple(sorted(f.name.removesuffix(".json") for f in shipped if f.name.endswith(".json")))


def load_table(name_or_path: str | Path) -> VehicleTable:
    """Return a shipped table by name, or one from a file.

    Raises:
        UnknownVehicleError: Neither a shipped name nor a file.
        DefinitionError: The file is not a compiled table of this format.
    """
    shipped = known_vehicles()
    if str(name_or_path) in shipped:
        return decode_table(_shipped_folder().joinpath(f"{name_or_path}.json").read_bytes())
    path = Path(name_or_path)
    if not path.is_file():
        raise UnknownVehicleError(str(name_or_path), shipped)
    return decode_table(path.read_bytes(), name=str(path))


def decode_table(data: bytes, *, name: str = "shipped table") -> VehicleTable:
    """Return the table in ``data``; raise DefinitionError naming ``name`` if it is not one."""

    def wrong(text: str) -> DefinitionError:
        advice = "nothing was loaded; compile it again with `okdrive-agent vehicle compile`"
        return DefinitionError([Problem(Path(name), None, text)], advice=advice)

    if len(data) > MAX_TABLE_BYTES:
        raise wrong(f"expected at most {MAX_TABLE_BYTES} bytes, got {len(data)}")
    try:
        table = msgspec.json.decode(data, type=VehicleTable)
    except ValueError as error:
        raise wrong(f"expected a compiled vehicle table, got {error}") from error
    if table.format != FORMAT:
        raise wrong(f"expected format {FORMAT}, got {table.format}")
    return table


def encode_table(table: VehicleTable) -> bytes:
    """Return the JSON of ``table``: one line per frame, so that a change is a readable diff."""
    lines = msgspec.json.encode(table)
    for start in (b'{"bus":', b'{"name":', b'"states":', b'"derived":', b'"polls":'):
        lines = lines.replace(start, b"\n" + start)
    return lines.lstrip() + b"\n"


def _shipped_folder() -> Traversable:
    return files("agent.signals") / "tables"
