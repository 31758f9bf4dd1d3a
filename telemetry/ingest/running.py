"""A receiver as a process: signals, the share of the folder, metrics beside it."""

import asyncio
import fcntl
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from telemetry.ingest.clock import SystemClock
from telemetry.ingest.config import IngestConfig
from telemetry.ingest.errors import IngestError, StorageError
from telemetry.ingest.files import FolderFiles
from telemetry.ingest.store import open_files

if TYPE_CHECKING:
    from telemetry.ingest.wiring import Parts

_LOCK = "ingest.lock"


async def receive(config: IngestConfig) -> int:
    """Receive until SIGINT or SIGTERM; return the exit code that this signal asks for."""
    from telemetry.ingest.wiring import build_service  # noqa: PLC0415 (loads pyarrow and paho)

    stop, caught = asyncio.Event(), [0]
    _stop_on_signals(stop, caught)
    parts = await asyncio.to_thread(build_service, config, clock=SystemClock())
    host, port = config.broker.host, config.broker.port
    click.echo(f"okdrive-ingest: receiving from {host}:{port}; Ctrl-C stops", err=True)
    try:
        await _serve(config, parts, stop)
    finally:
        await asyncio.to_thread(parts.close)
    return caught[0]


async def _serve(config: IngestConfig, parts: "Parts", stop: asyncio.Event) -> None:
    from telemetry.ingest.metrics import serve_metrics, waiting_text, worker_text  # noqa: PLC0415

    def text() -> str:
        return waiting_text(parts.store.index) + worker_text(
            parts.service, decoder_deaths=parts.decoder_deaths
        )

    failure: IngestError | None = None
    async with asyncio.TaskGroup() as group:
        if config.metrics.port is not None:
            group.create_task(
                serve_metrics(text, port=config.metrics.port, stop=stop), name="ingest_metrics"
            )
        if parts.deliverer is not None:
            group.create_task(parts.deliverer.run(stop), name="ingest_reports")
        try:
            await parts.service.run(stop)
        except IngestError as error:  # leaves the group by itself, not inside a group of errors
            failure = error
        stop.set()
    if failure:
        raise failure


def _stop_on_signals(stop: asyncio.Event, caught: list[int]) -> None:
    def catch(number: int) -> Callable[[], None]:
        def act() -> None:
            caught[0] = 128 + number  # what a shell expects of an interrupted program
            stop.set()

        return act

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, catch(number))


@contextmanager
def among_others(config: IngestConfig) -> Iterator[None]:
    """Hold a share of the folder; the first one deletes what an earlier run left unfinished."""
    folder, files = config.folder, open_files(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if isinstance(files, FolderFiles):
                    files.clean_unfinished()
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield
    except OSError as error:
        raise StorageError(
            f"{folder}: {error.strerror}",
            intact="nothing was started",
            advice="check that the folder can be written",
        ) from error


def is_running(folder: Path) -> bool:
    """Tell whether a receiver holds a share of ``folder``."""
    try:
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
