"""An attack can be written as files that any web server may serve."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from tests.support import attack_try
from tests.support.attack_dump import ATTACKS, main
from tests.support.repository_simulator import VEHICLE

NAMES = ["director_root_expired", "a delegation for other hardware is not followed"]


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_is_written_before_and_after(name: str, tmp_path: Path) -> None:
    main(["--attack", name, "-o", str(tmp_path / "dump")])
    told = json.loads((tmp_path / "dump" / "attack.json").read_text())
    assert (told["attack"], told["code"]) == (name, ATTACKS[name].code)
    before, after = (tmp_path / "dump" / when for when in ("before", "after"))
    root = Metadata[Root].from_file(str(before / "roots" / "image.json")).signed
    assert root.version == 1
    images = [*(after / "image" / "targets").rglob("*.okp")]
    assert {image.parent.name for image in images} == {"1.0.0"}
    assert len(images) == 2  # the package, and the list of its pieces
    director = f"director/{VEHICLE}/metadata/timestamp.json"
    image_role = "image/metadata/timestamp.json"
    changed = {path for path in (director, image_role) if is_changed(before, after, path)}
    assert changed == {director if name.startswith("director") else image_role}


def is_changed(before: Path, after: Path, path: str) -> bool:
    return (before / path).read_bytes() != (after / path).read_bytes()


def test_what_never_ends_is_written_as_more_than_any_role_may_have(tmp_path: Path) -> None:
    main(["--attack", "the image timestamp never ends", "-o", str(tmp_path / "dump")])
    body = tmp_path / "dump" / "after" / "image" / "metadata" / "timestamp.json"
    assert body.stat().st_size > 5_000_000


def test_every_attack_is_listed_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(ATTACKS)
    assert "director_bad_ecu_id\tota.repository.unknown_ecu" in lines


def test_a_folder_that_exists_is_not_written_to(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--attack", NAMES[0], "-o", str(tmp_path)])


@pytest.mark.timeout(60)
def test_the_command_is_the_simulators_own() -> None:
    command = [sys.executable, "-m", "tests.support.repository_simulator", "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(ATTACKS)


TRIED = [
    "director_targets_same_ecu",
    "a terminating delegation ends the search",
    "director timestamp goes back under newer roles",
    "the image is cut short",
    "two roles agree on an image",
    "the image timestamp never ends",
]


@pytest.mark.parametrize("name", TRIED)
def test_an_attack_written_as_files_meets_its_code_in_the_vehicle(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--attack", name, "-o", str(tmp_path / "dump")])
    assert attack_try.main([str(tmp_path / "dump")]) == 0
    assert capsys.readouterr().out == f"{ATTACKS[name].code or 'accepted'}\n"
