"""Several images of one update: all are installed, or all go back."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ota.client.bundle import bundles, content_hash
from ota.client.client import UpdateClient
from ota.client.gates import Refusal
from ota.client.journal import JournalEntry
from ota.client.offer import Offer
from ota.client.states import UpdateState
from ota.metadata.custom import Criticality, ImageCustom, Kind, Release
from ota.metadata.manifest import Outcome, VehicleManifest
from tests.support.bundle_simulator import ECUS, SYSTEM, BundleSimulator
from tests.support.packages import IS_ILL, IS_WELL, make_package
from tests.support.repository_simulator import ECU, FACTS
from tests.support.update_client import Driver, FakeRunner, open_client, update, update_to_the_end
from tests.unit.ota.client.test_engine import PluggedSteps, PowerCutError

pytestmark = pytest.mark.timeout(60)  # several whole updates each, also on a loaded machine

NO_OK = Refusal("ota.gate.not_approved", "Waiting for the driver's OK.")
PARKING = Refusal("ota.gate.not_parked", "Waiting until the vehicle is parked.")


def packages(version: str, *, light: bytes = IS_WELL, chime: bytes = IS_WELL) -> dict[str, bytes]:
    return {
        ECU.name: make_package(ECU.name, version, check=light),
        SYSTEM.name: make_package(SYSTEM.name, version, check=chime, kind=Kind.EMBEDDED),
    }


@pytest.fixture
async def simulator(tmp_path: Path) -> BundleSimulator:
    made = BundleSimulator()
    made.release_all(packages("1.0.0"), "1.0.0", counter=1)
    await update(await open_client(made, tmp_path))
    return made


def versions(manifest: VehicleManifest) -> set[str | None]:
    return {ecu.installed and ecu.installed.version for ecu in manifest.ecus}


def results(manifest: VehicleManifest) -> dict[str, tuple[Outcome, str | None]]:
    return {
        ecu.ecu_id: (ecu.result.outcome, ecu.result.code)
        for ecu in manifest.ecus
        if ecu.result is not None
    }


async def test_one_ok_installs_both_and_both_are_reported(simulator: BundleSimulator) -> None:
    assert versions(simulator.manifests[-1]) == {"1.0.0"}
    assert results(simulator.manifests[-1]) == {
        ECU.ecu_id: (Outcome.INSTALLED, None),
        SYSTEM.ecu_id: (Outcome.INSTALLED, None),
    }


async def test_an_ok_to_one_image_is_no_ok_to_the_bundle(
    simulator: BundleSimulator, tmp_path: Path
) -> None:
    driver = Driver()
    driver.refusals = [PARKING]
    client = await open_client(simulator, tmp_path, driver=driver)
    light, _ = simulator.release_all(packages("1.1.0"), "1.1.0", counter=2)
    entry = await update(client)
    assert len(entry.offers) == 2
    assert not await client.engine.set_approved(light)
    assert await client.engine.set_approved(content_hash(entry.offers))


@pytest.mark.parametrize("ill", ["light", "chime"])
async def test_when_one_is_not_well_all_go_back_and_only_it_is_to_blame(
    ill: str, simulator: BundleSimulator, tmp_path: Path
) -> None:
    bad = packages("1.1.0", **{ill: IS_ILL})
    hashes = simulator.release_all(bad, "1.1.0", counter=2)
    runner = FakeRunner()
    client = await open_client(simulator, tmp_path, runner=runner)
    for _ in range(3):
        await update(client)
    assert versions(simulator.manifests[-1]) == {"1.0.0"}
    blamed, other = (ECU, SYSTEM) if ill == "light" else (SYSTEM, ECU)
    assert results(simulator.manifests[-1]) == {
        blamed.ecu_id: (Outcome.ROLLED_BACK, "ota.install.unhealthy"),
        other.ecu_id: (Outcome.ROLLED_BACK, "ota.install.bundle"),
    }
    installer = client._installers.of(offer_for(blamed.name))
    quarantined = [
        each for each in hashes if await asyncio.to_thread(installer.is_quarantined, each)
    ]
    assert len(quarantined) == 1
    assert {folder.parent.name for folder in runner.running.values()} == {ECU.name, SYSTEM.name}


async def test_a_bundle_of_which_one_image_is_refused_is_not_installed_in_part(
    simulator: BundleSimulator, tmp_path: Path
) -> None:
    broken = packages("1.1.0") | {SYSTEM.name: b"no package at all"}
    simulator.release_all(broken, "1.1.0", counter=2)
    client = await open_client(simulator, tmp_path)
    await update(client)
    assert results(simulator.manifests[-1])[SYSTEM.ecu_id] == (
        Outcome.REFUSED,
        "ota.repository.unsafe_package",
    )
    entry = await update(client)  # nor later, by itself
    assert (entry.state, entry.offers) == (UpdateState.IDLE, ())
    assert versions(simulator.manifests[-1]) == {"1.0.0"}


BUSY = [state for state in UpdateState if state is not UpdateState.IDLE]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", BUSY)
@pytest.mark.parametrize("chime", [IS_WELL, IS_ILL], ids=["good", "bad"])
async def test_a_power_cut_in_any_state_leaves_all_new_or_all_old(
    state: UpdateState, when: str, chime: bytes, simulator: BundleSimulator, tmp_path: Path
) -> None:
    simulator.release_all(packages("1.1.0", chime=chime), "1.1.0", counter=2)
    plug = PluggedSteps(state, when, times=1)
    entry = JournalEntry(state=UpdateState.VERIFYING)
    while entry.state is not UpdateState.IDLE:
        client = await open_client(simulator, tmp_path)
        plug.around(client)
        try:
            entry = await update_to_the_end(client)
        except PowerCutError:
            continue
    expected = {"1.1.0"} if chime == IS_WELL else {"1.0.0"}
    assert versions(simulator.manifests[-1]) == expected


@pytest.mark.parametrize("is_decided", [True, False], ids=["after the floor", "before the floor"])
async def test_a_journal_lost_in_the_middle_of_a_commit_still_ends_all_or_none(
    *, is_decided: bool, simulator: BundleSimulator, tmp_path: Path
) -> None:
    simulator.release_all(packages("1.1.0"), "1.1.0", counter=2)
    client = await open_client(simulator, tmp_path)
    plug = PluggedSteps(UpdateState.COMMITTING, "before", times=1)
    plug.around(client)
    with pytest.raises(PowerCutError, match="unplugged"):
        await update(client)
    if is_decided:
        counters = dict.fromkeys((ecu.ecu_id for ecu in ECUS), 2)
        await asyncio.to_thread(client._steps._floor.raise_release_counters, counters)
        (tmp_path / "apps" / ECU.name / "trial").unlink()  # one was committed already
    (tmp_path / "update" / "journal").write_bytes(b"torn")
    again = await open_client(simulator, tmp_path)
    await again.engine.read()
    assert await installed_versions(again) == ({"1.1.0"} if is_decided else {"1.0.0"})
    assert not list((tmp_path / "apps").glob("*/trial"))


class FickleDriver(Driver):
    """Parks just long enough for an installation to begin, ``times`` times; then for good."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times
        self.is_parked = False

    def closed(self, entry: JournalEntry) -> Sequence[Refusal]:
        if entry.approved is None:
            return [NO_OK]
        return [] if self.is_parked else [PARKING]

    def broken(self, entry: JournalEntry) -> Refusal | None:
        if self.left == 0:
            return None
        self.left -= 1
        self.is_parked = False
        return PARKING


