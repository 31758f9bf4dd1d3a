"""The store of an ingest as its configuration names it: which database, which place for files."""

import stat
from dataclasses import dataclass
from typing import Any

import msgspec

from telemetry.ingest.answers import Answers
from telemetry.ingest.aside import Aside
from telemetry.ingest.config import IngestConfig, StoreConfig
from telemetry.ingest.database import Database
from telemetry.ingest.dedupe import Batches
from telemetry.ingest.errors import ConfigError
from telemetry.ingest.files import Files, FolderFiles
from telemetry.ingest.sqlite import SqliteDatabase

_SQLITE, _POSTGRES, _FOLDER = "sqlite:", ("postgresql://", "postgres://"), "folder"


class Index(Batches, Aside, Answers):
    """All tables of one database; the statements of each kind stand in a module of their own."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.database = database


@dataclass(frozen=True, slots=True)
class Store:
    """An open store."""

    index: Index
    files: Files

    def close(self) -> None:
        """Close the database. Blocks."""
        self.index.database.close()


def open_store(config: IngestConfig) -> Store:
    """Open the store, or create it; raise StorageError or ConfigError. Blocks."""
    return _opened(config, is_to_write=True)


def open_to_read(config: IngestConfig) -> Store:
    """Open an existing store beside a running receiver; raise IngestError. Blocks."""
    return _opened(config, is_to_write=False)


def open_files(config: IngestConfig) -> Files:
    """Return the place of the files; raise ConfigError. Nothing is touched yet."""
    place = config.store.batches
    if place == _FOLDER:
        return FolderFiles(config.folder / "parquet")
    from telemetry.ingest.objects import ObjectFiles  # noqa: PLC0415 (0.1 s, and not needed by all)

    return ObjectFiles(place, _options(config.store))


def _opened(config: IngestConfig, *, is_to_write: bool) -> Store:
    files = open_files(config)
    return Store(Index(_database(config, is_to_write=is_to_write)), files)


def _database(config: IngestConfig, *, is_to_write: bool) -> Database:
    url = config.store.index
    if url.startswith(_POSTGRES):
        from telemetry.ingest.postgres import PostgresDatabase  # noqa: PLC0415 (0.1 s, as above)

        return (PostgresDatabase.open if is_to_write else PostgresDatabase.open_to_read)(url)
    if not url.startswith(_SQLITE):
        raise _config_error("index", url, "sqlite:FILE or postgresql://USER@HOST/DATABASE")
    path = config.folder / url.removeprefix(_SQLITE)
    return (SqliteDatabase.open if is_to_write else SqliteDatabase.open_to_read)(path)


def _options(store: StoreConfig) -> dict[str, Any]:
    """Return the options of the object store, with those from the secrets file."""
    if store.secrets_file is None:
        return dict(store.options)
    path = store.secrets_file
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secrets = msgspec.toml.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, ValueError) as error:
        raise _config_error("secrets_file", str(path), f"a TOML file of keys: {error}") from error
    if mode & 0o077:
        raise _config_error("secrets_file", str(path), f"mode 0600, found {mode:04o}")
    return {**store.options, **secrets}


def _config_error(key: str, value: str, expected: str) -> ConfigError:
    return ConfigError(
        f"store.{key}: {value}: expected {expected}",
        intact="nothing was started, nothing was connected",
        advice="docs/reference/ingest.md lists what can be named here",
    )
