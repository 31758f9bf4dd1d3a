"""What the soak plans, counts, keeps and calls ill; the soak itself is in system/test_soak.py."""

import math
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.figures import soak_section
from tests.soak.__main__ import missing, parse
from tests.soak.book import Book
from tests.soak.children import Children, Ended, Limits, Line, Slice
from tests.soak.page import put, section
from tests.soak.parts import (
    CODEC,
    EVERY,
    OTA,
    PARTS,
    POINTS,
    SYNCS,
    Said,
    plan_cuts,
    plan_pairs,
    plan_points,
    read_cut,
)
from tests.soak.patience import Patience, duration
from tests.soak.report import Progress, report
from tests.support import update_kill_pairs
from tests.support.update_ends import LONG, WANTED
from tests.support.update_kill_points import STORIES
from tests.support.update_power_cuts import LEFT_OUT
from tests.support.wait import wait_until

WELL = Ended(is_whole=True, seconds=1.0, complaint=None)
EARLY = Ended(is_whole=False, seconds=1.0, complaint=None)


def note(book: Book, part: str, name: str, ended: Ended = WELL, **counts: int) -> None:
    played = book.page(part, Slice(name, 10, "no.module"), f"python -m tests.soak {part}")
    played.take(Said(counts))
    played.end(ended)


def test_ten_thousand_points_take_every_story_and_no_point_twice() -> None:
    slices = plan_points(10_000, 7)
    assert sum(POINTS.values()) >= 10_000
    assert sum(one.amount for one in slices) >= 10_000
    for story in (*WANTED, *LONG):
        chosen = [one.arguments[1:] for one in slices if one.arguments[0] == story]
        step = int(chosen[0][1])
        assert sorted(chosen) == sorted((str(first), str(step)) for first in range(step))


def test_few_points_are_spread_over_the_stories_of_the_suite() -> None:
    slices = plan_points(40, 7)
    assert {one.arguments[0] for one in slices} == set(WANTED)
    assert 40 <= sum(one.amount for one in slices) < 80
    assert set(POINTS) == set(STORIES)


def test_pairs_of_points_are_spread_over_the_stories_and_differ_by_seed() -> None:
    slices = plan_pairs(3_000, 7)
    assert {one.arguments[0] for one in slices} == set(WANTED)
    assert 3_000 <= sum(one.amount for one in slices) < 4_000
    assert all(int(one.arguments[1]) < int(one.arguments[2]) for one in slices)
    assert {one.arguments[1:] for one in slices}.isdisjoint(
        one.arguments[1:] for one in plan_pairs(3_000, 8)
    )
    assert update_kill_pairs.EVERY == EVERY


def test_the_same_seed_plans_the_same_dice_and_another_seed_others() -> None:
    def seeds(seed: int) -> set[str]:
        return {one.arguments[1] for one in plan_cuts(500, seed) if "random" in one.arguments}

    assert seeds(7) == seeds(7)
    assert not seeds(7) & seeds(8)
    assert len(seeds(7)) == 5


def test_each_sync_that_the_bench_can_leave_out_is_left_out() -> None:
    assert set(SYNCS) == set(LEFT_OUT)
    assert {one.arguments[-1] for one in plan_cuts(100, 7)} >= set(SYNCS)


def test_every_parser_that_is_fuzzed_is_in_the_soak() -> None:
    from tests.fuzz import targets, test_ota  # noqa: PLC0415 (makes keys and repositories)

    assert {each.__name__ for each in targets.TARGETS} == set(CODEC)
    assert {each.run.__name__ for each in test_ota.TARGETS} == set(OTA)


@pytest.mark.parametrize(
    ("part", "count"), [(part, count) for part in PARTS for count in PARTS[part].zero]
)
def test_one_case_that_must_not_be_is_enough_to_be_ill(part: str, count: str) -> None:
    book = Book(None)
    note(book, part, "seed 1", **{PARTS[part].unit: 10})
    assert book.is_well
    note(book, part, "seed 2", **{PARTS[part].unit: 10, count: 1})
    assert book.ill(part) == [f"{count}: 1, not 0"]
    assert report(book, Patience()).endswith("NOT WELL\n")


def test_a_bench_that_notices_nothing_is_ill() -> None:
    broken = plan_cuts(100, 7)[-1]
    well = {"changed": [], "is_idle": True, "is_reported": True, "outcome": "installed"}
    well |= {"version": "1.1.0", "runs_current": True, "is_on_trial": False, "counter_floor": 2}
    well |= {"undone": []}
    book = Book(None)
    page = book.page("power-cuts", broken, "")
    page.take(read_cut(broken, well))
    assert book.ill("power-cuts") == ["1 without floor, and the bench noticed nothing"]
    page.take(read_cut(broken, {**well, "changed": ["bin/run"]}))
    assert book.is_well
    assert read_cut(plan_cuts(100, 7)[0], {**well, "changed": ["bin/run"]}).counts["ill"] == 1


def test_what_ended_early_is_played_again_and_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "build" / "soak.json"
    book = Book(file)
    note(book, "batches", "seed 1", rounds=10, stored=9)
    note(book, "batches", "seed 2", EARLY, rounds=4, stored=3)
    book.save()
    book = Book(file, resume=True)
    plan = [Slice(f"seed {seed}", 10, "no.module") for seed in (1, 2)]
    assert book.still_to_play("batches", plan) == plan[1:]
    note(book, "batches", "seed 2", rounds=10, stored=8)
    assert book.counts("batches") == Counter(rounds=20, stored=17)
    assert Book(file).still_to_play("batches", plan) == plan


