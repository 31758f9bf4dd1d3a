"""A disk whose cache forgets at a power cut, on this machine alone.

    file -> nbdkit with a volatile write-back cache -> nbdfuse -> loop device -> ext4

What was flushed is in the file; the rest is in nbdkit's memory. Killing nbdkit is the power cut:
the file system finds what a real disk would have kept. The parts are Debian packages: nbdkit,
nbdfuse, fuse3, e2fsprogs, mount; it needs root.
"""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.support.wait import wait_until_sync

PROGRAMS = ("nbdkit", "nbdfuse", "losetup", "mount", "mkfs.ext4")
SIZE_BYTES = 24 * 1024 * 1024
PATIENCE_S = 60.0  # a busy machine


class VolatileDisk:
    """One disk image that is powered on and cut again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk.img"
        self._device: str | None = None
        self._nbdkit: subprocess.Popen[bytes] | None = None
        self._nbdfuse: subprocess.Popen[bytes] | None = None
        self.mount = folder / "mnt"
        self.mount.mkdir(parents=True)
        with self._image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=4", self._image)

    def power_on(self, number: int) -> None:
        """Mount the disk behind its volatile cache."""
        socket, file = self._folder / f"s{number}", self._folder / f"n{number}"
        ready = self._folder / f"p{number}"  # nbdkit writes it once it listens; the socket is older
        file.touch()
        self._nbdkit = start(
            *("nbdkit", "-f", "-P", ready, "-U", socket),
            *("--filter=cache", "file", self._image, "cache=writeback"),
        )
        wait_until_sync(ready.exists, timeout_s=PATIENCE_S)
        self._nbdfuse = start("nbdfuse", file, f"nbd+unix:///?socket={socket}")
        wait_until_sync(lambda: file.stat().st_size == SIZE_BYTES, timeout_s=PATIENCE_S)
        self._device = run("losetup", "-f", "--show", file).strip()
        run("mount", "-o", "noatime", self._device, self.mount)

    def cut(self) -> None:
        """Lose what was not flushed, at once."""
        assert self._nbdkit is not None
        self._nbdkit.send_signal(signal.SIGKILL)
        self._nbdkit.wait(PATIENCE_S)

    def clean_up(self, number: int) -> None:
        """Take away what a cut left behind; nobody may use the mount any more."""
        assert self._nbdfuse is not None
        quietly("umount", "-l", self.mount)
        self._detach()
        quietly("umount", "-l", self._folder / f"n{number}")
        self._nbdfuse.kill()
        self._nbdfuse.wait(PATIENCE_S)
        for name in (f"s{number}", f"n{number}", f"p{number}"):
            with suppress(OSError):
                (self._folder / name).unlink()

    def mount_what_is_left(self) -> None:
        """Mount the image itself: what the file system finds after the cut."""
        self._device = run("losetup", "-f", "--show", self._image).strip()
        run("mount", "-o", "noatime", self._device, self.mount)

    def unmount(self) -> None:
        run("umount", self.mount)
        self._detach()

    def wipe(self) -> None:
        """Empty the mounted disk."""
        for path in self.mount.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _detach(self) -> None:
        """Give the loop device back, once: a moment later it may be somebody else's."""
        if self._device is not None:
            quietly("losetup", "-d", self._device)
            self._device = None

    def put_away(self) -> None:
        """Take everything away, wherever a test stopped."""
        quietly("umount", "-l", self.mount)
        self._detach()
        for file in self._folder.glob("n*"):
            quietly("umount", "-l", file)
        for process in (self._nbdkit, self._nbdfuse):
            if process is not None:
                process.kill()
                process.wait(PATIENCE_S)


def sweep(folder: Path) -> None:
    """Unmount and detach what a bench that was killed has left below ``folder``."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    loops = [
        Path("/dev") / file.parts[3]
        for file in Path("/sys/block").glob("loop*/loop/backing_file")
        if Path(file.read_text().strip()).is_relative_to(folder)
    ]
    for mount in reversed(mounts):  # the newest first: one may stand on another
        if Path(mount).is_relative_to(folder):
            quietly("umount", "-l", mount)
    for device in loops:
        quietly("losetup", "-d", device)


def start(*command: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run(*command: object) -> str:
    done = subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    )
    return done.stdout


def quietly(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=False, capture_output=True)


def reap(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
