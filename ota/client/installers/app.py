"""Apps: a folder for each version, one rename to switch, the version before kept.

::

    apps/NAME/<sha256>/        a version, unpacked; the folder's name is the hash of its package
    apps/NAME/<sha256>.json    what the manifest reports of it
    apps/NAME/current          link to the version that runs
    apps/NAME/previous         link to the version that ran before
    apps/NAME/trial            link to the version on trial: there only between switch and commit
    apps/failures.json         failed trials for each hash

The links, not the journal, say what runs: a version on trial whose journal was lost goes back.
"""

import shutil
from pathlib import Path

import msgspec

from ota.client.durable import (
    make_folder,
    remove_file,
    replace_file,
    replace_link,
    sync_folder,
)
from ota.client.installers.archive import unpack
from ota.client.offer import Offer
from ota.client.ports import AppRunner
from ota.errors import (
    InstallError,
    NoRoomError,
    OtaError,
    QuarantinedError,
    StorageError,
    UnhealthyError,
)
from ota.metadata.manifest import Installed
from ota.metadata.package import (
    MANIFEST_NAME,
    PackageLimits,
    PackageManifest,
    parse_package_manifest,
)

_MAX_FAILURES = 3
_LIMITS = PackageLimits()
_ROOM_FACTOR = 1.1  # the unpacked version, and a tenth


