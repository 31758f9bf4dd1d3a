from pathlib import Path

import pytest

from agent.signals.compile import compile_vehicle, write_table
from agent.signals.errors import DefinitionError, UnknownVehicleError
from agent.signals.table import (
    MAX_TABLE_BYTES,
    SignalRule,
    decode_table,
    encode_table,
    known_vehicles,
    load_table,
)

DEFINITIONS = Path(__file__).parents[4] / "configs" / "vehicles"
ZE1 = DEFINITIONS / "nissan-leaf-ze1.toml"

DBC = """VERSION ""
BU_: A
BO_ 100 Pack: 8 A
 SG_ Volts : 7|16@0+ (0.5,0) [0|0] "V" A
 SG_ Amperes : 23|16@0- (0.5,0) [0|0] "A" A
 SG_ Beat : 56|2@1+ (1,0) [0|0] "" A
"""
TOML = """name = "own"
title = "Own"
record = ["Vehicle.Powertrain.TractionBattery.CurrentVoltage"]
[buses]
ev = { interface = "can0", dbc = "own.dbc" }
[states]
charging = [["Vehicle.Powertrain.TractionBattery.CurrentVoltage >= 200"]]
[[frames]]
message = "Pack"
bus = "ev"
period_ms = 10
signals = [
    { name = "Volts", path = "Vehicle.Powertrain.TractionBattery.CurrentVoltage" },
    { name = "Amperes", path = "Vehicle.Powertrain.TractionBattery.CurrentCurrent" },
]
"""


def define(folder: Path, *, dbc: str = DBC, toml: str = TOML) -> Path:
    (folder / "own.dbc").write_text(dbc)
    (folder / "own.toml").write_text(toml)
    return folder / "own.toml"


def test_the_shipped_table_is_what_the_definition_compiles_to() -> None:
    assert known_vehicles() == ("nissan-leaf-ze1",)
    assert encode_table(compile_vehicle(ZE1)) == encode_table(load_table("nissan-leaf-ze1"))


def test_a_table_file_is_loaded_as_it_was_compiled(tmp_path: Path) -> None:
    table = write_table(define(tmp_path), tmp_path / "own.json")
    assert load_table(tmp_path / "own.json") == table
    volts = table.rule("Vehicle.Powertrain.TractionBattery.CurrentVoltage")
    assert isinstance(volts, SignalRule)
    assert (volts.factor, volts.step, volts.stale_s) == (0.5, 0.5, 0.03)
    assert table.frames[0].length == 4  # what its signals need, no more


def test_an_unknown_vehicle_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownVehicleError, match=r"one of nissan-leaf-ze1 or .* got 'trabant'"):
        load_table("trabant")


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\xff" * 20, b'{"format":1}'])
def test_what_is_no_table_is_refused_with_its_name(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(DefinitionError, match=r"bad\.json: expected a compiled vehicle table"):
        load_table(tmp_path / "bad.json")


def test_a_table_of_another_format_or_size_is_refused() -> None:
    shipped = encode_table(load_table("nissan-leaf-ze1"))
    with pytest.raises(DefinitionError, match="expected format 1, got 2"):
        decode_table(shipped.replace(b'"format":1', b'"format":2'))
    with pytest.raises(DefinitionError, match="expected at most"):
        decode_table(b" " * (MAX_TABLE_BYTES + 1))


VOLTS_PATH = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
WRONG = {
    "a signal over another": ("7|16@0+", "7|24@0+", r"own\.dbc: .*overlapping"),
    "a signal past the end": ("56|2@1+", "60|8@1+", r"own\.dbc: .*does not fit"),
    "a DBC that is none": ("BO_ 100", "B0_ 100", r"own\.dbc: "),
    "a unit that does not fit": ('"V" A', '"mA" A', r"own\.toml: Pack\.Volts: .*unit.*got 'mA'"),
    "a path nobody knows": (
        f'"Volts", path = "{VOLTS_PATH}"',
        '"Volts", path = "Vehicle.Volts"',
        r"own\.toml: Pack\.Volts: expected a path of the catalogue, got 'Vehicle\.Volts'",
    ),
    "a signal nobody knows": ('"Volts"', '"Voltage"', "expected a signal of this message"),
    "a message nobody knows": ('"Pack"', '"Pick"', r"expected a message of own\.dbc, got 'Pick'"),
    "a bus nobody knows": ('bus = "ev"', 'bus = "tv"', r"expected a bus of \['ev'\], got 'tv'"),
    "a key nobody knows": ("period_ms", "periodms", "unknown field `periodms`"),
    "a condition that is none": (">= 200", "> 200", r"states\.charging: expected `path == "),
    "a record of nothing": (f'["{VOLTS_PATH}"]', '["Vehicle.Speed"]', "expected a path that a"),
    "two rules for one path": (
        '"Amperes", path = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"',
        f'"Volts", path = "{VOLTS_PATH}"',
        r"expected one rule for .*CurrentVoltage, got 2",
    ),
    "a length too short": ('"Pack"', '"Pack"\nmin_length = 3', "expected min_length from 4 to 8"),
    "a counter nobody knows": ('"Pack"', '"Pack"\ncounter = "Tick"', "got 'Tick'"),
    "a DBC nobody has": ('"own.dbc"', '"other.dbc"', r"other\.dbc: expected a readable file"),
    "a product of nothing": (
        'message = "Pack"',
        'message = "Pack"\nproducts = [{ path = "Vehicle.Speed", of = ["Volts", "X"], step = 1 }]',
        "expected a name among this frame's signals, got 'X'",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_mistake_names_the_file_and_writes_nothing(wrong: str, tmp_path: Path) -> None:
    before, after, message = WRONG[wrong]
    assert before in DBC + TOML
    definition = define(tmp_path, dbc=DBC.replace(before, after), toml=TOML.replace(before, after))
    with pytest.raises(DefinitionError, match=message):
        write_table(definition, tmp_path / "own.json")
    assert not (tmp_path / "own.json").exists()


def test_a_missing_definition_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.toml: expected a readable file, got No such"):
        compile_vehicle(tmp_path / "none.toml")
