"""Conditions over signals as text: a small language with its own parser; nothing is executed. Pure.

Grammar::

    either     = both *("or" both)
    both       = negation *("and" negation)
    negation   = "not" negation / comparison
    comparison = sum [("<" / "<=" / ">" / ">=" / "==" / "!=") sum]
    sum        = term *(("+" / "-") term)
    term       = factor *(("*" / "/") factor)
    factor     = number / path / "-" factor / "abs" "(" sum ")" / "(" either ")"

A path is a VSS path of the catalogue. An unknown value makes whatever depends on it unknown, not
false: ``None`` is neither. Dividing by zero is unknown too.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

MAX_LENGTH: Final = 1_000  # characters
MAX_DEPTH: Final = 24  # parentheses and negations inside each other
MAX_TOKENS: Final = 200

Values = Mapping[str, float | None]
_Number = Callable[[Values], float | None]
_Truth = Callable[[Values], bool | None]
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z][\w.]*)|(?P<sign><=|>=|==|!=|[-+*/()<>]))"
)
_WORDS: Final = frozenset({"and", "or", "not", "abs"})


class ExpressionError(ValueError):
    """The text is not a condition; the message says where it stops being one."""

    code = "vehicle.expression"


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition. ``paths`` are the signals it needs; ``holds`` answers true, false or unknown."""

    text: str
    paths: frozenset[str]
    holds: _Truth


def parse(text: str, known: Collection[str]) -> Expression:
    """Return the condition that ``text`` says; every path in it must be in ``known``.

    Raises:
        ExpressionError: Not of the grammar, an unknown path, or larger than allowed.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"expected at most {MAX_LENGTH} characters, got {len(text)}")
    return _Parser(text, known).parse()


class _Parser:
    def __init__(self, text: str, known: Collection[str]) -> None:
        self._text = text
        self._known = known
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self._paths: set[str] = set()

    def parse(self) -> Expression:
        kind, run = self._either()
        if self._at < len(self._tokens):
            raise self._error("the end")
        return Expression(self._text, frozenset(self._paths), _as_truth(kind, run, self._text))

    def _either(self) -> tuple[str, "_Number | _Truth"]:
        return self._chain("or", self._both, _or)

    def _both(self) -> tuple[str, "_Number | _Truth"]:
        return self._chain("and", self._negation, _and)

    def _chain(
        self,
        word: str,
        part: Callable[[], tuple[str, "_Number | _Truth"]],
        join: Callable[[_Truth, _Truth], _Truth],
    ) -> tuple[str, "_Number | _Truth"]:
        kind, run = part()
        while self._take(word):
            left = _as_truth(kind, run, self._text)
            right = _as_truth(*part(), self._text)
            kind, run = "truth", join(left, right)
        return kind, run

    def _negation(self) -> tuple[str, "_Number | _Truth"]:
        if not self._take("not"):
            return self._comparison()
        with_depth = self._deeper(self._negation)
        inner = _as_truth(*with_depth, self._text)
        return "truth", lambda values: _not(inner(values))

    def _comparison(self) -> tuple[str, "_Number | _Truth"]:
        kind, run = self._sum()
        for sign, compare in _COMPARISONS.items():
            if self._take(sign):
                left = _as_number(kind, run, self._text)
                right = _as_number(*self._sum(), self._text)
                return "truth", _compared(left, right, compare)
        return kind, run

    def _sum(self) -> tuple[str, "_Number | _Truth"]:
        return self._arithmetic(("+", "-"), self._term)

    def _term(self) -> tuple[str, "_Number | _Truth"]:
        return self._arithmetic(("*", "/"), self._factor)

    def _arithmetic(
        self, signs: tuple[str, str], part: Callable[[], tuple[str, "_Number | _Truth"]]
    ) -> tuple[str, "_Number | _Truth"]:
        kind, run = part()
        while (sign := self._peek()) in signs:
            self._at += 1
            left = _as_number(kind, run, self._text)
            right = _as_number(*part(), self._text)
            kind, run = "number", _calculated(left, right, sign)
        return kind, run

    def _factor(self) -> tuple[str, "_Number | _Truth"]:
        if self._take("-"):
            inner = _as_number(*self._deeper(self._factor), self._text)
            return "number", lambda values: _minus(inner(values))
        if self._take("abs"):
            inner = _as_number(*self._bracket(self._sum), self._text)
            return "number", lambda values: _absolute(inner(values))
        if self._peek() == "(":
            return self._bracket(self._either)
        return "number", self._leaf()

    def _leaf(self) -> _Number:
        token = self._peek()
        if token[:1].isdigit():
            self._at += 1
            value = float(token)
            return lambda _values: value
        if not token[:1].isalpha() or token in _WORDS:
            raise self._error("a number or a path")
        if token not in self._known:
            raise ExpressionError(f"{self._text}: unknown path {token}; see the catalogue")
        self._at += 1
        self._paths.add(token)
        return lambda values: values.get(token)

    def _bracket(
        self, part: Callable[[], tuple[str, "_Number | _Truth"]]
    ) -> tuple[str, "_Number | _Truth"]:
        self._expect("(")
        found = self._deeper(part)
        self._expect(")")
        return found

    def _deeper(
        self, part: Callable[[], tuple[str, "_Number | _Truth"]]
    ) -> tuple[str, "_Number | _Truth"]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"expected at most {MAX_DEPTH} levels: {self._text[:60]}")
        found = part()
        self._depth -= 1
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, token: str) -> bool:
        is_here = self._peek() == token
        self._at += is_here
        return is_here

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise self._error(f"'{token}'")

    def _error(self, expected: str) -> ExpressionError:
        found = self._peek() or "the end"
        return ExpressionError(f"{self._text}: expected {expected}, found '{found}'")


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or len(found) >= MAX_TOKENS:
            raise ExpressionError(f"{text[:60]}: cannot read from '{text[at : at + 20].strip()}'")
        found.append(match[match.lastgroup or 0])
        at = match.end()
    return found


def _as_truth(kind: str, run: "_Number | _Truth", text: str) -> _Truth:
    if kind != "truth":
        raise ExpressionError(f"{text}: expected a comparison, found a number")
    return run  # type: ignore[return-value]  # ``kind`` says which of the two it is


def _as_number(kind: str, run: "_Number | _Truth", text: str) -> _Number:
    if kind != "number":
        raise ExpressionError(f"{text}: expected a number, found a comparison")
    return run


def _or(left: _Truth, right: _Truth) -> _Truth:
    def run(values: Values) -> bool | None:
        one, two = left(values), right(values)
        if one or two:
            return True
        return None if one is None or two is None else False

    return run


def _and(left: _Truth, right: _Truth) -> _Truth:
    def run(values: Values) -> bool | None:
        one, two = left(values), right(values)
        if one is False or two is False:
            return False
        return None if one is None or two is None else True

    return run


def _not(value: bool | None) -> bool | None:  # noqa: FBT001 (one operand)
    return None if value is None else not value


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _absolute(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _compared(left: _Number, right: _Number, compare: Callable[[float, float], bool]) -> _Truth:
    def run(values: Values) -> bool | None:
        one, two = left(values), right(values)
        return None if one is None or two is None else compare(one, two)

    return run


def _calculated(left: _Number, right: _Number, sign: str) -> _Number:
    def run(values: Values) -> float | None:
        one, two = left(values), right(values)
        if one is None or two is None or (sign == "/" and two == 0):
            return None
        return _ARITHMETIC[sign](one, two)

    return run


_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
