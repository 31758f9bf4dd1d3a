"""DBC + TOML -> the compact table the agent loads. Needs cantools, which the vehicle has not.

Every mistake in a definition is one DefinitionError that names the file, what was expected and
what was found; a table is written only when the whole definition is right.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from agent.signals.catalog import CATALOG, CONVERSIONS, Entry
from agent.signals.errors import DefinitionError
from agent.signals.table import (
    FORMAT,
    Bits,
    Condition,
    Counter,
    Field,
    FrameRule,
    Product,
    Scales,
    Selector,
    SignalRule,
    VehicleTable,
    encode_table,
)

if TYPE_CHECKING:
    from cantools.database.can import Database, Message
    from cantools.database.can import Signal as DbcSignal

MAX_FRAME_BYTES = 8
STALE_PERIODS = 3  # source: the validity chain of the vehicle facts
_ADVICE = "no table was written; correct the definition and compile it again"
_CONDITION = re.compile(r"(\S+) (==|>=|<=) (-?\d+(?:\.\d+)?)")


class BusText(Struct, frozen=True, forbid_unknown_fields=True):
    """``[buses]``: where a role is expected, and the DBC beside the TOML that describes it."""

    interface: str
    dbc: str


class UnitText(Struct, frozen=True, forbid_unknown_fields=True):
    """``unit_of``: the unit depends on the value of another path."""

    path: str
    units: dict[int, str]


class SignalText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``signals``."""

    name: str
    path: str
    unit: str | None = None  # in place of the DBC's
    minimum: float | None = None
    maximum: float | None = None
    sentinels: tuple[int, ...] = ()
    sentinel_of: str | None = None
    values: dict[int, float] | None = None
    unit_of: UnitText | None = None
    step: float | None = None
    stale_ms: float | None = None


class ProductText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``products``: two names of the same message."""

    path: str
    of: tuple[str, str]
    step: float


class FrameText(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[frames]]``."""

    message: str
    bus: str
    period_ms: float
    signals: tuple[SignalText, ...]
    check: Literal["crc8-85", "nibble-sum"] | None = None
    counter: str | None = None
    min_length: int | None = None
    products: tuple[ProductText, ...] = ()


