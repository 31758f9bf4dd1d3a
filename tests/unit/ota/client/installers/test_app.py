"""Apps on the disk: whole or not there, switched by a rename, tried as another user."""

import hashlib
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tarfile import TarInfo

import pytest
from backports import zstd

from ota.client.installers.app import AppInstaller
from ota.client.installers.process import OtherUser, UserAppRunner
from ota.client.offer import Offer
from ota.client.watch import Watch
from ota.errors import OtaError, QuarantinedError, UnhealthyError, UnsafePackageError
from ota.metadata.custom import Criticality, ImageCustom, Kind, Release
from ota.metadata.package import MANIFEST_NAME, PackageLimits, encode_package_manifest
from tests.support.packages import ENDS, IS_ILL, IS_WELL, STAYS_UP, make_manifest, make_package
from tests.support.repository_simulator import ECU, FACTS
from tests.support.update_client import FakeRunner

FILES = {"bin/check": IS_WELL, "bin/run": STAYS_UP}


def offer_of(package: bytes, version: str = "1.0.0", counter: int = 1) -> Offer:
    digest = hashlib.sha256(package).hexdigest()
    return Offer(
        content_hash=digest,
        ecu_id=ECU.ecu_id,
        target=f"app/{ECU.name}/{version}/{ECU.name}-{version}.okp",
        length=len(package),
        hashes={"sha256": digest},
        custom=ImageCustom(
            hardware_ids=(ECU.hardware_id,),
            release_counter=counter,
            version=version,
            kind=Kind.APP,
            name=ECU.name,
            release=Release(criticality=Criticality.FEATURE, facts={"en": FACTS}),
        ),
    )


def put(folder: Path, package: bytes, version: str = "1.0.0") -> tuple[Path, Offer]:
    offer = offer_of(package, version)
    folder.mkdir(exist_ok=True)
    (folder / offer.content_hash).write_bytes(package)
    return folder / offer.content_hash, offer


def install(installer: AppInstaller, image: Path, offer: Offer) -> None:
    installer.prepare(image, offer, Watch())
    installer.switch(offer)


@pytest.fixture
def installer(tmp_path: Path) -> AppInstaller:
    return AppInstaller(tmp_path / "apps", FakeRunner(), settle_s=0)


def test_a_version_is_unpacked_with_the_modes_of_its_manifest_whatever_the_umask(
    installer: AppInstaller, tmp_path: Path
) -> None:
    package = make_package(extra={"data/deep/tones.txt": b"do re mi"})
    install(installer, *put(tmp_path / "images", package))
    home = tmp_path / "apps" / ECU.name / "current"
    assert (home / "data/deep/tones.txt").read_bytes() == b"do re mi"
    modes = {
        str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")
    }
    assert modes == {
        MANIFEST_NAME: 0o644,
        "bin": 0o755,
        "bin/check": 0o755,
        "bin/run": 0o755,
        "data": 0o755,
        "data/deep": 0o755,
        "data/deep/tones.txt": 0o644,
    }


def test_installing_twice_is_installing_once(installer: AppInstaller, tmp_path: Path) -> None:
    image, offer = put(tmp_path / "images", make_package())
    install(installer, image, offer)
    install(installer, image, offer)
    installed = installer.installed(ECU.name)
    assert installed is not None
    assert installed.hashes == offer.hashes


