"""What every group of commands shares: the caller, its errors, and how a document is printed."""

import fcntl
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import click

from agent.config import AgentConfig, load_config
from agent.folders import Folders

FILE = click.Path(path_type=Path, dir_okay=False)

as_json = click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")


class RunningError(Exception):
    """Another daemon holds the state folder; it goes on and nothing was started."""

    code: ClassVar[str] = "agent.running"


class Caller:
    """What every command is called with: the configuration file and whether to debug."""

    def __init__(self, config: Path, *, debug: bool) -> None:
        self.path = config
        self.debug = debug

    def config(self) -> AgentConfig:
        """Return the configuration; raise ConfigError."""
        config = load_config(self.path)
        if config.token is not None:
            from agent.consents import use_token  # noqa: PLC0415 (only with a token)

            use_token(config)
        return config

    def folders(self) -> Folders:
        """Return where the configured agent keeps what; raise ConfigError."""
        return Folders(root=self.config().state_dir)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn any error into four lines and its exit code, or leave it alone with --debug."""
        try:
            yield
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if self.debug:
                raise
            from agent.exits import explain, family  # noqa: PLC0415 (only errors need it)

            click.echo(explain(what, error, columns=_columns()), err=True)
            sys.exit(family(error).exit_code)


def _columns() -> int | None:
    """Return how wide the terminal is; None if errors go to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stderr.isatty() else None


def print_document(
    name: str,
    document: dict[str, Any],
    *,
    is_json: bool,
    lines: Callable[[dict[str, Any]], Iterator[str]],
) -> None:
    """Print ``document`` as JSON with its schema, or as ``lines`` for a person."""
    if is_json:
        click.echo(json.dumps({"schema": f"okdrive-agent.{name}/1", **document}, default=str))
    else:
        click.echo("\n".join(lines(document)))


@contextmanager
def only_one(folders: Folders) -> Iterator[None]:
    """Hold the state folder, so that no other agent runs on it; raise RunningError."""
    folders.root.mkdir(parents=True, exist_ok=True)
    with folders.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunningError(
                f"{folders.root}: expected no other agent on this folder, found one running"
            ) from None
        yield
