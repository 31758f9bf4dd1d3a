"""The source text of a whole vehicle's decoder. Pure: rules in, text out.

Why generate: a table interpreted for every frame costs several look-ups per signal; the same rule
as straight-line Python costs a shift and a comparison. The text is made from the compiled table
alone (integers, floats and our own names; never a string from a bus or a file), and executed once
when a Decoder is made. It is one generator, fed a batch at a time: its local variables live from
batch to batch, and locals are the quickest memory that Python has.

Shape (here one frame with one signal)::

    def run(tables, new, ok, latest, emit, ...):
        last0 = None                          # raw value emitted last; None: emit the next one
        due0, repeats0, calm0 = None, 0, False
        while True:
            frames, forgotten = yield
            if forgotten: ...                 # what became stale is emitted again
            for frame in frames:
                ...                           # bus and id say which block it is
                if k == 1:
                    if calm0:
                        n = known0(data)      # right before, and changed nothing
                        if n is not None: ...
                    try: w0, w1, w2, w3 = unpack0(data)
                    except error: ...         # padded if it is long enough, rejected if not
                    if c0[w0] ^ c1[w1] ^ c2[w2] ^ c3[w3]: ...
                    seen[0] = t
                    r0 = w1 >> 6
                    if r0 != last0: ...       # only now: sentinel, range, scaling, a new Signal
                    continue
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Final

from msgspec import Struct

from agent.signals.table import Bits, Field, FrameRule, Product, SignalRule

STUCK_AFTER: Final = 5  # equal counters in a row; fewer can be a repeat, or lost frames
_WORD_BITS: Final = 16
_FRAME_BYTES: Final = 8
_QUICK_CHECK: Final = "c0[w0] ^ c1[w1] ^ c2[w2] ^ c3[w3]"
_MAX_QUIET: Final = 32  # payloads remembered per frame id; 4 are enough for a rolling counter


Products = Sequence[tuple[int, Product]]  # index and rule


class Slot(Struct, frozen=True):
    """One rule at its place in the decoder: ``index`` counts over the whole vehicle."""

    index: int
    group: int  # which ``seen`` time tells its age
    rule: SignalRule
    is_held: bool = True  # nothing reads ``latest`` of this path in mid-batch


class Part(Struct, frozen=True):
    """One wanted frame: the ``number`` of its block, and what is wanted of it."""

    number: int
    rule: FrameRule
    slots: tuple[Slot, ...]
    products: Products = ()

    def indexes(self) -> list[int]:
        """Return the index of every wanted path of this frame."""
        return [*(slot.index for slot in self.slots), *(index for index, _ in self.products)]


def decoder_source(parts: Sequence[Part], names: Iterable[str], *, checks: bool) -> str:
    """Return the source of ``run(...)``; see the module for its shape.

    Args:
        parts: The wanted frames, the most frequent first.
        names: What the text uses and is given as arguments of the same names.
        checks: False leaves out everything but scaling, to compare with decoders that check
            nothing (benchmarks/decode.py).
    """
    groups = sorted({slot.group for part in parts for slot in part.slots}) if checks else []
    return "\n".join(
        (
            f"def run({', '.join(names)}):",
            *_indent(1, (line for part in parts for line in _start(part))),
            "    bus = None",
            "    table = []",
            "    while True:",
            "        frames, forgotten = yield",
            *_indent(
                2, [f"{' = '.join(f'seen{group}' for group in groups)} = None"] * bool(groups)
            ),
            "        if forgotten:",
            *_indent(3, (line for part in parts for line in _forget(part))),
            "            pass",
            "        for frame in frames:",
            "            try:",
            "                if not wanted[frame.can_id]: continue",  # most frames
            "                if frame.bus is not bus:",  # equal but another object: a look-up more
            "                    bus = frame.bus",
            "                    table, wide = tables.get(bus, nothing)",
            "                k = table[frame.can_id]",
            "            except IndexError:",  # an extended id
            "                k = tables.get(frame.bus, nothing)[1].get(frame.can_id, 0)",
            "            if k:",
            "                t, data = frame.time_s, frame.data",
            *_indent(4, (line for part in parts for line in _block(part, checks=checks))),
            "                listen(k, frame)",
            *_indent(2, _tell_ages(groups)),
            *_indent(2, (line for part in parts for line in _told(part.slots))),
        )
    )


def _told(slots: Sequence[Slot]) -> Iterator[str]:
    """Yield what puts held signals into ``latest``: once a batch, not at every change."""
    for slot in slots:
        if slot.is_held:
            i = slot.index
            yield f"if held{i} is not None: latest[p{i}] = held{i}; held{i} = None"


def _tell_ages(groups: Sequence[int]) -> Iterator[str]:
    """Yield the end of a batch: instants are kept in locals until then, a store each saved."""
    for group in groups:
        yield f"if seen{group} is not None: seen[{group}] = seen{group}"


def _start(part: Part) -> Iterator[str]:
    f = part.number
    if part.rule.counter:
        count = 1 << part.rule.counter.bits.width
        yield f"after{f} = {tuple((n + 1) % count for n in range(count))}"
    yield f"due{f}, repeats{f}, calm{f} = None, 0, False"
    yield f"{' = '.join(_state(part.slots, part.products))} = None"
    yield f"{' = '.join(f'held{slot.index}' for slot in part.slots)} = None"


def _forget(part: Part) -> Iterator[str]:
    for slot in part.slots:
        yield f"if {slot.index} in forgotten:"
        yield f"    {' = '.join(_state((slot,), part.products))} = None"
        yield f"    hush{part.number}()"


def _block(part: Part, *, checks: bool) -> Iterator[str]:
    yield f"if k == {part.number + 1}:"
    yield from _indent(1, _body(part, checks=checks))
    yield "    continue"


def _body(part: Part, *, checks: bool) -> Iterator[str]:
    f, frame = part.number, part.rule
    slots = sorted(part.slots, key=lambda slot: slot.rule.sentinel_of is not None)
    counting = list(_counting(part)) if checks and frame.counter else []
    # a multiplexer or a unit from elsewhere: the same bytes do not always mean the same
    is_memorable = not any(slot.rule.selector or slot.rule.scales for slot in slots)
    if is_memorable:
        yield f"if calm{f}:"  # only then is it likely that these bytes were here before
        yield f"    n = known{f}(data)"
        yield "    if n is not None:"
        yield from _indent(2, counting)
        yield from _indent(2, _see(slots) if checks else ())
        yield "        continue"
    yield from _unpack(part, words_of(part, checks=checks))
    yield from _checking(part) if checks else ()
    yield f"n = {_expression((frame.counter.bits,)) if counting and frame.counter else '0'}"
    yield from counting
    yield "fresh = refused = False"
    yield from _values(part, slots, checks=checks)
    yield from _products(slots, part.products)
    if is_memorable:
        yield "if fresh:"
        yield f"    if calm{f}:"  # only then is anything remembered
        yield f"        calm{f} = False"
        yield f"        hush{f}()"
        yield "else:"
        yield f"    calm{f} = True"
        yield f"    if not refused and len(quiet{f}) < {_MAX_QUIET}: quiet{f}[data] = n"


def _rejected(part: Part, how: str) -> Iterator[str]:
    """Yield what happens to a frame that is refused as a whole."""
    yield f"{' = '.join(_state(part.slots, part.products))} = None"
    yield f"hush{part.number}()"
    yield from _see(part.slots)  # the frame is there: wrong, but not stale
    yield from _told(part.slots)
    yield f"reject({part.number}, {how!r}, t)"
    yield "continue"


def _see(slots: Sequence[Slot]) -> Iterator[str]:
    return (f"seen{group} = t" for group in sorted({slot.group for slot in slots}))


def _state(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    """Yield the names that outlive one call: last raw values, and the factors of products."""
    factors = _factors(products)
    for slot in slots:
        yield f"last{slot.index}"
        if slot.rule.path in factors:
            yield f"value{slot.index}"


def _factors(products: Products) -> set[str]:
    return {path for _, product in products for path in product.of}


def _indent(levels: int, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    return ("    " * levels + line for line in lines)


def words_of(part: Part, *, checks: bool) -> list[int]:
    """Return which of the four big-endian words of a frame its text reads; never none."""
    if checks and _is_quick(part.rule):
        return [0, 1, 2, 3]
    fields = [slot.rule.field for slot in part.slots]
    fields += [slot.rule.selector.field for slot in part.slots if slot.rule.selector]
    fields += [(part.rule.counter.bits,)] if part.rule.counter and checks else []
    return sorted({bits.byte // 2 for field in fields for bits in field})


def _is_quick(frame: FrameRule) -> bool:
    return frame.check == "crc8-85" and frame.length == _FRAME_BYTES


def _unpack(part: Part, words: Sequence[int]) -> Iterator[str]:
    names = "".join(f"w{word}, " for word in words)
    yield "try:"
    yield f"    {names}= unpack{part.number}(data)"
    yield "except error:"  # costs nothing as long as it does not happen
    yield f"    if not {part.rule.length} <= len(data) < {_FRAME_BYTES}:"
    yield from _indent(2, _rejected(part, "length"))
    yield f"    {names}= unpack{part.number}(data.ljust({_FRAME_BYTES}, b'\\0'))"


def _checking(part: Part) -> Iterator[str]:
    if part.rule.check:
        is_wrong = _QUICK_CHECK if _is_quick(part.rule) else f"not check{part.number}(data)"
        yield f"if {is_wrong}:"
        yield f"    due{part.number} = None"  # a counter out of a damaged frame says nothing
        yield from _indent(1, _rejected(part, "crc"))


def _counting(part: Part) -> Iterator[str]:
    f = part.number
    modulus = (1 << part.rule.counter.bits.width) - 1 if part.rule.counter else 0
    yield f"if n == due{f}:"
    yield f"    repeats{f} = 0"
    yield f"elif due{f} is not None:"
    yield f"    if n == due{f} - 1 & {modulus}:"
    yield f"        repeats{f} += 1"
    yield f"        if repeats{f} >= {STUCK_AFTER - 1}:"
    yield from _indent(3, _rejected(part, "counter"))
    yield "    else:"
    yield f"        repeats{f} = 0"
    yield f"        gap({f}, n - due{f} & {modulus})"
    yield f"due{f} = after{f}[n]"


def _values(part: Part, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    seen: set[int] = set()
    for slot in slots:
        lines = list(_value(part, slot, slots, checks=checks))
        if checks and slot.group not in seen:
            seen.add(slot.group)
            lines.insert(0, f"seen{slot.group} = t")
        if slot.rule.selector:
            yield f"if {_expression(slot.rule.selector.field)} == {slot.rule.selector.value}:"
            yield from _indent(1, lines)
        else:
            yield from lines


def _value(part: Part, slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    yield f"r{i} = {_expression(rule.field)}"
    if rule.scales:
        yield f"x{i} = r{i}"
        yield f"k{i} = scale({i}, latest)"
        yield f"r{i} = r{i}, k{i}"
    yield f"if r{i} != last{i}:"
    yield "    fresh = True"
    yield from _indent(1, _changed(part, slot, slots, checks=checks))


def _changed(part: Part, slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    if rule.is_signed:
        width = _width(rule.field)
        yield f"x{i} = r{i} - {1 << width} if r{i} & {1 << width - 1} else r{i}"
    yield from _judged(part, slot, slots) if checks else _accepted(slot)


def _number(slot: Slot) -> str:
    """Return the name of the raw number with its sign."""
    return f"{'x' if slot.rule.is_signed or slot.rule.scales else 'r'}{slot.index}"


def _judged(part: Part, slot: Slot, slots: Sequence[Slot]) -> Iterator[str]:
    i, word = slot.index, "if"
    refusals = (*_refusals(slot, slots),)
    for condition, reason in refusals:
        yield f"{word} {condition}:"
        yield f"    {' = '.join(_dependents(slot, slots))} = value{i} = None"
        yield "    refused = True"
        yield from _indent(1, _told((slot,)))
        # a code of a mapped field that says "cannot tell" is an answer, not a rejection
        is_answer = slot.rule.values is not None and reason == "not_available"
        yield (
            f"    mark({i}, unknown, t)"
            if is_answer
            else f"    invalid({part.number}, {i}, {reason!r}, t)"
        )
        word = "elif"
    if not refusals:
        yield from _accepted(slot)
        return
    yield "else:"
    yield from _indent(1, _accepted(slot))


def _dependents(slot: Slot, slots: Sequence[Slot]) -> Iterator[str]:
    """Yield whose last value is forgotten when ``slot`` is refused: its own, and of its twins."""
    yield f"last{slot.index}"
    for twin in slots:
        if twin.rule.sentinel_of == slot.rule.path:
            yield f"last{twin.index}"


def _refusals(slot: Slot, slots: Sequence[Slot]) -> Iterator[tuple[str, str]]:
    rule = slot.rule
    number = _number(slot)
    conditions = [f"{number} == {code}" for code in rule.sentinels]
    for twin in slots:
        if twin.rule.path == rule.sentinel_of:  # its text comes first, so its raw value is there
            conditions += [f"r{twin.index} == {code}" for code in twin.rule.sentinels]
    if conditions:
        yield " or ".join(conditions), "not_available"
    if rule.scales:
        yield f"k{slot.index} is None", "missing"
    elif rule.values is not None:
        yield f"{number} not in maps[{slot.index}]", "range"
    else:
        yield from _out_of_range(rule, number)


def _out_of_range(rule: SignalRule, number: str) -> Iterator[tuple[str, str]]:
    """Yield the comparison on raw integers, unless no raw value can leave the range."""
    width = _width(rule.field)
    least = -(1 << width - 1) if rule.is_signed else 0
    most = least + (1 << width) - 1
    factor, offset = exact(rule.factor), exact(rule.offset)
    low, high = sorted((exact(bound) - offset) / factor for bound in (rule.minimum, rule.maximum))
    if low > least or high < most:
        yield f"not {-(-low // 1)} <= {number} <= {high // 1}", "range"


def _accepted(slot: Slot) -> Iterator[str]:
    i = slot.index
    yield f"last{i} = r{i}"
    yield f"value{i} = {_scaled(slot)}"
    store = f"held{i}" if slot.is_held else f"latest[p{i}]"
    yield f"{store} = s = new(p{i}, value{i}, ok, t)"
    yield "changes.append(s)"


def _scaled(slot: Slot) -> str:
    i, rule = slot.index, slot.rule
    if rule.values is not None:
        return f"maps[{i}][{_number(slot)}]"
    if rule.scales:
        return f"{_number(slot)} * k{i}"
    # one division of integers: 926 becomes 92.6 and not 92.60000000000001
    factor, offset = exact(rule.factor), exact(rule.offset)
    divisor = factor.denominator * offset.denominator
    times, plus = (factor * divisor).numerator, (offset * divisor).numerator
    number = _number(slot)
    text = number if times == 1 else f"{number} * {times}"
    text = text if plus == 0 else f"({text} + {plus})"
    return f"{text} / {divisor}"


@cache
def exact(number: float) -> Fraction:
    """Return the fraction that ``number`` was written for: 0.1 is 1/10."""
    simple = Fraction(number).limit_denominator(100_000)
    is_close = abs(float(simple) - number) <= 1e-12 * abs(number)
    return simple if is_close else Fraction(number)


def _products(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    by_path = {slot.rule.path: slot.index for slot in slots}
    for i, product in products:
        a, b = (by_path[path] for path in product.of)
        yield "if fresh:"
        yield f"    if value{a} is None or value{b} is None:"
        yield f"        mark({i}, latest[p{a} if value{a} is None else p{b}].quality, t)"
        yield "    else:"
        yield f"        latest[p{i}] = s = new(p{i}, value{a} * value{b}, ok, t)"
        yield "        changes.append(s)"


def _expression(field: Field) -> str:
    """Return the raw unsigned integer of ``field`` over the words w0 to w3."""
    pieces = list(_word_pieces(field))
    remaining = sum(width for _, _, width in pieces)
    parts = []
    for word, shift, width in pieces:
        remaining -= width
        parts.append(_piece(word, shift, width, remaining))
    return " | ".join(parts)


def _piece(word: int, shift: int, width: int, up: int) -> str:
    text = f"w{word}" if shift == 0 else f"w{word} >> {shift}"
    if shift + width < _WORD_BITS:
        text = f"{text} & {(1 << width) - 1}"
    return f"({text}) << {up}" if up else text


def _word_pieces(field: Field) -> Iterator[tuple[int, int, int]]:
    """Merge pieces of bytes that lie side by side in one big-endian word."""
    held: tuple[int, int, int] | None = None
    for word, shift, width in map(_in_word, field):
        if held and held[0] == word and held[1] == shift + width:
            held = (word, shift, held[2] + width)
            continue
        if held:
            yield held
        held = (word, shift, width)
    if held:
        yield held


def _in_word(bits: Bits) -> tuple[int, int, int]:
    word, low = divmod(bits.byte, 2)
    return word, bits.shift + (0 if low else 8), bits.width


def _width(field: Field) -> int:
    return sum(bits.width for bits in field)
