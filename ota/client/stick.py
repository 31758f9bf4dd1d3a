"""The stick an update comes from, until all it offers is installed.

A command writes the folder's path beside the journal and asks for a check; where no stick is named,
everything goes to the network. A stick also serves images of online assignments that it holds, and
takes the report that no Director takes at the moment.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from ota.client.durable import make_folder, remove_file, replace_file
from ota.client.folder import SCHEME, FolderFetcher
from ota.client.offer import Offer
from ota.client.ports import Fetcher, RangeAnswer
from ota.client.verifier import Verifier
from ota.errors import DownloadError, StorageError
from ota.metadata.manifest import read_manifest
from ota.metadata.offline import REPORTS_FOLDER, SNAPSHOT

log = logging.getLogger(__name__)

STICK_NAME = "stick.json"


class StickFile:
    """Which folder is the stick; every method blocks."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STICK_NAME

    def read(self) -> Path | None:
        """Return the folder; None without one, or once it was pulled out."""
        try:
            found = Path(msgspec.json.decode(self._path.read_bytes(), type=str))
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("stick_unreadable", extra={"reason": str(error)})
            return None
        return found if found.is_dir() else None

    def write(self, stick: Path) -> None:
        """Take updates from ``stick``, an absolute path; raise OSError if that was not kept."""
        make_folder(self._path.parent)
        replace_file(self._path, msgspec.json.encode(str(stick)))
        owner = self._path.parent.stat()
        if owner.st_uid != os.geteuid():  # root has called for the agent's user
            os.chown(self._path, owner.st_uid, owner.st_gid)

    def forget(self) -> None:
        """Take updates from the network again; raise OSError if that was not kept."""
        if self._path.exists():
            remove_file(self._path)


def is_stick(folder: Path) -> bool:
    """Return whether ``folder`` looks like a stick with updates; nothing of it is verified."""
    return (folder / "director" / f"{SNAPSHOT}.json").is_file()


def write_report(stick: Path, manifest: bytes) -> Path:
    """Write a signed manifest of this vehicle onto ``stick``; return where it is. Blocks.

    Raises:
        ManifestMalformedError: It is none.
        StorageError: What the stick has under that name leads elsewhere.
        OSError: The stick did not take it.
    """
    said = read_manifest(manifest)
    folder = stick / REPORTS_FOLDER
    if folder.is_symlink():  # whoever writes may be root
        raise StorageError(
            str(folder), expected="a folder of the stick", got="a link", intact="nothing written"
        )
    make_folder(folder, mode=0o755)
    path = folder / f"{said.vehicle}.{said.counter}.json"
    replace_file(path, manifest, mode=0o644)
    return path


class Source(Protocol):
    """Where offers come from."""

    def check(self) -> tuple[Offer, ...]:
        """Return what is offered; see ``verifier.Verifier``."""
        ...

    def is_offline(self) -> bool:
        """Return whether no network is needed to ask."""
        ...

    def worse(self, error: DownloadError) -> DownloadError:
        """Return what ``error`` means by now; see ``verifier.Verifier``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StickOrNetwork:
    """Meets ``Source``: the stick while it has something new, the network else."""

    stick: StickFile
    network: Verifier
    check_stick: Callable[[Path], tuple[Offer, ...]]
    is_running: Callable[[Offer], bool]

    def is_offline(self) -> bool:
        """Return whether a stick is there."""
        return self.stick.read() is not None

    def worse(self, error: DownloadError) -> DownloadError:
        """Return what ``error`` means by now; see ``verifier.Verifier``."""
        return self.network.worse(error)

    def check(self) -> tuple[Offer, ...]:
        """Return what the stick or the network offers.

        Raises:
            OtaError: As the verifier of either; a stick that is refused is not asked again.
            OSError: The stick could not be forgotten.
        """
        folder = self.stick.read()
        if folder is None:
            return self.network.check()
        is_new = False
        try:
            offers = self.check_stick(folder)
            is_new = any(not self.is_running(offer) for offer in offers)
        finally:
            if not is_new:
                self.stick.forget()
        return offers


class StickFetcher:
    """Meets ``ports.Fetcher``: images that the stick holds, and all else from ``network``."""

    def __init__(self, network: Fetcher, stick: StickFile, *, targets_url: str) -> None:
        self._network = network
        self._stick = stick
        self._targets_url = targets_url

    def fetch(self, url: str) -> Iterator[bytes]:
        """Yield the file behind ``url``; see ``ports.Fetcher``."""
        fetcher, found = self._at(url)
        return fetcher.fetch(found)

    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> AbstractContextManager[RangeAnswer]:
        """Open a part of the file behind ``url``; see ``ports.Fetcher``."""
        fetcher, found = self._at(url)
        return fetcher.open_range(found, first=first, stop=stop, if_range=if_range)

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Send ``body`` over the network; see ``ports.Fetcher``."""
        return self._network.post(url, body, max_bytes=max_bytes)

    def _at(self, url: str) -> tuple[Fetcher, str]:
        folder = self._stick.read()
        if folder is None or not url.startswith(self._targets_url):
            return self._network, url
        held = FolderFetcher(folder)
        found = f"{SCHEME}image/targets/{url.removeprefix(self._targets_url)}"
        return (held, found) if held.path_of(found).is_file() else (self._network, url)