def test_what_is_not_what_runs_is_not_well_whatever_the_journal_says(
    installer: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", make_package())
    installer.prepare(image, offer, Watch())
    with pytest.raises(UnhealthyError, match="expected to be what runs, got version None"):
        installer.check(offer, Watch())
    assert installer.installed(ECU.name) is None


# --- archives that attack ----------------------------------------------------------------------


def member(name: str, content: bytes = b"", **fields: object) -> bytes:
    info = TarInfo(name)
    info.size, info.mode = len(content), 0o755 if name.startswith("bin/") else 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    header = info.tobuf(tarfile.GNU_FORMAT if info.type == b"L" else tarfile.USTAR_FORMAT)
    return header + content + bytes(-len(content) % 512)


MANIFEST = encode_package_manifest(make_manifest(ECU.name, "1.0.0", FILES))
HEAD = member(MANIFEST_NAME, MANIFEST)
CHECK, RUN = member("bin/check", IS_WELL), member("bin/run", STAYS_UP)
END = bytes(1024)


def naming(path: str) -> bytes:
    """A manifest that names ``path`` besides what it needs, and the archive that holds it."""
    files = dict(sorted((FILES | {path: b"evil"}).items()))
    manifest = encode_package_manifest(make_manifest(ECU.name, "1.0.0", files))
    return b"".join(
        [
            member(MANIFEST_NAME, manifest),
            *(member(name, content) for name, content in files.items()),
            END,
        ]
    )


ARCHIVES: dict[str, bytes] = {
    "a link": HEAD + CHECK + member("bin/run", type=tarfile.SYMTYPE, linkname="/etc/passwd") + END,
    "a hard link": HEAD + CHECK + member("bin/run", type=tarfile.LNKTYPE, linkname="x") + END,
    "a device": HEAD + CHECK + member("bin/run", type=tarfile.CHRTYPE) + END,
    "a pipe": HEAD + CHECK + member("bin/run", type=tarfile.FIFOTYPE) + END,
    "a folder": HEAD + CHECK + member("bin/run", type=tarfile.DIRTYPE) + END,
    "a long name extension": HEAD + member("x", b"bin/" + b"a" * 300, type=b"L") + END,
    "a parent path": naming("../evil"),
    "a parent path inside": naming("data/../../evil"),
    "an absolute path": naming("/etc/evil"),
    "a backslash": naming("data\\evil"),
    "names that differ by case": naming("bin/Run"),
    "a second manifest": naming("Okdrive-package.toml"),
    "a file twice": HEAD + CHECK + CHECK + END,
    "a file too many": HEAD + CHECK + RUN + member("data/evil", b"evil") + END,
    "a file missing": HEAD + CHECK + END,
    "another order": HEAD + RUN + CHECK + END,
    "another content": HEAD + member("bin/check", IS_WELL[:-2] + b"1\n") + RUN + END,
    "another size": HEAD + member("bin/check", IS_WELL + b"\n") + RUN + END,
    "a set-uid mode": HEAD + member("bin/check", IS_WELL, mode=0o4755) + RUN + END,
    "no manifest": CHECK + RUN + END,
    "a manifest that is no toml": member(MANIFEST_NAME, b"\xff\xfe") + CHECK + RUN + END,
    "no end": HEAD + CHECK + RUN[:600],
    "data after the end": HEAD + CHECK + RUN + END + b"more",
    "nothing": b"",
}


@pytest.mark.parametrize("archive", ARCHIVES.values(), ids=list(ARCHIVES))
def test_an_archive_that_attacks_is_not_installed(
    archive: bytes, installer: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", zstd.compress(archive))
    with pytest.raises(UnsafePackageError, match="expected"):
        install(installer, image, offer)
    assert installer.installed(ECU.name) is None
    assert not (tmp_path / "apps" / ECU.name / offer.content_hash).exists()
    inside = list(tmp_path.rglob("*evil*"))
    assert inside == []


@pytest.mark.parametrize("cut", [1, 30, 100, -1])
def test_a_truncated_archive_is_not_installed(
    cut: int, installer: AppInstaller, tmp_path: Path
) -> None:
    with pytest.raises(UnsafePackageError, match="expected"):
        install(installer, *put(tmp_path / "images", make_package()[:cut]))
    assert installer.installed(ECU.name) is None


def test_a_bomb_is_stopped_by_its_manifest(tmp_path: Path) -> None:
    files = FILES | {"data/zeros": bytes(1_000_000)}
    manifest = encode_package_manifest(make_manifest(ECU.name, "1.0.0", files))
    archive = member(MANIFEST_NAME, manifest) + CHECK + RUN + member("data/zeros", bytes(1_000_000))
    limits = PackageLimits(unpacked_bytes=100_000)
    installer = AppInstaller(tmp_path / "apps", FakeRunner(), limits=limits)
    with pytest.raises(UnsafePackageError, match="at most 100000 bytes"):
        install(installer, *put(tmp_path / "images", zstd.compress(archive + END)))


def test_an_image_that_is_a_link_to_other_bytes_is_not_the_signed_one(
    installer: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", make_package())
    image.write_bytes(make_package(extra={"data/other": b"other"}))
    with pytest.raises(OtaError, match="nothing was installed") as refusal:
        install(installer, image, offer)
    assert refusal.value.code == "ota.repository.hash_mismatch"
    assert installer.installed(ECU.name) is None


def test_bytes_after_the_package_are_not_the_signed_ones(
    installer: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", make_package())
    with image.open("ab") as file:
        file.write(bytes(10))
    with pytest.raises(OtaError, match="expected"):
        install(installer, image, offer)
    assert installer.installed(ECU.name) is None


# --- trials ------------------------------------------------------------------------------------


def test_a_roll_back_brings_back_what_ran_and_counts_the_failure(tmp_path: Path) -> None:
    runner = FakeRunner()
    installer = AppInstaller(tmp_path / "apps", runner, settle_s=0)
    _, old = put(tmp_path / "images", make_package())
    install(installer, tmp_path / "images" / old.content_hash, old)
    installer.commit(old)
    package = make_package(version="1.1.0")
    for _ in range(3):
        image, new = put(tmp_path / "images", package, "1.1.0")
        install(installer, image, new)
        installer.check(new, Watch())
        installer.roll_back(new, has_failed=True)
        installer.roll_back(new, has_failed=True)  # as after a power cut
    installed = installer.installed(ECU.name)
    assert installed is not None
    assert installed.version == "1.0.0"
    assert runner.running[ECU.name].name == old.content_hash
    assert installer.is_quarantined(new.content_hash)
    assert not installer.is_quarantined(old.content_hash)
    with pytest.raises(QuarantinedError, match="fewer than 3 failed trials"):
        install(installer, image, new)


def test_a_roll_back_of_nothing_does_nothing(installer: AppInstaller, tmp_path: Path) -> None:
    installer.recover(lambda _name, _counter: False)
    installer.roll_back(offer_of(b"never installed"), has_failed=True)
    assert installer.installed(ECU.name) is None
    assert not (tmp_path / "apps").exists()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[AppInstaller]:
    runner = UserAppRunner(OtherUser("nobody"))
    yield AppInstaller(tmp_path / "apps", runner, settle_s=0.1)
    runner.stop_all()


WHO_AM_I = b"#!/bin/sh\ntest $(id -un) = nobody && ! touch evil && ! ls ../..\n"


def test_a_healthy_version_passes_its_check_as_another_user(
    real: AppInstaller, tmp_path: Path
) -> None:
    (tmp_path / "apps").mkdir(mode=0o700)
    image, offer = put(tmp_path / "images", make_package(check=WHO_AM_I))
    install(real, image, offer)
    real.check(offer, Watch())


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (make_package(check=IS_ILL), "got exit code 1 the lamp is dark"),
        (make_package(run=ENDS), "expected to stay up, got it ended"),
        (make_package(check=b"#!/bin/sh\nsleep 60\n", timeout_s=1), "got no answer"),
        (make_package(check=b"#!/bin/sh\nkill -9 $$\n"), "got exit code -9"),
    ],
    ids=["its check fails", "it does not stay up", "its check hangs", "its check is killed"],
)
def test_a_version_that_is_not_well_says_why(
    package: bytes, words: str, real: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", package)
    install(real, image, offer)
    with pytest.raises(UnhealthyError, match=words):
        real.check(offer, Watch())


HUGE = {
    "a name of 241 bytes": "d/" + "n" * 239,
    "a name that fills a path": "/".join(["n" * 60] * 5),
    "seventeen folders": "/".join("d" * 17),
    "an emoji too many": "d/" + "\U0001f600" * 60,
    "another composition": "data/e\u0301",
    "a right-to-left mark": "data/\u202egpj.exe",
    "a line break": "data/a\nb",
}


@pytest.mark.parametrize("path", HUGE.values(), ids=list(HUGE))
def test_a_name_that_is_too_long_or_deceives_is_not_unpacked(
    path: str, installer: AppInstaller, tmp_path: Path
) -> None:
    files = dict(sorted((FILES | {path: b"evil"}).items()))
    manifest = encode_package_manifest(make_manifest(ECU.name, "1.0.0", files))
    image, offer = put(tmp_path / "images", zstd.compress(member(MANIFEST_NAME, manifest) + END))
    with pytest.raises(UnsafePackageError, match="a plain relative path inside the package"):
        install(installer, image, offer)
    assert installer.installed(ECU.name) is None


def test_a_window_larger_than_the_vehicle_can_afford_is_refused(
    installer: AppInstaller, tmp_path: Path
) -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    archive = zstd.compress(HEAD + CHECK + RUN + END + bytes(20_000_000), options=options)
    with pytest.raises(UnsafePackageError, match="expected"):
        install(installer, *put(tmp_path / "images", archive))
