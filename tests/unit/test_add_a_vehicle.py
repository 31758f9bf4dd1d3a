"""docs/how-to/add-a-vehicle.md, followed word for word."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.signals.crc import crc8

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-vehicle.md"
_FILE = re.compile(r"```(?:dbc|toml) (\S+)\n(.*?)```", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def recording() -> str:
    state = (3600).to_bytes(2) + (-25).to_bytes(2, signed=True) + bytes((0, 0, 0))
    right = state + bytes((crc8(state),))
    wrong = right[:7] + bytes((right[7] ^ 1,))
    return (
        f"(1.000000) can0 123#{right.hex().upper()}\n"
        f"(1.010000) can0 124#{(1234).to_bytes(2).hex()}01\n"
        f"(1.010000) can0 123#{wrong.hex().upper()}\n"
    )


def sessions() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for block in _CONSOLE.findall(PAGE.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in _FILE.findall(PAGE.read_text()):
        (tmp_path / name).write_text(content)
    (tmp_path / "trabant.log").write_text(recording())
    assert len(sessions()) == 5
    for command, output in sessions():
        program, *arguments = shlex.split(command)
        assert program == "okdrive-agent"
        result = CliRunner().invoke(main, arguments)
        assert result.stdout == output, command
        toml = tmp_path / "trabant.toml"
        toml.write_text(toml.read_text().replace('CurrentCurent"', 'CurrentCurrent"'))
