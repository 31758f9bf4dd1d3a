"""What the vehicle does when it does not know what time it is, or is told a wrong one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ota.client.client import UpdateClient
from ota.client.gates import Refusal
from ota.client.states import UpdateState
from ota.errors import FreezeError, RollbackError, TimeUnknownError
from tests.support.attacks import DIGEST, prepare
from tests.support.clock import FakeClock
from tests.support.repository_simulator import RepositorySimulator
from tests.support.update_client import (
    Driver,
    floors_of,
    make_verifier,
    open_client,
    update,
    verify_and_download,
)

DAY_S = 86_400
UNKNOWN = Refusal(TimeUnknownError.code, TimeUnknownError.sentence)


async def waits_for_the_time(client: UpdateClient, folder: Path) -> bool:
    """Return whether the image is here, and only the time keeps it from being installed."""
    entry = await update(client)
    is_here = (folder / "update" / "images" / DIGEST).is_file()
    return (
        entry.state is UpdateState.AWAITING_OK
        and client.situation.refusals == (UNKNOWN,)
        and is_here
        and not (folder / "apps" / "trip-light").exists()
    )


async def test_without_a_time_an_update_is_verified_and_downloaded_but_waits(
    tmp_path: Path,
) -> None:
    is_set = False
    client = await open_client(prepare(), tmp_path, is_clock_set=lambda: is_set)
    assert await waits_for_the_time(client, tmp_path)
    is_set = True
    assert (await client.advance()).state is UpdateState.IDLE
    assert (tmp_path / "apps" / "trip-light" / "current").is_symlink()


async def test_a_clock_behind_what_was_signed_is_no_time(tmp_path: Path) -> None:
    simulator = prepare()
    clock = FakeClock(simulator.now)
    clock.jump_wall_s(-56 * 365 * DAY_S)
    client = await open_client(simulator, tmp_path, clock=clock)
    assert await waits_for_the_time(client, tmp_path)
    clock.jump_wall_s(56 * 365 * DAY_S)
    assert (await client.advance()).state is UpdateState.IDLE


async def test_the_time_is_asked_again_after_a_restart(tmp_path: Path) -> None:
    simulator = prepare()
    first = await open_client(simulator, tmp_path, is_clock_set=lambda: False)
    assert await waits_for_the_time(first, tmp_path)
    again = await open_client(simulator, tmp_path, is_clock_set=lambda: False)
    assert (await again.advance()).state is UpdateState.AWAITING_OK
    assert again.situation.refusals == (UNKNOWN,)


async def test_without_a_floor_nothing_that_waits_is_installed(tmp_path: Path) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting until the vehicle stands still.")]
    client = await open_client(prepare(), tmp_path, driver=driver)
    await update(client)
    (tmp_path / "update" / "floor.sqlite").write_bytes(b"no database at all" * 100)
    driver.refusals = []
    assert (await client.advance()).state is UpdateState.AWAITING_OK
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.floor.unusable"


async def test_what_expires_between_installation_and_commit_is_finished_all_the_same(
    tmp_path: Path,
) -> None:
    simulator = prepare()
    clock = FakeClock(simulator.now)
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting until the vehicle stands still.")]
    client = await open_client(simulator, tmp_path, clock=clock, driver=driver)
    await update(client)
    clock.advance_s(60 * DAY_S)
    driver.refusals = []
    assert (await client.advance()).state is UpdateState.IDLE
    assert simulator.manifests[-1].ecus[0].installed is not None


@pytest.mark.parametrize("year", [1970, 9999])
def test_a_clock_that_was_wrong_once_locks_nobody_out(year: int, tmp_path: Path) -> None:
    simulator = prepare()
    verify_and_download(simulator, tmp_path)
    before = floors_of(tmp_path)
    wrong = FakeClock(datetime(year, 12, 30, tzinfo=UTC))
    if year == 9999:
        with pytest.raises(FreezeError, match="expected metadata valid at 9999-12-30"):
            verify_and_download(simulator, tmp_path, wrong)
    else:
        assert verify_and_download(simulator, tmp_path, wrong)  # the signed time stands in
    assert floors_of(tmp_path) == before
    assert verify_and_download(simulator, tmp_path)


def move_to(simulator: RepositorySimulator, name: str, now: datetime) -> None:
    """Sign a repository anew at ``now``, valid for the usual time."""
    repository = simulator.director if name == "director" else simulator.image
    repository.now = now
    repository.expires = dict.fromkeys(repository.expires, now + timedelta(days=30))


def test_two_months_without_a_network_are_made_up_for_in_one_check(tmp_path: Path) -> None:
    past = RepositorySimulator(age=timedelta(days=20))
    past.release(b"image", "1.0.0", counter=1)
    clock = FakeClock(past.now)
    make_verifier(past, tmp_path, clock=clock).check()
    clock.advance_s(60 * DAY_S)
    with pytest.raises(FreezeError, match="expired"):
        make_verifier(past, tmp_path, clock=clock).check()
    for name in ("director", "image"):
        move_to(past, name, clock.utc_now())
    past.director.publish_root()
    past.image.publish_root()
    past.director.publish()
    past.image.publish()
    assert make_verifier(past, tmp_path, clock=clock).check()


def test_a_stolen_timestamp_key_moves_the_time_to_the_roots_expiry_at_most(
    tmp_path: Path,
) -> None:
    simulator = prepare()
    simulator.image.now = datetime(9000, 1, 1, tzinfo=UTC)
    simulator.image.publish()
    with pytest.raises(FreezeError, match="expected metadata valid at"):
        make_verifier(simulator, tmp_path).check()
    assert floors_of(tmp_path) == {}


def test_a_new_root_ends_what_a_stolen_timestamp_key_did_to_the_time(tmp_path: Path) -> None:
    simulator = prepare()
    image = simulator.image
    make_verifier(simulator, tmp_path).check()
    honest, image.now = image.now, image.expires["root"] - timedelta(seconds=1)
    image.publish()
    make_verifier(simulator, tmp_path).check()  # nothing has expired yet at that time
    image.now = honest
    image.expires["timestamp"] = honest + timedelta(days=1)  # as short as it really is
    image.replace_keys("timestamp")
    image.publish()
    assert make_verifier(simulator, tmp_path).check()


def test_an_honest_new_timestamp_shows_that_the_director_is_frozen(tmp_path: Path) -> None:
    """The wall clock stands still; only the Image repository's own time moves on."""
    simulator = prepare()
    clock = FakeClock(simulator.now)
    make_verifier(simulator, tmp_path, clock=clock).check()
    move_to(simulator, "image", simulator.now + timedelta(days=40))
    simulator.image.publish_root()
    simulator.image.publish()
    with pytest.raises(FreezeError, match="director root: expected metadata valid at"):
        make_verifier(simulator, tmp_path, clock=clock).check()


def test_a_delegated_role_expires_by_our_clock_too(tmp_path: Path) -> None:
    simulator = prepare()
    role = simulator.image.delegate("apps")
    role.expires = simulator.now + timedelta(days=2)
    simulator.image.hand_over("apps")
    clock = FakeClock(simulator.now)
    make_verifier(simulator, tmp_path, clock=clock).check()
    clock.advance_s(3 * DAY_S)
    with pytest.raises(FreezeError, match="role apps expired"):
        make_verifier(simulator, tmp_path, clock=clock).check()


def test_without_its_metadata_a_vehicle_still_knows_its_floor_of_every_role(
    tmp_path: Path,
) -> None:
    simulator = prepare()
    simulator.image.publish()
    make_verifier(simulator, tmp_path).check()
    for path in (tmp_path / "metadata" / "image").glob("*.json"):
        path.unlink()
    simulator.image.versions = dict.fromkeys(simulator.image.versions, 1)
    simulator.image.sign_all()
    with pytest.raises(RollbackError, match=r"image .*: expected version >= 3, got 1"):
        make_verifier(simulator, tmp_path).check()
