"""Resale: nothing of an earlier driver is left, wherever the power goes in between."""

from pathlib import Path

import pytest

from agent import wiping
from agent.erasing import Scope, Wish
from agent.folders import Folders
from agent.store.erasures import EARLIER_OWNER, Erasures
from agent.store.state import State
from tests.support.erase_side import Bench

STAYS = {"state.sqlite", "update", "apps", "keys"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.share("trip-1", "trip-2")
    for name in ("battery.sqlite", "desk.json", "screen.token"):
        (tmp_path / name).write_bytes(b"of a driver")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "1.json").write_bytes(b"of a driver")
    for name in ("update", "apps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "installed").write_bytes(b"software")
    made.eraser.carry_out(made.eraser.plan(Wish(scope=Scope.ALL, name="all")))
    made.sharing.state.close()
    return made


def wipe(bench: Bench) -> int:
    folders = Folders(root=bench.folder)
    wiping.begin(folders)
    return wiping.finish(folders, destroy_secrets=bench._destroy)


def left(bench: Bench) -> set[str]:
    return {path.name for path in bench.folder.iterdir()}


def test_what_is_left_is_the_software_and_the_open_requests(bench: Bench) -> None:
    assert wipe(bench) == 2
    assert left(bench) <= STAYS
    assert (bench.folder / "apps" / "installed").read_bytes() == b"software"
    state = State.open(bench.folder / "state.sqlite")
    assert {row.wish for row in Erasures(state.database).waiting()} == {EARLIER_OWNER}
    assert (state.trips(), state.ledger(), state.consents()) == ([], [], {})
    state.close()
    assert bench.secrets_destroyed >= 2


def test_no_file_holds_the_id_of_an_earlier_trip(bench: Bench) -> None:
    wipe(bench)
    for path in bench.folder.rglob("*"):
        if path.is_file():
            assert b"trip-1" not in path.read_bytes(), path


class PulledError(BaseException):
    """The power is gone."""


@pytest.mark.parametrize("after", range(12))
def test_a_power_cut_in_the_middle_is_finished_and_no_request_is_lost(
    bench: Bench, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = iter(range(after + 1))

    def cut_in(act: object) -> object:
        def maybe(*arguments: object) -> object:
            if next(cuts, None) is None:
                raise PulledError
            return act(*arguments)  # type: ignore[operator]

        return maybe

    with monkeypatch.context() as patched:
        for name in ("_overwrite", "_forget_one", "sync_folder"):
            patched.setattr(wiping, name, cut_in(getattr(wiping, name)))
        try:
            wipe(bench)
        except PulledError:
            assert Folders(root=bench.folder).wipe.exists()
    assert wipe(bench) == 2
    assert left(bench) <= STAYS
