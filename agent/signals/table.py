"""The compiled vehicle table: what the decoder needs of a DBC and a TOML file, and no more.

Shape: JSON, one object per ``VehicleTable``, written by ``agent.signals.compile``. Physical
numbers are already in the unit of the catalogue. Tables ship as package data in ``tables/``.
"""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from agent.signals.errors import DefinitionError, UnknownVehicleError

FORMAT = 1  # of the JSON; a table of another format is compiled again
MAX_TABLE_BYTES = 1_048_576  # the largest table is 20 kB; anything near this is no table


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


class Condition(Struct, frozen=True):
    """One comparison: the value of ``path`` is at least, at most or exactly ``value``."""

    path: str
    op: Literal["==", ">=", "<="]
    value: float


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
    states: dict[str, tuple[tuple[Condition, ...], ...]]
    record: tuple[str, ...]

    def rule(self, path: str) -> SignalRule | Product | None:
        """Return the rule that yields ``path``; None if this vehicle does not tell it."""
        return next((rule for rule in self.rules() if rule.path == path), None)

    def rules(self) -> tuple[SignalRule | Product, ...]:
        """Return the rule of every path, in the order of the frames."""
        rules: list[SignalRule | Product] = []
        for frame in self.frames:
            rules += frame.signals
            rules += frame.products
        return tuple(rules)

    def paths(self) -> tuple[str, ...]:
        """Return every path this vehicle tells, in the order of the frames."""
        return tuple(rule.path for rule in self.rules())


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
    advice = "nothing was loaded; compile it again with `okdrive-agent vehicle compile`"
    if len(data) > MAX_TABLE_BYTES:
        raise DefinitionError(
            f"{name}: expected at most {MAX_TABLE_BYTES} bytes, got {len(data)}; {advice}"
        )
    try:
        table = msgspec.json.decode(data, type=VehicleTable)
    except ValueError as error:
        raise DefinitionError(
            f"{name}: expected a compiled vehicle table, got {error}; {advice}"
        ) from error
    if table.format != FORMAT:
        raise DefinitionError(f"{name}: expected format {FORMAT}, got {table.format}; {advice}")
    return table


def encode_table(table: VehicleTable) -> bytes:
    """Return the JSON of ``table``: one line per frame, so that a change is a readable diff."""
    lines = msgspec.json.encode(table)
    return lines.replace(b'{"bus":', b'\n{"bus":').replace(b'],"states":', b'\n],"states":') + b"\n"


def _shipped_folder() -> Traversable:
    return files("agent.signals") / "tables"
