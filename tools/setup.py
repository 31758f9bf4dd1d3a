"""Make this machine ready for `make demo` and `make test`: stdlib only, safe to run again.

Installs the Debian packages that are missing (as root, else through sudo), creates `.venv` with
the locked, hash-checked packages and this checkout. When all is there it does nothing and needs
no network.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
STAMP = VENV / "okdrive-setup"
OLDEST = (3, 11)

# what the program needs -> the Debian package that has it
DEMO_PARTS = {
    "mosquitto": "mosquitto",
    "chromium": "chromium",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf": "fonts-dejavu-core",
    "/usr/share/fonts/truetype/dejavu/DejaVuSansCondensed.ttf": "fonts-dejavu-extra",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "/usr/lib/*/libatomic.so.1": "libatomic1",  # the driver that presses buttons in Chromium
}
TEST_PARTS = {
    **DEMO_PARTS,
    "git": "git",
    "strace": "strace",
    "nbdkit": "nbdkit",
    "nbdfuse": "libnbd-bin",
    "fusermount3": "fuse3",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "unshare": "util-linux",
    "ip": "iproute2",
    "/usr/lib/postgresql/*/bin/initdb": "postgresql",
    "softhsm2-util": "softhsm2",
    "dbus-daemon": "dbus-daemon",
    "chronyd": "chrony",
}


class SetupError(Exception):
    """The machine cannot be made ready; the message says what a person can do."""


def _is_there(part: str) -> bool:
    if part.startswith("/"):
        return any(Path("/").glob(part[1:]))
    return shutil.which(part, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise SetupError(
            f"{what} failed (exit {done.returncode}):\n{tail}\n  tried: {' '.join(command)}"
        )


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        return ["sudo"]
    raise SetupError("expected to be root or to find sudo, found neither")


def missing_packages(parts: dict[str, str]) -> list[str]:
    """Return the Debian packages of ``parts`` that this machine lacks, sorted."""
    missing = {package for part, package in parts.items() if not _is_there(part)}
    try:
        import ensurepip  # noqa: F401, PLC0415 (Debian ships it apart from python3)
        import venv  # noqa: F401, PLC0415
    except ImportError:
        missing.add("python3-venv")
    return sorted(missing)


def install_packages(packages: list[str]) -> None:
    """Install Debian ``packages``; raise SetupError with the command to type when impossible."""
    wanted = " ".join(packages)
    by_hand = f"apt-get install --no-install-recommends {wanted}"
    if shutil.which("apt-get") is None:
        raise SetupError(f"this machine has no apt-get; install by hand what is missing: {wanted}")
    try:
        root = _as_root()
    except SetupError as error:
        raise SetupError(f"{error}; install by hand, then try again:\n  {by_hand}") from None
    _say(f"installing Debian packages: {wanted}")
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    _run([*quiet, "update"], "apt-get update")
    _run([*quiet, "install", "-y", "--no-install-recommends", *packages], by_hand)


def _wanted_state() -> str:
    facts = hashlib.sha256(LOCK.read_bytes())
    facts.update((ROOT / "pyproject.toml").read_bytes())
    facts.update(repr((sys.version_info[:2], str(ROOT))).encode())
    return facts.hexdigest()


def make_environment() -> None:
    """Create or renew `.venv` when the lock, pyproject, the interpreter or the place changed."""
    wanted = _wanted_state()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    began = time.monotonic()
    _say(f"creating .venv with the locked packages (Python {sys.version.split()[0]})")
    if not (VENV / "bin" / "python").exists() or not STAMP.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)], "creating .venv")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check"]
    _run([*pip, "install", "--require-hashes", "-r", str(LOCK)], "installing locked packages")
    _run(
        [*pip, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)],
        "installing okdrive",
    )
    STAMP.write_text(wanted)
    _say(f"ready in {time.monotonic() - began:.0f} s")


def main() -> int:
    """Set up for the target named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "target", choices=["demo", "test"], help="what the machine must be able to do"
    )
    target = parser.parse_args().target
    if sys.version_info < OLDEST:
        _say(f"expected Python >= 3.11, found {sys.version.split()[0]}; nothing was changed")
        return 1
    try:
        missing = missing_packages(DEMO_PARTS if target == "demo" else TEST_PARTS)
        if missing:
            install_packages(missing)
        make_environment()
    except (SetupError, OSError) as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
