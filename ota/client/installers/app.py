"""Apps, downloadable and embedded: a folder for each version, one rename to switch.

::

    apps/NAME/<sha256>/        a version, unpacked; the folder's name is the hash of its package
    apps/NAME/<sha256>.json    what the manifest reports of it
    apps/NAME/<sha256>.data/   the app's data as this version left it; only where it keeps any
    apps/NAME/current          link to the version that runs
    apps/NAME/previous         link to the version that ran before
    apps/NAME/trial            link to the version on trial: there only between switch and commit
    apps/failures.json         failed trials for each hash

The links, not the journal, say what runs: a version on trial whose journal was lost goes back,
unless the floor says that it was committed.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from ota.client.durable import make_folder, remove_file, replace_file, replace_link, sync_folder
from ota.client.installers.archive import unpack
from ota.client.installers.room import check_room, check_size, remove_tree
from ota.client.installers.versions import (
    INTACT,
    check_same,
    counter_of,
    data_of,
    down,
    manifest_of,
    program,
    read_link,
    read_record,
    version_of,
)
from ota.client.offer import Offer
from ota.client.ports import AppRunner, Program
from ota.client.watch import Watch
from ota.errors import MigrationError, OtaError, QuarantinedError, StorageError, UnhealthyError
from ota.metadata.manifest import Installed
from ota.metadata.package import (
    PackageLimits,
)

_MAX_FAILURES = 3
_LIMITS = PackageLimits()
_LOOK_S = 0.25  # how soon a closed gate ends a health check


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
        version = read_link(self._folder / name / "current")
        return None if version is None else read_record(self._folder / name, version)

    def files(self, name: str) -> tuple[str, Path] | None:
        """Return content hash and folder of the current version; see ``ports.Installer``."""
        version = read_link(self._folder / name / "current")
        return None if version is None else (version, self._folder / name / version)

    def start(self, name: str) -> None:
        """Start the current version of the app, if there is one and it is down.

        Raises:
            InstallError: It cannot be started.
        """
        version = read_link(self._folder / name / "current")
        if version is not None and self._runner.exits_within(name, 0):
            self._start(self._folder / name, version)

    def remove(self, name: str) -> None:
        """Stop the app and remove every version and all its data.

        Raises:
            StorageError: The disk did not take it; call again.
        """
        home = self._folder / name
        self._runner.stop(name)
        try:
            remove_file(home / "current")  # first: from here on nothing is installed
            remove_tree(home)
            sync_folder(self._folder)
        except FileNotFoundError:
            return  # it never was there
        except OSError as error:
            raise StorageError(str(home), expected="a removed app", got=str(error)) from error

    def is_quarantined(self, content_hash: str) -> bool:
        """Return whether this image has failed three trials."""
        return self._failures().get(content_hash, 0) >= _MAX_FAILURES

    def prepare(self, image: Path, offer: Offer, watch: Watch) -> None:
        """Unpack beside what runs. See ``ports.Installer``.

        Raises:
            UnsafePackageError: The package is not built as a safe one is.
            HashMismatchError: It is not the signed one.
            QuarantinedError: It has failed too often.
            InterruptedStepError: ``watch`` ended it.
            InstallError: The disk did not take it, or has no room.
        """
        if self.is_quarantined(offer.content_hash):
            raise QuarantinedError(
                offer.target, expected=f"fewer than {_MAX_FAILURES} failed trials", got="that many"
            )
        home = self._folder / offer.name
        try:
            if offer.content_hash != read_link(home / "trial"):
                self._unpack(image, offer, home, watch)
        except OSError as error:
            raise StorageError(str(home), expected="an unpacked version", got=str(error)) from error

    def switch(self, offer: Offer) -> None:
        """Bring its data along, then make it current by one rename, on trial.

        The app is stopped first: what it writes while its data is copied would be lost.

        Raises:
            MigrationError: The data could not be copied or migrated; nothing was switched.
            InstallError: It cannot be run as another user, or the disk did not take it.
        """
        home = self._folder / offer.name
        try:
            if offer.content_hash != read_link(home / "trial"):
                self._runner.stop(offer.name)
                self._bring_data(home, offer.content_hash)
            self._switch(home, offer.content_hash)
        except OSError as error:
            raise StorageError(str(home), expected="a switched version", got=str(error)) from error

    def check(self, offer: Offer, watch: Watch) -> None:
        """Start the version on trial and ask it whether it is well. See ``ports.Installer``.

        Raises:
            UnhealthyError: It is not what runs, it ended, its check failed, or gave no answer in
                time.
            InterruptedStepError, TakenBackError: ``watch`` ended it.
            InstallError: It cannot be run as another user.
        """
        home = self._folder / offer.name
        _expect_current(home, offer)  # the links are right, also about a switch the journal recalls
        manifest = manifest_of(home / offer.content_hash)
        self._start(home, offer.content_hash)
        self._check_up(offer, watch)
        health = manifest.health
        result = self._runner.run(
            program(home, offer.content_hash, manifest, health.exec),
            timeout_s=health.timeout_s,
            go_on=lambda: not watch.check(),
        )
        if watch.check():
            return
        if result.exit_code != 0:
            ended = "no answer" if result.exit_code is None else f"exit code {result.exit_code}"
            raise UnhealthyError(
                f"{offer.name} {offer.version}",
                expected=f"its check to end with 0 within {health.timeout_s} s",
                got=f"{ended} {result.output[:200]}".strip(),
                intact=INTACT,
            )
        if self._runner.exits_within(offer.name, 0):
            raise down(offer)

    def commit(self, offer: Offer) -> None:
        """End the trial: this version stays; older ones than the previous go."""
        home = self._folder / offer.name
        try:
            remove_file(home / "trial")
            self._clear(home)
        except OSError as error:
            raise StorageError(str(home), expected="an ended trial", got=str(error)) from error

    def roll_back(self, offer: Offer, *, has_failed: bool) -> None:
        """Let run again what ran before, with the data it had. See ``ports.Installer``."""
        home = self._folder / offer.name
        try:
            if home.is_dir():
                self._roll_back(home, has_failed=has_failed)
                self._clear(home)
        except OSError as error:
            raise StorageError(str(home), expected="an ended trial", got=str(error)) from error

    def recover(self, is_committed: Callable[[str, int], bool]) -> None:
        """End every trial of which nobody remembers how far it had come."""
        try:
            homes = sorted(home for home in self._folder.iterdir() if home.is_dir())
        except FileNotFoundError:
            return  # nothing was ever installed
        for home in homes:
            try:
                self._recover(home, is_committed)
            except OSError as error:
                raise StorageError(str(home), expected="an ended trial", got=str(error)) from error

    # --- on the disk ----------------------------------------------------------------------------

    def _unpack(self, image: Path, offer: Offer, home: Path, watch: Watch) -> None:
        make_folder(home)
        fresh, final = home / f"{offer.content_hash}.tmp", home / offer.content_hash
        remove_tree(fresh)
        check_room(self._folder, offer.unpacked_bytes or image.stat().st_size)
        manifest = unpack(
            image,
            fresh,
            content_hash=offer.content_hash,
            limits=self._limits,
            before_each=watch.check,
        )
        check_same(manifest, offer)
        record = Installed(
            name=offer.target,
            length=offer.length,
            hashes=offer.hashes,
            version=offer.version,
            release_counter=offer.release_counter,
        )
        replace_file(home / f"{offer.content_hash}.json", msgspec.json.encode(record))
        if final.name != read_link(home / "current"):
            remove_tree(final)
            fresh.rename(final)
        sync_folder(home)

    def _bring_data(self, home: Path, version: str) -> None:
        data = manifest_of(home / version).data
        current = read_link(home / "current")
        if data is None or current == version:
            return
        before = manifest_of(home / current).data if current else None
        old = None if current is None or before is None else data_of(home, current)
        fresh = home / f"{version}.data.tmp"
        remove_tree(fresh)
        remove_tree(data_of(home, version))
        if old is not None:
            check_room(home, check_size(old, max_bytes=data.max_bytes))
        self._runner.make_data(fresh, copy_of=old)
        if before is not None and before.schema != data.schema:
            self._migrate(home, version, fresh, before.schema)
        fresh.rename(data_of(home, version))
        sync_folder(home)

    def _migrate(self, home: Path, version: str, fresh: Path, before: int) -> None:
        manifest = manifest_of(home / version)
        data = manifest.data
        subject = f"{manifest.name} {manifest.version}"
        if data is None or data.exec is None or before > data.schema:
            wanted = "none" if data is None else f"{data.schema} and no program to get there"
            raise MigrationError(
                subject, expected=f"data of schema {wanted}", got=str(before), intact=INTACT
            )
        command = (*data.exec, str(before), str(data.schema))
        program = Program(folder=home / version, command=command, data=fresh)
        result = self._runner.run(program, timeout_s=data.timeout_s, go_on=lambda: True)
        if result.exit_code != 0:
            ended = "no end" if result.exit_code is None else f"exit code {result.exit_code}"
            raise MigrationError(
                subject,
                expected=f"its migration from schema {before} to end with 0",
                got=f"{ended} {result.output[:200]}".strip(),
                intact=INTACT,
            )
        self._runner.sync_data(fresh)

    def _switch(self, home: Path, version: str) -> None:
        current = read_link(home / "current")
        if current not in {None, version}:
            replace_link(home / "previous", str(current))
        replace_link(home / "trial", version)  # before the switch: from here on a loss goes back
        replace_link(home / "current", version)

    def _roll_back(self, home: Path, *, has_failed: bool) -> None:
        trial = read_link(home / "trial")
        if trial is not None:
            self._runner.stop(home.name)
            self._switch_back(home, trial)
            if has_failed:
                self._count_failure(trial)
            remove_file(home / "trial")
        self._start_again(home.name)

    def _recover(self, home: Path, is_committed: Callable[[str, int], bool]) -> None:
        trial = read_link(home / "trial")
        if trial is not None and read_link(home / "current") == trial:
            counter = counter_of(home, trial)
            before = counter_of(home, read_link(home / "previous"))
            # The floor of the version before says nothing about one of the same counter.
            if before < counter and is_committed(home.name, counter):
                remove_file(home / "trial")
        self._roll_back(home, has_failed=True)
        self._clear(home)

    def _switch_back(self, home: Path, trial: str) -> None:
        previous = read_link(home / "previous")
        if read_link(home / "current") != trial:
            return
        if previous is None or previous == trial:
            remove_file(home / "current")  # the first version of this app: there was nothing
        else:
            replace_link(home / "current", previous)

    def _clear(self, home: Path) -> None:
        """Remove what belongs to no version that runs or ran before."""
        kept = {read_link(home / name) for name in ("current", "previous")}
        for path in home.iterdir():
            is_file = path.suffix == ".json" and not path.is_symlink()
            if path.is_symlink() or (path.stem if is_file else version_of(path)) in kept:
                continue
            path.unlink() if is_file else remove_tree(path)

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

    # --- programs -------------------------------------------------------------------------------

    def _start(self, home: Path, version: str) -> None:
        manifest = manifest_of(home / version)
        self._runner.start(home.name, program(home, version, manifest, manifest.run.exec))

    def _start_again(self, name: str) -> None:
        try:
            self.start(name)
        except OtaError:
            # The old version is in place; that it does not start is no reason to stay half-way.
            return

    def _check_up(self, offer: Offer, watch: Watch) -> None:
        left_s = self._settle_s
        while not watch.check():
            if self._runner.exits_within(offer.name, min(_LOOK_S, left_s)):
                raise down(offer)
            left_s -= _LOOK_S
            if left_s <= 0:
                return


def _expect_current(home: Path, offer: Offer) -> None:
    current = read_link(home / "current")
    if current != offer.content_hash:
        raise UnhealthyError(
            f"{offer.name} {offer.version}",
            expected="to be what runs",
            got=f"version {current}",
            intact=INTACT,
        )
