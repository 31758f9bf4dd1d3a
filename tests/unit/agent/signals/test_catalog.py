import re
from pathlib import Path

from agent.signals.catalog import CATALOG, OVERLAY, Kind

OVERLAY_FILE = Path(__file__).parents[4] / "configs" / "vss" / "okdrive.vspec"
TYPES = {Kind.NUMBER: "float", Kind.BOOLEAN: "boolean", Kind.WORD: "string"}


def test_the_overlay_file_holds_what_the_catalogue_has_beyond_vss() -> None:
    blocks = re.findall(r"^(Vehicle\.\S+):\n((?:  .*\n)+)", OVERLAY_FILE.read_text(), re.MULTILINE)
    told = {path: dict(re.findall(r"^  (\w+): (.*)$", body, re.MULTILINE)) for path, body in blocks}
    sensors = {path: keys for path, keys in told.items() if keys["type"] == "sensor"}
    own = {path: entry for path, entry in CATALOG.items() if path.startswith(f"{OVERLAY}.")}
    assert set(sensors) == set(own)
    for path, entry in own.items():
        assert sensors[path].get("unit", "") == entry.unit
        assert sensors[path]["datatype"] == TYPES[entry.kind]
        if entry.kind is Kind.NUMBER:
            assert float(sensors[path]["min"]) == float(f"{entry.minimum:g}")
            assert float(sensors[path]["max"]) == float(f"{entry.maximum:g}")


def test_every_range_has_a_lower_and_an_upper_end() -> None:
    assert all(entry.minimum < entry.maximum for entry in CATALOG.values())
