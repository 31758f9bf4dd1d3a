from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from agent.cli import main as agent
from agent.exits import explain
from agent.inspect import NotFoundError
from agent.wording import COLUMNS, counted, labelled
from ota.publisher.cli import main as ota
from sim.cli import main as sim
from telemetry.ingest.cli import cli as ingest

LONG = (
    "no such file: /var/lib/okdrive/a-folder-with-a-long-name/and-another-one/that-does-not-end.db"
)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 batches"), (1, "1 batch"), (1_200, "1,200 batches")]
)
def test_one_of_a_thing_is_not_two(count: int, said: str) -> None:
    assert counted(count, "batch", "batches") == said


def test_a_text_goes_on_below_itself_and_a_path_is_never_cut() -> None:
    lines = list(labelled("ok    storage  ", f"{LONG}; make room on that disk, or name another"))
    assert LONG.rpartition(" ")[2] in " ".join(lines)
    assert lines[0].startswith("ok    storage  no such file:")
    assert all(line.startswith(" " * 15) for line in lines[1:])
    assert max(len(line) for line in lines if "/" not in line) <= COLUMNS


def test_an_empty_text_still_has_its_label() -> None:
    assert list(labelled("do   ", "")) == ["do"]


def test_an_error_is_four_lines_in_a_file_and_fits_into_a_terminal() -> None:
    error = NotFoundError(" ".join(["expected one of the listed ones"] * 6))
    assert len(explain("looking", error).splitlines()) == 4
    lines = explain("looking", error, columns=80).splitlines()
    assert len(lines) > 4
    assert max(len(line) for line in lines) <= 80
    assert " ".join(" ".join(lines).split()) == " ".join(explain("looking", error).split())


def every_command(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from every_command(command, (*path, name))


@pytest.mark.parametrize("group", [agent, ota, ingest, sim], ids=["agent", "ota", "ingest", "sim"])
def test_every_help_fits_into_eighty_columns(group: click.Group) -> None:
    too_long = []
    for path in every_command(group):
        shown = CliRunner().invoke(group, [*path, "--help"], terminal_width=80)
        assert shown.exit_code == 0
        too_long += [line for line in shown.output.splitlines() if len(line) > COLUMNS]
    assert too_long == []
