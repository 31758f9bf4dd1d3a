"""What is published stays valid whatever happens; python-tuf's own client is the judge."""

import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ota.metadata.models import issued_of, vehicle_of
from ota.publisher.errors import (
    BrokenRepositoryError,
    ConflictError,
    KeyMissingError,
    NotFoundError,
    SettingsError,
)
from ota.publisher.keys import KeyRing, load_signer, write_key
from ota.publisher.layout import Layout, Repositories, Threshold, init_repositories
from ota.publisher.ports import DurableFiles, WallClock
from ota.publisher.roles import Lifetimes
from tests.support.clock import FakeClock
from tests.support.publisher import VEHICLE

TARGET = "app/trip-light/1.0.0/trip-light-1.0.0.okp"
BODY = b"not a real package"


class FolderFetcher(FetcherInterface):
    """Serves ``http://x/m/...`` from the first folder that has the file, ``/t/`` from targets."""

    def __init__(self, metadata: list[Path], targets: Path) -> None:
        super().__init__()
        self._metadata, self._targets = metadata, targets

    def _fetch(self, url: str) -> Iterator[bytes]:
        kind, _, name = url.removeprefix("http://x/").partition("/")
        folders = self._metadata if kind == "m" else [self._targets]
        found = [folder / name for folder in folders if (folder / name).is_file()]
        if not found:
            raise DownloadHTTPError(name, 404)
        return iter([found[0].read_bytes()])


def client(layout: Layout, cache: Path, vehicle: str | None = None) -> Updater:
    """Return python-tuf's client over the published folders, trusting root 1."""
    if vehicle is None:
        metadata = [layout.image_metadata]
    else:
        metadata = [layout.director_vehicle(vehicle), layout.director_root]
    (cache / "targets").mkdir(parents=True, exist_ok=True)
    updater: Updater = Updater(
        str(cache / "metadata"),
        "http://x/m/",
        str(cache / "targets"),
        "http://x/t/",
        fetcher=FolderFetcher(metadata, layout.image_targets),
        config=UpdaterConfig(),
        bootstrap=(metadata[-1] / "1.root.json").read_bytes(),
    )
    return updater


def made(folder: Path, **thresholds: Threshold) -> Repositories:
    repositories = Repositories(layout=Layout.at(folder), clock=WallClock())
    init_repositories(repositories, thresholds)
    return repositories


def target(body: bytes = BODY) -> TargetFile:
    return TargetFile.from_data(TARGET, body, ["sha256"])


def test_pythons_own_tuf_client_reads_both_repositories(tmp_path: Path) -> None:
    repositories = made(tmp_path / "ota", root=Threshold(needed=2, keys=3))
    layout, found = repositories.layout, target()
    DurableFiles().write(layout.target_path(TARGET, found.hashes["sha256"]), BODY)
    repositories.image().add_target(TARGET, found)
    repositories.director(VEHICLE).publish({TARGET: found})

    image = client(layout, tmp_path / "image")
    image.refresh()
    info = image.get_targetinfo(TARGET)
    assert info is not None
    assert Path(image.download_target(info)).read_bytes() == BODY
    director = client(layout, tmp_path / "director", VEHICLE)
    director.refresh()
    assert director.get_targetinfo(TARGET) == info


def test_director_roles_name_the_vehicle_and_both_timestamps_say_when(tmp_path: Path) -> None:
    clock = FakeClock()
    repositories = Repositories(layout=Layout.at(tmp_path), clock=clock)
    init_repositories(repositories)
    repositories.director(VEHICLE).publish({})
    director, image = repositories.director(VEHICLE).published(), repositories.image().published()
    assert director is not None
    assert image is not None
    for role in (director.targets, director.snapshot, director.timestamp):
        assert vehicle_of(role.signed) == VEHICLE
    assert issued_of(director.timestamp.signed) == clock.utc_now()
    assert issued_of(image.timestamp.signed) == clock.utc_now()
    assert vehicle_of(image.timestamp.signed) is None


class PlugError(Exception):
    """The power went."""


