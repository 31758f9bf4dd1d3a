import pytest

from agent.signals.model import Quality
from agent.signals.scaling import Judge, signed
from agent.signals.table import Bits, Scales, SignalRule


def rule(**also: object) -> SignalRule:
    given = {
        "path": "Vehicle.Speed",
        "name": "Speed",
        "field": (Bits(0, 0, 8), Bits(1, 5, 3)),
        "is_signed": True,
        "factor": 0.1,
        "minimum": -50.0,
        "maximum": 50.0,
        "sentinels": (1023,),
        "step": 0.1,
        "stale_s": 1.0,
    }
    return SignalRule(**(given | also))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0, 0.0),
        (463, 46.3),  # not 46.300000000000004
        (0x7FF, -0.1),
        (500, 50.0),
        (501, Quality.RANGE),
        (0x600, Quality.RANGE),
        (1023, Quality.SENTINEL),
    ],
)
def test_the_same_bits_are_one_value_or_one_reason(raw: int, value: float | Quality) -> None:
    assert Judge(rule())(raw) == value


def test_without_checks_every_number_is_a_value_but_an_unknown_word_is_none() -> None:
    assert Judge(rule(), checks=False)(1023) == 102.3
    assert Judge(rule(values={1: 126.0}), checks=False)(2) is Quality.RANGE
    assert Judge(rule(values={1: 126.0}), checks=False)(1) == 126.0


def test_bits_without_a_sign_stay_as_they_are() -> None:
    assert signed(rule(is_signed=False), 0x7FF) == 0x7FF


def test_the_range_of_a_value_in_two_units_is_not_judged_before_its_unit_is_known() -> None:
    told = rule(scales=Scales("Vehicle.Miles", {0: 1000.0}), is_signed=False)
    assert Judge(told)(2000) == 200.0
