"""What the vehicle does when it does not know what time it is, or is told a wrong one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ota.client.client import UpdateClient
from ota.client.floor import Floor
from ota.client.gates import Refusal
from ota.client.states import UpdateState
from ota.client.timekeeper import TOLERANCE, Reading, TimeKeeper, Verdict, Witness, judge
from ota.errors import FreezeError, FutureError, RollbackError, TimeUnknownError
from tests.support.attacks import DIGEST, prepare
from tests.support.clock import FakeClock
from tests.support.own_attacks import OWN_ATTACKS
from tests.support.packages import make_package
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


class Witnessed:
    """A source that says what it is told to say."""

    def __init__(self, witness: Witness, utc: datetime | None = None) -> None:
        self.witness = witness
        self.utc = utc

    def read(self) -> datetime | None:
        return self.utc


async def test_without_a_time_an_update_is_verified_and_downloaded_but_waits(
    tmp_path: Path,
) -> None:
    simulator, satellites = prepare(), Witnessed(Witness.GNSS)
    client = await open_client(simulator, tmp_path, time_sources=[satellites])
    assert await waits_for_the_time(client, tmp_path)
    satellites.utc = simulator.now
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
    first = await open_client(simulator, tmp_path, time_sources=[])
    assert await waits_for_the_time(first, tmp_path)
    again = await open_client(simulator, tmp_path, time_sources=[])
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


# --- who may say what time it is -----------------------------------------------------------------


def reading(witness: Witness, utc: datetime) -> Reading:
    return Reading(witness=witness, utc=utc)


@pytest.mark.parametrize("witness", Witness)
def test_whoever_is_not_below_the_floor_ends_time_unknown(witness: Witness) -> None:
    floor = datetime(2026, 11, 22, tzinfo=UTC)
    assert judge([], floor).reading is None
    at_floor = reading(witness, floor)
    assert judge([at_floor], floor).reading == at_floor
    late = reading(witness, floor - TOLERANCE)
    assert judge([late], floor).reading == late
    false = reading(witness, floor - TOLERANCE - timedelta(seconds=1))
    assert judge([false], floor) == Verdict(reading=None, refused=(false,))


def test_the_most_trusted_word_counts_and_one_below_the_floor_is_told() -> None:
    floor = datetime(2026, 11, 22, tzinfo=UTC)
    said = [reading(witness, floor + timedelta(days=1)) for witness in reversed(Witness)]
    assert judge(said, floor).reading == said[-1]
    said[-1] = reading(Witness.NTS, floor - timedelta(days=1))
    assert judge(said, floor).reading == reading(Witness.GNSS, floor + timedelta(days=1))
    assert judge(said, floor).refused == (said[-1],)


def keeper_of(folder: Path, *sources: Witnessed) -> TimeKeeper:
    return TimeKeeper(FakeClock(), sources, Floor(folder / "floor.sqlite"))


@pytest.mark.parametrize("witness", Witness)
def test_only_nts_raises_the_floor(witness: Witness, tmp_path: Path) -> None:
    simulator = prepare()
    make_verifier(simulator, tmp_path).check()
    later = simulator.now + timedelta(days=2)
    keeper_of(tmp_path, Witnessed(witness, later)).look()
    raised = later if witness is Witness.NTS else simulator.now
    assert Floor(tmp_path / "floor.sqlite").lowest_time() == raised


def test_nts_raises_the_floor_to_the_roots_expiry_at_most_and_a_new_root_resets_it(
    tmp_path: Path,
) -> None:
    simulator, floor = prepare(), Floor(tmp_path / "floor.sqlite")
    nts = keeper_of(tmp_path, Witnessed(Witness.NTS, datetime(9000, 1, 1, tzinfo=UTC)))
    nts.look()
    assert floor.lowest_time() is None  # no root is trusted yet
    make_verifier(simulator, tmp_path).check()
    nts.look()
    assert floor.lowest_time() == simulator.image.expires["root"]
    simulator.image.publish_root()
    simulator.image.publish()
    assert make_verifier(simulator, tmp_path).check()
    assert floor.lowest_time() == simulator.now


def test_a_timestamp_from_the_future_is_refused_while_nts_says_what_time_it_is(
    tmp_path: Path,
) -> None:
    simulator = prepare()
    nts, gnss = (Witnessed(witness, simulator.now) for witness in (Witness.NTS, Witness.GNSS))
    make_verifier(simulator, tmp_path, time_sources=[nts]).check()
    simulator.image.now += TOLERANCE
    simulator.image.publish()
    make_verifier(simulator, tmp_path, time_sources=[nts]).check()
    simulator.image.now += timedelta(seconds=1)
    simulator.image.publish()
    with pytest.raises(FutureError, match="image timestamp: expected issued by"):
        make_verifier(simulator, tmp_path, time_sources=[nts]).check()
    assert Floor(tmp_path / "floor.sqlite").lowest_time() == simulator.now + TOLERANCE
    assert make_verifier(simulator, tmp_path, time_sources=[gnss]).check()


def test_a_clock_that_is_a_little_slow_is_still_a_time(tmp_path: Path) -> None:
    simulator = prepare()
    make_verifier(simulator, tmp_path).check()
    slow = Witnessed(Witness.NTP, simulator.now - TOLERANCE / 2)
    keeper = keeper_of(tmp_path, slow)
    assert keeper.is_known()
    assert keeper.utc_now() == simulator.now
    slow.utc = simulator.now - 2 * TOLERANCE
    assert not keeper.is_known()


async def test_a_report_says_no_earlier_time_than_what_was_signed(tmp_path: Path) -> None:
    simulator = prepare()
    clock = FakeClock(datetime(1970, 1, 1, tzinfo=UTC))
    client = await open_client(simulator, tmp_path, clock=clock, time_sources=[])
    await update(client)
    await update(client)
    assert simulator.manifests[-1].time == f"{simulator.now:%Y-%m-%dT%H:%M:%SZ}"


async def test_a_director_kept_away_for_two_weeks_hears_of_it_once_it_is_back(
    tmp_path: Path,
) -> None:
    simulator = prepare()
    clock = FakeClock(simulator.now)
    client = await open_client(simulator, tmp_path, clock=clock)
    await update(client)
    simulator.is_down = True
    clock.advance_s(14 * DAY_S)
    assert (await update(client)).attack is None
    clock.advance_s(1 * DAY_S)
    assert (await update(client)).attack == "ota.download.stale"
    simulator.is_down = False
    await update(client)
    assert simulator.manifests[-1].ecus[0].attack == "ota.download.stale"
    await update(client)
    assert simulator.manifests[-1].ecus[0].attack is None


async def test_metadata_that_trickles_is_told_to_the_director(tmp_path: Path) -> None:
    simulator = prepare()
    OWN_ATTACKS["the image timestamp trickles"].run(simulator)
    client = await open_client(simulator, tmp_path)
    assert (await update(client)).attack == "ota.download.slow_retrieval"
    simulator.bodies.clear()
    await update(client)
    attacks = [manifest.ecus[0].attack for manifest in simulator.manifests]
    assert attacks.count("ota.download.slow_retrieval") == 1


# --- an emergency roll-back: old content, higher counter -----------------------------------------


async def test_an_emergency_roll_back_brings_the_old_content_and_closes_the_way_forth(
    tmp_path: Path,
) -> None:
    simulator = RepositorySimulator()
    good, bad = make_package(), make_package(version="1.1.0")
    simulator.release(good, "1.0.0", counter=1)
    client = await open_client(simulator, tmp_path)
    await update(client)
    simulator.release(bad, "1.1.0", counter=2)
    await update(client)
    simulator.release(good, "1.0.0", counter=3)
    entry = await update(client)
    assert entry.outcome is not None
    assert (entry.outcome.version, entry.outcome.result.code) == ("1.0.0", None)
    simulator.release(bad, "1.1.0", counter=2)
    assert (await update(client)).attack == "ota.repository.release_counter"


async def test_who_runs_the_old_content_still_is_kept_from_what_was_taken_back(
    tmp_path: Path,
) -> None:
    """Nothing is installed, so nothing is committed: the counter rises all the same."""
    simulator = RepositorySimulator()
    simulator.release(make_package(), "1.0.0", counter=1)
    client = await open_client(simulator, tmp_path)
    await update(client)
    simulator.release(make_package(), "1.0.0", counter=3)
    assert (await update(client)).attack is None
    simulator.release(make_package(version="1.1.0"), "1.1.0", counter=2)
    assert (await update(client)).attack == "ota.repository.release_counter"


def test_a_counter_alone_does_not_rise_for_other_content_than_what_runs(tmp_path: Path) -> None:
    simulator = RepositorySimulator()
    simulator.release(make_package(), "1.0.0", counter=7)
    running = {"trip-light": {"sha256": DIGEST}}
    make_verifier(simulator, tmp_path, running=running).check()
    assert Floor(tmp_path / "floor.sqlite").release_counter("ecu-1") == 0