async def test_a_gate_that_closes_in_the_middle_brings_all_back_and_it_waits_again(
    simulator: BundleSimulator, tmp_path: Path
) -> None:
    simulator.release_all(packages("1.1.0"), "1.1.0", counter=2)
    driver = FickleDriver(times=3)
    client = await open_client(simulator, tmp_path, driver=driver)
    offered = (await update(client)).content_hash
    await client.engine.set_approved(offered)
    for interruptions in (1, 2):
        driver.is_parked = True
        entry = await client.advance()
        assert (entry.state, entry.interruptions) == (UpdateState.AWAITING_OK, interruptions)
        assert entry.approved == offered  # it goes on by itself once the vehicle is parked
        assert (await installed_versions(client)) == {"1.0.0"}
    driver.is_parked = True
    assert (await client.advance()).approved is None  # the third time the driver is asked again
    assert entry.outcome is not None
    assert entry.outcome.version == "1.0.0"  # nothing has failed
    await client.engine.set_approved(offered)
    driver.is_parked = True
    assert (await client.advance()).state is UpdateState.IDLE
    assert (await installed_versions(client)) == {"1.1.0"}


async def installed_versions(client: UpdateClient) -> set[str | None]:
    return {found and found.version for found in (await client.installed()).values()}


# --- which images belong together ---------------------------------------------------------------


def offer_for(name: str, campaign: str | None = None, **custom: object) -> Offer:
    fields: dict[str, object] = {
        "hardware_ids": ("board-1",),
        "release_counter": 2,
        "version": "1.1.0",
        "kind": Kind.APP,
        "name": name,
        "release": Release(criticality=Criticality.FEATURE, facts={"en": FACTS}),
    }
    return Offer(
        content_hash=name[0] * 64,
        ecu_id=f"ecu-{name}",
        target=f"app/{name}/1.1.0/{name}-1.1.0.okp",
        length=1,
        hashes={"sha256": name[0] * 64},
        custom=ImageCustom(**(fields | custom)),  # type: ignore[arg-type]
        campaign=campaign,
    )


A, B, C = offer_for("a"), offer_for("b"), offer_for("c")
NEEDS_C = offer_for("a", requires={"c": 2})
GROUPS: Mapping[str, tuple[list[Offer], list[list[str]]]] = {
    "no campaign": ([A, B], [["a"], ["b"]]),
    "one campaign": ([offer_for("a", "x"), B, offer_for("c", "x")], [["a", "c"], ["b"]]),
    "two campaigns": ([offer_for("a", "x"), offer_for("b", "y")], [["a"], ["b"]]),
    "what it requires": ([NEEDS_C, B, C], [["a", "c"], ["b"]]),
    "what requires it": ([C, NEEDS_C], [["c", "a"]]),
    "a chain": (
        [NEEDS_C, offer_for("b", "x"), offer_for("c", "x")],
        [["a", "b", "c"]],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("offers", "groups"), GROUPS.values(), ids=list(GROUPS))
def test_images_of_a_campaign_and_what_they_require_belong_together(
    offers: list[Offer], groups: list[list[str]]
) -> None:
    assert [[offer.name for offer in bundle] for bundle in bundles(offers)] == groups


def test_the_hash_of_a_bundle_does_not_depend_on_its_order_and_differs_from_its_parts() -> None:
    assert content_hash([A, B]) == content_hash([B, A])
    assert content_hash([A]) == A.content_hash
    assert len({content_hash([A, B]), content_hash([A, B, C]), A.content_hash}) == 3