class AppInstaller:
    """Meets ``ports.Installer`` for apps below ``folder``.

    ``settle_s``: how long an app must stay up before its own check is asked.
    """

    def __init__(
        self,
        folder: Path,
        runner: AppRunner,
        *,
        settle_s: float = 3.0,
        limits: PackageLimits = _LIMITS,
    ) -> None:
        self._folder = folder
        self._runner = runner
        self._settle_s = settle_s
        self._limits = limits

    def installed(self, name: str) -> Installed | None:
        """Return what runs now, also on trial; None if nothing is installed."""
        version = _read_link(self._folder / name / "current")
        if version is None:
            return None
        record = self._folder / name / f"{version}.json"
        try:
            return msgspec.json.decode(record.read_bytes(), type=Installed)
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(
                str(record), expected="a record of the installed version", got=str(error)
            ) from error

    def start(self, name: str) -> None:
        """Start the current version of the app, if there is one and it is down.

        Raises:
            InstallError: It cannot be started.
        """
        version = _read_link(self._folder / name / "current")
        if version is not None and self._runner.exits_within(name, 0):
            folder = self._folder / name / version
            self._runner.start(name, folder, _manifest_of(folder).run.exec)

    def is_quarantined(self, content_hash: str) -> bool:
        """Return whether this image has failed three trials."""
        return self._failures().get(content_hash, 0) >= _MAX_FAILURES

    def install(self, image: Path, offer: Offer) -> None:
        """Unpack beside, switch by one rename, start on trial. See ``ports.Installer``.

        Raises:
            UnsafePackageError: The package is not built as a safe one is.
            HashMismatchError: It is not the signed one.
            QuarantinedError: It has failed too often.
            InstallError: The disk did not take it, or has no room.
        """
        if self.is_quarantined(offer.content_hash):
            raise QuarantinedError(
                offer.target, expected=f"fewer than {_MAX_FAILURES} failed trials", got="that many"
            )
        home = self._folder / offer.name
        try:
            if _read_link(home / "trial") != offer.content_hash:
                self._unpack(image, offer, home)
            self._switch(home, offer.content_hash)
        except OSError as error:
            raise StorageError(str(home), expected="an unpacked version", got=str(error)) from error

    def check(self, offer: Offer) -> None:
        """Start the version on trial and ask it whether it is well. See ``ports.Installer``.

        Raises:
            UnhealthyError: It ended, its check failed, or gave no answer in time.
            InstallError: It cannot be run as another user.
        """
        folder = self._folder / offer.name / offer.content_hash
        manifest = _manifest_of(folder)
        self._runner.start(offer.name, folder, manifest.run.exec)
        self._check_up(offer, self._settle_s)
        health = manifest.health
        result = self._runner.check(folder, health.exec, timeout_s=health.timeout_s)
        if result.exit_code != 0:
            ended = "no answer" if result.exit_code is None else f"exit code {result.exit_code}"
            raise UnhealthyError(
                f"{offer.name} {offer.version}",
                expected=f"its check to end with 0 within {health.timeout_s} s",
                got=f"{ended} {result.output[:200]}".strip(),
                intact="the version before is kept",
            )
        self._check_up(offer, 0)

    def commit(self, offer: Offer) -> None:
        """End the trial: this version stays; older ones than the previous go."""
        home = self._folder / offer.name
        try:
            remove_file(home / "trial")
            self._clear(home)
        except OSError as error:
            raise StorageError(str(home), expected="an ended trial", got=str(error)) from error

    def roll_back(self, offer: Offer | None) -> None:
        """Let run again what ran before the trial. See ``ports.Installer``."""
        try:
            homes = sorted(self._folder.iterdir()) if offer is None else [self._folder / offer.name]
            for home in homes:
                if home.is_dir():
                    self._roll_back(home)
        except FileNotFoundError:
            return  # nothing was ever installed
        except OSError as error:
            raise StorageError(
                str(self._folder), expected="an ended trial", got=str(error)
            ) from error

    def _unpack(self, image: Path, offer: Offer, home: Path) -> None:
        make_folder(home)
        fresh, final = home / f"{offer.content_hash}.tmp", home / offer.content_hash
        _remove_tree(fresh)
        self._check_room(image)
        manifest = unpack(image, fresh, content_hash=offer.content_hash, limits=self._limits)
        _check_same(manifest, offer)
        record = Installed(
            name=offer.target,
            length=offer.length,
            hashes=offer.hashes,
            version=offer.version,
            release_counter=offer.release_counter,
        )
        replace_file(home / f"{offer.content_hash}.json", msgspec.json.encode(record))
        if final.name != _read_link(home / "current"):
            _remove_tree(final)
            fresh.rename(final)
        sync_folder(home)

    def _switch(self, home: Path, version: str) -> None:
        current = _read_link(home / "current")
        if current not in {None, version}:
            replace_link(home / "previous", str(current))
        replace_link(home / "trial", version)  # before the switch: from here on a loss goes back
        replace_link(home / "current", version)

    def _roll_back(self, home: Path) -> None:
        trial = _read_link(home / "trial")
        if trial is not None:
            self._runner.stop(home.name)
            self._switch_back(home, trial)
            self._count_failure(trial)
            remove_file(home / "trial")
        self._start_again(home.name)

    def _switch_back(self, home: Path, trial: str) -> None:
        previous = _read_link(home / "previous")
        if _read_link(home / "current") != trial:
            return
        if previous is None or previous == trial:
            remove_file(home / "current")  # the first version of this app: there was nothing
        else:
            replace_link(home / "current", previous)

    def _start_again(self, name: str) -> None:
        try:
            self.start(name)
        except OtaError:
            # The old version is in place; that it does not start is no reason to stay half-way.
            return

    def _check_up(self, offer: Offer, seconds: float) -> None:
        if self._runner.exits_within(offer.name, seconds):
            raise UnhealthyError(
                f"{offer.name} {offer.version}",
                expected="to stay up",
                got="it ended",
                intact="the version before is kept",
            )

    def _check_room(self, image: Path) -> None:
        # The exact size stands in the package; before it is opened, its own size is a lower bound.
        free = shutil.disk_usage(self._folder).free
        needed = int(image.stat().st_size * _ROOM_FACTOR)
        if free < needed:
            raise NoRoomError(str(self._folder), expected=f"{needed} bytes free", got=str(free))

    def _clear(self, home: Path) -> None:
        kept = {_read_link(home / name) for name in ("current", "previous")}
        for path in home.iterdir():
            if path.is_dir() and not path.is_symlink() and path.name not in kept:
                _remove_tree(path)
            elif path.suffix == ".json" and path.stem not in kept:
                path.unlink()

    def _failures(self) -> dict[str, int]:
        try:
            content = (self._folder / "failures.json").read_bytes()
            return msgspec.json.decode(content, type=dict[str, int])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(
                str(self._folder / "failures.json"), expected="failed trials", got=str(error)
            ) from error

    def _count_failure(self, content_hash: str) -> None:
        failures = self._failures()
        failures[content_hash] = failures.get(content_hash, 0) + 1
        replace_file(self._folder / "failures.json", msgspec.json.encode(failures))


def _read_link(link: Path) -> str | None:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return None


def _manifest_of(folder: Path) -> PackageManifest:
    try:
        content = (folder / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise StorageError(str(folder), expected="an unpacked version", got=str(error)) from error
    return parse_package_manifest(content)


def _check_same(manifest: PackageManifest, offer: Offer) -> None:
    found = (manifest.kind, manifest.name, manifest.version)
    wanted = (offer.custom.kind, offer.name, offer.version)
    if found != wanted:
        raise InstallError(offer.target, expected=f"a package of {wanted}", got=str(found))


def _remove_tree(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
