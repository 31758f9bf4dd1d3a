"""The configuration of ingest: TOML, unknown keys refused, secrets only as file paths.

Relative paths are relative to the folder of the file.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from telemetry.ingest.errors import ConfigError

Positive = Annotated[float, Meta(gt=0)]


class BrokerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and who we are to it; TLS is always on."""

    host: str
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8884  # ingest's own door; vehicles have 8883
    ca_file: Path
    cert_file: Path
    key_file: Path
    connect_timeout_s: Positive = 10.0
    answer_timeout_s: Positive = 10.0  # for a subscription and for a receipt
    in_flight: Annotated[int, Meta(ge=1, le=1000)] = 20  # unacknowledged batches at a time


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of what comes from outside is looked at."""

    max_batch_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    max_rows: Annotated[int, Meta(ge=1)] = 100_000
    max_rows_per_byte: Annotated[int, Meta(ge=1)] = 2_000  # a small batch may not claim to be huge
    max_decode_s: Positive = 30.0  # for one batch; its decoder is killed then
    decoder_memory_bytes: Annotated[int, Meta(ge=256 * 1024 * 1024)] = 2 * 1024 * 1024 * 1024
    parts_days: Annotated[int, Meta(ge=1)] = 7  # parts of a batch wait this long for the others
    parts_max_bytes: Annotated[int, Meta(ge=1024 * 1024)] = 256 * 1024 * 1024
    batch_days: Annotated[int, Meta(ge=1, le=731)] = 731  # then a batch is deleted; notices say so
    receipts_days: Annotated[int, Meta(ge=7, le=183)] = 180  # then an answer is forgotten
    quarantine_days: Annotated[int, Meta(ge=1, le=7)] = 7
    quarantine_max: Annotated[int, Meta(ge=1)] = 10_000  # batches; the oldest go first


class StoreConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where what was received is kept. No secrets here: they stand in files."""

    index: str = "sqlite:index.sqlite"  # below folder; or postgresql://USER@HOST/DB?passfile=FILE
    batches: str = "folder"  # parquet/ below folder; or s3:// gs:// az:// file:// memory://
    options: dict[str, str | bool] = {}  # of the object store: endpoint, region, allow_http ...
    secrets_file: Path | None = None  # TOML, 0600: options that nobody else may read


class WorkshopConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes the reports that drivers send to their workshop; ingest cannot read them."""

    url: str  # https; takes one POST per report
    key: Path  # Ed25519 private key, PEM, 0600: signs what is handed on
    ca_file: Path | None = None  # authorities of the address; none: those of this machine
    timeout_s: Positive = 10.0
    longest_wait_s: Annotated[int, Meta(ge=5, le=86_400)] = 3600  # between two attempts
    days: Annotated[int, Meta(ge=1, le=7)] = 7  # then a report nobody took is deleted
    max_reports: Annotated[int, Meta(ge=1)] = 10_000  # that wait; more are refused


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prometheus text over HTTP, on loopback only; `okdrive-ingest metrics` works without it."""

    port: Annotated[int, Meta(ge=0, le=65_535)] | None = None  # None: no endpoint; 0: any free port


class IngestConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything ingest is told."""

    folder: Path  # index.sqlite and parquet/, unless [store] says otherwise
    receipt_key: Path  # Ed25519 private key, PEM, 0600
    sealing_keys: Path  # folder of private keys that open batches (`okdrive-ingest keys make`)
    broker: BrokerConfig
    store: StoreConfig = StoreConfig()
    limits: LimitsConfig = LimitsConfig()
    decoders: Annotated[int, Meta(ge=0, le=64)] = 1  # child processes; 0: decode in this one
    metrics: MetricsConfig = MetricsConfig()
    workshop: WorkshopConfig | None = None  # none: reports are refused


def load_config(path: Path) -> IngestConfig:
    """Read ``path``; raise ConfigError for anything but a valid file."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=IngestConfig, dec_hook=_path)
    except OSError as error:
        raise _error(path, str(error.strerror)) from error
    except ValueError as error:  # msgspec's and the parser's errors are ValueErrors
        raise _error(path, str(error)) from error
    return _anchored(config, path.absolute().parent)


def _anchored(config: IngestConfig, base: Path) -> IngestConfig:
    broker = msgspec.structs.replace(
        config.broker,
        ca_file=base / config.broker.ca_file,
        cert_file=base / config.broker.cert_file,
        key_file=base / config.broker.key_file,
    )
    secrets = config.store.secrets_file
    store = msgspec.structs.replace(
        config.store, secrets_file=None if secrets is None else base / secrets
    )
    return msgspec.structs.replace(
        config,
        store=store,
        workshop=_anchored_workshop(config.workshop, base),
        folder=base / config.folder,
        receipt_key=base / config.receipt_key,
        sealing_keys=base / config.sealing_keys,
        broker=broker,
    )


def _anchored_workshop(workshop: WorkshopConfig | None, base: Path) -> WorkshopConfig | None:
    if workshop is None:
        return None
    return msgspec.structs.replace(
        workshop,
        key=base / workshop.key,
        ca_file=None if workshop.ca_file is None else base / workshop.ca_file,
    )


def _path(wanted: type, value: object) -> Path:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {wanted.__name__} as text, got {value!r:.80}")


def _error(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: {why}",
        intact="nothing was started, no file was touched",
        advice=f"correct {path}, or name another file with --config",
    )
