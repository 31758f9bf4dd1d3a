"""How much room something takes, whether it is there, and how it is given back."""

import os
import shutil
import stat
from pathlib import Path

from ota.errors import MigrationError, NoRoomError

_ROOM_FACTOR = 1.1  # what is written, and a tenth


def check_room(folder: Path, size_bytes: int) -> None:
    """Return if ``folder``'s disk has room for ``size_bytes`` and a tenth; raise NoRoomError."""
    free, needed = shutil.disk_usage(folder).free, int(size_bytes * _ROOM_FACTOR)
    if free < needed:
        raise NoRoomError(str(folder), expected=f"{needed} bytes free", got=str(free))


def check_size(folder: Path, *, max_bytes: int) -> int:
    """Return how many bytes the files below ``folder`` hold; links are not followed.

    Raises:
        MigrationError: More than ``max_bytes``.
    """
    found = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            status = Path(parent, name).lstat()
            found += status.st_size if stat.S_ISREG(status.st_mode) else 0
        if found > max_bytes:
            raise MigrationError(
                str(folder), expected=f"at most {max_bytes} bytes of data", got="more"
            )
    return found


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` and all in it, if it is there; raise OSError if the disk does not."""
    if folder.is_dir():
        shutil.rmtree(folder)
