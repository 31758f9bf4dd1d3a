"""Bad networks, over real TLS: cut anywhere, silent, a trickle, and every wrong answer.

Each ends as it should: a code that names what happened, nothing lost of what was right, nothing
kept of what was wrong, no other host asked, and the update installed once the network is well, or
a report why not.
"""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ota.client.client import UpdateClient
from ota.client.states import UpdateState
from sim.pki import Authority, Identity
from tests.support import bad_network as bad
from tests.support.bad_network import Fault, FaultySite, RelocatedFetcher, faulty_site
from tests.support.packages import make_package
from tests.support.proxy import Fault as Cut
from tests.support.proxy import counting_proxy
from tests.support.repository_simulator import RepositorySimulator
from tests.support.update_client import open_client, update

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

PACKAGE = make_package(extra={"data/blob": random.Random(7).randbytes(300_000)})
WAITING = UpdateState.DOWNLOADING
_DOWNLOADS = 21  # attempts after which a download is given up, and one to see it


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Identity]:
    return bad.new_authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def site(pki: tuple[Authority, Identity]) -> Iterator[FaultySite]:
    simulator = RepositorySimulator()
    simulator.release(PACKAGE, "1.0.0", counter=1)
    with faulty_site(simulator, pki[0]) as made:
        yield made


@asynccontextmanager
async def vehicle(
    site: FaultySite, folder: Path, who: Identity, port: int | None = None, **patience: float
) -> AsyncIterator[UpdateClient]:
    fetcher = RelocatedFetcher(who, port or site.port, **patience)
    try:
        yield await open_client(site.simulator, folder, fetcher=fetcher)
    finally:
        fetcher.close()


def is_image(path: str) -> bool:
    return path.endswith(".okp") and "targets" in path


def is_large(site: FaultySite) -> None:
    """Hit the image itself, not its short list of pieces."""
    site.is_hit = lambda path: is_image(path) and (site.simulator._body(path) or b"") == PACKAGE


def is_installed(folder: Path) -> bool:
    return (folder / "apps" / "trip-light" / "current").is_symlink()


def code_of(client: UpdateClient) -> str | None:
    problem = client.situation.problem
    return None if problem is None else problem.code


# What happens to the image once, and the code; the next try installs it.
PASSING: dict[str, tuple[list[Fault], str | None]] = {
    "broken off in the middle": ([bad.broken_off], "ota.download.network"),
    "cut, then another range": ([bad.broken_off, bad.other_range], "ota.download.network"),
    "compressed": ([bad.gzipped], "ota.download.wrong_answer"),
    "a captive portal's page": ([bad.login_page], "ota.download.wrong_answer"),
    "503": ([bad.refused(503)], "ota.download.refused"),
    "429 with a wish": ([bad.refused(429, Retry_After="7")], "ota.download.refused"),
    "500": ([bad.refused(500)], "ota.download.refused"),
    "one byte changed once": ([bad.one_byte_changed], None),
}
# What happens to the image, and the code with which the update ends and is reported.
ENDING: dict[str, tuple[list[Fault], str]] = {
    "another host": ([bad.redirected], "ota.download.refused"),
    "404": ([bad.refused(404)], "ota.download.refused"),
    "410": ([bad.refused(410)], "ota.download.refused"),
    "half of it as the whole": ([bad.ends_early], "ota.repository.length_mismatch"),
    "more than was signed": ([bad.with_more], "ota.repository.length_mismatch"),
    "compressed, and nothing says so": (
        [bad.gzipped_in_secret],
        "ota.repository.length_mismatch",
    ),
    "a portal's page, and nothing says so": (
        [bad.login_page_in_secret],
        "ota.repository.length_mismatch",
    ),
}


