"""The privacy attacks of ``tests/privacy`` on another town; some 90 s of a core.

Run as ``python -m tests.soak.towns FOLDER SEED [VEHICLES]``: prints one JSON object in the end.
"""

import json
import sys

from tests.support.privacy_attacks import attack, complaints, lines


def main(seed: int, vehicles: int = 4_000) -> None:
    """Print the table, and each row that misses its bar."""
    results = attack(vehicles, seed)
    missed = complaints(results)
    said = {
        "counts": {"towns": 1, "missed": len(missed)},
        "ill": "\n".join(missed),
        "table": "\n".join(lines(results)),
    }
    print(json.dumps(said), flush=True)  # noqa: T201 (its output)


if __name__ == "__main__":
    main(*map(int, sys.argv[2:]))