class PluggedFiles(DurableFiles):
    """Loses power at the Nth write: before it, or after its rename."""

    def __init__(self, steps: int, *, after: bool) -> None:
        self._left, self._after = steps, after

    def write(self, path: Path, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            if self._after:
                super().write(path, data)
            else:
                path.with_name(f".{path.name}.new").write_bytes(data[: len(data) // 2])
            raise PlugError(path.name)
        super().write(path, data)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(3))
def test_a_crash_at_any_write_leaves_the_old_or_the_new_state(
    tmp_path: Path, step: int, *, after: bool
) -> None:
    repositories = made(tmp_path / "ota")
    layout = repositories.layout
    plugged = Repositories(layout=layout, clock=WallClock(), files=PluggedFiles(step, after=after))
    with pytest.raises(PlugError, match="json"):
        plugged.image().add_target(TARGET, target())
    seen = client(layout, tmp_path / "vehicle")
    seen.refresh()
    is_new = step == 2 and after  # only the timestamp leads to the new state
    assert (seen.get_targetinfo(TARGET) is not None) == is_new

    again = {} if is_new else {TARGET: target()}
    for name, each in again.items():
        repositories.image().add_target(name, each)
    seen = client(layout, tmp_path / "vehicle")
    seen.refresh()
    assert seen.get_targetinfo(TARGET) == target()


def test_a_crash_at_any_write_of_the_director_leaves_a_set_of_one_vehicle(tmp_path: Path) -> None:
    repositories = made(tmp_path / "ota")
    repositories.director(VEHICLE).publish({})
    for step in range(3):
        plugged = Repositories(
            layout=repositories.layout,
            clock=WallClock(),
            files=PluggedFiles(step, after=False),
        )
        with pytest.raises(PlugError, match="json"):
            plugged.director(VEHICLE).publish({TARGET: target()})
        seen = client(repositories.layout, tmp_path / "vehicle", VEHICLE)
        seen.refresh()
        assert seen.get_targetinfo(TARGET) is None


def test_timestamp_is_renewed_when_half_its_life_is_gone(tmp_path: Path) -> None:
    clock = FakeClock()
    repositories = Repositories(layout=Layout.at(tmp_path), clock=clock)
    init_repositories(repositories)
    image = repositories.image()
    assert image.renew(only_if_due=True) == []
    clock.jump_wall_s(12.1 * 3600)
    assert image.renew(only_if_due=True) == ["timestamp"]
    assert image.renew(only_if_due=True) == []


def test_snapshot_is_renewed_when_half_its_life_is_gone_and_targets_with_its_key(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    repositories = Repositories(layout=Layout.at(tmp_path), clock=clock)
    init_repositories(repositories)
    clock.jump_wall_s(4 * 86_400)
    assert repositories.image().renew() == ["snapshot", "timestamp"]
    clock.jump_wall_s(50 * 86_400)
    assert repositories.image().renew(only_if_due=True) == ["targets", "snapshot", "timestamp"]


def test_serving_goes_on_without_the_offline_keys(tmp_path: Path) -> None:
    clock = FakeClock()
    repositories = Repositories(layout=Layout.at(tmp_path / "ota"), clock=clock)
    init_repositories(repositories)
    (tmp_path / "ota" / "keys" / "offline").rename(tmp_path / "safe")
    clock.jump_wall_s(60 * 86_400)
    assert repositories.image().renew(only_if_due=True) == ["snapshot", "timestamp"]
    repositories.director(VEHICLE).publish({TARGET: target()})
    with pytest.raises(KeyMissingError, match="keys of role targets: expected 1 at hand, got 0"):
        repositories.image().add_target(TARGET, target())
    assert repositories.image().targets() == {}


def test_too_few_root_keys_below_the_threshold_make_no_root(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="1 <= needed <= keys"):
        made(tmp_path / "ota", root=Threshold(needed=3, keys=2))
    with pytest.raises(ConflictError, match="role root or targets"):
        made(tmp_path / "ota", snapshot=Threshold(needed=1, keys=2))
    assert not (tmp_path / "ota").exists()


def test_a_released_image_never_changes(tmp_path: Path) -> None:
    repositories = made(tmp_path)
    repositories.image().add_target(TARGET, target())
    with pytest.raises(ConflictError, match="a new target"):
        repositories.image().add_target(TARGET, target(b"other"))
    assert repositories.image().targets() == {TARGET: target()}


def test_a_second_init_changes_no_key_and_no_root(tmp_path: Path) -> None:
    repositories = made(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConflictError, match="no repository yet"):
        init_repositories(repositories)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_nothing_is_signed_on_top_of_a_tampered_folder(tmp_path: Path, name: str) -> None:
    repositories = made(tmp_path)
    path = repositories.layout.image_metadata / name
    data = bytearray(path.read_bytes())
    at = data.index(b"20", data.index(b"expires"))
    data[at + 3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BrokenRepositoryError, match="signed by the root's keys"):
        repositories.image().renew()
    assert path.read_bytes() == bytes(data)


def test_a_root_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    one, other = made(tmp_path / "1"), made(tmp_path / "2")
    path = one.layout.image_metadata / "1.root.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(BrokenRepositoryError, match="signed by its own keys"):
        one.image().root()
    path.unlink()
    with pytest.raises(NotFoundError, match="okdrive-ota init"):
        one.image().root()
    assert other.image().root().signed.version == 1


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root-1.pem"
    signer = write_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_signer(path).public_key == signer.public_key
    with pytest.raises(ConflictError, match="no key of that name"):
        write_key(path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="mode 0600"):
        KeyRing.load(tmp_path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(SettingsError, match="a PEM private key"):
        load_signer(path)


def test_lifetimes_are_what_was_asked_for(tmp_path: Path) -> None:
    clock = FakeClock()
    lifetimes = Lifetimes(root_s=7_200, timestamp_s=600)
    repositories = Repositories(layout=Layout.at(tmp_path), clock=clock, lifetimes=lifetimes)
    init_repositories(repositories)
    published = repositories.image().published()
    assert published is not None
    assert published.timestamp.signed.expires - clock.utc_now() == timedelta(seconds=600)
    assert repositories.image().root().signed.expires - clock.utc_now() == timedelta(hours=2)


def test_a_threshold_of_two_is_not_reached_by_one_key(tmp_path: Path) -> None:
    repositories = made(tmp_path, targets=Threshold(needed=2, keys=2))
    (tmp_path / "keys" / "offline" / "image" / "targets-2.pem").unlink()
    with pytest.raises(KeyMissingError, match="expected 2 at hand, got 1"):
        repositories.image().add_target(TARGET, target())
    assert repositories.image().targets() == {}
