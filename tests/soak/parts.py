"""The parts of a soak as a table: what is played, in which slices, what must be 0 in the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from tests.soak.children import Line, Slice
from tests.support.update_ends import LONG, WANTED, is_well, wrong

CODEC = (
    *("batch", "records", "columns_of_a_schema", "columns_of_a_segment", "receipt"),
    *("sealed_batch", "erase", "erasure", "report", "anything"),
)
OTA = (
    *("custom_fields", "package_manifest", "signed_by_the_vehicle", "sent_by_the_vehicle"),
    *("archive", "read_package", "metadata", "target_name", "list_of_pieces"),
)
POINTS = {  # of each story, about
    "first": 841,
    "good": 802,
    "bad": 927,
    "small": 297,
    "bundle": 390,
    "bad_bundle": 400,
    "long_first": 2_360,
    "long_good": 2_320,
    "long_bad": 2_800,
}
EVERY = 16  # of the points of a recovery, as tests.support.update_kill_pairs.EVERY
SYNCS = {  # what tests.support.update_power_cuts can leave out
    "unpacked": "the files of the new version, once they are unpacked",
    "files": "what any file holds: image, journal, new version",
    "names": "what any folder holds: each rename",
    "floor": "the floor of versions",
}
SLICE_ROUNDS, SLICE_POINTS, SLICE_CUTS, BROKEN_CUTS = 1_000, 250, 100, 10
SEEDS = 1_000  # slices of one seed at most: slice n of seed s plays seed 1,000 s + n


@dataclass(frozen=True, slots=True)
class Said:
    """What one line of a bench counts, and the complaint in it, or "" if all is well."""

    counts: Mapping[str, int]
    ill: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One way to look for faults; ``unit`` is a case, and the option that says how many.

    ``zero``: the counts that must be 0 in the end. A count "without X" is of cases in which X was
    left out on purpose: some must count as "noticed X", or the bench would notice nothing.
    """

    about: str
    unit: str
    default: int
    zero: tuple[str, ...]
    plan: Callable[[int, int], list[Slice]]  # how many, seed
    read: Callable[[Slice, Line], Said]
    shown: tuple[str, ...] = ()
    silence_s: float = 600.0  # who says nothing for so long hangs


def shares(amount: int, most: int) -> list[int]:
    """Return ``amount`` in portions of ``most``, the rest last."""
    return [min(most, amount - begin) for begin in range(0, amount, most)]


def plan_batches(rounds: int, seed: int) -> list[Slice]:
    return [
        Slice(f"seed {SEEDS * seed + number}", count, "tests.soak.batches", (str(count), str(at)))
        for number, count in enumerate(shares(rounds, SLICE_ROUNDS))
        for at in [SEEDS * seed + number]
    ]


def plan_fuzz(inputs: int, seed: int) -> list[Slice]:
    return [
        Slice(f"{name}, seed {seed}", inputs, "tests.soak.fuzz", (name, str(inputs), str(seed)))
        for name in (*CODEC, *OTA)
        if inputs
    ]


def plan_towns(towns: int, seed: int) -> list[Slice]:
    return [
        Slice(f"seed {seed + number}", 1, "tests.soak.towns", (str(seed + number),))
        for number in range(towns)
    ]


