"""Room for segments: the oldest make way, and every one that does is counted."""

from dataclasses import dataclass
from pathlib import Path

from agent.store.tracks import delete_segment, track_beside


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """What made way: names of the files, and how many bytes."""

    names: tuple[str, ...] = ()
    freed_bytes: int = 0


def make_room(folder: Path, quota_bytes: int, *, keep: str | None) -> Evicted:
    """Delete the oldest segments of ``folder``, with their positions, until all fit; blocks.

    Args:
        folder: Of the segments.
        quota_bytes: What they may take together.
        keep: Name of the one that is being written: it stays, whatever its size.
    """
    found = []
    for path in folder.glob("*.seg"):
        status, track = path.stat(), track_beside(path)
        track_bytes = track.stat().st_size if track.exists() else 0
        found.append((status.st_mtime_ns, status.st_size + track_bytes, path))
    total = sum(size for _, size, _ in found)
    names, freed = [], 0
    for _, size, path in sorted(found):
        if total - freed <= quota_bytes:
            break
        if path.name != keep:
            delete_segment(path)
            names.append(path.name)
            freed += size
    return Evicted(names=tuple(names), freed_bytes=freed)
