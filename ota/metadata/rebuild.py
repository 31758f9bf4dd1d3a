"""Rebuild a package from what is installed and a difference; nothing in the latter is believed.

The difference itself is signed. What comes out is compared with every signed hash of the full image
by whoever asked for it.
"""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ota.errors import OtaError, PatchError
from ota.metadata.delta import WINDOW_LOG, Copy, Data, Head, Patch, Record, read_records
from ota.metadata.package import check_path
from ota.metadata.stored import StoredWriter, Writer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK_BYTES = 1_048_576


def rebuild(difference: BinaryIO, installed: Path | None, out: Writer, *, length: int) -> None:
    """Write the package that ``difference`` makes of the files in ``installed`` to ``out``.

    ``installed`` is None for a difference from nothing. At most ``length`` bytes are written.

    Raises:
        PatchError: It does not fit what is installed, or would give more than ``length`` bytes.
        OSError: The disk is full or broken.
    """
    frame = StoredWriter(out)
    for record, packed in read_records(difference):
        for content in _content(record, packed, installed):
            frame.write(content)
            if frame.written > length:
                raise _unfit(f"at most {length} bytes", "more")
    frame.close()


def _content(record: Record, packed: bytes, installed: Path | None) -> Iterator[bytes]:
    match record:
        case Copy():
            yield from _copied(record, installed)
        case Data():
            yield _unpacked(packed, record.size, None)
        case Patch():
            with open_installed(record.path, installed) as file:
                against = os.pread(file.fileno(), record.span, record.first)
            if len(against) != record.span:
                raise _unfit(f"{record.span} bytes of {record.path}", str(len(against)))
            yield _unpacked(packed, record.size, against)
        case Head():  # for whoever holds the file in hand; what counts was signed
            return


def _copied(record: Copy, installed: Path | None) -> Iterator[bytes]:
    left = record.size
    with open_installed(record.path, installed) as file:
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise _unfit(f"{left} more bytes of {record.path}", "its end")
            left -= len(block)
            yield block


def _unpacked(packed: bytes, size: int, against: bytes | None) -> bytes:
    prefix = None if against is None else zstd.ZstdDict(against, is_raw=True).as_prefix
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
    try:
        unpacker = zstd.ZstdDecompressor(zstd_dict=prefix, options=options)
        content = unpacker.decompress(packed, max_length=size)
    except zstd.ZstdError as error:
        raise _unfit("a packed piece", str(error)) from error
    if len(content) != size or not unpacker.eof:
        raise _unfit(f"a piece of {size} bytes", f"{len(content)} or more")
    return content


def open_installed(path: str, installed: Path | None) -> BinaryIO:
    """Return the regular file ``path`` of the version in ``installed``; raise PatchError if none.

    ``installed`` is None where nothing is.
    """
    if installed is None:
        raise _unfit("a whole package", f"a part of {path}")
    try:
        check_path(path)
        descriptor = os.open(installed / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, OtaError) as error:
        raise _unfit(f"an installed file {path}", str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unfit(f"a regular file {path}", "something else")
    return os.fdopen(descriptor, "rb")


def _unfit(expected: str, got: str) -> PatchError:
    return PatchError("difference", expected=expected, got=got)
