import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.vehicle.expression import MAX_DEPTH, MAX_LENGTH, ExpressionError, parse

KNOWN = ("Vehicle.Speed", "a", "b", "c")


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("a > 3", {"a": 4.0}, True),
        ("a > 3", {"a": 3.0}, False),
        ("a > 3", {"a": None}, None),
        ("a > 3", {}, None),
        ("a >= 3 and b != 1", {"a": 3.0, "b": 0.0}, True),
        ("a == 1 or b == 1", {"a": None, "b": 1.0}, True),
        ("a == 1 or b == 1", {"a": None, "b": 0.0}, None),
        ("a == 1 and b == 1", {"a": None, "b": 0.0}, False),
        ("a == 1 and b == 1", {"a": None, "b": 1.0}, None),
        ("not a == 1", {"a": 0.0}, True),
        ("not a == 1", {"a": None}, None),
        ("abs(a - b) <= 0.5", {"a": 1.0, "b": 1.5}, True),
        ("-a < -2", {"a": 3.0}, True),
        ("a + b * c == 7", {"a": 1.0, "b": 2.0, "c": 3.0}, True),
        ("(a + b) * c == 9", {"a": 1.0, "b": 2.0, "c": 3.0}, True),
        ("a / b > 1", {"a": 1.0, "b": 0.0}, None),
        ("a - b - c == 0", {"a": 3.0, "b": 2.0, "c": 1.0}, True),
        ("Vehicle.Speed > 0.5 and (a == 1 or not b == 1)", {"Vehicle.Speed": 1.0, "a": 1.0}, True),
        ("a == 1 or b == 1 and c == 1", {"a": 1.0, "b": 0.0, "c": 0.0}, True),
    ],
)
def test_a_condition_is_true_false_or_unknown(
    text: str,
    values: dict[str, float | None],
    answer: bool | None,  # noqa: FBT001 (a column of the table)
) -> None:
    assert parse(text, KNOWN).holds(values) is answer


def test_a_condition_names_the_paths_it_needs() -> None:
    assert parse("a > 1 and abs(b) < 2", KNOWN).paths == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a number or a path, found 'the end'"),
        ("a", "expected a comparison, found a number"),
        ("a > 1 2", "expected the end, found '2'"),
        ("a > (b", r"expected '\)', found 'the end'"),
        ("a > > b", "expected a number or a path, found '>'"),
        ("(a > 1) + 2 > 1", "expected a number, found a comparison"),
        ("a > 1 and b", "expected a comparison, found a number"),
        ("d > 1", "unknown path d"),
        ("__import__('os')", "cannot read from"),
        ("a > 1; b", "cannot read from ';"),
        ("and > 1", "expected a number or a path"),
        ("abs a > 1", r"expected '\('"),
        ("(" * (MAX_DEPTH + 1) + "a > 1" + ")" * (MAX_DEPTH + 1), "at most 24 levels"),
        ("a > " + "1" * MAX_LENGTH, "at most 1000 characters"),
        ("a > 1" + " or a > 1" * 80, "cannot read from"),
    ],
)
def test_what_is_no_condition_says_where(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(text, KNOWN)


@given(st.text(alphabet="ab .><=!+-*/()123notrad", max_size=60))
def test_any_text_is_a_condition_or_an_error(text: str) -> None:
    try:
        expression = parse(text, KNOWN)
    except ExpressionError:
        return
    assert expression.holds({"a": 1.0, "b": math.inf}) in {True, False, None}
