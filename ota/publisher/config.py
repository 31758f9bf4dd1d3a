"""publisher.toml: one Struct per section, unknown keys refused.

Relative paths are relative to the folder of the file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ota.publisher.errors import SettingsError
from ota.publisher.layout import Layout
from ota.publisher.roles import Lifetimes

Seconds = Annotated[int, Meta(ge=60, le=10 * 365 * 86_400)]


class ExpiresSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lifetimes of the roles, in seconds."""

    root_s: Seconds = Lifetimes().root_s
    targets_s: Seconds = Lifetimes().targets_s
    snapshot_s: Seconds = Lifetimes().snapshot_s
    timestamp_s: Seconds = Lifetimes().timestamp_s


class ServeSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where `serve` listens, and its TLS; vehicles show a certificate of the same CA."""

    listen: str = "127.0.0.1:8443"
    ca_file: str = "pki/ca.pem"
    cert_file: str = "pki/director.pem"
    key_file: str = "pki/director.key"
    connections: Annotated[int, Meta(ge=1, le=100_000)] = 1_000  # at once; more get a 503


class PublisherFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What publisher.toml holds; every key has a default."""

    root_dir: str | None = None  # None: the state directory of the publisher
    offline_keys: str | None = None  # None: keys/offline below root_dir
    expires: ExpiresSection = ExpiresSection()
    serve: ServeSection = ServeSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """The `serve` section with its paths resolved."""

    host: str
    port: int  # 0: any free one
    ca_file: Path
    cert_file: Path
    key_file: Path
    connections: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherConfig:
    """publisher.toml with its paths resolved."""

    layout: Layout
    lifetimes: Lifetimes
    serve: ServeSettings


def load_config(path: Path, default_root: Path) -> PublisherConfig:
    """Read ``path`` (TOML); ``default_root`` stands in for a missing ``root_dir``.

    Raises:
        SettingsError: Unreadable, not TOML, an unknown key, or a value out of its range.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(str(path), expected="a file", got=str(error)) from error
    return parse_config(data, path, default_root)


def default_config(path: Path, default_root: Path) -> PublisherConfig:
    """Return what an empty file at ``path`` would mean."""
    return _resolve(PublisherFile(), path.parent, default_root)


def parse_config(data: bytes, path: Path, default_root: Path) -> PublisherConfig:
    """Return the configuration in ``data``, as if it were read from ``path``."""
    try:
        return _resolve(msgspec.toml.decode(data, type=PublisherFile), path.parent, default_root)
    except ValueError as error:
        raise SettingsError(
            str(path), expected="known keys with valid values", got=str(error)
        ) from error


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; raise ValueError if it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 (TCP)
        raise ValueError(f"listen: expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def _resolve(file: PublisherFile, folder: Path, default_root: Path) -> PublisherConfig:
    offline = None if file.offline_keys is None else folder / file.offline_keys
    root = default_root if file.root_dir is None else folder / file.root_dir
    host, port = parse_listen(file.serve.listen)
    return PublisherConfig(
        layout=Layout.at(root, offline),
        lifetimes=Lifetimes(**msgspec.to_builtins(file.expires)),
        serve=ServeSettings(
            host=host,
            port=port,
            ca_file=folder / file.serve.ca_file,
            cert_file=folder / file.serve.cert_file,
            key_file=folder / file.serve.key_file,
            connections=file.serve.connections,
        ),
    )
