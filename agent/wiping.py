"""Give the vehicle away: nothing of its drivers is left, and nothing of them comes back. Blocks.

A mark is durable before the first step, so that a power cut in the middle is finished at the next
start, before anything else runs. What stays: the vehicle's own identity, the installed software
with its floor, the keys of ingest, and the list of what ingest has not confirmed to have erased;
the new owner's network carries it, and nobody can read from it who drove.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from agent.folders import Folders
from agent.store.erasures import ErasureRow, Erasures
from agent.store.state import State
from agent.store.vault import vault_of
from ota.client.durable import replace_file, sync_folder

_STEPS_BESIDE = ("-wal", "-shm", "-journal")


def begin(folders: Folders) -> None:
    """Write the mark: from here on there is only forward."""
    replace_file(folders.wipe, b"the drivers' data of this vehicle are being wiped\n")


def finish(folders: Folders, *, destroy_secrets: Callable[[], object]) -> int:
    """Do every step that is left; return how many requests still wait for ingest.

    Raises:
        StoreError, KeyFileError, OSError: A step could not be done; the mark stays, and the next
            start tries again.
    """
    waiting = _renew_state(folders)
    vault_of(folders.root).destroy_all()
    destroy_secrets()
    for folder in (folders.segments, folders.events):
        shutil.rmtree(folder, ignore_errors=True)
    for path in (folders.battery, folders.desk, folders.token):
        _forget(path)
    sync_folder(folders.root)
    folders.wipe.unlink(missing_ok=True)
    sync_folder(folders.root)
    return waiting


def _renew_state(folders: Folders) -> int:
    """Put a new state file in the old one's place that holds the open requests, and no more."""
    beside, whole = folders.root / "state.new", folders.root / "state.wiped"
    if not whole.exists():  # else the power went after it was whole, and the old one may be gone
        _forget(beside)
        with closing(State.open(beside)) as state:
            Erasures(state.database).keep(_open_requests(folders))
        beside.replace(whole)
        sync_folder(folders.root)
    for path in _with_neighbours(folders.state):
        _overwrite(path)
    for name in _STEPS_BESIDE:
        folders.state.with_name(folders.state.name + name).unlink(missing_ok=True)
    whole.replace(folders.state)
    sync_folder(folders.root)
    return len(_open_requests(folders))


def _open_requests(folders: Folders) -> list[ErasureRow]:
    if not folders.state.exists():
        return []
    with closing(State.open(folders.state)) as state:
        return Erasures(state.database).waiting()


def _forget(path: Path) -> None:
    for one in _with_neighbours(path):
        _forget_one(one)


def _with_neighbours(path: Path) -> Iterable[Path]:
    return [path, *(path.with_name(path.name + name) for name in _STEPS_BESIDE)]


def _forget_one(path: Path) -> None:
    _overwrite(path)
    path.unlink(missing_ok=True)


def _overwrite(path: Path) -> None:
    """Write zeros over a file in place: what was in it is not merely unlinked."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
