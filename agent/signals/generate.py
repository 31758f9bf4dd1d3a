"""The source text of a whole vehicle's decoder. Pure: rules in, text out.

Why generate: a table interpreted for every frame costs several look-ups per signal; the same rule
as straight-line Python costs a shift and a comparison. The text is made from the compiled table
alone (integers, floats and our own names; never a string from a bus or a file), and executed once
when a Decoder is made. It is one generator, fed a batch at a time: its local variables live from
batch to batch, and locals are the quickest memory that Python has. What was measured on the way
stands in docs/adr/0020.

Shape (here one frame with one signal)::

    def run(new, ok, latest, changes, ...):
        last0 = None                          # raw value emitted last; None: emit the next one
        due0, repeats0, still0, calm0 = None, 0, 0, False
        while True:
            frames, forgotten = yield
            if forgotten: ...                 # what became stale is emitted again
            for frame in frames:
                k = blocks[frame.can_id]      # most frames are wanted by no block
                if k is None: continue
                if k is k1:
                    if frame.bus is bus0 or frame.bus == bus0:
                        if calm0:
                            n = known0(frame.data)    # right before, and changed nothing
                            if n is not None: ...
                        w0, w1, w2, w3 = unpack0(frame.data)
                        n = a0[w0] ^ b0[w1] ^ c0[w2] ^ d0[w3]   # checksum and counter
                        if n == due0: ...
                        seen0 = frame
                        r0 = w1 >> 6
                        if r0 != last0: ...   # only now: value or reason, a new Signal
                        continue
                    k = elsewhere(frame)      # the same id on another bus
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from agent.signals.fields import WORDS, expression, width, words_in
from agent.signals.scaling import possible, ratio, raw_bounds
from agent.signals.table import FrameRule, Product, SignalRule

TABLES: Final = "abcd"  # of the four words
STUCK_AFTER: Final = 5  # equal counters in a row; fewer can be a repeat, or lost frames
NARROW_BITS: Final = 12  # the value of each raw number of such a field is remembered
_FRAME_BYTES: Final = 8
# A rolling counter has 4 payloads, with a bit that toggles 8. Who has more brings other news in
# each frame: remembering them would cost more than it saves.
_CALM_AFTER: Final = 3  # frames without a change
_MAX_QUIET: Final = 36


Products = Sequence[tuple[int, Product]]  # index and rule


class Slot(Struct, frozen=True):
    """One rule at its place in the decoder: ``index`` counts over the whole vehicle."""

    index: int
    group: int  # which ``seen`` time tells its age
    rule: SignalRule
    is_held: bool = True  # nothing reads ``latest`` of this path in mid-batch

    @property
    def is_narrow(self) -> bool:
        """Whether the value of each of its raw numbers is remembered."""
        return width(self.rule.field) <= NARROW_BITS and not self.rule.scales


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
    groups = sorted({slot.group for part in parts for slot in part.slots})
    return "\n".join(
        (
            f"def run({', '.join(names)}):",
            *_indent(1, (line for part in parts for line in _start(part))),
            *_indent(1, (f"seen{group} = None" for group in groups)),
            "    while True:",
            "        frames, forgotten = yield",
            "        if forgotten:",
            *_indent(3, (line for part in parts for line in _forget(part))),
            "            pass",
            "        for frame in frames:",
            "            try:",
            "                k = blocks[frame.can_id]",
            "            except IndexError:",  # an extended id
            "                k = elsewhere(frame)",
            "            if k is None: continue",  # most frames
            *_indent(3, (line for part in parts for line in _block(part, checks=checks))),
            "            if k is not None: listen(frame)",
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
    """Yield the end of a batch: which frame came last is in locals until then."""
    for group in groups:
        yield f"if seen{group} is not None: seen[{group}] = seen{group}.time_s; seen{group} = None"


def _start(part: Part) -> Iterator[str]:
    f = part.number
    yield f"due{f}, repeats{f}, still{f}, calm{f} = None, 0, 0, False"
    yield f"{' = '.join(_state(part.slots, part.products))} = None"
    yield f"{' = '.join(f'held{slot.index}' for slot in part.slots)} = None"


def _forget(part: Part) -> Iterator[str]:
    for slot in part.slots:
        yield f"if {slot.index} in forgotten:"
        yield f"    {' = '.join(_state((slot,), part.products))} = None"
        yield f"    hush{part.number}()"


def _block(part: Part, *, checks: bool) -> Iterator[str]:
    f = part.number
    # `is`, not `==`: CPython takes a comparison with a far jump behind it the slow way
    yield f"if k is k{f}:"
    yield f"    if frame.bus is bus{f} or frame.bus == bus{f}:"
    yield from _indent(2, _body(part, checks=checks))
    yield "        continue"
    yield "    k = elsewhere(frame)"  # a block further down, or none


def _body(part: Part, *, checks: bool) -> Iterator[str]:
    f, frame = part.number, part.rule
    slots = sorted(part.slots, key=lambda slot: slot.rule.sentinel_of is not None)
    counts = checks and frame.counter is not None
    # a multiplexer or a unit from elsewhere: the same bytes do not always mean the same
    is_memorable = not any(slot.rule.selector or slot.rule.scales for slot in slots)
    if is_memorable:
        yield f"if calm{f}:"  # only then is it likely that these bytes were here before
        yield f"    n = known{f}(frame.data)"
        yield "    if n is not None:"
        yield from _indent(2, _counting(part, is_proven=True) if counts else ())
        yield from _indent(2, _see(slots) if checks else ())
        yield "        continue"
    yield from _unpack(part, words_of(part, checks=checks))
    yield from _proving(part) if checks else ()
    yield "fresh = False"
    yield from _values(part, slots, checks=checks)
    yield from _products(slots, part.products)
    if is_memorable:
        yield from _remember(f, "n" if counts else "0")


def _remember(f: int, known: str) -> Iterator[str]:
    yield "if fresh:"
    yield f"    still{f} = 0"
    yield f"    if calm{f}:"
    yield f"        calm{f} = False"
    yield f"        hush{f}()"
    yield "else:"
    yield f"    still{f} += 1"
    yield f"    if {_CALM_AFTER} <= still{f} < {_CALM_AFTER + _MAX_QUIET}:"
    yield f"        calm{f} = True"
    yield f"        quiet{f}[frame.data] = {known}"
    yield f"    elif calm{f}:"
    yield f"        calm{f} = False"
    yield f"        hush{f}()"


def _rejected(part: Part, how: str) -> Iterator[str]:
    """Yield what happens to a frame that is refused as a whole."""
    yield f"{' = '.join(_state(part.slots, part.products))} = None"
    yield f"hush{part.number}()"
    yield from _see(part.slots)  # the frame is there: wrong, but not stale
    yield from _told(part.slots)
    yield f"reject({part.number}, {how!r}, frame.time_s)"
    yield "continue"


def _see(slots: Sequence[Slot]) -> Iterator[str]:
    return (f"seen{group} = frame" for group in sorted({slot.group for slot in slots}))


def _state(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    """Yield the names that outlive one call: last raw values, and the factors of products."""
    factors = {path for _, product in products for path in product.of}
    for slot in slots:
        yield f"last{slot.index}"
        if slot.rule.path in factors:
            yield f"value{slot.index}"


def _indent(levels: int, lines: Iterable[str]) -> Iterator[str]:
    return ("    " * levels + line for line in lines)


def words_of(part: Part, *, checks: bool) -> list[int]:
    """Return which of the four big-endian words of a frame its text reads; never none."""
    if checks and is_quick(part.rule):
        return [*range(WORDS)]
    fields = [slot.rule.field for slot in part.slots]
    fields += [slot.rule.selector.field for slot in part.slots if slot.rule.selector]
    fields += [(part.rule.counter.bits,)] if part.rule.counter and checks else []
    return sorted(set().union(*map(words_in, fields)))


def is_quick(frame: FrameRule) -> bool:
    """Tell whether look-ups of whole words prove the checksum of ``frame``."""
    return frame.check == "crc8-85" and frame.length == _FRAME_BYTES


def counter_states(frame: FrameRule) -> int:
    """Return how many readings the counter of ``frame`` has; 1 without one."""
    return 1 << frame.counter.bits.width if frame.counter else 1


def counter_step(frame: FrameRule) -> int:
    """Return by how much ``n`` grows with the counter: the look-ups leave 8 bits below it."""
    return 256 if is_quick(frame) else 1


def _unpack(part: Part, words: Sequence[int]) -> Iterator[str]:
    names = "".join(f"w{word}, " for word in words)
    yield "try:"
    yield f"    {names}= unpack{part.number}(frame.data)"
    yield "except error:"  # costs nothing as long as it does not happen
    yield f"    if not {part.rule.length} <= len(frame.data) < {_FRAME_BYTES}:"
    yield from _indent(2, _rejected(part, "length"))
    yield f"    {names}= unpack{part.number}(frame.data.ljust({_FRAME_BYTES}, b'\\0'))"


def _proving(part: Part) -> Iterator[str]:
    """Yield checksum and counter; ``n`` is the counter, shifted where the tables leave it."""
    f, frame = part.number, part.rule
    if is_quick(frame):
        yield f"n = {' ^ '.join(f'{letter}{f}[w{word}]' for word, letter in enumerate(TABLES))}"
    elif frame.counter:
        yield f"n = {expression((frame.counter.bits,))}"
    if frame.counter:
        yield from _counting(part, is_proven=not frame.check)
    elif frame.check:
        yield f"if {_is_wrong(part)}:"
        yield from _indent(1, _rejected(part, "crc"))


def _is_wrong(part: Part) -> str:
    return "n & 255" if is_quick(part.rule) else f"not check{part.number}(frame.data)"


def _counting(part: Part, *, is_proven: bool) -> Iterator[str]:
    """Yield the counter's rule; the checksum is looked at where ``is_proven`` does not say so."""
    f, frame = part.number, part.rule
    if is_quick(frame) or is_proven:
        yield f"if n == due{f}:"
        yield f"    repeats{f} = 0"
        yield "else:"
        yield from _indent(1, _doubted(part, is_proven=is_proven))
    else:
        yield from _doubted(part, is_proven=is_proven)
    yield f"due{f} = after{f}[n]"


