"""Faults for as long as you like.

Each part plays its slices as processes of their own, some at once. `--minutes` are shared by the
parts. Ctrl-C ends where nothing is half done and prints what was found until then; `--resume` goes
on. The exit code is 1 if anything was lost, doubled or ill. The same seed plays the same faults.
"""

import argparse
import asyncio
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which

from tests.soak.book import Book
from tests.soak.parts import PARTS
from tests.soak.patience import Patience, say
from tests.soak.play import Play, soak
from tests.soak.report import report
from tests.support.power import PROGRAMS

MEMORY, CORES = Path("/dev/shm"), len(os.sched_getaffinity(0))
EXAMPLES = """examples:
  python -m tests.soak                              everything; about an hour of two cores
  python -m tests.soak --minutes 10                 a bit of everything
  python -m tests.soak batches --rounds 3000 --seed 7
  python -m tests.soak kill-points power-cuts --json build/soak.json
  python -m tests.soak kill-points power-cuts --json build/soak.json --resume
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    about = "".join(f"  {name:<12} {part.about}\n" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=f"{__doc__}\nparts:\n{about}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all of the above")
    for name, part in PARTS.items():
        parser.add_argument(
            f"--{part.unit}",
            type=int,
            default=part.default,
            metavar="N",
            help=f"of {name}; default {part.default:,}",
        )
    parser.add_argument("--seed", type=int, default=7, help="of all dice; default 7")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end all parts by then")
    parser.add_argument(
        "--jobs", type=int, default=CORES, metavar="N", help=f"processes at once; here {CORES}"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=MEMORY if MEMORY.is_dir() else None,
        metavar="DIR",
        help="where vehicles live meanwhile; default: in memory, which saves the medium",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="results, after every slice")
    parser.add_argument(
        "--resume", action="store_true", help="keep what FILE has; play only what is missing"
    )
    chosen = parser.parse_args(arguments)
    for name in chosen.parts:
        if name not in PARTS:
            parser.error(f"expected a part ({', '.join(PARTS)}), got {name!r}")
    chosen.parts = [name for name in PARTS if name in (chosen.parts or PARTS)]
    if "power-cuts" in chosen.parts and chosen.cuts and (lacks := missing(os.geteuid(), which)):
        others = " ".join(name for name in chosen.parts if name != "power-cuts")
        parser.error(f"power-cuts: expected {', '.join(lacks)}; without: {others or 'other parts'}")
    if chosen.resume and chosen.json is None:
        parser.error("--resume: expected --json FILE as well")
    return chosen


def missing(user: int, find: Callable[[str], str | None]) -> list[str]:
    """Return what a disk that forgets needs and does not have here."""
    lacks = [program for program in PROGRAMS if find(program) is None]
    return lacks if user == 0 else ["root", *lacks]


def main() -> int:
    chosen = parse()
    book, patience = Book(chosen.json, resume=chosen.resume), Patience(chosen.minutes)
    plays = [
        Play(name, getattr(chosen, PARTS[name].unit), chosen.seed, book, patience)
        for name in chosen.parts
    ]
    try:
        asyncio.run(soak(plays, patience, jobs=chosen.jobs, folder=chosen.folder))
    except (asyncio.CancelledError, KeyboardInterrupt):
        say("ended at once")
        return 130
    finally:
        book.save()
        sys.stdout.write(report(book, patience))
    return 0 if book.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
