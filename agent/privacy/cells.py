"""Hexagonal cells (H3) instead of positions; the one module that knows the library.

Resolution 9 is 0.11 km² (350 m across), 7 is 5.2 km² (2.4 km). Source: H3, table of average cell
areas.
"""

from dataclasses import dataclass
from functools import lru_cache

import h3.api.basic_int as h3  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """The middle of a cell, degrees in WGS 84."""

    latitude: float
    longitude: float


def cell_at(latitude: float, longitude: float, resolution: int) -> int:
    """Return the cell that holds a position (degrees, WGS 84) as its 64-bit index."""
    return int(h3.latlng_to_cell(latitude, longitude, resolution))


@lru_cache(maxsize=1 << 13)
def coarser(cell: int, resolution: int) -> int:
    """Return the cell of a coarser ``resolution`` around ``cell``; raise ValueError if finer."""
    if resolution > resolution_of(cell):
        raise ValueError(f"resolution: expected at most {resolution_of(cell)}, got {resolution}")
    return int(h3.cell_to_parent(cell, resolution))


def resolution_of(cell: int) -> int:
    """Return the resolution of ``cell``, 0 to 15."""
    return int(h3.get_resolution(cell))


def with_neighbours(cell: int) -> frozenset[int]:
    """Return ``cell`` and the cells that touch it."""
    return frozenset(h3.grid_disk(cell, 1))


@lru_cache(maxsize=1 << 13)
def middle_of(cell: int) -> Middle:
    """Return the middle of ``cell``."""
    latitude, longitude = h3.cell_to_latlng(cell)
    return Middle(latitude=latitude, longitude=longitude)


@lru_cache(maxsize=1 << 13)
def reach_m(cell: int) -> float:
    """Return metres from the middle of ``cell`` to its farthest corner."""
    middle = h3.cell_to_latlng(cell)
    corners = h3.cell_to_boundary(cell)
    return max(float(h3.great_circle_distance(middle, corner, "m")) for corner in corners)