@pytest.mark.parametrize("name", PASSING)
async def test_what_passes_is_named_and_the_next_try_installs(
    name: str, site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    is_large(site)
    faults, code = PASSING[name]
    site.faults = [*faults]
    async with vehicle(site, tmp_path, pki[1]) as client:
        entry = await update(client)
        if code is not None:
            assert (entry.state, code_of(client)) == (WAITING, code)
        for _ in range(len(faults)):
            entry = await client.advance()
        assert entry.state is UpdateState.IDLE, client.situation
    assert is_installed(tmp_path)
    assert site.simulator.manifests[-1].ecus[0].installed is not None


@pytest.mark.parametrize("name", ENDING)
async def test_what_does_not_pass_ends_the_update_with_a_report(
    name: str, site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    is_large(site)
    faults, code = ENDING[name]
    site.faults = [*faults]
    async with vehicle(site, tmp_path, pki[1]) as client:
        entry = await update(client)
        assert entry.state is UpdateState.IDLE, client.situation
        reported = site.simulator.manifests[-1].ecus[0]
        if code.startswith("ota.repository."):
            assert (reported.attack, reported.installed) == (code, None)
            assert [*(tmp_path / "update" / "images").iterdir()] == []
        assert not is_installed(tmp_path)
        paths = [path for path, _ in site.asked if path.endswith("elsewhere")]
        assert paths == []


async def test_a_page_instead_of_metadata_changes_nothing(
    site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    site.is_hit = lambda path: path.endswith("timestamp.json")
    for fault in (bad.login_page, bad.gzipped, bad.redirected, bad.broken_off, bad.refused(503)):
        site.faults = [fault]
        async with vehicle(site, tmp_path, pki[1]) as client:
            entry = await update(client)
            assert entry.state is UpdateState.IDLE
            assert (code_of(client) or "").startswith("ota.download."), fault
    async with vehicle(site, tmp_path, pki[1]) as client:
        await update(client)
    assert is_installed(tmp_path)


async def test_what_has_come_stays_whatever_the_server_says_of_it_later(
    site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    """Every piece has its signed hash: neither a new tag nor a server without ranges costs one."""
    is_large(site)
    site.faults = [bad.broken_off, bad.other_etag]
    async with vehicle(site, tmp_path, pki[1]) as client:
        await update(client)
        before = site.sent_bytes
        assert (await client.advance()).state is UpdateState.IDLE
    assert is_installed(tmp_path)
    assert site.sent_bytes - before < len(PACKAGE) * 0.6


async def test_a_server_that_stays_wrong_is_given_up_with_a_report(
    site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    is_large(site)
    site.faults, site.is_stubborn = [bad.login_page], True
    async with vehicle(site, tmp_path, pki[1]) as client:
        entry = await update(client)
        for _ in range(_DOWNLOADS):
            if entry.state is UpdateState.IDLE:
                break
            entry = await client.advance()
        assert entry.state is UpdateState.IDLE
    assert site.simulator.manifests[-1].ecus[0].attack == "ota.download.wrong_answer"
    assert sum(is_image(path) for path, _ in site.asked) <= _DOWNLOADS + 1


@pytest.mark.parametrize("cut_after", [0, 1, 700, 3_000, 9_000, 40_000, 150_000, 290_000])
async def test_a_connection_cut_after_any_number_of_bytes_is_made_up_for(
    cut_after: int, site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    async with counting_proxy(site.port) as proxy:
        proxy.faults = [Cut(cut_down=cut_after)] * 2
        async with vehicle(site, tmp_path, pki[1], proxy.port) as client:
            for _ in range(5):
                entry = await client.engine.read()
                if entry.state is UpdateState.IDLE:
                    await client.engine.ask_check()
                await client.advance()
                if is_installed(tmp_path):
                    break
    assert is_installed(tmp_path)


async def test_silence_in_the_middle_is_slow_retrieval(
    site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    async with counting_proxy(site.port) as proxy:
        proxy.faults = [Cut(stall_down=100_000)]
        async with vehicle(site, tmp_path, pki[1], proxy.port, gap_timeout_s=1.0) as client:
            assert (await update(client)).state is WAITING
            assert code_of(client) == "ota.download.slow_retrieval"
    async with vehicle(site, tmp_path, pki[1]) as client:
        assert (await client.advance()).state is UpdateState.IDLE
    assert is_installed(tmp_path)


@pytest.mark.parametrize("what", ["image", "metadata"])
async def test_a_trickle_is_slow_retrieval(
    what: str, site: FaultySite, pki: tuple[Authority, Identity], tmp_path: Path
) -> None:
    is_large(site)
    if what == "metadata":
        site.is_hit = lambda path: path.endswith("timestamp.json")
    site.faults = [bad.trickling]
    async with vehicle(site, tmp_path, pki[1], slow_window_s=1.0) as client:
        await update(client)
        assert code_of(client) == "ota.download.slow_retrieval"
    async with vehicle(site, tmp_path, pki[1]) as client:
        entry = await client.engine.read()
        if entry.state is UpdateState.IDLE:
            await client.engine.ask_check()
        assert (await client.advance()).state is UpdateState.IDLE
    assert is_installed(tmp_path)
