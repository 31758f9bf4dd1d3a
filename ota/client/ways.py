"""How an image gets into the vehicle: as a difference, or whole but for the pieces that are here.

All sizes are signed, so the smallest way is known before a byte is fetched: what a difference costs
(``custom.Delta``), and what the whole costs where a known version is installed (``custom.Reuse``).
Pieces are made of installed files, and of what is left of a download that was replaced
(``ota.metadata.reuse``). Whatever way it came, the image must have every hash that is signed of the
full one. A difference that does not fit is not tried again, and what it has cost counts against the
budget of the next way.

::

    images/<sha256>          the image, whole and checked
    images/<sha256>.new      what is being rebuilt of it
    images/<sha256>.unfit    hashes of differences that did not fit; a JSON array
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ota.client.download import Downloader
from ota.client.durable import replace_file, sync_folder
from ota.client.installers.room import check_room
from ota.client.offer import Offer
from ota.client.pieces import hashes_of
from ota.client.ports import Wanted
from ota.errors import HashMismatchError, NoRoomError, OtaError, PatchError, StorageError
from ota.metadata.custom import Delta
from ota.metadata.rebuild import rebuild
from ota.metadata.reuse import FilesHere, Here, PackageHere

log = logging.getLogger(__name__)

Installed = Callable[[Offer], tuple[str, Path] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """Meets ``ports.Wanted``: a signed difference, served beside the image."""

    target: str
    content_hash: str
    length: int
    hashes: dict[str, str]
    chunks: None = None
    unpacked_bytes: int = 0  # what is rebuilt from it is checked apart

    @classmethod
    def of(cls, offer: Offer, delta: Delta) -> "_Difference":
        return cls(
            target=offer.target,
            content_hash=delta.sha256,
            length=delta.length,
            hashes={"sha256": delta.sha256},
        )


class Ways:
    """Gets images; ``installed`` returns content hash and folder of what an app runs, if any.

    Every method blocks.
    """

    def __init__(self, downloader: Downloader, installed: Installed) -> None:
        self._downloader = downloader
        self._installed = installed
        self._wanted: Sequence[Wanted] = ()

    def keep_only(self, offers: Sequence[Offer]) -> None:
        """Remove what is left of other images and of their differences."""
        differences = [_Difference.of(offer, each) for offer in offers for each in offer.deltas]
        self._wanted = [*offers, *differences]
        self._downloader.keep_only(self._wanted)

    def get(self, offer: Offer) -> Path:
        """Return the image of ``offer``, by the smallest way that is left.

        Raises:
            DataBudgetError: Even that way costs more than this network may be used for.
            OtaError: As in ``Downloader.download``.
        """
        if not self._downloader.path_of(offer).is_file():
            for delta in self._smaller(offer):
                try:
                    return self._by_difference(offer, delta)
                except (PatchError, HashMismatchError) as error:
                    log.warning("difference_unfit", extra={"code": error.code, "why": str(error)})
                    self._give_up(offer, delta)
        return self._whole(offer)

    def _whole(self, offer: Offer) -> Path:
        """Fetch the image, but for the pieces that what is here already gives."""
        leftovers = self._downloader.leftovers([offer, *self._wanted])
        try:
            image = self._downloader.download(offer, list(self._here(offer, leftovers)))
        except NoRoomError:
            if not leftovers:
                raise
            _remove(leftovers)
            return self._whole(offer)
        _remove(leftovers)
        return image

    def _here(self, offer: Offer, leftovers: Sequence[Path]) -> Iterator[Here]:
        runs = self._installed(offer)
        if runs is not None:
            with contextlib.suppress(OtaError, OSError):
                yield FilesHere.of(runs[1])
        for path in leftovers:
            with contextlib.suppress(OtaError, OSError):
                yield PackageHere(path)

    def _smaller(self, offer: Offer) -> Iterator[Delta]:
        """Yield what costs less than the whole image, smallest first, but what did not fit."""
        runs = self._installed(offer)
        known = {None} if runs is None else {None, runs[0]}
        whole = offer.whole_costs(None if runs is None else runs[0])
        unfit = self._unfit(offer)
        for delta in sorted(offer.deltas, key=lambda each: each.length):
            is_possible = delta.from_sha256 in known and delta.sha256 not in unfit
            if is_possible and delta.length < whole:
                yield delta

    def _by_difference(self, offer: Offer, delta: Delta) -> Path:
        difference = _Difference.of(offer, delta)
        fetched = self._downloader.download(difference)
        image = self._downloader.path_of(offer)
        runs = self._installed(offer) if delta.from_sha256 is not None else None
        try:
            check_room(image.parent, offer.length + (offer.unpacked_bytes or offer.length))
            _rebuild(fetched, None if runs is None else runs[1], image, offer)
        except OSError as error:
            raise StorageError(str(image), expected="a rebuilt image", got=str(error)) from error
        self._downloader.remove(difference)
        return image

    def _give_up(self, offer: Offer, delta: Delta) -> None:
        """Never try ``delta`` again, and let what it cost count against what comes next."""
        path = _beside(self._downloader.path_of(offer), ".unfit")
        replace_file(path, msgspec.json.encode([*self._unfit(offer), delta.sha256]))
        self._downloader.charge(offer, delta.length)
        self._downloader.remove(_Difference.of(offer, delta))

    def _unfit(self, offer: Offer) -> list[str]:
        path = _beside(self._downloader.path_of(offer), ".unfit")
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[str])
        except (OSError, msgspec.MsgspecError):
            return []


def _remove(leftovers: Sequence[Path]) -> None:
    for path in leftovers:
        path.unlink(missing_ok=True)


def _rebuild(difference: Path, installed: Path | None, image: Path, offer: Offer) -> None:
    fresh = _beside(image, ".new")
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "r+b") as out:
            with difference.open("rb") as stream:
                rebuild(stream, installed, out, length=offer.length)
            out.flush()
            out.seek(0)
            _compare(offer, hashes_of(out, offer.hashes))
            os.fsync(descriptor)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    fresh.replace(image)
    sync_folder(image.parent)


def _compare(offer: Offer, found: Mapping[str, str]) -> None:
    if found != offer.hashes:
        raise HashMismatchError(offer.target, expected=f"hashes {offer.hashes}", got=str(found))


def _beside(image: Path, suffix: str) -> Path:
    return image.with_name(image.name + suffix)