def _doubted(part: Part, *, is_proven: bool) -> Iterator[str]:
    f = part.number
    if not is_proven:
        yield f"if {_is_wrong(part)}:"
        yield f"    due{f} = None"  # a counter out of a damaged frame says nothing
        yield from _indent(1, _rejected(part, "crc"))
    yield f"if n == due{f}:"
    yield f"    repeats{f} = 0"
    yield f"elif due{f} is not None:"
    yield f"    lost = gap({f}, n, due{f})"
    yield f"    repeats{f} = 0 if lost else repeats{f} + 1"
    yield f"    if repeats{f} >= {STUCK_AFTER - 1}:"
    yield from _indent(2, _rejected(part, "counter"))


def _values(part: Part, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    seen: set[int] = set()
    for slot in slots:
        lines = list(_value(part, slot, slots, checks=checks))
        if checks and slot.group not in seen:
            seen.add(slot.group)
            lines.insert(0, f"seen{slot.group} = frame")
        if slot.rule.selector:
            yield f"if {expression(slot.rule.selector.field)} == {slot.rule.selector.value}:"
            yield from _indent(1, lines)
        else:
            yield from lines


def _value(part: Part, slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    yield f"r{i} = {expression(rule.field)}"
    raw = f"r{i}"
    if rule.scales:
        yield f"u{i} = scale({i}, latest)"
        raw = f"(r{i}, u{i})"  # the same bits in another unit are another value
    yield f"if {raw} != last{i}:"
    yield "    fresh = True"
    reading = _remembered(slot) if slot.is_narrow else _computed(slot)
    yield from _indent(1, reading)
    fits = " and ".join(_fits(slot, slots, checks=checks))
    if not fits:
        yield from _indent(1, _accepted(slot, raw))
        return
    yield f"    if {fits}:"
    yield from _indent(2, _accepted(slot, raw))
    yield "    else:"
    yield f"        {' = '.join(_dependents(slot, slots))} = value{i} = None"
    yield from _indent(2, _told((slot,)))
    yield f"        refuse({part.number}, {i}, r{i}, frame.time_s)"


def _remembered(slot: Slot) -> Iterator[str]:
    i = slot.index
    yield f"try: value{i} = v{i}[r{i}]"
    yield f"except KeyError: value{i} = learn({i}, r{i})"


def _computed(slot: Slot) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    if rule.is_signed:
        bits = width(rule.field)
        yield f"x{i} = r{i} - {1 << bits} if r{i} & {1 << bits - 1} else r{i}"


def _number(slot: Slot) -> str:
    """Return the name of the raw number with its sign."""
    return f"{'x' if slot.rule.is_signed else 'r'}{slot.index}"


def _fits(slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    """Yield what has to hold for a value; a narrow field was judged when it was learnt."""
    rule = slot.rule
    if slot.is_narrow:
        yield f"value{slot.index} is not None"
    elif rule.scales:
        yield f"u{slot.index} is not None"
    if not checks:
        return
    if not slot.is_narrow:
        yield from (f"{_number(slot)} != {code}" for code in rule.sentinels)
        yield from _in_range(slot)
    for twin in slots:
        if twin.rule.path == rule.sentinel_of:  # its text comes first, so its raw value is there
            yield from (f"r{twin.index} != {code}" for code in twin.rule.sentinels)


def _in_range(slot: Slot) -> Iterator[str]:
    """Yield the comparison on raw integers, unless no raw value can leave the range."""
    rule = slot.rule
    if rule.values is not None:
        yield f"{_number(slot)} in maps[{slot.index}]"
    elif rule.scales:
        yield f"{rule.minimum!r} <= {_number(slot)} * u{slot.index} <= {rule.maximum!r}"
    else:
        (low, high), (least, most) = raw_bounds(rule), possible(rule)
        if low > least:
            yield f"{_number(slot)} >= {low}"
        if high < most:
            yield f"{_number(slot)} <= {high}"


def _dependents(slot: Slot, slots: Sequence[Slot]) -> Iterator[str]:
    """Yield whose last value is forgotten when ``slot`` is refused: its own, and of its twins."""
    yield f"last{slot.index}"
    for twin in slots:
        if twin.rule.sentinel_of == slot.rule.path:
            yield f"last{twin.index}"


def _accepted(slot: Slot, raw: str) -> Iterator[str]:
    i = slot.index
    yield f"last{i} = {raw}"
    if not slot.is_narrow:
        yield f"value{i} = {_scaled(slot)}"
    store = f"held{i}" if slot.is_held else f"latest[p{i}]"
    yield f"{store} = s = new(p{i}, value{i}, ok, frame.time_s)"
    yield "changes.append(s)"


def _scaled(slot: Slot) -> str:
    number = _number(slot)
    if slot.rule.values is not None:
        return f"maps[{slot.index}][{number}]"
    if slot.rule.scales:
        return f"{number} * u{slot.index}"
    times, plus, divisor = ratio(slot.rule)
    text = number if times == 1 else f"{number} * {times}"
    text = text if plus == 0 else f"({text} + {plus})"
    return f"{text} / {divisor}"


def _products(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    by_path = {slot.rule.path: slot.index for slot in slots}
    for i, product in products:
        a, b = (by_path[path] for path in product.of)
        yield "if fresh:"
        yield f"    if value{a} is None or value{b} is None:"
        yield f"        mark({i}, latest[p{a} if value{a} is None else p{b}].quality, frame.time_s)"
        yield "    else:"
        yield f"        latest[p{i}] = s = new(p{i}, value{a} * value{b}, ok, frame.time_s)"
        yield "        changes.append(s)"
