"""What a stored release costs where an earlier one is installed: computed once, and signed.

The vehicle does the same with its own files, so the figure is what it will fetch, to the byte.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ota.metadata.archive import PackageReader
from ota.metadata.chunks import ChunkList
from ota.metadata.custom import Reuse
from ota.metadata.package import PackageManifest
from ota.metadata.reuse import FIRST_BYTES, FilesHere, Layout, head_bytes, missing_bytes
from ota.metadata.stored import HEADER, is_stored
from ota.publisher.package import PackageInfo


def plan_reuse(
    package: Path, info: PackageInfo, earlier: Sequence[tuple[str, Path]], *, work: Path
) -> tuple[Reuse, ...]:
    """Return what ``package`` costs where each of ``earlier`` (hash, file) is installed.

    Empty for a package that is not stored: nothing can be made of it. One that shares nothing is
    left out. ``work`` is a folder with room for one unpacked release.

    Raises:
        UnsafePackageError: One of them is no package.
        OSError: The disk is full or broken.
    """
    with package.open("rb") as stream:
        beginning = stream.read(FIRST_BYTES)
        if not is_stored(beginning[: len(HEADER)]):
            return ()
        stream.seek(0)
        layout = Layout(stream.read(head_bytes(beginning)))
    chunks = ChunkList(size_bytes=info.chunk_bytes, length=info.length, digests=info.chunks)
    return tuple(_costs(layout, chunks, earlier, work))


def unpack(package: Path, folder: Path) -> PackageManifest:
    """Unpack the files of ``package`` into ``folder``; return its manifest."""
    with package.open("rb") as stream:
        reader = PackageReader(stream)
        for file, content in reader.files():
            place = folder / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as out:
                out.writelines(content)
    return reader.manifest


def _costs(
    layout: Layout, chunks: ChunkList, earlier: Sequence[tuple[str, Path]], work: Path
) -> Iterator[Reuse]:
    for sha256, old in earlier:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            here = FilesHere(folder=Path(folder), manifest=unpack(old, Path(folder)))
            costs = missing_bytes(layout, here, chunks)
        if costs < chunks.length:
            yield Reuse(from_sha256=sha256, length=costs)
