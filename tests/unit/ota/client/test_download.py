"""An image is bounded, hashed and written once; what is here already is not fetched again."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ota.client.download import Downloader, Progress
from ota.client.offer import Offer
from ota.errors import (
    HashMismatchError,
    LengthMismatchError,
    MalformedError,
    NetworkError,
    NoRoomError,
)
from ota.metadata.custom import Criticality, ImageCustom, Kind, Release
from tests.support.repository_simulator import FACTS, endless

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class FakeFetcher:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.urls: list[str] = []

    def fetch(self, url: str) -> Iterator[bytes]:
        self.urls.append(url)
        yield from self.chunks

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        raise AssertionError(url)


class EndlessFetcher(FakeFetcher):
    def fetch(self, url: str) -> Iterator[bytes]:
        return endless()


class BrokenFetcher(FakeFetcher):
    def fetch(self, url: str) -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise NetworkError(url, expected="more", got="nothing")


def offer(**changes: object) -> Offer:
    hashes = {"sha256": DIGEST, "sha512": hashlib.sha512(CONTENT).hexdigest()}
    fields: dict[str, object] = {
        "content_hash": DIGEST,
        "ecu_id": "ecu-1",
        "target": "app/trip-light/1.0.0/trip-light-1.0.0.okp",
        "length": len(CONTENT),
        "hashes": hashes,
        "custom": ImageCustom(
            hardware_ids=("board-1",),
            release_counter=1,
            version="1.0.0",
            kind=Kind.APP,
            name="trip-light",
            release=Release(criticality=Criticality.FEATURE, facts={"en": FACTS}),
        ),
    }
    return Offer(**(fields | changes))  # type: ignore[arg-type] # a test's own fields


def downloader(
    fetcher: FakeFetcher, folder: Path, seen: list[Progress] | None = None
) -> Downloader:
    seen = [] if seen is None else seen
    return Downloader(
        fetcher,
        targets_url="https://updates.test/image/targets/",
        folder=folder,
        on_progress=seen.append,
    )


def test_an_image_is_kept_under_its_hash_and_progress_is_told(tmp_path: Path) -> None:
    seen: list[Progress] = []
    fetcher = FakeFetcher(CONTENT[:100_000], CONTENT[100_000:])
    path = downloader(fetcher, tmp_path / "images", seen).download(offer())
    assert path.name == DIGEST
    assert path.read_bytes() == CONTENT
    assert [step.done_bytes for step in seen] == [100_000, len(CONTENT)]
    folder = "https://updates.test/image/targets/app/trip-light/1.0.0"
    assert fetcher.urls == [f"{folder}/{DIGEST}.trip-light-1.0.0.okp"]
    assert [each.name for each in path.parent.iterdir()] == [DIGEST]


def test_an_image_that_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    fetcher = FakeFetcher(CONTENT)
    downloader(fetcher, tmp_path).download(offer())
    downloader(fetcher, tmp_path).download(offer())
    assert len(fetcher.urls) == 1


def test_an_image_that_was_changed_on_the_disk_is_fetched_again(tmp_path: Path) -> None:
    fetcher = FakeFetcher(CONTENT)
    path = downloader(fetcher, tmp_path).download(offer())
    path.write_bytes(bytes(len(CONTENT)))
    assert downloader(fetcher, tmp_path).download(offer()).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fetcher", "error", "words"),
    [
        (FakeFetcher(CONTENT[:-1]), LengthMismatchError, "256000 bytes, got 255999; dropped"),
        (FakeFetcher(CONTENT, b"x"), LengthMismatchError, "got more; dropped"),
        (EndlessFetcher(), LengthMismatchError, "got more; dropped"),
        (FakeFetcher(b"x" + CONTENT[1:]), HashMismatchError, "expected hashes"),
        (BrokenFetcher(), NetworkError, "expected more"),
    ],
    ids=["shorter", "longer", "endless", "changed", "cut"],
)
def test_anything_but_the_signed_bytes_never_becomes_an_image(
    fetcher: FakeFetcher, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        downloader(fetcher, tmp_path).download(offer())
    assert not (tmp_path / DIGEST).exists()


def test_every_signed_hash_is_checked(tmp_path: Path) -> None:
    wrong = offer(hashes={"sha256": DIGEST, "sha512": "0" * 128})
    with pytest.raises(HashMismatchError, match="dropped"):
        downloader(FakeFetcher(CONTENT), tmp_path).download(wrong)


def test_a_hash_nobody_can_check_is_no_hash(tmp_path: Path) -> None:
    weak = offer(hashes={"sha256": DIGEST, "md5": "0" * 32})
    with pytest.raises(MalformedError, match="md5"):
        downloader(FakeFetcher(CONTENT), tmp_path).download(weak)


def test_an_image_larger_than_the_disk_is_not_begun(tmp_path: Path) -> None:
    fetcher = FakeFetcher(CONTENT)
    with pytest.raises(NoRoomError, match="bytes free"):
        downloader(fetcher, tmp_path).download(offer(length=2**60))
    assert fetcher.urls == []


def test_a_removed_image_leaves_nothing(tmp_path: Path) -> None:
    images = downloader(FakeFetcher(CONTENT), tmp_path)
    images.download(offer())
    images.remove(offer())
    assert list(tmp_path.iterdir()) == []
