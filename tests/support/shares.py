"""Whose minutes a test takes: the suite's budget, share by share (DESIGN section 12)."""

from collections.abc import Iterable
from dataclasses import dataclass

WORKERS = 2  # as `make test` runs; a share's minutes are those of the wall clock

# share -> minutes it may take, and the beginnings of the paths that belong to it (longest wins)
SHARES: dict[str, tuple[float, tuple[str, ...]]] = {
    "first drive": (
        4,
        (
            "architecture/", "system/test_demo", "system/test_trouble", "system/test_screen",
            "broker/test_first_drive", "unit/sim/", "unit/tools/", "unit/agent/", "unit/agent/hmi/",
            "system/", "unit/", "property/", "golden/", "fuzz/", "broker/",
        ),
    ),
    "signals": (
        3,
        (
            "unit/agent/signals/", "unit/agent/vehicle/", "unit/agent/store/", "unit/test_add_a",
            "unit/agent/test_recorder", "golden/test_leaf", "property/test_all_vehicles",
            "property/test_battery", "property/test_isotp", "property/test_signals",
            "system/test_battery", "system/test_recorder", "system/test_segment",
            "fuzz/test_signals", "fuzz/test_segments",
        ),
    ),
    "batches": (
        4,
        (
            "unit/telemetry/", "unit/benchmarks/", "unit/agent/test_uplink", "unit/agent/test_kill",
            "unit/agent/test_queue", "unit/agent/test_departure", "unit/agent/store/test_queue",
            "golden/test_codec", "golden/test_parts", "golden/test_schemas",
            "golden/test_kill_point_list", "property/test_codec", "property/test_compiled",
            "property/test_parts", "fuzz/test_codec", "broker/test_mqtt", "broker/test_trouble",
            "broker/test_workers", "system/test_power_cuts", "system/test_disk_errors",
            "system/test_soak", "system/test_postgres",
        ),
    ),
    "consent": (
        3,
        (
            "privacy/", "unit/agent/consent/", "unit/agent/privacy/", "unit/agent/test_consents",
            "unit/agent/test_sharing", "unit/telemetry/test_seal", "golden/test_data_map",
            "property/test_ledger", "property/test_privacy", "system/test_egress",
            "system/test_erase", "system/test_pkcs11",
        ),
    ),
    "update": (
        6,
        (
            "unit/ota/", "conformance/", "golden/test_published", "golden/test_error_codes",
            "property/test_ota", "unit/agent/test_updates", "fuzz/test_ota", "system/test_update",
            "system/test_kill_points", "system/test_director", "system/test_apps",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spent:
    """One share: what it took and what it may take, in minutes of the wall clock."""

    share: str
    took_min: float
    may_min: float


def share_of(test: str) -> str:
    """Return the share of the test at ``test`` (its path below ``tests/``)."""
    fits = ((path, share) for share, (_, paths) in SHARES.items() for path in paths)
    return max((len(path), share) for path, share in fits if test.startswith(path))[1]


def spent(durations_s: Iterable[tuple[str, float]]) -> list[Spent]:
    """Return what each share took; ``durations_s`` are node ids with the seconds they ran."""
    total_s = dict.fromkeys(SHARES, 0.0)
    for node, duration_s in durations_s:
        total_s[share_of(node.removeprefix("tests/"))] += duration_s
    return [
        Spent(share, total_s[share] / WORKERS / 60, minutes)
        for share, (minutes, _) in SHARES.items()
    ]
