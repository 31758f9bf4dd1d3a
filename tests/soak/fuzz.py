"""Inputs that nobody wrote for each way in which bytes from outside reach the vehicle and ingest.

Run as ``python -m tests.soak.fuzz FOLDER TARGET RUNS SEED``: prints JSON objects while it goes on,
a fault with its bytes. SIGTERM ends it after the input at which it is.
"""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial

from tests.fuzz import targets
from tests.fuzz.mutate import Mutator, Trace
from tests.soak.parts import OTA
from tests.support.ending import Ending

TOLD = 50  # inputs between two lines


def opened(name: str, seed: int) -> tuple[Mutator, Callable[[bytes], Trace]]:
    """Return the mutator of target ``name``, and what tries one input."""
    if name in OTA:
        from tests.fuzz import test_ota  # noqa: PLC0415 (makes keys and repositories)

        target = next(each for each in test_ota.TARGETS if each.run.__name__ == name)
        mutator = Mutator([*target.corpus], seed, mutations=target.mutations, most=40_000)
        return mutator, partial(test_ota.tried, target)
    run = next(each for each in targets.TARGETS if each.__name__ == name)
    return Mutator(targets.TARGETS[run], seed), partial(targets.tried, run)


def fuzz(
    name: str, runs: int, seed: int, is_over: Callable[[], bool]
) -> Iterator[dict[str, object]]:
    """Try ``runs`` inputs; yield how many were tried since, the first fault, and the edges."""
    mutator, tried = opened(name, seed)
    count = 0
    for number in range(1, runs + 1):
        data = mutator.draw()
        count += 1
        try:
            mutator.keep_if_new(data, tried(data))
        except AssertionError as fault:
            yield {"counts": {"inputs": count, "faults": 1}, "ill": f"{fault}"}
            return
        if number % TOLD == 0 or is_over():
            yield {"counts": {"inputs": count}}
            count = 0
        if is_over():
            break
    yield {"counts": {"inputs": count, f"edges of {name}": len(mutator.edges)}}


def main(name: str, runs: int, seed: int) -> None:
    """Print what happened."""
    logging.disable(logging.CRITICAL)
    ending = Ending()
    for said in fuzz(name, runs, seed, lambda: ending.is_asked):
        print(json.dumps(said), flush=True)  # noqa: T201 (its output)


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
