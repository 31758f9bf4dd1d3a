import pytest

from agent.signals.crc import crc8, nibble_sum, word_tables

VECTORS = [
    "FF80C5AA00FFC28E",
    "9520B92A00CA921B",
    "FFE0C1460000010A",
    "7FE0FFC6000000DE",
    "B73219B0330F0916",
    "E7800000E1401319",
]


@pytest.mark.parametrize("text", VECTORS)
def test_the_crc_of_a_real_frame_is_its_last_byte(text: str) -> None:
    data = bytes.fromhex(text)
    assert crc8(data[:-1]) == data[-1]


def test_the_short_frame_of_a_ze1_has_the_same_crc() -> None:
    assert crc8(bytes.fromhex("FFE2")) == 0xE7


def by_words(data: bytes) -> int:
    result = 0
    for place, table in enumerate(word_tables()):
        result ^= table[int.from_bytes(data[2 * place : 2 * place + 2])]
    return result


@pytest.mark.parametrize("text", VECTORS)
def test_the_word_tables_say_zero_for_a_right_frame_only(text: str) -> None:
    data = bytes.fromhex(text)
    assert by_words(data) == 0
    for bit in range(64):
        flipped = (int.from_bytes(data) ^ 1 << bit).to_bytes(8)
        assert by_words(flipped) != 0


@pytest.mark.parametrize("text", ["0400010200000003", "0400010200000014", "0400010200000025"])
def test_the_nibble_sum_covers_id_and_payload(text: str) -> None:
    data = bytes.fromhex(text)
    assert nibble_sum(0x390, data) == data[-1] & 15
    assert nibble_sum(0x391, data) != data[-1] & 15
