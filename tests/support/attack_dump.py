"""Write one attack as files: the repositories before it, after it, and what must be said of it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ota.errors import MalformedError
from tests.support.attacks import Attack, prepare
from tests.support.legacy_vectors import LEGACY_VECTORS
from tests.support.own_attacks import OWN_ATTACKS
from tests.support.repository_simulator import ECU, endless

ATTACKS: dict[str, Attack] = LEGACY_VECTORS | OWN_ATTACKS
ENDLESS_BYTES = 16_777_216  # stands for a body that never ends: more than any role may have


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the attack ``--attack`` below ``-o``, or name all with ``--list``."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.repository_simulator",
        description="Write an attack on a vehicle's repositories as files to serve.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--attack", choices=ATTACKS, metavar="NAME")
    what.add_argument("--list", action="store_true", help="name every attack and its code")
    parser.add_argument("-o", "--output", type=Path, help="a folder that does not exist yet")
    asked = parser.parse_args(arguments)
    if asked.list:
        for name, attack in ATTACKS.items():
            sys.stdout.write(f"{name}\t{attack.code or 'accepted'}\n")
        return
    if asked.output is None or asked.output.exists():
        parser.error("-o: expected a folder that does not exist yet")
    dump_attack(asked.attack, asked.output)


def dump_attack(name: str, folder: Path) -> None:
    """Write ``before/``, ``after/`` (what a web server would serve) and ``attack.json``.

    A vehicle that trusts ``before/roots/*.json`` first looks at ``before``, then at ``after``.
    """
    attack, simulator = ATTACKS[name], prepare()
    attack.before(simulator)
    simulator.dump(folder / "before")
    attack.run(simulator)
    simulator.dump(folder / "after")
    for path, body in simulator.bodies.items():
        content = bytes(ENDLESS_BYTES) if body is endless else b"{"  # a file cannot trickle
        (folder / "after" / path).write_bytes(content)
    is_slow = any(body is not endless for body in simulator.bodies.values())
    told = {
        "attack": name,
        "code": MalformedError.code if is_slow else attack.code,
        "vehicle": simulator.vehicle,
        "ecus": [{"ecu_id": ECU.ecu_id, "hardware_id": ECU.hardware_id, "name": ECU.name}],
    }
    (folder / "attack.json").write_text(json.dumps(told, indent=1) + "\n")
