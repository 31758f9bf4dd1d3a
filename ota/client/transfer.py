"""The bytes of one image on their way: paced, paid for, and never more than were asked for."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ota.client.durable import replace_file
from ota.client.pace import DataUse, SlidingSpeed, TokenBucket
from ota.client.ports import Clock, Fetcher, RangeAnswer
from ota.errors import DataBudgetError, LengthMismatchError, NetworkError, StoppedError

_SLAB_BYTES = 4_194_304  # charged before it is fetched
_SPEED_WINDOW_S = 10.0  # of what a person is shown; the least speed is the fetcher's matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a download is, in bytes; speed and time left are None until they are known."""

    done_bytes: int
    total_bytes: int
    bytes_per_s: float | None = None
    left_s: float | None = None


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a download must not forget: the entity tag, and bytes charged by network class."""

    etag: str | None = None
    charged: dict[str, int] = {}


class CostsFile:
    """``Costs`` in a small file; one that is damaged counts as no tag and nothing charged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.now = msgspec.json.decode(path.read_bytes(), type=Costs)
        except (FileNotFoundError, msgspec.MsgspecError):
            self.now = Costs()

    def keep_etag(self, etag: str | None) -> None:
        """Remember the entity tag that what is written belongs to."""
        if etag != self.now.etag:
            self._write(Costs(etag=etag, charged=self.now.charged))

    def charge(self, network: str, count: int) -> None:
        """Charge ``count`` bytes to ``network``; a negative count gives back."""
        charged = self.now.charged | {network: self.charged(network) + count}
        self._write(Costs(etag=self.now.etag, charged=charged))

    def charged(self, network: str) -> int:
        """Return what ``network`` has been charged for this image, in bytes."""
        return self.now.charged.get(network, 0)

    def _write(self, costs: Costs) -> None:
        replace_file(self._path, msgspec.json.encode(costs))
        self.now = costs


class Spent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What downloads cost in one calendar month (``YYYY-MM``), by network class."""

    month: str = ""
    charged: dict[str, int] = {}


class MonthFile:
    """``Spent`` in a small file; a damaged one counts as nothing charged.

    The month is the wall clock's: a jump forgives at most one month.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def charge(self, network: str, count: int) -> None:
        """Charge ``count`` bytes to ``network``; a negative count gives back."""
        now = self._now()
        charged = now.charged | {network: max(0, now.charged.get(network, 0) + count)}
        replace_file(self._path, msgspec.json.encode(Spent(month=now.month, charged=charged)))

    def charged(self, network: str) -> int:
        """Return what ``network`` has been charged this month, in bytes."""
        return self._now().charged.get(network, 0)

    def _now(self) -> Spent:
        month = f"{self._clock.utc_now():%Y-%m}"
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Spent)
        except (FileNotFoundError, msgspec.MsgspecError):
            found = Spent()
        return found if found.month == month else Spent(month=month)


