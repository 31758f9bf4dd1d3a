"""Files of batches in an object store: S3, GCS, Azure or a local stand-in, by URL.

The one module that knows obstore. An object is there whole or not at all, and durable once the
store has answered; that is the store's promise, and ``file://`` and ``memory://`` do not give it:
they are for trying things out.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import from_url

from telemetry.ingest.errors import ConfigError, StorageError
from telemetry.ingest.files import missing_file

SCHEMES = ("s3://", "gs://", "az://", "file://", "memory://")
_NOISE = re.compile(r"\s*Debug source:.*", re.DOTALL)  # a page of internals behind each message
_PATIENCE: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}  # then we back off
_CLIENT = ("allow_http", "connect_timeout", "timeout")  # of the connection, not of the store


class ObjectFiles:
    """One bucket, or a prefix in it."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Name the store; raise ConfigError. Nothing is connected yet.

        Args:
            url: As ``s3://bucket/prefix``.
            options: What the store needs to know, as obstore calls it: ``endpoint``, ``region``,
                ``allow_http``, keys. What is not given is looked for where the provider's own
                tools look.
        """
        self.name = url
        client: Any = {key: value for key, value in options.items() if key in _CLIENT}
        config = {key: value for key, value in options.items() if key not in _CLIENT}
        try:
            self._store = from_url(
                url, client_options=client or None, retry_config=_PATIENCE, **config
            )
        except (BaseError, OSError, TypeError, ValueError) as error:
            raise ConfigError(
                f"store.batches: {url}: {_plain(error)}",
                intact="nothing was started, nothing was connected",
                advice=f"a folder, or a URL that begins with one of {', '.join(SCHEMES)}",
            ) from error

    def write(self, file: str, content: bytes, day: date) -> None:  # noqa: ARG002 (stores have a time of their own)
        """Put ``content`` under ``file``."""
        with self._translated():
            self._store.put(file, content)

    def read(self, file: str) -> bytes:
        """Return the content of ``file``."""
        with self._translated():
            try:
                return self._store.get(file).bytes().to_bytes()
            except FileNotFoundError as error:
                raise missing_file(self.name, file) from error

    def delete(self, file: str) -> None:
        """Delete ``file``; nothing happens if it is not there."""
        with self._translated():
            try:
                self._store.delete(file)
            except FileNotFoundError:
                return

    def names(self) -> Iterator[str]:
        """Yield the name of every object."""
        with self._translated():
            for chunk in self._store.list():
                for entry in chunk:
                    yield entry["path"]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise StorageError(
                f"{self.name}: {_plain(error)}",
                intact="what was stored is intact and no receipt was sent",
                advice="check that the object store can be reached and lets us write",
            ) from error


def _plain(error: Exception) -> str:
    return " ".join(_NOISE.sub("", str(error)).split())
