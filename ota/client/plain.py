"""One TUF repository without a vehicle: the product's verifier, floor and downloader, no ECUs.

For whoever wants to judge the verifier with plain TUF repositories. Nothing is switched off but the
vehicle: without its id there are no ECUs, so nothing can be assigned or installed. The Director's
path still refuses every delegation.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tuf.api.metadata import TargetFile

from ota.client.download import Downloader
from ota.client.durable import make_folder, replace_file, sync_folder
from ota.client.floor import Floor
from ota.client.pieces import hashes_of
from ota.client.ports import Clock, Fetcher
from ota.client.repository import Refreshed, Repository, RepositoryAddress
from ota.client.timekeeper import no_earlier
from ota.client.uptane import check_no_delegations
from ota.errors import MalformedError, MissingTargetError

_ROOT_NAME = "trusted-root"  # what bootstrap= is given; not among the roles that are kept
_FLOOR_NAME = "floor.sqlite"
_IMAGES_NAME = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """Meets ``ports.Wanted``."""

    target: str
    content_hash: str
    length: int
    hashes: dict[str, str]
    chunks: None = None
    unpacked_bytes: None = None


class PlainClient:
    """One repository, its metadata, floor and images kept in ``folder``. Every method blocks.

    ``is_director``: it is asked as a Director is, whose delegations are refused.
    ``metadata_url`` ends with a slash.
    """

    def __init__(
        self, folder: Path, metadata_url: str, *, is_director: bool, fetcher: Fetcher, clock: Clock
    ) -> None:
        self._folder = folder
        self._is_director = is_director
        self._fetcher = fetcher
        self._clock = clock
        self._floor = Floor(folder / _FLOOR_NAME)
        self._repository = Repository(
            "director" if is_director else "image",
            RepositoryAddress(metadata_url=metadata_url, root=(folder / _ROOT_NAME).read_bytes()),
            folder=folder,
            fetcher=fetcher,
            is_plain=True,
        )

    def refresh(self) -> Refreshed:
        """Fetch and verify all top-level roles, and raise the floor to them.

        Raises:
            OtaError: A leaf that names the attack, or says that network or disk are wrong.
        """
        refreshed = self._repository.refresh(self._floor)
        if self._is_director:
            check_no_delegations(refreshed.targets)
        lowest = self._floor.lowest_time((refreshed.state,))
        refreshed.check_expiry(no_earlier(self._clock.utc_now(), lowest))
        self._floor.admit((refreshed.state,))
        return refreshed

    def download(self, targets: Sequence[str], *, targets_url: str, folder: Path) -> None:
        """Put ``targets`` into ``folder``, each under its name as one path segment, in order.

        What is there already is not fetched again. ``targets_url`` ends with a slash.

        Raises:
            MissingTargetError: The repository does not list one; those before it are there.
            OtaError: As in ``refresh``, or the image is not what was signed.
        """
        refreshed = self.refresh()
        downloader = Downloader(
            self._fetcher,
            targets_url=targets_url,
            folder=self._folder / _IMAGES_NAME,
            on_progress=lambda _: None,
            clock=self._clock,
        )
        for target in targets:
            image = self._find(refreshed, target)
            place = folder / quote(target, "")
            if not _is_there(place, image):
                _put(downloader.download(image), place)
                downloader.remove(image)

    def _find(self, refreshed: Refreshed, target: str) -> _Image:
        found = refreshed.find(target, hardware_id=None, now=self._clock.utc_now())
        if found is None:
            raise MissingTargetError(target, expected="an entry in the repository", got="none")
        return _image(found)


def init_folder(folder: Path, root: bytes) -> None:
    """Make ``folder`` trust ``root``, as if it had been shipped with the vehicle; ask nobody.

    Raises:
        OSError: The disk did not take it.
    """
    make_folder(folder)
    replace_file(folder / _ROOT_NAME, root)


def _image(found: TargetFile) -> _Image:
    if not found.hashes:
        raise MalformedError(found.path, expected="a signed hash", got="none")
    name = found.hashes.get("sha256") or next(iter(found.hashes.values()))
    return _Image(
        target=found.path, content_hash=name, length=found.length, hashes=dict(found.hashes)
    )


def _is_there(place: Path, image: _Image) -> bool:
    if not place.is_file() or place.stat().st_size != image.length:
        return False
    with place.open("rb") as file:
        return hashes_of(file, image.hashes) == image.hashes


def _put(image: Path, place: Path) -> None:
    beside = place.with_name(place.name + ".new")
    shutil.move(image, beside)
    beside.replace(place)
    sync_folder(place.parent)
