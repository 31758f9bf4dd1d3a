"""Faults for as long as you like.

Each part plays its slices as processes of their own, some at once. `--minutes` are shared by the
parts. Ctrl-C ends where nothing is half done and prints what was found until then; `--resume` goes
on. The exit code is 1 if anything was lost, doubled or ill. The same seed plays the same faults.
"""

import argparse
import asyncio
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import which

from tests.soak.book import Book
from tests.soak.children import Children, Ended, Limits, Line, Slice
from tests.soak.parts import PARTS
from tests.soak.patience import Patience, say
from tests.soak.report import Progress, report
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


async def soak(chosen: argparse.Namespace, book: Book, patience: Patience) -> None:
    """Play the chosen parts one after the other, each in its share of the time."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        patience.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    for number, name in enumerate(chosen.parts):
        patience.share(len(chosen.parts) - number)
        if not patience.is_over:
            await play(name, chosen, book, patience)


async def play(name: str, chosen: argparse.Namespace, book: Book, patience: Patience) -> None:
    """Play what is missing of one part."""
    part, amount = PARTS[name], getattr(chosen, PARTS[name].unit)
    command = f"python -m tests.soak {name} --{part.unit} {amount} --seed {chosen.seed}"
    plan = part.plan(amount, chosen.seed)
    slices = book.still_to_play(name, plan)

    def on_line(one: Slice, line: Line) -> None:
        said = part.read(one, line)
        pages[one.name].take(said)
        if said.ill:
            say(f"{name}, {one.name}: {said.ill}")

    def on_end(one: Slice, ended: Ended) -> None:
        pages[one.name].end(ended)
        if ended.complaint:
            say(f"{name}, {one.name}: {ended.complaint}")
        book.save()

    pages = {one.name: book.page(name, one, command) for one in slices}
    progress = Progress(name, book, patience, asked=sum(one.amount for one in plan))
    with tempfile.TemporaryDirectory(prefix="okdrive-soak-", dir=chosen.folder) as folder:
        limits = Limits(silence_s=part.silence_s)
        children = Children(Path(folder), patience, on_line, on_end, progress.line, limits)
        await children.run(slices, jobs=chosen.jobs)


def main() -> int:
    chosen = parse()
    book, patience = Book(chosen.json, resume=chosen.resume), Patience(chosen.minutes)
    try:
        asyncio.run(soak(chosen, book, patience))
    except KeyboardInterrupt:
        say("ended at once")
        return 130
    finally:
        book.save()
        sys.stdout.write(report(book, patience))
    return 0 if book.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
