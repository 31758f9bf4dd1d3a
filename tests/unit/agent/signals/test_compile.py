from pathlib import Path

import pytest

from agent.signals.compile import check_vehicle, compile_vehicle, write_table
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
VEHICLES = ("nissan-env200", "nissan-leaf-aze0", "nissan-leaf-ze0", "nissan-leaf-ze1")

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


def test_every_definition_is_shipped_as_a_table() -> None:
    assert known_vehicles() == VEHICLES
    assert tuple(sorted(file.stem for file in DEFINITIONS.glob("*.toml"))) == VEHICLES


@pytest.mark.parametrize("name", VEHICLES)
def test_a_shipped_table_is_what_its_definition_compiles_to(name: str) -> None:
    table = compile_vehicle(DEFINITIONS / f"{name}.toml")
    assert encode_table(table) == encode_table(load_table(name))


def test_a_table_file_is_loaded_as_it_was_compiled(tmp_path: Path) -> None:
    table = write_table(define(tmp_path), tmp_path / "own.json")
    assert load_table(tmp_path / "own.json") == table
    volts = table.rule("Vehicle.Powertrain.TractionBattery.CurrentVoltage")
    assert isinstance(volts, SignalRule)
    assert (volts.factor, volts.step, volts.stale_s) == (0.5, 0.5, 0.03)
    assert table.frames[0].length == 4  # what its signals need, no more


