"""An update client for tests: the real one, with a runner that only pretends, or with the real."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from ota.client.client import UpdateClient
from ota.client.documents import Documents, Take
from ota.client.download import Downloader
from ota.client.durable import sync_tree
from ota.client.floor import Floor
from ota.client.gates import Refusal
from ota.client.journal import JournalEntry
from ota.client.offer import Ecu
from ota.client.pace import DataUse, unlimited
from ota.client.ports import AppRunner, CheckResult, Fetcher, Program
from ota.client.states import UpdateState
from ota.client.timekeeper import BatteryTime, TimeKeeper, TimeSource
from ota.client.verifier import Verifier
from tests.support.clock import FakeClock
from tests.support.repository_simulator import BASE, ECU, VEHICLE, RepositorySimulator

ILL = b"exit 1"  # a check that holds this is not well


class FakeRunner:
    """Starts nothing; a check or a migration fails if its file says ``exit 1``."""

    def __init__(self) -> None:
        self.running: dict[str, Path] = {}
        self.migrated: list[Sequence[str]] = []

    def start(self, name: str, program: Program) -> None:
        assert (program.folder / program.command[0]).is_file()
        self.running[name] = program.folder

    def stop(self, name: str) -> None:
        self.running.pop(name, None)

    def exits_within(self, name: str, seconds: float) -> bool:
        return name not in self.running

    def run(self, program: Program, *, timeout_s: float, go_on: Callable[[], bool]) -> CheckResult:
        is_ill = ILL in (program.folder / program.command[0]).read_bytes()
        if not go_on():
            return CheckResult(exit_code=None, output="")
        if program.data is not None and len(program.command) > 1:
            self.migrated.append(program.command[1:])
            (program.data / "schema").write_text(program.command[-1])
        return CheckResult(exit_code=int(is_ill), output="")

    def make_data(self, folder: Path, *, copy_of: Path | None) -> None:
        if copy_of is None:
            folder.mkdir()
        else:
            shutil.copytree(copy_of, folder)
        self.sync_data(folder)

    def sync_data(self, folder: Path) -> None:
        sync_tree(folder)


class Driver:
    """Says OK to whatever is offered, unless told otherwise."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.drives_off: Refusal | None = None

    def closed(self, entry: JournalEntry) -> Sequence[Refusal]:
        return self.refusals

    def broken(self, entry: JournalEntry) -> Refusal | None:
        return self.drives_off


def make_verifier(  # noqa: PLR0913 (what a vehicle may differ in, all by name)
    simulator: RepositorySimulator,
    folder: Path,
    *,
    clock: FakeClock | None = None,
    ecus: Sequence[Ecu] = (ECU,),
    time_sources: Sequence[TimeSource] | None = None,
    running: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    takers: Mapping[str, Take] = MappingProxyType({}),
) -> Verifier:
    """Return the real verifier over the simulated repositories, with all it keeps in ``folder``.

    ``running`` maps an app's name to the hashes of what runs.
    """
    wall, floor = clock or FakeClock(simulator.now), Floor(folder / "floor.sqlite")
    sources = [BatteryTime(wall)] if time_sources is None else time_sources
    return Verifier(
        vehicle=VEHICLE,
        ecus=ecus,
        director=simulator.address("director"),
        image=simulator.address("image"),
        folder=folder / "metadata",
        fetcher=simulator,
        floor=floor,
        time=TimeKeeper(wall, sources, floor),
        running=running.get,
        documents=Documents(
            simulator,
            targets_url=f"{BASE}/image/targets/",
            folder=folder / "documents",
            takers=takers,
        ),
    )


def verify_and_download(
    simulator: RepositorySimulator, folder: Path, clock: FakeClock | None = None
) -> list[Path]:
    """Verify as a vehicle does, download what is offered, and return where it is."""
    offers = make_verifier(simulator, folder, clock=clock).check()
    downloader = Downloader(
        simulator,
        targets_url=f"{BASE}/image/targets/",
        folder=folder / "images",
        on_progress=lambda _: None,
        clock=FakeClock(simulator.now),
    )
    return [downloader.download(offer) for offer in offers]


def floors_of(folder: Path) -> dict[tuple[str, str], int]:
    """Return the lowest version still accepted of each role of each repository."""
    with closing(sqlite3.connect(folder / "floor.sqlite")) as database:
        rows = database.execute("SELECT repository, name, version FROM role").fetchall()
    return {(repository, name): version for repository, name, version in rows}


async def open_client(  # noqa: PLR0913 (what a vehicle may differ in, all by name)
    simulator: RepositorySimulator,
    folder: Path,
    *,
    fetcher: Fetcher | None = None,
    runner: AppRunner | None = None,
    driver: Driver | None = None,
    data_use: Callable[[], DataUse] = unlimited,
    clock: FakeClock | None = None,
    time_sources: Sequence[TimeSource] | None = None,
) -> UpdateClient:
    return await asyncio.to_thread(
        UpdateClient,
        simulator.settings(folder),
        fetcher=fetcher or simulator,
        runner=runner or FakeRunner(),
        clock=clock or FakeClock(simulator.now),
        gates=driver or Driver(),
        data_use=data_use,
        time_sources=time_sources,
    )


async def update(client: UpdateClient) -> JournalEntry:
    """Check once and follow it to where it waits."""
    await client.engine.ask_check()
    return await client.advance()


async def update_to_the_end(client: UpdateClient) -> JournalEntry:
    """Go on until the update rests, as after a restart."""
    entry = await client.engine.read()
    if entry.state is UpdateState.IDLE:
        return await update(client)
    return await client.advance()
