"""What the battery watch tells: nothing on healthy vehicles, and each injected fault how soon.

The same runs as ``okdrive-sim battery-faults``: frames encoded and decoded, polls asked and
answered over ISO-TP, synthetic drives and, where they are, recordings of healthy vehicles. The
times are those of the data, so they are the same on every machine.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.catalog import RECORDINGS
from benchmarks.result import Part, Result, Table
from sim.battery_faults import as_document, faults, faulty_drive, healthy_runs

DRIVES = 3


def measure(*, quick: bool = False) -> Part:
    """Return false alarms and faults told too late, and both tables."""
    leaf = RECORDINGS / "leaf"
    drives, injected = (1, faults()[:2]) if quick else (DRIVES, faults())
    recordings = leaf if leaf.is_dir() and not quick else None
    healthy = [as_document(run) for run in healthy_runs(recordings, drives)]
    found = [as_document(faulty_drive(fault), fault) for fault in injected]
    false = sum(len(row["alerts"]) for row in healthy)
    late = sum(not _is_in_time(row) for row in found)
    minutes = sum(row["seconds"] for row in healthy) / 60
    return Part(
        results=[
            _count(f"battery watch: false alarms in {minutes:.0f} minutes of healthy data", false),
            _count(f"battery watch: of {len(found)} injected faults, told late or never", late),
        ],
        tables=[_healthy_table(healthy), _fault_table(found)],
    )


def _is_in_time(row: Mapping[str, Any]) -> bool:
    return row["after_s"] is not None and row["after_s"] <= row["within_s"]


def _count(name: str, value: int) -> Result:
    return Result(
        name=name, value=value, unit="", peer=None, ratio=None, must=0, aim=0, ok=value == 0
    )


def _healthy_table(healthy: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        title="Battery watch: false alarms",
        note="Healthy vehicles; none of them should raise an alert.",
        head=["what", "seconds", "alerts"],
        rows=[[row["name"], row["seconds"], len(row["alerts"])] for row in healthy],
    )


def _fault_table(found: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        title="Battery watch: detection",
        note="Each fault is injected into a drive; its rule states within how long it is told.",
        head=["what", "alert", "within, s", "told after, s", "other alerts"],
        rows=[
            [row["name"], row["alert"], row["within_s"], row["after_s"], len(row["others"])]
            for row in found
        ],
    )
