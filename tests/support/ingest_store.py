"""Stores of ingest, as a receiver opens them."""

from pathlib import Path

from telemetry.ingest.files import FolderFiles
from telemetry.ingest.sqlite import SqliteDatabase
from telemetry.ingest.store import Index, Store


def local_store(folder: Path) -> Store:
    """The store of one machine: ``index.sqlite`` and ``parquet/`` in ``folder``."""
    database = SqliteDatabase.open(folder / "index.sqlite")
    return Store(Index(database), FolderFiles(folder / "parquet"))