class DefinitionText(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole TOML file."""

    name: str
    title: str
    record: tuple[str, ...]
    buses: dict[str, BusText]
    states: dict[str, tuple[tuple[str, ...], ...]]
    frames: tuple[FrameText, ...]


def compile_vehicle(definition: Path) -> VehicleTable:
    """Return the table of the vehicle defined in ``definition`` (TOML) and the DBCs beside it.

    Raises:
        DefinitionError: Any mistake: unreadable file, unknown key, message, signal, path or
            unit, overlapping signals, a signal outside its frame, two rules for one path.
    """
    text = _read_definition(definition)
    databases = {role: _read_dbc(definition.parent / bus.dbc) for role, bus in text.buses.items()}
    frames = tuple(_frame(definition, frame, text, databases) for frame in text.frames)
    table = VehicleTable(
        format=FORMAT,
        name=text.name,
        title=text.title,
        buses={role: bus.interface for role, bus in text.buses.items()},
        frames=frames,
        states={name: _state(definition, name, rows) for name, rows in text.states.items()},
        record=text.record,
    )
    _check_whole(definition, table)
    return table


def write_table(definition: Path, target: Path) -> VehicleTable:
    """Compile ``definition`` into the file ``target``; nothing is written on DefinitionError."""
    table = compile_vehicle(definition)
    target.write_bytes(encode_table(table))
    return table


def _fail(file: Path, what: str) -> DefinitionError:
    return DefinitionError(f"{file}: {what}; {_ADVICE}")


def _read_definition(file: Path) -> DefinitionText:
    try:
        return msgspec.toml.decode(file.read_bytes(), type=DefinitionText)
    except OSError as error:
        raise _fail(file, f"expected a readable file, got {error.strerror}") from error
    except ValueError as error:
        raise _fail(file, str(error)) from error


def _read_dbc(file: Path) -> "Database":
    # lazily: cantools is a tool for engineers, the vehicle runs without it
    try:
        from cantools.database import load_file  # noqa: PLC0415
        from cantools.database.can import Database  # noqa: PLC0415
        from cantools.errors import Error  # noqa: PLC0415
    except ImportError as error:
        raise _fail(file, "expected cantools (extra `tools`) to read it, got none") from error
    try:
        database = load_file(file, database_format="dbc", strict=True)
    except OSError as error:
        raise _fail(file, f"expected a readable file, got {error.strerror}") from error
    except (Error, ValueError) as error:
        raise _fail(file, str(error).rstrip(".")) from error
    if not isinstance(database, Database):
        raise _fail(file, f"expected a CAN database, got {type(database).__name__}")
    return database


def _frame(
    file: Path, text: FrameText, definition: DefinitionText, databases: "dict[str, Database]"
) -> FrameRule:
    if text.bus not in databases:
        raise _fail(
            file, f"{text.message}: expected a bus of {sorted(databases)}, got {text.bus!r}"
        )
    dbc = file.parent / definition.buses[text.bus].dbc
    message = _message(file, databases[text.bus], text.message, dbc)
    signals = tuple(_signal(file, message, row, text) for row in text.signals)
    counter = _field(_dbc_signal(file, message, text.counter)) if text.counter else None
    return FrameRule(
        bus=text.bus,
        can_id=message.frame_id,
        name=message.name,
        length=_length(file, text, message, signals),
        period_s=text.period_ms / 1000,
        check=text.check,
        counter=Counter(counter[0]) if counter else None,
        signals=signals,
        products=tuple(_product(file, row, text) for row in text.products),
    )


def _message(file: Path, database: "Database", name: str, dbc: Path) -> "Message":
    for message in database.messages:
        if message.name == name:
            if message.length > MAX_FRAME_BYTES:
                raise _fail(dbc, f"{name}: expected at most 8 bytes, got {message.length}")
            return message
    raise _fail(file, f"expected a message of {dbc.name}, got {name!r}")


def _dbc_signal(file: Path, message: "Message", name: str) -> "DbcSignal":
    for signal in message.signals:
        if signal.name == name:
            return signal
    raise _fail(file, f"{message.name}: expected a signal of this message, got {name!r}")


def _length(file: Path, text: FrameText, message: "Message", signals: Sequence[SignalRule]) -> int:
    last = max((bits.byte for rule in signals for bits in rule.field), default=0)
    needed = message.length if text.check or text.counter else last + 1
    length = needed if text.min_length is None else text.min_length
    if not needed <= length <= message.length:
        raise _fail(
            file,
            f"{text.message}: expected min_length from {needed} to {message.length}, got {length}",
        )
    return length


def _signal(file: Path, message: "Message", text: SignalText, frame: FrameText) -> SignalRule:
    entry = CATALOG.get(text.path)
    where = f"{message.name}.{text.name}"
    if entry is None:
        raise _fail(file, f"{where}: expected a path of the catalogue, got {text.path!r}")
    dbc = _dbc_signal(file, message, text.name)
    unit = (dbc.unit or "") if text.unit is None else text.unit
    scale = 1.0 if text.unit_of else _conversion(file, where, unit, entry)
    factor, offset = _tidy(float(dbc.scale) * scale), _tidy(float(dbc.offset) * scale)
    is_mapped = text.values is not None
    return SignalRule(
        path=text.path,
        name=dbc.name,
        field=_field(dbc),
        is_signed=dbc.is_signed,
        factor=factor,
        offset=offset,
        minimum=float(entry.minimum if text.minimum is None else text.minimum),
        maximum=float(entry.maximum if text.maximum is None else text.maximum),
        sentinels=text.sentinels,
        sentinel_of=_path_of(file, where, text.sentinel_of, frame) if text.sentinel_of else None,
        selector=_selector(file, where, dbc, message),
        values=text.values,
        scales=_scales(file, where, text.unit_of, entry) if text.unit_of else None,
        step=text.step or (1.0 if is_mapped else factor),
        store_offset=0.0 if is_mapped else offset,
        stale_s=(text.stale_ms or frame.period_ms * STALE_PERIODS) / 1000,
    )


def _conversion(file: Path, where: str, unit: str, entry: Entry) -> float:
    if unit == entry.unit:
        return 1.0
    factor = CONVERSIONS.get((unit, entry.unit))
    if factor is None:
        raise _fail(
            file,
            f"{where}: expected a unit that becomes {entry.unit!r} of {entry.path}, got {unit!r}",
        )
    return factor


def _scales(file: Path, where: str, text: UnitText, entry: Entry) -> Scales:
    if text.path not in CATALOG:
        raise _fail(file, f"{where}: expected a path of the catalogue, got {text.path!r}")
    factors = {value: _conversion(file, where, unit, entry) for value, unit in text.units.items()}
    return Scales(path=text.path, factors=factors)


def _tidy(number: float) -> float:
    """Return ``number`` without the dust of a decimal multiplication."""
    return float(f"{number:.15g}")


def _path_of(file: Path, where: str, name: str, frame: FrameText) -> str:
    for row in frame.signals:
        if row.name == name:
            return row.path
    raise _fail(file, f"{where}: expected a name among this frame's signals, got {name!r}")


def _selector(file: Path, where: str, dbc: "DbcSignal", message: "Message") -> Selector | None:
    if not dbc.multiplexer_ids:
        return None
    if len(dbc.multiplexer_ids) != 1 or dbc.multiplexer_signal is None:
        raise _fail(file, f"{where}: expected one multiplexer value, got {dbc.multiplexer_ids}")
    switch = _dbc_signal(file, message, dbc.multiplexer_signal)
    return Selector(field=_field(switch), value=dbc.multiplexer_ids[0])


def _product(file: Path, text: ProductText, frame: FrameText) -> Product:
    if text.path not in CATALOG:
        raise _fail(file, f"{frame.message}: expected a path of the catalogue, got {text.path!r}")
    first, second = (_path_of(file, text.path, name, frame) for name in text.of)
    return Product(path=text.path, of=(first, second), step=text.step)


def _state(
    file: Path, name: str, rows: tuple[tuple[str, ...], ...]
) -> tuple[tuple[Condition, ...], ...]:
    return tuple(tuple(_condition(file, name, text) for text in row) for row in rows)


def _condition(file: Path, name: str, text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None or match[1] not in CATALOG:
        raise _fail(file, f"states.{name}: expected `path == number` (or >=, <=), got {text!r}")
    return msgspec.convert({"path": match[1], "op": match[2], "value": float(match[3])}, Condition)


def _check_whole(file: Path, table: VehicleTable) -> None:
    paths = table.paths()
    for path in paths:
        if paths.count(path) > 1:
            raise _fail(file, f"expected one rule for {path}, got {paths.count(path)}")
    keys = [(frame.bus, frame.can_id) for frame in table.frames]
    for bus, can_id in keys:
        if keys.count((bus, can_id)) > 1:
            raise _fail(file, f"expected one entry for {can_id:#x} on bus {bus}, got more")
    for path in _used(table):
        if path not in paths:
            raise _fail(file, f"expected a path that a signal here yields, got {path!r}")


def _used(table: VehicleTable) -> Iterator[str]:
    yield from table.record
    for alternatives in table.states.values():
        yield from (condition.path for row in alternatives for condition in row)
    for frame in table.frames:
        yield from (rule.scales.path for rule in frame.signals if rule.scales)


def _field(signal: "DbcSignal") -> Field:
    """Return the pieces of ``signal``, most significant first, at most one per byte."""
    if signal.byte_order == "big_endian":
        return tuple(_motorola(signal.start, signal.length))
    return tuple(reversed(tuple(_intel(signal.start, signal.length))))


def _motorola(start: int, length: int) -> Iterator[Bits]:
    byte, top = divmod(start, 8)  # start is the most significant bit
    while length > 0:
        width = min(top + 1, length)
        yield Bits(byte, top + 1 - width, width)
        byte, top, length = byte + 1, 7, length - width


def _intel(start: int, length: int) -> Iterator[Bits]:
    byte, low = divmod(start, 8)  # start is the least significant bit
    while length > 0:
        width = min(8 - low, length)
        yield Bits(byte, low, width)
        byte, low, length = byte + 1, 0, length - width
