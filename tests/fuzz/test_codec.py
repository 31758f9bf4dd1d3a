"""Nothing that arrives makes the codec do anything but answer or refuse, within counted work.

``OKDRIVE_FUZZ_RUNS`` sets how many inputs each target gets (thousands by hand, hundreds in CI) and
``OKDRIVE_FUZZ_SEED`` where the mutator starts; a failure prints the input. `make soak` fuzzes, too.
"""

import os
from collections.abc import Callable

import pytest

from telemetry.codec.receipt import decode_receipt, unpack_signed
from tests.fuzz.targets import RECEIPTS, TARGETS, fuzzed, tried

RUNS = int(os.environ.get("OKDRIVE_FUZZ_RUNS", "250"))
SEED = int(os.environ.get("OKDRIVE_FUZZ_SEED", "1"))


@pytest.mark.timeout(60 + RUNS // 5)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_any_input_is_answered_or_refused(target: Callable[[bytes], None]) -> None:
    examples = [tried(target, data) for data in TARGETS[target]]
    reached = set().union(*(trace.edges for trace in examples))
    mutator = fuzzed(target, TARGETS[target], runs=RUNS, seed=SEED)
    assert mutator.edges - reached  # it gets beyond what the examples reach


@pytest.mark.timeout(120)
def test_the_mutator_finds_a_planted_fault() -> None:
    def broken(data: bytes) -> None:
        body, signature = unpack_signed(data)
        if decode_receipt(body) and signature != bytes(range(64)):  # no example has another one
            raise KeyError("planted")

    with pytest.raises(AssertionError, match="KeyError for"):
        fuzzed(broken, RECEIPTS, runs=5_000, seed=SEED)