def test_an_unknown_vehicle_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownVehicleError, match=r"one of nissan-env200, .*nissan-leaf-ze1 or .* got 'trabant'"
    ):
        load_table("trabant")


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\xff" * 20, b'{"format":1}'])
def test_what_is_no_table_is_refused_with_its_name(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(DefinitionError, match=r"bad\.json: expected a compiled vehicle table"):
        load_table(tmp_path / "bad.json")


def test_a_table_of_another_format_or_size_is_refused() -> None:
    shipped = encode_table(load_table("nissan-leaf-ze1"))
    with pytest.raises(DefinitionError, match="expected format 2, got 1"):
        decode_table(shipped.replace(b'"format":2', b'"format":1'))
    with pytest.raises(DefinitionError, match="expected at most"):
        decode_table(b" " * (MAX_TABLE_BYTES + 1))


VOLTS_PATH = "Vehicle.Powertrain.TractionBattery.CurrentVoltage"
ARRAY = "{ prefix = 'Vehicle.', count = 2, at = 0, size = 2, every = 2 }"
WRONG = {
    "a signal over another": ("7|16@0+", "7|24@0+", r"own\.dbc:5: Pack: Amperes is overlapping"),
    "a signal past the end": ("56|2@1+", "60|8@1+", r"own\.dbc:6: Pack\.Beat does not fit.*byte 8"),
    "a DBC that is none": ("BO_ 100", "B0_ 100", r"own\.dbc:3: "),
    "a unit that does not fit": (
        '"V" A',
        '"mA" A',
        r"own\.toml:13: Pack\.Volts: .*unit.*got 'mA'",
    ),
    "a path nobody knows": (
        f'"Volts", path = "{VOLTS_PATH}"',
        '"Volts", path = "Vehicle.Volts"',
        r"own\.toml:13: Pack\.Volts: expected a path of the catalogue, got 'Vehicle\.Volts'",
    ),
    "a signal nobody knows": ('"Volts"', '"Voltage"', r"toml:13: Pack: expected a signal of this"),
    "a message nobody knows": ('"Pack"', '"Pick"', r"toml:8: expected a message of own\.dbc, got"),
    "a bus nobody knows": ('bus = "ev"', 'bus = "tv"', r"toml:8: .*a bus of \['ev'\], got 'tv'"),
    "a key nobody knows": ("period_ms", "periodms", r"toml:11: .*unknown field `periodms`"),
    "a text that is no TOML": ("[states]", "[states", r"own\.toml:6: "),
    "a condition that is none": (
        ">= 200",
        "> 200",
        r"toml:7: states\.charging: expected `path == ",
    ),
    "a record of nothing": (f'["{VOLTS_PATH}"]', '["Vehicle.Speed"]', r"toml:3: expected a path"),
    "two rules for one path": (
        '"Amperes", path = "Vehicle.Powertrain.TractionBattery.CurrentCurrent"',
        f'"Volts", path = "{VOLTS_PATH}"',
        r"own\.toml:14: expected one rule for .*CurrentVoltage, got 2",
    ),
    "a length too short": ('"Pack"', '"Pack"\nmin_length = 3', "expected min_length from 4 to 8"),
    "a period of nothing": ("period_ms = 10", "period_ms = 0", r"toml:11: .*period_ms"),
    "a code that the bits never hold": (
        f'"Volts", path = "{VOLTS_PATH}"',
        f'"Volts", path = "{VOLTS_PATH}", sentinels = [70000]',
        r"toml:13: Pack\.Volts: expected sentinels from 0 to 65535, .*got \[70000\]",
    ),
    "a word that the bits never hold": (
        f'"Volts", path = "{VOLTS_PATH}"',
        f'"Volts", path = "{VOLTS_PATH}", values = {{ 70000 = 1 }}',
        r"toml:13: Pack\.Volts: expected values from 0 to 65535, .*got \[70000\]",
    ),
    "a word outside of the catalogue": (
        f'"Volts", path = "{VOLTS_PATH}"',
        f'"Volts", path = "{VOLTS_PATH}", values = {{ 7 = 1001 }}',
        r"toml:13: Pack\.Volts: expected values from 0 to 1000, got \[1001",
    ),
    "a range the wrong way round": (
        f'"Volts", path = "{VOLTS_PATH}"',
        f'"Volts", path = "{VOLTS_PATH}", minimum = 400, maximum = 200',
        r"toml:13: Pack\.Volts: expected minimum below maximum, got 400 and 200",
    ),
    "a range that the bits never reach": (
        '(0.5,0) [0|0] "V"',
        '(0.5,2000) [0|0] "V"',
        r"toml:13: Pack\.Volts: expected a value from 0 to 1000 V to be possible",
    ),
    "a counter of two bytes": (
        '"Pack"',
        '"Pack"\ncounter = "Amperes"',
        "expected a counter of 1 to 4 bits in one byte, got 16 bits in 2 bytes",
    ),
    "a counter nobody knows": ('"Pack"', '"Pack"\ncounter = "Tick"', "got 'Tick'"),
    "a DBC nobody has": ('"own.dbc"', '"other.dbc"', r"other\.dbc: expected a readable file"),
    "a product of nothing": (
        'message = "Pack"',
        'message = "Pack"\nproducts = [{ path = "Vehicle.Speed", of = ["Volts", "X"], step = 1 }]',
        "expected a name among this frame's signals, got 'X'",
    ),
    "a part nobody has": (
        'title = "Own"',
        'title = "Own"\ninclude = ["no.toml"]',
        r"no\.toml: exp",
    ),
    "a selector nobody knows": (
        f'path = "{VOLTS_PATH}" }}',
        f'path = "{VOLTS_PATH}", when = {{ name = "X", value = 1 }} }}',
        "expected a signal of this message, got 'X'",
    ),
    "a default for too many values": (
        f'path = "{VOLTS_PATH}" }}',
        f'path = "{VOLTS_PATH}", otherwise = 0 }}',
        "expected `otherwise` on at most 8 unsigned bits, got 16",
    ),
    "evidence that is none": (
        "[states]",
        '[detect]\nbus = "ev"\nseen = ["5A9/12"]\n[states]',
        r"toml:6: detect: expected ID or ID/LENGTH",
    ),
    "evidence on no bus": ("[states]", '[detect]\nbus = "tv"\n[states]', "got 'tv'"),
    "a derived path of no state": (
        "[[frames]]",
        '[derived]\n"Vehicle.Speed" = "flying"\n[[frames]]',
        r"toml:9: derived: expected a state of \[states\], got 'flying'",
    ),
    "a derived path nobody knows": (
        "[[frames]]",
        '[derived]\n"Vehicle.Wings" = "charging"\n[[frames]]',
        r"toml:9: derived: expected a path of the catalogue",
    ),
    "a poll on no bus": ("[[frames]]", 'POLL bus = "tv"', "AskPack: expected a bus of .* got 'tv'"),
    "a poll in no state": ("[[frames]]", 'POLL needs = "x"', "expected a state of .* got 'x'"),
    "two replies of one length": (
        "[[frames]]",
        "POLL replies = [{ length = 2 }, { length = 2 }]",
        r"one reply for each length, got \[2, 2\]",
    ),
    "a number past the reply": (
        "[[frames]]",
        'POLL replies = [{ length = 2, signals = [{ path = "Vehicle.Speed", at = 1, size = 2 }] }]',
        r"Vehicle\.Speed does not fit: expected bytes 0 to 1, got 1 to 2",
    ),
    "an array past the reply": (
        "[[frames]]",
        f"POLL replies = [{{ length = 2, arrays = [{ARRAY}] }}]",
        r"Vehicle\. does not fit: expected 4 bytes or more",
    ),
    "a private reply with signals": (
        "[[frames]]",
        f"POLL is_private = true\nreplies = [{{ length = 2, arrays = [{ARRAY}] }}]",
        "expected no signals in a private reply, got some",
    ),
}
POLL = """[[polls]]
name = "AskPack"
request_id = 0x79B
reply_id = 0x7BB
service = "2101"
period_s = 60
"""


def wrongly(wrong: str, folder: Path) -> tuple[Path, str]:
    before, after, message = WRONG[wrong]
    assert before in DBC + TOML
    if after.startswith("POLL "):
        bus = "" if "bus" in after else 'bus = "ev"\n'
        after = POLL + bus + after.removeprefix("POLL ") + "\n[[frames]]"
    return define(folder, dbc=DBC.replace(before, after), toml=TOML.replace(before, after)), message


@pytest.mark.parametrize("wrong", WRONG)
def test_every_mistake_names_file_and_line_and_writes_nothing(wrong: str, tmp_path: Path) -> None:
    definition, message = wrongly(wrong, tmp_path)
    with pytest.raises(DefinitionError, match=message):
        write_table(definition, tmp_path / "own.json")
    assert not (tmp_path / "own.json").exists()


def test_a_check_names_every_mistake_at_once(tmp_path: Path) -> None:
    dbc = DBC.replace("7|16@0+", "7|24@0+").replace("56|2@1+", "60|8@1+")
    definition = define(tmp_path, dbc=dbc, toml=TOML.replace('CurrentCurrent"', 'Amps"'))
    found = [(problem.file.name, problem.line) for problem in check_vehicle(definition)]
    assert sorted(found) == [("own.dbc", 5), ("own.dbc", 6), ("own.toml", 14)]


def test_a_right_definition_has_no_problems(tmp_path: Path) -> None:
    assert check_vehicle(define(tmp_path)) == ()


def test_a_missing_definition_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.toml: expected a readable file, got No such"):
        compile_vehicle(tmp_path / "none.toml")