def test_how_far_fuzzing_got_is_the_most_of_all_slices() -> None:
    book = Book(None)
    for seed, edges in enumerate((30, 50, 40)):
        note(book, "fuzz", f"seed {seed}", **{"inputs": 10, "edges of batch": edges})
    assert book.counts("fuzz") == Counter({"inputs": 30, "edges of batch": 50})


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    book, plan = Book(None), [Slice(f"seed {seed}", 3, "no.module") for seed in (1, 2)]
    note(book, "towns", "of another seed", towns=3)
    progress = Progress("towns", book, Patience(), plan[:1])
    assert progress.line() == "towns: 0 of 3 towns, all well; 0.0 a second, no rate yet"
    note(book, "towns", "seed 1", towns=3)
    assert progress.line().startswith("towns: 3 of 3 towns, all well; ")
    assert progress.line().endswith(" a second, 0 s left")


@pytest.mark.parametrize(
    ("seconds", "text"), [(48, "48 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min")]
)
def test_a_duration_is_said_as_a_person_would(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_left_of_the_minutes_is_shared_by_the_parts_to_come() -> None:
    patience = Patience(minutes=10)
    patience.share(5)
    assert patience.left_s == pytest.approx(120, abs=60)
    assert not patience.is_over
    patience.interrupt()
    assert patience.is_over


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["cuts"], "expected a part"), (["--resume"], "expected --json FILE as well")],
)
def test_a_wrong_choice_is_refused_in_a_sentence(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)
    assert complaint in capsys.readouterr().err


def test_a_disk_that_forgets_names_what_it_needs() -> None:
    assert missing(0, lambda _: "/usr/bin/it") == []
    assert missing(1000, lambda name: None if name == "nbdkit" else name) == ["root", "nbdkit"]


def test_the_pages_show_the_cases_and_the_numbers_that_must_be_0() -> None:
    book = Book(None)
    note(book, "batches", "seed 1", rounds=10, confirmed=9, stored=9, **{"clock jump": 2})
    note(book, "kill-points", "good 0/1", points=3, **{"story good": 3, "call fsync": 3})
    note(book, "kill-pairs", "good 0/1", pairs=5, **{"story good": 5})
    note(book, "power-cuts", "without floor", cuts=4, **{"without floor": 3, "noticed floor": 2})
    found = book.summary()
    soak = soak_section(found)
    zeros = "doubled 0, lost 0, without_ok 0, waiting 0"
    assert f"`python -m tests.soak batches` | 10 rounds | confirmed 9, stored 9 | {zeros} |" in soak
    assert "| clock jump | 2 |" in soak
    assert "| the floor of versions | 3 | 2 |" in soak
    for text in (soak, section(found)):
        assert "| good | 3 | 5 |" in text
        assert "| fsync | 3 |" in text
    assert "ended for hours: 3 points, 5 of pairs" in section(found)


def test_the_section_of_the_page_of_figures_is_put_in_place_of_the_old_one() -> None:
    assert put("# Figures\n", "## Soak\n\nnew\n") == "# Figures\n\n## Soak\n\nnew\n"
    assert put("# Figures\n\n## Soak\n\nold\n", "## Soak\n") == "# Figures\n\n## Soak\n"


def children(folder: Path, heard: list[Line], ends: list[Ended], limits: Limits) -> Children:
    """Return children whose first line makes patience end."""
    patience = Patience(math.inf)

    def on_line(_: Slice, line: Line) -> None:
        heard.append(line)
        patience.interrupt()

    return Children(folder, patience, on_line, lambda _, ended: ends.append(ended), str, limits)


@pytest.mark.system
@pytest.mark.parametrize(
    ("module", "limits", "complaint"),
    [
        ("json.tool", Limits(), "the bench ended with"),  # it takes no folder
        ("platform", Limits(), "said no JSON"),
        ("tests.support.stubborn_bench", Limits(silence_s=0.1), "said nothing for 0.1 s"),
    ],
)
async def test_a_bench_that_fails_or_hangs_is_a_complaint(
    module: str, limits: Limits, complaint: str, tmp_path: Path
) -> None:
    ends = list[Ended]()
    await children(tmp_path, [], ends, limits).run([Slice("seed 1", 1, module)], jobs=2)
    assert complaint in (ends[0].complaint or "")
    assert not ends[0].is_whole
    assert is_empty(tmp_path)


@pytest.mark.system
async def test_a_bench_that_does_not_end_when_asked_is_killed_with_its_children(
    tmp_path: Path,
) -> None:
    heard, ends = list[Line](), list[Ended]()
    stubborn = Slice("seed 1", 1, "tests.support.stubborn_bench")
    await children(tmp_path, heard, ends, Limits(grace_s=0.1)).run([stubborn], jobs=1)
    assert "was asked to end and did not within 0.1 s" in (ends[0].complaint or "")
    await wait_until(lambda: not any(map(is_alive, heard[0]["pids"])), timeout_s=60)


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().split()[2]
    except OSError:
        return False
    return state != "Z"
