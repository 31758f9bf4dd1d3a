"""The floor rises, survives, and goes back only with the keys it belongs to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ota.client.floor import Floor, FloorError, RepositoryState, RoleVersion
from ota.errors import RollbackError

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def state(
    *, root: int = 1, timestamp: int = 5, snapshot: int = 5, targets: int = 5, keys: str = "k"
) -> RepositoryState:
    signers = frozenset(keys)
    return RepositoryState(
        repository="image",
        root_version=root,
        root_expires=NOW + timedelta(days=365),
        issued=NOW,
        roles=(
            RoleVersion(name="root", version=root, keys=frozenset()),
            RoleVersion(name="timestamp", version=timestamp, keys=signers),
            RoleVersion(name="snapshot", version=snapshot, keys=signers),
            RoleVersion(name="targets.json", version=targets, keys=signers),
        ),
    )


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    made = Floor(tmp_path / "floor.sqlite")
    made.admit((state(),))
    return made


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets"])
def test_a_version_below_the_floor_is_refused_and_changes_nothing(role: str, floor: Floor) -> None:
    floor.admit((state(root=2),))
    with pytest.raises(RollbackError, match=rf"image {role}.*: expected version >= \d, got"):
        floor.admit((state(**{"root": 2, role: 1}),))
    floor.compare(state(root=2))


def test_one_repository_that_is_refused_keeps_the_other_from_rising(floor: Floor) -> None:
    other = replace(state(timestamp=9), repository="director")
    with pytest.raises(RollbackError, match="image timestamp"):
        floor.admit((other, state(timestamp=4)))
    floor.compare(replace(state(timestamp=1), repository="director"))


def test_the_floor_survives_a_restart(floor: Floor, tmp_path: Path) -> None:
    with pytest.raises(RollbackError, match="expected version >= 5, got 4"):
        Floor(tmp_path / "floor.sqlite").compare(state(snapshot=4))


def test_a_role_that_vanished_is_a_rollback(floor: Floor) -> None:
    without = replace(state(), roles=state().roles[:-1])
    with pytest.raises(RollbackError, match=r"targets\.json: expected version >= 5, got 0"):
        floor.compare(without)


def test_other_keys_restart_the_floor_of_their_roles(floor: Floor) -> None:
    floor.admit((state(root=2, timestamp=1, snapshot=1, targets=1, keys="n"),))
    floor.compare(state(root=2, timestamp=1, snapshot=1, targets=1, keys="n"))


def test_one_more_key_beside_the_old_ones_ends_no_floor(floor: Floor) -> None:
    with pytest.raises(RollbackError, match="image timestamp: expected version >= 5, got 4"):
        floor.admit((state(root=2, timestamp=4, keys="kn"),))


def test_one_key_of_two_that_was_taken_away_ends_the_floor(floor: Floor) -> None:
    floor.admit((state(root=2, keys="kn"),))
    floor.admit((state(root=3, timestamp=1, snapshot=1, targets=1, keys="n"),))


def test_a_root_never_goes_back_whatever_its_keys(floor: Floor) -> None:
    floor.admit((state(root=3),))
    with pytest.raises(RollbackError, match="image root: expected version >= 3, got 2"):
        floor.compare(state(root=2, keys="n"))


def test_only_accepted_timestamps_raise_the_lowest_time(floor: Floor) -> None:
    later = replace(state(), issued=NOW + timedelta(days=3))
    floor.compare(later)
    assert floor.lowest_time() == NOW
    floor.admit((later,))
    assert floor.lowest_time() == NOW + timedelta(days=3)
    floor.admit((state(),))
    assert floor.lowest_time() == NOW + timedelta(days=3)


def test_a_time_past_the_roots_expiry_is_capped_there(floor: Floor) -> None:
    floor.admit((replace(state(), issued=datetime(9999, 1, 1, tzinfo=UTC)),))
    assert floor.lowest_time() == NOW + timedelta(days=365)


def test_a_new_root_resets_the_lowest_time(floor: Floor) -> None:
    floor.admit((replace(state(), issued=NOW + timedelta(days=300)),))
    floor.admit((state(root=2),))
    assert floor.lowest_time() == NOW


def test_what_is_about_to_be_accepted_counts_and_writes_nothing(floor: Floor) -> None:
    later = replace(state(), issued=NOW + timedelta(days=3))
    assert floor.lowest_time((later,)) == NOW + timedelta(days=3)
    assert floor.lowest_time() == NOW


def test_a_new_root_about_to_be_accepted_frees_from_a_time_that_was_too_high(floor: Floor) -> None:
    floor.admit((replace(state(), issued=NOW + timedelta(days=364)),))
    assert floor.lowest_time((state(root=2),)) == NOW


def test_a_repository_that_does_not_say_when_changes_no_time(floor: Floor) -> None:
    silent = replace(state(root=2), issued=None)
    floor.admit((silent,))
    assert floor.lowest_time((silent,)) == NOW


def test_no_time_is_known_before_the_first_timestamp(tmp_path: Path) -> None:
    assert Floor(tmp_path / "floor.sqlite").lowest_time() is None


def test_a_release_counter_rises_and_never_falls(floor: Floor) -> None:
    assert floor.release_counter("ecu-1") == 0
    floor.raise_release_counter("ecu-1", 7)
    floor.raise_release_counter("ecu-1", 3)
    assert floor.release_counter("ecu-1") == 7
    assert floor.release_counter("ecu-2") == 0


def test_manifest_counters_grow_across_restarts(floor: Floor, tmp_path: Path) -> None:
    first = floor.next_manifest_counter()
    assert Floor(tmp_path / "floor.sqlite").next_manifest_counter() == first + 1


def test_a_damaged_floor_is_an_error_and_never_a_new_floor(floor: Floor, tmp_path: Path) -> None:
    damaged = b"no database at all" * 100
    (tmp_path / "floor.sqlite").write_bytes(damaged)
    with pytest.raises(FloorError, match="nothing was verified or installed"):
        floor.compare(state())
    assert (tmp_path / "floor.sqlite").read_bytes() == damaged
