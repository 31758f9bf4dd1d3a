"""An image is bounded, checked piece by piece, written once, and resumed where it broke."""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ota.client.download import Downloader
from ota.client.offer import Offer
from ota.client.pace import DataUse, unlimited
from ota.client.ports import RangeAnswer
from ota.client.transfer import Progress
from ota.errors import (
    DataBudgetError,
    HashMismatchError,
    LengthMismatchError,
    MalformedError,
    NetworkError,
    NoRoomError,
    StoppedError,
)
from ota.metadata.chunks import describe, list_chunks
from ota.metadata.custom import Criticality, ImageCustom, Kind, Release
from tests.support.clock import FakeClock
from tests.support.repository_simulator import FACTS, endless

CONTENT = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CHUNK = 4_096
CHUNKS = list_chunks(io.BytesIO(CONTENT), size_bytes=CHUNK)
SIGNED = describe(CHUNKS, size_bytes=CHUNK)
NAME = "app/trip-light/1.0.0"


@dataclass
class FakeServer:
    """Serves CONTENT and its list of chunks; each attribute is a way not to."""

    content: bytes = CONTENT
    etag: str | None = '"a"'
    has_ranges: bool = True
    cut_after: int | None = None  # bytes of an answer, then the connection breaks
    flip_once: set[int] = field(default_factory=set)  # offsets that arrive changed, once
    sent: int = 0
    asked: list[tuple[int, int | None]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def fetch(self, url: str) -> Iterator[bytes]:
        self.urls.append(url)
        yield CHUNKS

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        raise AssertionError(url)

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        self.asked.append((first, stop))
        self.urls.append(url)
        is_other = if_range is not None and if_range != self.etag
        if not self.has_ranges or is_other:
            first, stop = 0, None
        body = self._body(first, len(self.content) if stop is None else stop)
        yield RangeAnswer(first=first, total=len(self.content), etag=self.etag, body=body)

    def _body(self, first: int, stop: int) -> Iterator[bytes]:
        for at in range(first, stop, 1000):
            if self.cut_after is not None and at - first >= self.cut_after:
                raise NetworkError("server", expected="more", got="nothing")
            piece = bytearray(self.content[at : min(at + 1000, stop)])
            for flip in [each for each in self.flip_once if at <= each < at + len(piece)]:
                piece[flip - at] ^= 1
                self.flip_once.remove(flip)
            self.sent += len(piece)
            yield bytes(piece)


class FakeFetcher(FakeServer):
    """Serves these very pieces and says nothing about how many there are."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self.pieces = pieces

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        self.urls.append(url)
        yield RangeAnswer(first=0, total=None, etag=None, body=self.stream())

    def stream(self) -> Iterator[bytes]:
        yield from self.pieces


class EndlessFetcher(FakeFetcher):
    def stream(self) -> Iterator[bytes]:
        return endless()


class BrokenFetcher(FakeFetcher):
    def stream(self) -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise NetworkError("server", expected="more", got="nothing")


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


def chunked(**changes: object) -> Offer:
    custom = offer().custom
    fields = {name: getattr(custom, name) for name in custom.__struct_fields__}
    return offer(custom=ImageCustom(**(fields | {"chunks": SIGNED})), **changes)


def downloader(
    fetcher: FakeServer,
    folder: Path,
    seen: list[Progress] | None = None,
    *,
    data_use: Callable[[], DataUse] = unlimited,
    clock: FakeClock | None = None,
) -> Downloader:
    seen = [] if seen is None else seen
    return Downloader(
        fetcher,
        targets_url="https://updates.test/image/targets/",
        folder=folder,
        on_progress=seen.append,
        clock=clock or FakeClock(),
        data_use=data_use,
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


# --- pieces, resuming, costs -------------------------------------------------------------------


def cut_at(server: FakeServer, sent: int, folder: Path, wanted: Offer) -> None:
    """Let a first download break after ``sent`` bytes, as at a SIGKILL: nothing is tidied up."""
    server.cut_after = sent
    with pytest.raises(NetworkError, match="expected more"):
        downloader(server, folder).download(wanted)
    server.cut_after, server.sent = None, 0
    server.asked.clear()


def test_what_has_arrived_is_not_fetched_again(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 128_000, tmp_path, chunked())
    image = downloader(server, tmp_path).download(chunked())
    assert image.read_bytes() == CONTENT
    assert server.sent <= len(CONTENT) - 128_000 + CHUNK
    assert [each.name for each in tmp_path.iterdir()] == [DIGEST]


def test_only_the_bad_piece_is_fetched_again(tmp_path: Path) -> None:
    server = FakeServer(flip_once={10_000, 100_000})
    seen: list[Progress] = []
    image = downloader(server, tmp_path, seen).download(chunked())
    assert image.read_bytes() == CONTENT
    assert server.asked == [(0, None), (8_192, 12_288), (98_304, 102_400)]
    assert seen[-1].done_bytes == len(CONTENT)


def test_pieces_that_a_power_cut_emptied_are_fetched_again(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 200_000, tmp_path, chunked())
    with (tmp_path / f"{DIGEST}.part").open("r+b") as part:
        part.seek(50_000)
        part.write(bytes(5_000))
    assert downloader(server, tmp_path).download(chunked()).read_bytes() == CONTENT
    assert server.asked[0] == (49_152, 57_344)


def test_another_file_in_place_of_the_image_is_given_up_early(tmp_path: Path) -> None:
    server = FakeServer(content=bytes(len(CONTENT)))
    with pytest.raises(HashMismatchError, match="pieces as signed"):
        downloader(server, tmp_path).download(chunked())
    assert server.sent < 20 * CHUNK
    assert list(tmp_path.iterdir()) == []


def test_a_piece_that_stays_bad_ends_the_download(tmp_path: Path) -> None:
    content = bytearray(CONTENT)
    content[5_000] ^= 1
    server = FakeServer(content=bytes(content))
    with pytest.raises(HashMismatchError, match="1 others"):
        downloader(server, tmp_path).download(chunked())
    assert server.asked == [(0, None), (4_096, 8_192), (4_096, 8_192)]


@pytest.mark.parametrize("content", [CHUNKS[:-32], CHUNKS + bytes(32), CHUNKS[:-1] + b"x"])
def test_a_list_of_pieces_that_is_not_the_signed_one_costs_no_image(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer()
    monkeypatch.setattr(server, "fetch", lambda url: iter([content]))
    with pytest.raises((LengthMismatchError, HashMismatchError), match=r"nothing changed|dropped"):
        downloader(server, tmp_path).download(chunked())
    assert server.asked == []


def test_a_server_without_ranges_sends_it_all_and_what_is_here_is_dropped(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 128_000, tmp_path, chunked())
    server.has_ranges = False
    assert downloader(server, tmp_path).download(chunked()).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_without_pieces_it_goes_on_while_the_server_has_the_same_file(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 128_000, tmp_path, offer())
    assert downloader(server, tmp_path).download(offer()).read_bytes() == CONTENT
    assert server.asked == [(128_000, None)]
    assert server.sent == len(CONTENT) - 128_000


def test_without_pieces_a_changed_etag_begins_anew(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 128_000, tmp_path, offer())
    server.etag = '"b"'
    assert downloader(server, tmp_path).download(offer()).read_bytes() == CONTENT
    assert server.sent == len(CONTENT)


def test_without_pieces_a_part_that_was_lost_on_the_disk_is_fetched_anew(tmp_path: Path) -> None:
    server = FakeServer()
    cut_at(server, 128_000, tmp_path, offer())
    (tmp_path / f"{DIGEST}.part").write_bytes(bytes(128_000))
    assert downloader(server, tmp_path).download(offer()).read_bytes() == CONTENT
    assert [first for first, _ in server.asked] == [128_000, 0]


def metered(budget: int | None) -> Callable[[], DataUse]:
    return lambda: DataUse(network="metered", budget_bytes=budget)


def test_an_image_that_costs_too_much_here_waits_for_another_network(tmp_path: Path) -> None:
    server = FakeServer()
    with pytest.raises(DataBudgetError, match="255999 bytes for an image on a metered network"):
        downloader(server, tmp_path, data_use=metered(255_999)).download(chunked())
    assert server.sent == 0
    downloader(server, tmp_path, data_use=metered(256_000)).download(chunked())


def test_what_was_spent_before_a_restart_still_counts(tmp_path: Path) -> None:
    server = FakeServer(cut_after=128_000)
    with pytest.raises(NetworkError, match="expected more"):
        downloader(server, tmp_path, data_use=metered(300_000)).download(chunked())
    server.has_ranges, server.cut_after = False, None
    with pytest.raises(DataBudgetError, match="128000 spent and 256000 wanted"):
        downloader(server, tmp_path, data_use=metered(300_000)).download(chunked())
    server.has_ranges = True
    downloader(server, tmp_path, data_use=metered(300_000)).download(chunked())


def test_all_images_of_a_month_share_its_budget_and_the_next_month_begins_anew(
    tmp_path: Path,
) -> None:
    clock = FakeClock()

    def month() -> DataUse:
        return DataUse(network="metered", month_bytes=300_000)

    def fetch() -> Downloader:
        made = downloader(FakeServer(), tmp_path, data_use=month, clock=clock)
        made.download(chunked())
        return made

    fetch().keep_only([])  # another image, as it were: what this one cost is forgotten with it
    with pytest.raises(DataBudgetError, match="300000 bytes for a month on a metered network"):
        fetch()
    clock.advance_s(31 * 86_400)
    fetch()


def test_what_a_broken_download_did_not_cost_is_given_back_to_the_month(tmp_path: Path) -> None:
    def month() -> DataUse:
        return DataUse(network="metered", month_bytes=300_000)

    with pytest.raises(NetworkError, match="expected more"):
        downloader(FakeServer(cut_after=8_000), tmp_path, data_use=month).download(chunked())
    downloader(FakeServer(), tmp_path, data_use=month).download(chunked())


LARGE = CONTENT * 20
LARGE_DIGEST = hashlib.sha256(LARGE).hexdigest()


def large() -> Offer:
    return offer(content_hash=LARGE_DIGEST, length=len(LARGE), hashes={"sha256": LARGE_DIGEST})


def test_a_network_that_becomes_dear_on_the_way_ends_the_download(tmp_path: Path) -> None:
    uses = iter([DataUse(network="wlan")] * 2)
    server = FakeServer(content=LARGE)
    roaming = DataUse(network="roaming", budget_bytes=0)
    with pytest.raises(DataBudgetError, match="0 bytes for an image on a roaming network"):
        downloader(server, tmp_path, data_use=lambda: next(uses, roaming)).download(large())
    assert 0 < server.sent < len(LARGE)


def test_a_limited_rate_pauses_between_pieces_and_the_time_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, seen = FakeClock(), list[Progress]()

    def wait(_event: threading.Event, seconds: float) -> bool:
        clock.advance_s(seconds)
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    began_s = clock.monotonic_s()
    Downloader(
        FakeServer(content=LARGE),
        targets_url="https://updates.test/",
        folder=tmp_path,
        on_progress=seen.append,
        clock=clock,
        data_use=lambda: DataUse(network="lte", bytes_per_s=100_000),
    ).download(large())
    burst = 262_144  # what a bucket lets through at once
    assert clock.monotonic_s() - began_s == pytest.approx((len(LARGE) - burst) / 100_000, rel=0.01)
    half = seen[len(seen) // 2]
    assert half.bytes_per_s == pytest.approx(100_000, rel=0.05)
    assert half.left_s == pytest.approx((len(LARGE) - half.done_bytes) / 100_000, rel=0.05)


def test_the_end_of_the_agent_ends_the_download_at_its_next_piece(tmp_path: Path) -> None:
    server = FakeServer()
    images = downloader(server, tmp_path)
    images.stop()
    with pytest.raises(StoppedError, match="the agent's end"):
        images.download(chunked())
    assert server.sent <= 1_000


def test_room_is_asked_for_image_and_unpacked_version_together(tmp_path: Path) -> None:
    wanted = chunked()
    fields = {name: getattr(wanted.custom, name) for name in wanted.custom.__struct_fields__}
    custom = ImageCustom(**(fields | {"unpacked_bytes": 2**60}))
    with pytest.raises(NoRoomError, match="bytes free"):
        downloader(FakeServer(), tmp_path).download(offer(custom=custom))
