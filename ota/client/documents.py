"""Signed documents beside the images: small files that every vehicle may have.

A document is a target of the Image repository's own Targets (``document/<name>.json``), signed by
the offline keys and never by a delegate; no Director assigns it. A vehicle that verified the
repository fetches those it has a use for when their signed hash is another one than it holds.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from tuf.api.metadata import TargetFile, Targets

from ota.client.durable import make_folder, replace_file
from ota.client.ports import Fetcher
from ota.client.translate import read_bounded
from ota.errors import (
    EndlessDataError,
    HashMismatchError,
    LengthMismatchError,
    OtaError,
    StorageError,
)
from ota.metadata.models import MAX_DOCUMENT_BYTES, document_name, sha256_of

log = logging.getLogger(__name__)

Take = Callable[[bytes], None]  # uses a verified document; raises DocumentError if it is none


class Documents:
    """The documents of one vehicle, kept in ``folder`` under their names.

    ``takers`` say by name who uses a new one. A document that its taker refuses is not kept.
    """

    def __init__(
        self, fetcher: Fetcher, *, targets_url: str, folder: Path, takers: Mapping[str, Take]
    ) -> None:
        self._fetcher = fetcher
        self._targets_url = targets_url
        self._folder = folder
        self._takers = takers

    def collect(self, targets: Targets) -> None:
        """Fetch what is new among ``targets``, which were verified. Blocks.

        No error leaves: an update goes on without its documents, and the next check tries again.
        """
        for name in self._takers:
            listed = targets.targets.get(document_name(name))
            try:
                if listed is not None and not self._is_kept(name, listed):
                    self._renew(name, listed)
            except OtaError as error:
                log.warning(
                    "document_left_out",
                    extra={"document": name, "code": error.code, "reason": str(error)},
                )

    def _renew(self, name: str, listed: TargetFile) -> None:
        content = self._fetch(listed)
        self._takers[name](content)
        path = self._folder / f"{name}.json"
        try:
            make_folder(self._folder)
            replace_file(path, content)
        except OSError as error:
            raise StorageError(str(path), expected="room to keep it", got=str(error)) from error
        log.info("document_renewed", extra={"document": name, "bytes": len(content)})

    def _fetch(self, listed: TargetFile) -> bytes:
        folder, _, name = listed.path.rpartition("/")
        digest = sha256_of(listed.hashes)
        if listed.length > MAX_DOCUMENT_BYTES:
            raise EndlessDataError(
                listed.path, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(listed.length)
            )
        url = f"{self._targets_url}{folder}/{digest}.{name}"
        content = read_bounded(self._fetcher, url, max_bytes=listed.length)
        if len(content) != listed.length:
            raise LengthMismatchError(
                listed.path, expected=f"{listed.length} bytes", got=str(len(content))
            )
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise HashMismatchError(listed.path, expected=digest, got=found)
        return content

    def _is_kept(self, name: str, listed: TargetFile) -> bool:
        try:
            content = (self._folder / f"{name}.json").read_bytes()
        except OSError:
            return False
        return hashlib.sha256(content).hexdigest() == sha256_of(listed.hashes)
