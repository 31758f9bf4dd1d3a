"""The command line: exit codes, four lines per error, documents with a schema."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ota.publisher.cli import main
from ota.publisher.config import load_config
from ota.publisher.exits import exit_code, explain
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories, init_repositories
from ota.publisher.ports import WallClock
from tests.support.clock import FakeClock
from tests.support.publisher import ECU, HARDWARE, PRIMARY, VEHICLE, ecu_signer, write_spec

RELEASE = f"""
name = "trip-light"
version = "1.0.0"
release_counter = 1
hardware_ids = ["{HARDWARE}"]
by = "release desk"
why = "the light was too dark"
criticality = "feature"
[facts.en]
purpose = "Shows the light of the last trip"
changes = ["The light is brighter"]
duration_s = 20
unavailable = "The trip light"
instructions = "Nothing to do"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OKDRIVE_HOME", str(tmp_path))
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def add_vehicle(home: Path, *more: object) -> Result:
    (home / "ecu.pub").write_text(ecu_signer().public_key.keyval["public"])
    ecu = f"{ECU}={HARDWARE}:trip-light"
    options = ("--primary", PRIMARY, "--key", home / "ecu.pub", "--ecu", ecu, *more)
    return call("vehicle", "add", VEHICLE, *options)


@pytest.fixture
def package(home: Path) -> Path:
    spec = write_spec(home / "spec")
    (spec / "release.toml").write_text(RELEASE)
    done("init")
    assert add_vehicle(home).exit_code == 0
    done("package", "build", spec, "-o", home / "light.okp")
    return home / "light.okp"


def test_a_first_release_by_hand(home: Path, package: Path) -> None:
    assert "every rule and hash holds" in done("package", "verify", package)
    assert "bin/light --check, 5 s" in done("package", "inspect", package)
    assert "would publish" in done("publish", package, "--to", "all", "--dry-run")
    assert "RELEASES\n      none" in done("status")
    assert "published: app/trip-light/1.0.0/trip-light-1.0.0.okp" in done(
        "publish", package, "--to", "all"
    )
    assert "trip-light 1.0.0  counter 1  feature" in done("status")
    assert "assigned app/trip-light" in done("vehicle", "list")
    assert "1 images are what was signed" in done("verify")
    assert "signed timestamp" in done("refresh")


def test_every_document_names_its_schema(package: Path) -> None:
    commands = {
        "package.inspect": ("package", "inspect", package),
        "package.verify": ("package", "verify", package),
        "publish": ("publish", package, "--to", VEHICLE),
        "status": ("status",),
        "vehicle.list": ("vehicle", "list"),
        "verify": ("verify",),
        "refresh": ("refresh", "-n"),
    }
    for name, arguments in commands.items():
        document = json.loads(done(*arguments, "--json"))
        assert document["schema"] == f"okdrive-ota.{name}/1"
    assert json.loads(done("status", "--json"))["releases"][0]["name"] == "trip-light"


def refused(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 4, result.stderr
    assert lines[3].endswith(f"[exit {code}]")
    assert result.stdout == ""
    return result.stderr


def test_each_refusal_has_its_exit_code(home: Path, package: Path) -> None:
    assert "init" in refused(call("init"), 7)
    assert "not registered yet" in refused(add_vehicle(home), 7)
    assert "a registered vehicle" in refused(call("publish", package, "--to", "car-9"), 6)
    assert "a package" in refused(call("package", "verify", home / "none.okp"), 6)
    assert "never reported" in refused(call("vehicle", "manifest", VEHICLE), 6)
    assert "TLS files" in refused(call("serve"), 2)
    package.with_suffix(".release.toml").write_text(RELEASE.replace("purpose", "porpoise"))
    assert "`purpose`" in refused(call("publish", package, "--to", "all"), 5)
    package.write_bytes(package.read_bytes()[:-1])
    assert "zstd" in refused(call("package", "verify", package), 3)


def test_missing_offline_keys_need_a_person(home: Path, package: Path) -> None:
    (home / "ota" / "keys" / "offline").rename(home / "safe")
    assert "offline key folder" in refused(call("publish", package, "--to", "all"), 5)
    assert "signed timestamp" in done("refresh")


def test_refresh_says_when_an_offline_role_has_expired(home: Path) -> None:
    (home / "publisher.toml").write_text("")
    layout = load_config(home / "publisher.toml", home / "ota").layout
    long_ago = FakeClock(WallClock().utc_now() - timedelta(days=100))
    init_repositories(Repositories(layout=layout, clock=long_ago))
    layout.offline_keys.rename(home / "safe")
    assert "Image targets" in refused(call("refresh"), 5)
    Inventory(layout.inventory).close()
    roles = json.loads(done("status", "--json"))["roles"]
    assert [role["left_s"] > 0 for role in roles] == [True, False, True, True, True]


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "--threshold", "root=2/3"),
        ("init", "--expires", "root=soon"),
        ("init", "--expires", "root=1s"),
        ("vehicle", "add", "x", "--primary", "e", "--key", "k", "--ecu", "nonsense"),
        ("serve", "--listen", "8443"),
    ],
)
def test_an_argument_of_the_wrong_shape_is_explained(home: Path, arguments: tuple[str]) -> None:
    (home / "k").write_text("0" * 64)
    fixed = [str(home / "k") if each == "k" else each for each in arguments]
    assert "expected" in refused(call(*fixed), 2)
    assert not (home / "ota").exists()


def test_a_dry_init_makes_nothing_and_a_real_one_keeps_its_settings(home: Path) -> None:
    options = ("--threshold", "root=2of3", "--expires", "root=1y,timestamp=2h")
    done("init", *options, "--dry-run")
    assert list(home.iterdir()) == []
    done("init", *options)
    config = load_config(home / "publisher.toml", home / "ota")
    assert (config.lifetimes.root_s, config.lifetimes.timestamp_s) == (31_536_000, 7_200)
    roles = json.loads(done("status", "--json"))["roles"]
    assert (roles[0]["threshold"], roles[0]["keys"]) == (2, 3)


def test_an_unknown_key_in_the_configuration_is_refused(home: Path) -> None:
    (home / "publisher.toml").write_text("[serve]\nlisen = 3\n")
    assert "unknown field `lisen`" in refused(call("status"), 2)
    assert "okdrive-ota init" in refused(call("--config", home / "none.toml", "status"), 6)


def test_a_full_disk_is_told_in_four_lines_too() -> None:
    error = OSError(28, "No space left on device", "ota/image/1.targets.json")
    assert exit_code(error) == 1
    lines = explain("publish", error).splitlines()
    assert len(lines) == 4
    assert "No space left" in lines[1]
    assert "what was published before" in lines[2]


def test_help_teaches_the_first_release() -> None:
    text = done("--help")
    for command in ("init", "vehicle add", "package build", "publish", "serve"):
        assert f"okdrive-ota {command}" in text