def plan_points(points: int, _seed: int) -> list[Slice]:
    """Take every n-th point of the stories of the suite; all of them and long ones if need be."""
    all_points = sum(POINTS[story] for story in WANTED)
    every, slices, planned = max(1, all_points // (points + len(WANTED))), list[Slice](), 0
    for story in (*WANTED, *LONG) if points > all_points else WANTED:
        if planned >= points:
            break
        parts = ceil(POINTS[story] / every / SLICE_POINTS)
        for part in range(parts):
            first, step = part * every, parts * every
            slices.append(
                Slice(
                    f"{story} {first}/{step}",
                    ceil(POINTS[story] / step),
                    "tests.support.update_kill_points",
                    (story, str(first), str(step)),
                )
            )
        planned += POINTS[story] // every
    return slices


def plan_pairs(pairs: int, seed: int) -> list[Slice]:
    """Take every n-th point of each story, others with another seed, and some of its recovery."""
    every = max(1, sum(map(pairs_of, WANTED)) // max(1, pairs))
    return [
        Slice(
            f"{story} {first}/{step}, seed {seed}",
            ceil(pairs_of(story) / step),
            "tests.support.update_kill_pairs",
            (story, str(first), str(step), str(SEEDS * seed + part)),
        )
        for story in (WANTED if pairs else ())
        for parts in [ceil(pairs_of(story) / every / SLICE_POINTS)]
        for part in range(parts)
        for first, step in [(part * every + seed % every, parts * every)]
    ]


def pairs_of(story: str) -> int:
    """Return how many pairs there are, about: a recovery has 0.6 of the points of its update."""
    return round(POINTS[story] * 0.6 * POINTS[story] / EVERY)


def plan_cuts(cuts: int, seed: int) -> list[Slice]:
    """Cut at any moment; a tenth more when it is done; and a few with a sync left out."""
    slices = [
        cut_slice(f"seed {at}", count, at, "random")
        for number, count in enumerate(shares(cuts, SLICE_CUTS))
        for at in [SEEDS * seed + number]
    ]
    for number, count in enumerate(shares(cuts // 10, SLICE_CUTS)):
        at = SEEDS * seed + number
        slices.append(cut_slice(f"when done, seed {at}", count, at, "done"))
    if cuts >= SLICE_CUTS:
        slices += [
            cut_slice(f"without {name}, seed {seed}", BROKEN_CUTS, seed, "done", name)
            for name in SYNCS
        ]
    return slices


def cut_slice(name: str, cuts: int, seed: int, *others: str) -> Slice:
    return Slice(name, cuts, "tests.support.update_power_cuts", (str(cuts), str(seed), *others))


def read_plain(_slice: Slice, line: Line) -> Said:
    return Said(line["counts"], line.get("ill", ""), line.get("table", ""))


def read_point(one: Slice, line: Line) -> Said:
    story = one.name.split()[0]
    ill = wrong(story, [line])
    counts = {"points": 1, "ill": len(ill), f"story {story}": 1, f"call {line['call']}": 1}
    return Said(counts, f"{story}: {line}" if ill else "")


def read_pair(one: Slice, line: Line) -> Said:
    story = one.name.split()[0]
    ill = wrong(story, [line])
    counts = {"pairs": 1, "ill": len(ill), f"story {story}": 1}
    return Said(counts, f"{story}: {line}" if ill else "")


def read_cut(one: Slice, line: Line) -> Said:
    ill = int(not is_well(line))
    if one.name.startswith("without "):
        left_out = one.name.removeprefix("without ").partition(",")[0]
        return Said({f"without {left_out}": 1, f"noticed {left_out}": ill})
    return Said({"cuts": 1, "ill": ill}, f"{line}" if ill else "")


PARTS: Mapping[str, Part] = {
    "batches": Part(
        about="confirmed trips on their way to ingest, and everything fails",
        unit="rounds",
        default=20_000,
        zero=("doubled", "lost", "without_ok", "waiting"),
        shown=("confirmed", "stored", "doubled", "lost"),
        plan=plan_batches,
        read=read_plain,
    ),
    "fuzz": Part(
        about=f"so many inputs for each of {len(CODEC + OTA)} parsers of what comes from outside",
        unit="inputs",
        default=2_000,
        zero=("faults",),
        shown=("faults",),
        plan=plan_fuzz,
        read=read_plain,
    ),
    "kill-points": Part(
        about="an update ended before a change to the disk, and restarted",
        unit="points",
        default=10_000,
        zero=("ill",),
        shown=("ill",),
        plan=plan_points,
        read=read_point,
    ),
    "kill-pairs": Part(
        about="the same, ended again before a change to the disk while it recovers",
        unit="pairs",
        default=3_000,
        zero=("ill",),
        shown=("ill",),
        plan=plan_pairs,
        read=read_pair,
    ),
    "power-cuts": Part(
        about="an update whose power is cut on a disk that forgets (needs root, nbdkit)",
        unit="cuts",
        default=3_000,
        zero=("ill",),
        shown=("ill",),
        plan=plan_cuts,
        read=read_cut,
    ),
    "towns": Part(
        about="the privacy attacks on another town of 4,000 vehicles",
        unit="towns",
        silence_s=3_600.0,  # a town is 90 s of a core, and speaks once
        default=1,
        zero=("missed",),
        shown=("missed",),
        plan=plan_towns,
        read=read_plain,
    ),
}
