"""Apps that an earlier agent left running: a SIGKILL of the agent must not leave two of one app.

Shape: a JSON object, app name to ``{"pid", "started", "boot"}``: process id, its start in clock
ticks (field 22 of /proc/PID/stat) and the boot it belongs to, which together name one process.
"""

from pathlib import Path

import msgspec

from ota.client.durable import make_folder, replace_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of what follows the name in brackets; the 22nd of all


class Running(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One process, and no other that gets its number later."""

    pid: int
    started: int
    boot: str


class RunningFile:
    """Remembers which processes are ours; one file, replaced as a whole. Every method blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Running]:
        """Return what was remembered; nothing if it cannot be read: then nothing is ended."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Running])
        except (OSError, msgspec.MsgspecError):
            return {}

    def add(self, name: str, pid: int) -> None:
        """Remember that the app ``name`` is the process ``pid``, unless it has ended already.

        Raises:
            OSError: The disk did not take it.
        """
        found = identify(pid)
        if found is not None:
            self._write(self.read() | {name: found})

    def remove(self, name: str) -> None:
        """Forget the app ``name``; raise OSError if the disk does not take it."""
        kept = self.read()
        if kept.pop(name, None) is not None:
            self._write(kept)

    def _write(self, running: dict[str, Running]) -> None:
        make_folder(self._path.parent)
        replace_file(self._path, msgspec.json.encode(running))


def identify(pid: int) -> Running | None:
    """Return what names the process ``pid`` for good; None if there is none."""
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    return Running(pid=pid, started=int(rest.split()[_START_FIELD]), boot=boot)