class Transfer:
    """Pulls parts of the file at ``url``, which is ``length`` bytes long, within the budget."""

    def __init__(  # noqa: PLR0913 (the doors of one transfer, all by name)
        self,
        fetcher: Fetcher,
        url: str,
        length: int,
        *,
        costs: CostsFile,
        month: MonthFile,
        on_progress: Callable[[Progress], None],
        clock: Clock,
        data_use: Callable[[], DataUse],
        stop: threading.Event,
    ) -> None:
        self._fetcher = fetcher
        self._url = url
        self._length = length
        self._costs = costs
        self._month = month
        self._on_progress = on_progress
        self._clock = clock
        self._ask_use = data_use
        self._stop = stop
        self._use = data_use()
        self._bucket = TokenBucket(self._use.bytes_per_s)
        self._speed = SlidingSpeed(_SPEED_WINDOW_S)
        self._missing = length
        self._paid = 0  # bytes that are charged and have not come yet

    @property
    def etag(self) -> str | None:
        """Return the entity tag of what was fetched before; None if the server had none."""
        return self._costs.now.etag

    def forget(self) -> None:
        """Forget the entity tag: what was fetched under it is not believed."""
        self._costs.keep_etag(None)

    def expect(self, missing: int) -> None:
        """Set how many bytes are still wanted, for the progress."""
        self._missing = missing

    def check_affordable(self, wanted: int) -> None:
        """Raise DataBudgetError if ``wanted`` bytes more are too many for the network of now."""
        self._check_budget(wanted)

    def pull(
        self, first: int, stop: int, *, is_etag_needed: bool = False
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (offset, piece) for the bytes from ``first`` to before ``stop``.

        With ``is_etag_needed`` a server that has another file by now begins anew, at offset 0;
        without, what it sends before ``first`` is dropped.

        Raises:
            DownloadError: The network is wrong.
            DataBudgetError: It costs more than the network of now may be used for.
            LengthMismatchError: The server has a file of another length, or does not end.
        """
        end = None if stop == self._length else stop
        tag = self.etag if is_etag_needed and first else None
        self._check_budget(stop - first)
        self._charge(stop - first)
        try:
            with self._fetcher.open_range(self._url, first=first, stop=end, if_range=tag) as answer:
                self._check_length(answer)
                if answer.first < first:  # a server without ranges, or with another file by now
                    self._check_budget(stop - answer.first)  # never silently the whole image
                    if is_etag_needed:
                        self._costs.keep_etag(None)
                        self._missing += first
                        first = answer.first
                for at, piece in self._wanted(answer, first, stop):
                    yield at, piece
                    if is_etag_needed:
                        self._costs.keep_etag(answer.etag)
        finally:
            self._settle()

    def _wanted(self, answer: RangeAnswer, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
        at = answer.first
        for piece in answer.body:
            begin, at = at, at + len(piece)
            self._pay(len(piece), stop - at)
            if at > stop == self._length:
                raise self._wrong_length("more")
            content = piece[max(0, first - begin) : max(0, stop - begin)]
            if content:
                self._note(len(content))
                yield max(begin, first), content
            if at >= stop != self._length:
                return  # a server that ignores where to end
        if at < stop:
            if answer.first == 0 and answer.total is None:
                raise self._wrong_length(str(at))
            raise NetworkError(self._url, expected=f"bytes up to {stop}", got=f"an end at {at}")

    def _note(self, count: int) -> None:
        """Tell the progress, then pause if the network may not be used faster."""
        now_s = self._clock.monotonic_s()
        self._missing -= count
        self._speed.note(now_s, count)
        rate = self._speed.bytes_per_s(now_s)
        self._on_progress(
            Progress(
                done_bytes=self._length - self._missing,
                total_bytes=self._length,
                bytes_per_s=rate,
                left_s=self._missing / rate if rate else None,
            )
        )
        self._stop.wait(self._bucket.wait_s(now_s, count))
        if self._stop.is_set():
            raise StoppedError(self._url, expected="time to go on", got="the agent's end")

    def _pay(self, count: int, left: int) -> None:
        self._paid -= count
        if self._paid <= 0:
            self._charge(left)

    def _charge(self, left: int) -> None:
        """Charge the next bytes before they come: not even a SIGKILL makes data free of charge."""
        use = self._ask_use()
        if use != self._use:
            self._use, self._bucket = use, TokenBucket(use.bytes_per_s)
            self._check_budget(left)
        slab = min(_SLAB_BYTES, max(0, left)) - min(0, self._paid)
        if use.is_counted and slab > 0:
            self._check_budget(slab)
            self._book(slab)
        self._paid += slab

    def _settle(self) -> None:
        if self._paid > 0 and self._use.is_counted:
            self._book(-self._paid)
        self._paid = 0

    def _book(self, count: int) -> None:
        self._costs.charge(self._use.network, count)
        self._month.charge(self._use.network, count)

    def _check_budget(self, wanted: int) -> None:
        use, ahead = self._use, max(0, self._paid)
        if use.budget_bytes is not None:
            self._expect_affordable(
                use.budget_bytes, self._costs.charged(use.network) - ahead, wanted, "an image"
            )
        if use.month_bytes is not None:
            self._expect_affordable(
                use.month_bytes, self._month.charged(use.network) - ahead, wanted, "a month"
            )

    def _expect_affordable(self, limit: int, spent: int, wanted: int, per: str) -> None:
        if spent + wanted > limit:
            raise DataBudgetError(
                self._url,
                expected=f"at most {limit} bytes for {per} on a {self._use.network} network",
                got=f"{spent} spent and {wanted} wanted",
                intact="what has arrived is kept",
            )

    def _check_length(self, answer: RangeAnswer) -> None:
        if answer.total is not None and answer.total != self._length:
            raise self._wrong_length(str(answer.total))

    def _wrong_length(self, got: str) -> LengthMismatchError:
        return LengthMismatchError(
            self._url, expected=f"{self._length} bytes", got=got, intact="dropped"
        )
