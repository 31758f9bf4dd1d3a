"""One message of a DBC with its rows of the TOML -> the rules of a frame. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from agent.signals.catalog import Entry
from agent.signals.compile_units import STALE_PERIODS, WrongError, conversion, entry_of, tidy
from agent.signals.dbc import MAX_FRAME_BYTES, field
from agent.signals.definition import FrameText, ProductText, SignalText, UnitText
from agent.signals.scaling import possible, raw_bounds
from agent.signals.table import Counter, Product, Scales, Selector, SignalRule

if TYPE_CHECKING:
    from cantools.database.can import Message
    from cantools.database.can import Signal as DbcSignal

MAX_COUNTER_BITS: Final = 4  # the look-ups that prove it double with every bit
MAX_MAPPED_BITS: Final = 8  # `otherwise` fills a map of all raw values


def dbc_signal(message: "Message", name: str) -> "DbcSignal":
    """Return the signal ``name`` of ``message``; raise WrongError if it has none."""
    for signal in message.signals:
        if signal.name == name:
            return signal
    raise WrongError(f"{message.name}: expected a signal of this message, got {name!r}")


def frame_length(text: FrameText, message: "Message", signals: Sequence[SignalRule]) -> int:
    """Return how many bytes the frame must have; raise WrongError if it cannot be so."""
    last = max((bits.byte for rule in signals for bits in rule.field), default=0)
    needed = message.length if text.check or text.counter else last + 1
    length = needed if text.min_length is None else text.min_length
    if not needed <= length <= min(message.length, MAX_FRAME_BYTES):
        raise WrongError(
            f"{text.message}: expected min_length from {needed} to {message.length}, got {length}"
        )
    return length


def signal_rule(message: "Message", text: SignalText, frame: FrameText) -> SignalRule:
    """Return the rule of one row of the TOML; raise WrongError for what is wrong in it."""
    where = f"{message.name}.{text.name}"
    entry = entry_of(where, text.path)
    dbc = dbc_signal(message, text.name)
    unit = (dbc.unit or "") if text.unit is None else text.unit
    scale = 1.0 if text.unit_of else conversion(where, unit, entry)
    factor, offset = tidy(float(dbc.scale) * scale), tidy(float(dbc.offset) * scale)
    values = _values(where, text, dbc)
    rule = SignalRule(
        path=text.path,
        name=dbc.name,
        field=field(dbc),
        is_signed=dbc.is_signed,
        factor=factor,
        offset=offset,
        minimum=float(entry.minimum if text.minimum is None else text.minimum),
        maximum=float(entry.maximum if text.maximum is None else text.maximum),
        sentinels=text.sentinels,
        sentinel_of=_path_of(where, text.sentinel_of, frame) if text.sentinel_of else None,
        selector=_selector(where, text, dbc, message),
        values=values,
        scales=_scales(where, text.unit_of, entry) if text.unit_of else None,
        step=text.step or (factor if values is None else 1.0),
        store_offset=offset if values is None else 0.0,
        stale_s=(text.stale_ms or frame.period_ms * STALE_PERIODS) / 1000,
    )
    for problem in _impossible(rule, entry):
        raise WrongError(f"{where}: {problem}")
    return rule


def _impossible(rule: SignalRule, entry: Entry) -> Iterator[str]:
    """Yield what could never be: such a rule would be silent, or silently never count."""
    least, most = possible(rule)
    codes = {"sentinels": rule.sentinels, "values": tuple(rule.values or ())}
    for name, given in codes.items():
        if wrong := [code for code in given if not least <= code <= most]:
            yield f"expected {name} from {least} to {most}, as the bits hold them, got {wrong}"
    if not rule.minimum < rule.maximum:
        yield f"expected minimum below maximum, got {rule.minimum:g} and {rule.maximum:g}"
    if rule.values is not None:
        told = rule.values.values()
        if beyond := [value for value in told if not rule.minimum <= value <= rule.maximum]:
            yield f"expected values from {rule.minimum:g} to {rule.maximum:g}, got {beyond}"
    elif not rule.scales:
        low, high = raw_bounds(rule)
        if max(low, least) > min(high, most):
            yield (
                f"expected a value from {rule.minimum:g} to {rule.maximum:g} {entry.unit} to be "
                "possible, but the bits with their factor and offset never hold one"
            )


def counter_of(message: "Message", name: str) -> Counter:
    """Return the counter ``name``; raise WrongError if it is not 1 to 4 bits of one byte."""
    dbc = dbc_signal(message, name)
    pieces = field(dbc)
    if len(pieces) != 1 or dbc.length > MAX_COUNTER_BITS:
        raise WrongError(
            f"{message.name}.{name}: expected a counter of 1 to {MAX_COUNTER_BITS} bits in one "
            f"byte, got {dbc.length} bits in {len(pieces)} bytes"
        )
    return Counter(pieces[0])


def _values(where: str, text: SignalText, dbc: "DbcSignal") -> dict[int, float] | None:
    if text.otherwise is None:
        return text.values
    if dbc.length > MAX_MAPPED_BITS or dbc.is_signed:
        raise WrongError(
            f"{where}: expected `otherwise` on at most {MAX_MAPPED_BITS} unsigned bits, "
            f"got {dbc.length}"
        )
    return dict.fromkeys(range(1 << dbc.length), text.otherwise) | (text.values or {})


def _scales(where: str, text: UnitText, entry: Entry) -> Scales:
    entry_of(where, text.path)
    factors = {value: conversion(where, unit, entry) for value, unit in text.units.items()}
    return Scales(path=text.path, factors=factors)


def _path_of(where: str, name: str, frame: FrameText) -> str:
    for row in frame.signals:
        if row.name == name:
            return row.path
    raise WrongError(f"{where}: expected a name among this frame's signals, got {name!r}")


def _selector(
    where: str, text: SignalText, dbc: "DbcSignal", message: "Message"
) -> Selector | None:
    if text.when:
        if dbc.multiplexer_ids:
            raise WrongError(f"{where}: expected `when` or a multiplexer of the DBC, got both")
        return Selector(field=field(dbc_signal(message, text.when.name)), value=text.when.value)
    if not dbc.multiplexer_ids:
        return None
    if len(dbc.multiplexer_ids) != 1 or dbc.multiplexer_signal is None:
        raise WrongError(f"{where}: expected one multiplexer value, got {dbc.multiplexer_ids}")
    switch = dbc_signal(message, dbc.multiplexer_signal)
    return Selector(field=field(switch), value=dbc.multiplexer_ids[0])


def product_rule(text: ProductText, frame: FrameText) -> Product:
    """Return the rule of a product; raise WrongError if a factor is not in the frame."""
    entry_of(frame.message, text.path)
    first, second = (_path_of(text.path, name, frame) for name in text.of)
    return Product(path=text.path, of=(first, second), step=text.step)
