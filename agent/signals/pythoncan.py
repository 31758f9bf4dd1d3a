"""The one door to python-can, without what it loads unasked.

python-can imports asammdf on sight, where that is installed: half a second and 60 MB (pandas) in
every process, for MF4 files alone. So it is held back here until somebody opens such a file.
"""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

from agent.signals.errors import SourceError

_MF4_PACKAGE: Final = "asammdf"


@contextmanager
def _held_back(package: str) -> Iterator[None]:
    """Make ``package`` look absent to imports within, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment] # how Python marks a package as absent
    try:
        yield
    finally:
        del sys.modules[package]


with _held_back(_MF4_PACKAGE):
    import can

__all__ = ["can", "reader_of"]


def reader_of(path: Path, file: BinaryIO) -> can.io.generic.MessageReader:
    """Return a reader of the recording at ``path``, by its suffix.

    Args:
        path: In any format python-can reads.
        file: The same, open; python-can leaves a file open when its first bytes are not BLF.

    Raises:
        SourceError: MF4, and the package for it is not installed.
        Exception: Whatever python-can makes of a damaged file or another suffix.
    """
    match path.suffix.lower():
        case ".blf":
            return can.BLFReader(file)
        case ".mf4":
            return _mf4_reader(path, file)
        case _:
            return can.LogReader(path)


def _mf4_reader(path: Path, file: BinaryIO) -> can.io.generic.MessageReader:
    if not find_spec(_MF4_PACKAGE):
        raise SourceError(
            f"{path}: expected the package {_MF4_PACKAGE}, which reads MF4, found none; nothing "
            "was recorded; install okdrive with its extra `mf4`, or save the recording as BLF"
        )
    mf4 = importlib.reload(can.io.mf4)
    logging.getLogger(_MF4_PACKAGE).setLevel(logging.CRITICAL)  # what it raises is what we tell
    mf4.MDF4.__del__ = _close_as_far_as_open  # its own fails where a file is cut in its first lines
    reader: can.io.generic.MessageReader = mf4.MF4Reader(file)
    return reader


def _close_as_far_as_open(file: Any) -> None:  # noqa: ANN401 (a class that is not always installed)
    with suppress(AttributeError):
        file.close()
