"""The two checksums of the vehicle's frames, and the tables that make the CRC quick. Pure.

Source: measured over every frame of all recordings (docs: vehicle facts, integrity rules).
"""

from array import array
from collections.abc import Sequence
from functools import cache
from typing import Final

POLYNOMIAL: Final = 0x85  # CRC-8, most significant bit first, start 0, no reflection, no final XOR


def _one_byte(value: int) -> int:
    for _ in range(8):
        value = (value << 1) ^ (POLYNOMIAL | 0x100 if value & 0x80 else 0)
    return value


BYTE_TABLE: Final = bytes(_one_byte(value) for value in range(256))


def crc8(data: bytes) -> int:
    """Return the CRC-8 of ``data``; in a frame it stands in the last byte, over all others."""
    crc = 0
    for byte in data:
        crc = BYTE_TABLE[crc ^ byte]
    return crc


_NIBBLES: Final = bytes((value >> 4) + (value & 15) for value in range(256))


def nibble_sum(can_id: int, data: bytes) -> int:
    """Return the 4-bit checksum of a frame whose lowest nibble of ``data`` is left for it.

    The sum of all other nibbles of the payload and of the id, modulo 16.
    """
    id_sum = sum(can_id.to_bytes(4).translate(_NIBBLES))
    return (sum(data.translate(_NIBBLES)) - (data[-1] & 15) + id_sum) & 15


@cache
def word_tables() -> tuple[Sequence[int], ...]:
    """Return four tables over 16-bit words whose XOR is 0 exactly for a frame of 8 right bytes.

    The CRC is linear: it is the XOR of what each byte adds at its place, so of what each pair of
    bytes adds. Four look-ups replace seven dependent steps (half the time, 2 MB).
    """
    swap = [bytes(value ^ mask for value in range(256)) for mask in range(256)]
    places = [bytes(range(256))]  # byte 7 is the checksum itself
    for _ in range(7):
        places.append(places[-1].translate(BYTE_TABLE))
    places.reverse()
    tables = []
    for high, low in zip(places[::2], places[1::2], strict=True):
        tables.append(b"".join(low.translate(swap[value]) for value in high))
    return tuple(tables)


@cache
def counted_table(word: int, shift: int, width: int) -> Sequence[int]:
    """Return ``word_tables()[word]`` with what a counter of that word reads in the bits above 8.

    The XOR of four such look-ups is ``counter << 8`` exactly for a frame of 8 right bytes, so one
    comparison proves both. ``shift`` counts from the lowest bit of the word.
    """
    mask = (1 << width) - 1
    table = word_tables()[word]
    return array("H", (crc | (n >> shift & mask) << 8 for n, crc in enumerate(table)))
