"""Raw bits to a value, or the reason why they are none. Pure.

This is the whole rule of one value, in one place. The generated decoder asks it once for every
raw number of a narrow field and remembers the answer; wide fields have the same arithmetic as
text, and come here only to learn why they were refused.
"""

from fractions import Fraction
from functools import cache

from agent.signals.fields import width
from agent.signals.model import Quality
from agent.signals.table import SignalRule


@cache
def exact(number: float) -> Fraction:
    """Return the fraction that ``number`` was written for: 0.1 is 1/10."""
    simple = Fraction(number).limit_denominator(100_000)
    is_close = abs(float(simple) - number) <= 1e-12 * abs(number)
    return simple if is_close else Fraction(number)


def raw_bounds(rule: SignalRule) -> tuple[int, int]:
    """Return the lowest and the highest number, with its sign, whose value is in range."""
    factor, offset = exact(rule.factor), exact(rule.offset)
    low, high = sorted((exact(bound) - offset) / factor for bound in (rule.minimum, rule.maximum))
    return -(-low // 1), high // 1


def possible(rule: SignalRule) -> tuple[int, int]:
    """Return the lowest and the highest number that the bits of ``rule`` can hold."""
    bits = width(rule.field)
    least = -(1 << bits - 1) if rule.is_signed else 0
    return least, least + (1 << bits) - 1


def ratio(rule: SignalRule) -> tuple[int, int, int]:
    """Return (times, plus, divisor): value = (number x times + plus) / divisor.

    One division of integers, so 926 becomes 92.6 and not 92.60000000000001.
    """
    factor, offset = exact(rule.factor), exact(rule.offset)
    divisor = factor.denominator * offset.denominator
    return (factor * divisor).numerator, (offset * divisor).numerator, divisor


def signed(rule: SignalRule, raw: int) -> int:
    """Return the number that the bits ``raw`` stand for."""
    bits = width(rule.field)
    return raw - (1 << bits) if rule.is_signed and raw >> bits - 1 else raw


class Judge:
    """The rule of one value, ready to be asked for one raw number after the other."""

    def __init__(self, rule: SignalRule, *, checks: bool = True) -> None:
        """Prepare; ``checks`` False leaves out "not available" and the range."""
        self._rule = rule
        self._checks = checks
        self._low, self._high = raw_bounds(rule)
        self._times, self._plus, self._divisor = ratio(rule)

    def __call__(self, raw: int) -> float | Quality:
        """Return the value of the bits ``raw``, or why there is none.

        A word nobody knows is none even without checks. A unit that another path tells is not
        applied here, so neither is the range of what it scales.
        """
        rule = self._rule
        number = signed(rule, raw)
        if self._checks and number in rule.sentinels:
            return Quality.SENTINEL
        if rule.values is not None:
            return rule.values.get(number, Quality.RANGE)
        if self._checks and not rule.scales and not self._low <= number <= self._high:
            return Quality.RANGE
        return (number * self._times + self._plus) / self._divisor
