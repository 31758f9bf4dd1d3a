"""The column coder: exact, bounded, and refusing everything it would not have written."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.codec.columns import MAX_VALUE, decode_columns, encode_columns
from telemetry.codec.errors import CodecError
from telemetry.codec.models import (
    Calm,
    ColumnModel,
    Grid,
    Model,
    Move,
    Predictor,
    Term,
    calm_base,
    external,
    generic_model,
    pack_odds,
    trained_model,
    unpack_odds,
)
from telemetry.codec.rangecoder import (
    MAX_ANSWERS_PER_BYTE,
    ONE,
    RATES,
    SUREST,
    Decoder,
    Encoder,
    Slots,
    raw_step,
)
from telemetry.codec.residuals import (
    ANY_MISSING,
    CALM,
    CALM_CLASSES,
    FIRST_VALUE,
    NEGATIVE,
    PREDICTOR,
    SLOTS,
    TOO_LARGE,
    any_steps,
    large_residual,
    tree,
)
from telemetry.codec.schemas import SCHEMAS

DRIVE = [
    [second * 1000 for second in range(300)],
    [700 - second % 13 for second in range(300)],
    [second % 13 * 10 - 80 for second in range(300)],
]


def decode(data: bytes, model: Model | None = None) -> list[list[int | None]]:
    return decode_columns(data, max_rows=200_000, max_columns=8, model=model)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), max_size=300))
def test_decisions_come_back_in_their_order(decisions: list[tuple[int, int]]) -> None:
    coder = Encoder()
    slots = Slots([ONE // 2, 1, ONE - 1, 200, SUREST], [0] * 5)
    coder.put(slots, [slot << 1 | answer for slot, answer in decisions])
    decoder = Decoder(coder.finish())
    slots = Slots([ONE // 2, 1, ONE - 1, 200, SUREST], [0] * 5)
    assert [decoder.get(slots, slot) for slot, _ in decisions] == [a for _, a in decisions]
    decoder.finish()


@given(st.lists(st.tuples(st.integers(0, 127), st.integers(0)), max_size=30))
def test_raw_bits_come_back_in_their_order(parts: list[tuple[int, int]]) -> None:
    coder, slots = Encoder(), Slots([ONE // 3], [0])
    for count, bits in parts:
        coder.put(slots, [raw_step(bits, count), 1])
    decoder, slots = Decoder(coder.finish()), Slots([ONE // 3], [0])
    for count, bits in parts:
        assert decoder.get_raw(count) == bits & (1 << count) - 1
        assert decoder.get(slots, 0) == 1
    decoder.finish()


def told(decoder: Decoder, slots: Slots, calm: int, quarter: int) -> int:
    node = tree(calm, quarter)
    while node[0] >= 0:
        node = node[1] if decoder.get(slots, node[0]) else node[2]
    if node is TOO_LARGE:
        return large_residual(decoder, slots, calm, quarter)
    distance: int = node[1] << node[2] | decoder.get_raw(node[2])
    return -distance if node[0] == NEGATIVE else distance


@given(
    st.integers(0, FIRST_VALUE),
    st.integers(0, 3),
    st.integers(-(2**66) + 1, 2**66 - 1) | st.integers(-300, 300) | st.integers(-(2**22), 2**22),
)
def test_any_distance_comes_back(calm: int, quarter: int, residual: int) -> None:
    coder, slots = Encoder(), generic_model(1).slots(0)
    coder.put(slots, any_steps(calm, quarter, residual))
    decoder, slots = Decoder(coder.finish()), generic_model(1).slots(0)
    assert told(decoder, slots, calm, quarter) == residual
    decoder.finish()


@pytest.mark.parametrize("calm", range(FIRST_VALUE + 1))
def test_a_distance_asks_the_same_slots_forwards_and_backwards(calm: int) -> None:
    for residual in range(-40, 41):
        node, raw = tree(calm, 2), 0
        for step in any_steps(calm, 2, residual):
            if step < 0:
                raw = ~step >> 7
                continue
            assert node[0] == step >> 1
            node = node[1] if step & 1 else node[2]
        distance = node[1] << node[2] | raw
        assert (-distance if node[0] == NEGATIVE else distance) == residual


def test_a_slot_never_gets_surer_than_the_ratio_limit_assumes() -> None:
    slots = Slots([SUREST, ONE - SUREST], [len(RATES) - 1] * 2)
    coder = Encoder()
    for _ in range(100_000):
        coder.put(slots, [1, 2])
    assert ONE - slots.chances[0] >= 127
    assert slots.chances[1] >= 127
    assert MAX_ANSWERS_PER_BYTE * len(coder.finish()) >= 200_000


def test_the_class_grows_by_two_with_each_doubling() -> None:
    assert [CALM[32 << doublings] for doublings in range(7)] == [6, 8, 10, 12, 14, 16, 18]
    assert [CALM[48 << doublings] for doublings in range(7)] == [7, 9, 11, 13, 15, 17, 19]
    assert list(CALM) == sorted(CALM)
    assert (CALM[0], CALM[-1]) == (0, CALM_CLASSES - 1)


@pytest.mark.parametrize(
    "table",
    [
        [],
        [[]],
        [[], []],
        [[None]],
        [[None] * 9, [1] * 9],
        [[MAX_VALUE, -MAX_VALUE, MAX_VALUE, 0]],
        [[None, 5, None, None, 6, None]],
        [[1 << 40] * 3, [0, 1, 2]],
    ],
)
def test_odd_tables_come_back(table: list[list[int | None]]) -> None:
    assert decode(encode_columns(table)) == table


def test_a_day_that_never_changes_costs_bytes_and_comes_back() -> None:
    table: list[list[int | None]] = [[7] * 100_000]
    data = encode_columns(table)
    assert 100_000 / MAX_ANSWERS_PER_BYTE < len(data) < 60
    assert decode(data) == table


def test_noise_costs_little_more_than_its_bits() -> None:
    noise = random.Random(5)
    table: list[list[int | None]] = [[noise.randrange(-128, 128) for _ in range(4000)]]
    assert len(encode_columns(table)) < 4000 * 1.2


def test_every_longer_block_is_refused() -> None:
    data = encode_columns(DRIVE)
    for byte in range(256):
        with pytest.raises(CodecError, match="do not end where they should"):
            decode(data + bytes([byte]))


def test_no_shorter_block_is_taken_for_the_whole_one() -> None:
    data = encode_columns(DRIVE)
    refused = 0
    for cut in range(len(data)):  # the code is dense: a cut may be another table, never this one
        try:
            assert decode(data[:cut]) != DRIVE
        except CodecError:
            refused += 1
    assert refused > len(data) - 4


def test_more_values_than_the_bytes_can_hold_are_refused() -> None:
    rows_200_000 = b"\x02\xc0\x9a\x0c\x08"
    with pytest.raises(CodecError, match="1600000 values cannot be in 3 bytes") as caught:
        decode(rows_200_000 + b"abc")
    assert caught.value.code == "codec.too_large"


def test_another_format_is_refused_by_its_number() -> None:
    with pytest.raises(CodecError, match="expected format 2 or 3, got 1") as caught:
        decode(b"\x01" + encode_columns(DRIVE)[1:])
    assert caught.value.code == "codec.version"


def test_a_head_that_never_ends_is_refused() -> None:
    with pytest.raises(CodecError, match="head ends too early"):
        decode(b"\x02" + b"\xff" * 20)


@pytest.mark.parametrize("residual", [2**63, -(2**63), 2**66, 2**70])
def test_a_value_that_leaves_64_bits_is_refused(residual: int) -> None:
    coder, slots = Encoder(), generic_model(1).slots(0)
    coder.put(slots, [ANY_MISSING << 1, PREDICTOR << 1, *any_steps(FIRST_VALUE, 0, residual)])
    with pytest.raises(CodecError, match="a value beyond 64 bits") as caught:
        decode(b"\x02\x01\x01" + coder.finish())
    assert caught.value.code == "codec.range"


def test_a_model_that_knows_the_physics_pays() -> None:
    ohm = Predictor(own=(ONE, 0, 0), terms=(Term(ONE // 10, 2, 0), Term(-ONE // 10, 2, 1)))
    columns = (ColumnModel(), ColumnModel(predictors=(ohm,)), ColumnModel())
    model = Model((0, 2, 1), columns, generic_model(3).odds)
    wave = random.Random(3)
    amps = [wave.randrange(-400, 400) for _ in range(300)]
    table: list[list[int | None]] = [[*DRIVE[0]], [700 + amp // 10 for amp in amps], [*amps]]
    with_model, without = encode_columns(table, model=model), encode_columns(table)
    assert len(with_model) < 0.85 * len(without)
    assert decode(with_model, model) == table


def test_a_model_for_other_columns_is_refused() -> None:
    model = generic_model(2)
    with pytest.raises(ValueError, match="expected a model of 3 columns, got 2"):
        encode_columns(DRIVE, model=model)
    with pytest.raises(CodecError, match="expected 2 columns, got 3"):
        decode(encode_columns(DRIVE), model)


def test_terms_look_earlier_later_and_at_products() -> None:
    known = [[1, 2, 3, 4], [10, 20, 30, 40]]
    predictor = Predictor(
        constant=ONE,
        terms=(Term(ONE, 0, 1), Term(ONE, 0, -1), Term(ONE, 1, 0, times=0, shift=1)),
    )
    totals = external(predictor, known, 4)
    assert [total >> 16 for total in totals] == [
        1 + 1 + 2 + 5,
        1 + 1 + 3 + 20,
        1 + 2 + 4 + 45,
        1 + 3 + 4 + 80,
    ]


def test_a_map_is_straight_between_its_knots_and_flat_beyond() -> None:
    heights = tuple(ONE * at for at in (0, 100, 200, 0, 300, 600))
    grid = Grid(x=0, y=1, lag=0, x_knots=(0, 10, 20), y_knots=(0, 100), heights=heights)
    known = [[0, 5, 10, 20, 99, -7, 10, 10], [0, 0, 0, 0, -5, 0, 50, 900]]
    totals = external(Predictor(grids=(grid,)), known, 8)
    assert [total >> 16 for total in totals] == [0, 50, 100, 200, 200, 0, 200, 300]


def test_how_calm_it_is_follows_other_columns() -> None:
    known = [[5, 5, 9, -1]]
    calm = Calm(constant=3, moves=(Move(2, 0, 0, 1), Move(1, 0, 0, None), Move(1, 0, 0, -1)))
    assert calm_base(calm, known, 4) == [3 + 5, 3 + 5 + 4, 3 + 8 + 9 + 10, 3 + 20 + 1]


def test_odds_are_kept_as_text_without_loss() -> None:
    noise = random.Random(1)
    odds = [
        Slots([noise.randrange(1, ONE) for _ in range(SLOTS)], [noise.randrange(120)] * SLOTS)
        for _ in range(3)
    ]
    back = unpack_odds(pack_odds(odds), 3)
    assert [(slots.chances, slots.asked) for slots in back] == [
        (slots.chances, slots.asked) for slots in odds
    ]
    with pytest.raises(ValueError, match="expected odds of 2 columns, got 3"):
        trained_model((0, 1), (ColumnModel(), ColumnModel()), pack_odds(odds))


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_schemas_model_starts_within_the_ratio_limit(schema: object) -> None:
    model = schema.model  # type: ignore[attr-defined]
    assert sorted(model.order) == list(range(len(schema.columns)))  # type: ignore[attr-defined]
    for slots in model.odds:
        assert all(ONE - SUREST <= chance <= SUREST for chance in slots.chances)
        assert all(0 <= asked < len(RATES) for asked in slots.asked)
