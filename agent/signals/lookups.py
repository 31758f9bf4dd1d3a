"""The look-up tables that the generated text of a decoder reads. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from agent.signals.crc import counted_table, crc8, nibble_sum, word_tables
from agent.signals.fields import in_word
from agent.signals.generate import TABLES, counter_states, counter_step, is_quick
from agent.signals.table import FrameRule

SHORT_IDS: Final = 0x800  # of 11 bits
Key = TypeVar("Key", bound=tuple[str, int])


def checker(rule: FrameRule) -> Callable[[bytes], bool]:
    """Return what tells whether the checksum in a payload of ``rule`` is right."""
    if rule.check == "nibble-sum":
        return lambda data: nibble_sum(rule.can_id, data) == data[-1] & 15
    return lambda data: crc8(data[:-1]) == data[-1]


def following(rule: FrameRule) -> Sequence[int | None]:
    """Return what comes after each reading of the counter; it reads multiples of its step."""
    step, count = counter_step(rule), counter_states(rule)
    after: list[int | None] = [None] * (step * (count - 1) + 1)
    for place in range(count):
        after[place * step] = (place + 1) % count * step
    return tuple(after)


def tables(rule: FrameRule) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield the name and the look-up of each word; that of the counter also reads the counter."""
    if not is_quick(rule):
        return
    for place, name in enumerate(TABLES):
        bits = rule.counter.bits if rule.counter else None
        word, shift = in_word(bits) if bits else (None, 0)
        if bits and word == place:
            yield name, counted_table(place, shift, bits.width)
        else:
            yield name, word_tables()[place]


def lowest(numbers: Mapping[Key, int]) -> list[int | None]:
    """Return the first block of each short id on any bus: a list is read faster than a dict.

    Most frames are wanted by no block, and a few ids are wanted on two buses.
    """
    found: list[int | None] = [None] * SHORT_IDS
    for (_bus, can_id), number in numbers.items():
        if can_id < SHORT_IDS:
            known = found[can_id]
            found[can_id] = number if known is None else min(known, number)
    return found
