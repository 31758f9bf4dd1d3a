"""The engine on its table, and an update whose plug is pulled in every state."""

from pathlib import Path

import pytest

from ota.client.client import UpdateClient
from ota.client.engine import Step, UpdateEngine
from ota.client.journal import Journal, JournalEntry
from ota.client.states import UpdateState
from ota.metadata.manifest import Outcome
from tests.support.packages import IS_ILL, make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_client import open_client, update, update_to_the_end

BUSY = [state for state in UpdateState if state is not UpdateState.IDLE]
GOOD = make_package(version="1.0.0")
BETTER = make_package(version="1.1.0")
BAD = make_package(version="1.1.0", check=IS_ILL)


class PowerCutError(BaseException):
    """The plug is out: nothing between here and the wall may catch it."""


class PluggedSteps:
    """Real steps with a plug that is pulled at (state, when), ``times`` times."""

    def __init__(self, state: UpdateState, when: str, times: int) -> None:
        self.state, self.when, self.left = state, when, times
        self.visited: list[UpdateState] = []

    def around(self, client: UpdateClient) -> None:
        inner = client.engine._steps
        plug = self

        class Steps:
            async def run(self, entry: JournalEntry) -> Step | None:
                plug.visited.append(entry.state)
                plug.pull(entry.state, "before")
                step = await inner.run(entry)
                plug.pull(entry.state, "after")
                return step

            def give_up(self, entry: JournalEntry) -> Step:
                return inner.give_up(entry)

            async def recover(self) -> JournalEntry:
                return await inner.recover()

        client.engine = UpdateEngine(client.engine._journal, Steps())

    def pull(self, state: UpdateState, when: str) -> None:
        if (state, when) == (self.state, self.when) and self.left:
            self.left -= 1
            raise PowerCutError("unplugged")


async def update_through_power_cuts(
    simulator: RepositorySimulator, folder: Path, plug: PluggedSteps
) -> JournalEntry:
    while True:
        client = await open_client(simulator, folder)
        plug.around(client)
        try:
            entry = await update_to_the_end(client)
        except PowerCutError:
            continue
        if entry.state is UpdateState.IDLE:
            return entry


async def start_with_1_0_0(folder: Path, then: bytes) -> RepositorySimulator:
    simulator = RepositorySimulator()
    simulator.release(GOOD, "1.0.0", counter=1)
    await update(await open_client(simulator, folder))
    simulator.release(then, "1.1.0", counter=2)
    return simulator


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", [state for state in BUSY if state != UpdateState.ROLLING_BACK])
async def test_power_cut_in_any_state_still_ends_in_a_report(
    state: UpdateState, when: str, tmp_path: Path
) -> None:
    simulator = await start_with_1_0_0(tmp_path, BETTER)
    plug = PluggedSteps(state, when, times=1)
    entry = await update_through_power_cuts(simulator, tmp_path, plug)
    assert plug.left == 0
    assert UpdateState.ROLLING_BACK not in plug.visited
    assert entry.state is UpdateState.IDLE
    report = simulator.manifests[-1].ecus[0]
    assert report.installed is not None
    assert report.installed.version == "1.1.0"
    assert report.result is not None
    assert report.result.outcome is Outcome.INSTALLED


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("state", [state for state in BUSY if state != UpdateState.COMMITTING])
async def test_power_cut_in_any_state_of_a_bad_update_still_goes_back(
    state: UpdateState, when: str, tmp_path: Path
) -> None:
    simulator = await start_with_1_0_0(tmp_path, BAD)
    plug = PluggedSteps(state, when, times=1)
    await update_through_power_cuts(simulator, tmp_path, plug)
    assert plug.left == 0
    report = simulator.manifests[-1].ecus[0]
    assert report.installed is not None
    assert report.installed.version == "1.0.0"
    assert report.result is not None
    assert report.result.outcome is Outcome.ROLLED_BACK


async def test_a_version_that_cuts_the_power_whenever_it_is_checked_goes_back(
    tmp_path: Path,
) -> None:
    simulator = await start_with_1_0_0(tmp_path, BETTER)
    plug = PluggedSteps(UpdateState.CHECKING, "before", times=99)
    await update_through_power_cuts(simulator, tmp_path, plug)
    assert plug.visited.count(UpdateState.CHECKING) == 3
    report = simulator.manifests[-1].ecus[0]
    assert report.installed is not None
    assert report.installed.version == "1.0.0"
    assert report.result is not None
    assert report.result.outcome is Outcome.ROLLED_BACK
    assert not (tmp_path / "apps" / ECU.name / "trial").is_symlink()


async def test_an_installation_that_never_ends_leaves_what_ran(tmp_path: Path) -> None:
    simulator = await start_with_1_0_0(tmp_path, BETTER)
    plug = PluggedSteps(UpdateState.INSTALLING, "before", times=99)
    await update_through_power_cuts(simulator, tmp_path, plug)
    report = simulator.manifests[-1].ecus[0]
    assert report.installed is not None
    assert report.installed.version == "1.0.0"


async def test_a_check_is_not_asked_in_the_middle_of_an_update(tmp_path: Path) -> None:
    simulator = await start_with_1_0_0(tmp_path, BETTER)
    plug = PluggedSteps(UpdateState.INSTALLING, "before", times=1)
    client = await open_client(simulator, tmp_path)
    plug.around(client)
    with pytest.raises(PowerCutError, match="unplugged"):
        await update(client)
    assert not await client.engine.ask_check()
    assert (await client.engine.read()).state is UpdateState.INSTALLING


async def test_the_attempt_is_on_the_disk_before_it_is_made(tmp_path: Path) -> None:
    simulator = await start_with_1_0_0(tmp_path, BETTER)
    plug = PluggedSteps(UpdateState.CHECKING, "before", times=1)
    client = await open_client(simulator, tmp_path)
    plug.around(client)
    with pytest.raises(PowerCutError, match="unplugged"):
        await update(client)
    entry = await client.engine.read()
    assert (entry.state, entry.attempt) == (UpdateState.CHECKING, 1)
    assert isinstance(client.engine._journal, Journal)
