"""A whole update: verified, downloaded, approved, installed, checked, committed, reported."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ota.client.floor import Floor
from ota.client.gates import Refusal
from ota.client.journal import Journal
from ota.client.pace import DataUse
from ota.client.states import UpdateState
from ota.metadata.manifest import Outcome
from tests.support.packages import IS_ILL, make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_client import Driver, FakeRunner, open_client, update

GOOD = make_package(version="1.0.0")
BETTER = make_package(version="1.1.0", extra={"data/tones.txt": b"do re mi"})
BAD = make_package(version="1.2.0", check=IS_ILL)


@pytest.fixture
def simulator() -> RepositorySimulator:
    made = RepositorySimulator()
    made.release(GOOD, "1.0.0", counter=1)
    return made


async def floor_of(folder: Path) -> int:
    floor = Floor(folder / "update" / "floor.sqlite")
    return await asyncio.to_thread(floor.release_counter, ECU.ecu_id)


def current(folder: Path) -> str:
    return (folder / "apps" / ECU.name / "current").readlink().name


async def test_an_update_is_installed_and_reported(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    entry = await update(await open_client(simulator, tmp_path))
    assert entry.state is UpdateState.IDLE
    report = simulator.manifests[-1].ecus[0]
    assert report.installed is not None
    assert (report.installed.version, report.installed.release_counter) == ("1.0.0", 1)
    assert report.result is not None
    assert (report.result.outcome, report.result.code) == (Outcome.INSTALLED, None)
    assert await floor_of(tmp_path) == 1


async def test_every_manifest_carries_a_higher_counter(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    await update(client)
    await update(client)
    counters = [manifest.counter for manifest in simulator.manifests]
    assert counters == sorted(set(counters))
    assert len(counters) >= 3


async def test_what_runs_already_is_not_offered_again(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    digest = simulator.release(GOOD, "1.0.0", counter=1)
    await update(client)
    await update(client)
    assert simulator.fetched[simulator.image_path("1.0.0", digest)] == 1


async def test_the_version_before_is_kept_and_older_ones_go(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    for version, counter in (("1.0.0", 1), ("1.1.0", 2), ("1.2.0", 3)):
        simulator.release(make_package(version=version), version, counter=counter)
        await update(client)
    folders = [path for path in (tmp_path / "apps" / ECU.name).iterdir() if not path.is_symlink()]
    assert len([path for path in folders if path.is_dir()]) == 2
    assert not list((tmp_path / "update" / "images").iterdir())


async def test_a_version_that_is_not_well_goes_back_and_says_so(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    runner = FakeRunner()
    client = await open_client(simulator, tmp_path, runner=runner)
    await update(client)
    before = current(tmp_path)
    bad = simulator.release(BAD, "1.2.0", counter=2)
    entry = await update(client)
    assert entry.state is UpdateState.IDLE
    report = simulator.manifests[-1].ecus[0]
    assert report.result is not None
    assert report.result.update == bad
    assert report.result.outcome is Outcome.ROLLED_BACK
    assert report.result.code == "ota.install.unhealthy"
    assert report.installed is not None
    assert report.installed.version == "1.0.0"
    assert current(tmp_path) == before
    assert runner.running[ECU.name].name == before
    assert await floor_of(tmp_path) == 1
    assert not (tmp_path / "apps" / ECU.name / "trial").is_symlink()


async def test_the_first_version_of_an_app_that_is_not_well_leaves_no_app(tmp_path: Path) -> None:
    simulator = RepositorySimulator()
    simulator.release(BAD, "1.2.0", counter=1)
    await update(await open_client(simulator, tmp_path))
    assert simulator.manifests[-1].ecus[0].installed is None


async def test_the_third_failure_puts_an_image_into_quarantine(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    bad = simulator.release(BAD, "1.2.0", counter=2)
    results = []
    for _ in range(5):
        await update(client)
        results.append(simulator.manifests[-1].ecus[0].result)
    assert [result and (result.outcome, result.code) for result in results] == [
        (Outcome.ROLLED_BACK, "ota.install.unhealthy"),
        (Outcome.ROLLED_BACK, "ota.install.unhealthy"),
        (Outcome.ROLLED_BACK, "ota.install.unhealthy"),
        (Outcome.REFUSED, "ota.install.quarantined"),
        None,
    ]
    assert simulator.fetched[simulator.image_path("1.2.0", bad)] == 3


async def test_a_failure_is_told_once_so_that_the_same_image_can_be_assigned_again(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    simulator.release(BAD, "1.2.0", counter=2)
    await update(client)
    assert simulator.manifests[-1].ecus[0].result is not None
    simulator.director.targets = {}
    simulator.director.publish()
    entry = await update(client)
    assert simulator.manifests[-1].ecus[0].result is None
    assert entry.outcome is not None  # the driver may still read it


async def test_nothing_is_installed_while_a_gate_is_closed(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    entry = await update(client)
    assert entry.state is UpdateState.AWAITING_OK
    assert client.situation.refusals == tuple(driver.refusals)
    assert not (tmp_path / "apps").exists()
    driver.refusals = []
    assert (await client.advance()).state is UpdateState.IDLE
    assert (await client.installed())[ECU.ecu_id] is not None


async def test_a_check_while_waiting_takes_the_newer_offer_and_forgets_the_ok(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.not_approved", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    entry = await update(client)
    assert entry.offer is not None
    assert await client.engine.set_approved(entry.offer.content_hash)
    better = simulator.release(BETTER, "1.1.0", counter=2)
    entry = await update(client)
    assert entry.offer is not None
    assert (entry.offer.content_hash, entry.approved) == (better, None)


async def test_an_ok_survives_a_check_that_brings_the_same_offer(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    entry = await update(client)
    assert entry.offer is not None
    await client.engine.set_approved(entry.offer.content_hash)
    entry = await update(client)
    assert entry.offer is not None
    assert entry.approved == entry.offer.content_hash


async def test_an_ok_to_another_image_is_not_taken(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    await update(client)
    assert not await client.engine.set_approved("0" * 64)
    assert (await client.engine.read()).approved is None


async def test_an_offer_that_was_withdrawn_is_dropped(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    await update(client)
    simulator.director.targets = {}
    simulator.director.publish()
    entry = await update(client)
    assert (entry.state, entry.offer) == (UpdateState.IDLE, None)


async def test_an_attack_is_reported_to_the_director_and_forgotten_after_a_good_check(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    simulator.assign("1.0.0", counter=1, ecus={"ecu-9": "board-1"})
    entry = await update(client)
    assert (entry.state, entry.attack) == (UpdateState.IDLE, "ota.repository.unknown_ecu")
    assert simulator.manifests[-1].ecus[0].attack == "ota.repository.unknown_ecu"
    simulator.assign("1.0.0", counter=1)
    await update(client)
    assert simulator.manifests[-1].ecus[0].attack is None


ALTERED = {
    "longer": (GOOD + b"x", "ota.repository.length_mismatch"),
    "shorter": (GOOD[:-1], "ota.repository.length_mismatch"),
    "changed": (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "ota.repository.hash_mismatch"),
}


@pytest.mark.parametrize(("body", "code"), ALTERED.values(), ids=list(ALTERED))
async def test_an_altered_image_is_refused_and_reported(
    body: bytes, code: str, simulator: RepositorySimulator, tmp_path: Path
) -> None:
    digest = next(iter(simulator.images))
    simulator.images[digest] = body
    await update(await open_client(simulator, tmp_path))
    report = simulator.manifests[-1].ecus[0]
    assert report.result is not None
    assert (report.result.outcome, report.result.code) == (Outcome.REFUSED, code)
    assert (report.attack, report.installed) == (code, None)
    assert not (tmp_path / "apps" / ECU.name).exists()


async def test_an_image_that_was_changed_on_the_disk_is_not_installed(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [Refusal("ota.gate.moving", "Waiting.")]
    client = await open_client(simulator, tmp_path, driver=driver)
    await update(client)
    (image,) = (tmp_path / "update" / "images").iterdir()
    other = make_package(version="1.0.0", extra={"data/evil": b"evil"})
    image.write_bytes(other)
    driver.refusals = []
    await client.advance()
    report = simulator.manifests[-1].ecus[0]
    assert report.result is not None
    assert report.result.code == "ota.repository.hash_mismatch"
    assert report.installed is None


async def test_a_package_for_another_version_is_refused(tmp_path: Path) -> None:
    simulator = RepositorySimulator()
    simulator.release(make_package(version="9.9.9"), "1.0.0", counter=1)
    client = await open_client(simulator, tmp_path)
    await update(client)
    report = simulator.manifests[-1].ecus[0]
    assert report.result is not None
    assert report.result.outcome is Outcome.REFUSED
    assert report.installed is None


async def test_a_package_that_breaks_the_rules_is_downloaded_once(tmp_path: Path) -> None:
    simulator = RepositorySimulator()
    digest = simulator.release(b"no package at all", "1.0.0", counter=1)
    client = await open_client(simulator, tmp_path)
    await update(client)
    result = simulator.manifests[-1].ecus[0].result
    assert result is not None
    assert result.code == "ota.repository.unsafe_package"
    await update(client)
    assert simulator.fetched[simulator.image_path("1.0.0", digest)] == 1


async def test_without_a_network_nothing_changes_and_the_reason_is_kept(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    simulator.is_down = True
    entry = await update(client)
    assert (entry.state, entry.attack) == (UpdateState.IDLE, None)
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.download.network"


async def test_waiting_for_a_network_that_costs_less_is_no_failed_attempt(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    uses = [DataUse(network="roaming", budget_bytes=0)]
    client = await open_client(simulator, tmp_path, data_use=lambda: uses[0])
    await update(client)
    for _ in range(30):
        entry = await client.advance()
    assert (entry.state, entry.attempt) == (UpdateState.DOWNLOADING, 0)
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.not_now.data_budget"
    uses[0] = DataUse(network="wlan")
    assert (await client.advance()).state is UpdateState.IDLE
    assert (await client.installed())[ECU.ecu_id] is not None


async def test_a_download_that_nobody_wants_any_more_leaves_nothing(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    images = tmp_path / "update" / "images"
    images.mkdir(parents=True)
    (images / ("0" * 64 + ".part")).write_bytes(b"half of an older image")
    await update(await open_client(simulator, tmp_path))
    assert list(images.iterdir()) == []


async def test_a_report_waits_for_the_director_and_is_delivered_once_it_is_back(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    await update(client)
    simulator.release(BETTER, "1.1.0", counter=2)
    simulator.post_status = 503
    entry = await update(client)
    assert entry.state is UpdateState.REPORTING
    assert not await client.engine.ask_check()
    again = await open_client(simulator, tmp_path)  # as after a restart
    simulator.post_status = 200
    entry = await again.advance()
    assert entry.state is UpdateState.IDLE
    result = simulator.manifests[-1].ecus[0].result
    assert result is not None
    assert result.outcome is Outcome.INSTALLED


async def test_a_director_that_refuses_reports_does_not_stop_updates(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    simulator.post_status = 403
    assert (await update(client)).state is UpdateState.IDLE
    simulator.release(BETTER, "1.1.0", counter=2)
    await update(client)
    installed = (await client.installed())[ECU.ecu_id]
    assert installed is not None
    assert installed.version == "1.1.0"
    simulator.post_status = 200
    await update(client)
    result = simulator.manifests[-1].ecus[0].result
    assert result is not None  # told as soon as it listens
    assert result.outcome is Outcome.INSTALLED


async def test_a_damaged_journal_during_a_trial_ends_the_trial(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    client = await open_client(simulator, tmp_path)
    await update(client)
    before = current(tmp_path)
    home = tmp_path / "apps" / ECU.name
    shutil.copytree(home / before, home / ("f" * 64))
    (home / "trial").symlink_to("f" * 64)
    (home / "previous").symlink_to(before)
    (home / "current").unlink()
    (home / "current").symlink_to("f" * 64)
    (tmp_path / "update" / "journal").write_bytes(b"torn")
    entry = await (await open_client(simulator, tmp_path)).engine.read()
    assert entry.state is UpdateState.IDLE
    assert current(tmp_path) == before
    assert (tmp_path / "update" / "journal.damaged").read_bytes() == b"torn"
    assert await asyncio.to_thread(Journal(tmp_path / "update" / "journal").read) == entry
