"""The doors of the update client: what it needs from outside, as small as it needs it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ota.client.offer import Offer
from ota.client.watch import Watch
from ota.metadata.custom import Chunks
from ota.metadata.manifest import Installed


class Clock(Protocol):
    """Two hands: never measure a duration with the first one."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""
        ...


class Wanted(Protocol):
    """What a download needs to know: the signed description of one image."""

    @property
    def target(self) -> str:
        """Return the target name."""
        ...

    @property
    def content_hash(self) -> str:
        """Return the signed hash under which it is served and kept, in hex."""
        ...

    @property
    def length(self) -> int:
        """Return the signed length in bytes."""
        ...

    @property
    def hashes(self) -> Mapping[str, str]:
        """Return every signed hash, algorithm to hex."""
        ...

    @property
    def chunks(self) -> Chunks | None:
        """Return what is signed of its list of pieces; None for an image without one."""
        ...

    @property
    def unpacked_bytes(self) -> int | None:
        """Return how much room its files need; None if that is not signed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAnswer:
    """The part of a file that a server sends.

    ``first`` is the offset of the first byte of ``body``, ``total`` the length of the whole file
    (None if the server does not say), ``etag`` its strong entity tag (None if it has none).
    """

    first: int
    total: int | None
    etag: str | None
    body: Iterator[bytes]


class Fetcher(Protocol):
    """The only way to the repositories. Every method blocks; call it in a thread."""

    def fetch(self, url: str) -> Iterator[bytes]:
        """Yield the body of ``url`` in pieces.

        Raises:
            DownloadError: The network or the server is wrong; also while iterating.
                ``ServerRefusedError`` is the leaf that says the server answered, and with what.
        """
        ...

    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> AbstractContextManager[RangeAnswer]:
        """Ask for the bytes of ``url`` from ``first`` to before ``stop`` (None: to the end).

        A server may answer with the whole file; then ``first`` of the answer is 0. ``if_range``
        asks it to do so if the file no longer has that entity tag.

        Raises:
            DownloadError: As in ``fetch``; ``WrongAnswerError`` for bytes nobody asked for.
        """
        ...

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Send ``body`` (JSON) to ``url``; return the answer, at most ``max_bytes`` long.

        Raises:
            DownloadError: As in ``fetch``.
        """
        ...


class Installer(Protocol):
    """Puts images of its kinds in place, tries them, takes them back.

    Every method blocks and may run twice; none is skipped. The order for one image is ``prepare``,
    ``switch``, ``check``, and then either ``commit`` or ``roll_back``, which may come after any of
    them. All images of a bundle are at the same step. What runs is asked from where it is decided
    (links, launcher, boot loader), never remembered.

    An installer whose ``switch`` only takes effect at the next start (of the agent, of the board)
    tells in ``check`` whether that start has happened, by what runs; see docs/adr/0010.
    """

    def installed(self, name: str) -> Installed | None:
        """Return what runs now, also on trial; None if nothing is installed."""
        ...

    def files(self, name: str) -> tuple[str, Path] | None:
        """Return content hash and folder of the files that run now; None if there is no folder."""
        ...

    def is_quarantined(self, content_hash: str) -> bool:
        """Return whether this image has failed too often to be tried again."""
        ...

    def prepare(self, image: Path, offer: Offer, watch: Watch) -> None:
        """Put the image beside what runs, whole and checked; nothing that runs changes.

        Raises:
            InterruptedStepError: ``watch`` ended it.
            OtaError: The image or the disk is wrong.
        """
        ...

    def switch(self, offer: Offer) -> None:
        """Make what was prepared current, on trial; what ran before stays.

        Raises:
            InstallError: Its data could not be migrated, or the disk did not take it.
        """
        ...

    def check(self, offer: Offer, watch: Watch) -> None:
        """Return if the version on trial is healthy, or ``watch`` says that a person calls it so.

        Raises:
            InterruptedStepError, TakenBackError: ``watch`` ended it.
            InstallError: It is not healthy.
        """
        ...

    def commit(self, offer: Offer) -> None:
        """End the trial: this version stays.

        Raises:
            InstallError: The disk did not take it; call again.
        """
        ...

    def roll_back(self, offer: Offer, *, has_failed: bool) -> None:
        """End the trial: what ran before runs again, with the data it had.

        ``has_failed``: this image is to blame; the third time it is put into quarantine.

        Raises:
            InstallError: The disk did not take it; call again.
        """
        ...

    def recover(self, is_committed: Callable[[str, int], bool]) -> None:
        """End every trial of which nobody remembers how far it had come.

        ``is_committed(name, release counter)`` says whether the way forward was decided.

        Raises:
            InstallError: The disk did not take it; call again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program of a package as it is run: ``folder`` is its version's, where it starts.

    ``data``: the app's own folder, the only place it may write to; None: none. ``has_network``: a
    permission that was shown; without it the program has no network at all, not even loopback.
    """

    folder: Path
    command: Sequence[str]
    data: Path | None = None
    has_network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How a program ended: its exit code, None if time ran out; the beginning of what it said."""

    exit_code: int | None
    output: str


class AppRunner(Protocol):
    """Runs programs of a package as somebody who is not the agent. Every method blocks."""

    def start(self, name: str, program: Program) -> None:
        """Start the app ``name``, after stopping what ran under that name.

        Raises:
            InstallError: It cannot be started as another user.
        """
        ...

    def stop(self, name: str) -> None:
        """Stop the app ``name``, if it runs, and everything it started."""
        ...

    def exits_within(self, name: str, seconds: float) -> bool:
        """Return whether the app ``name`` is down, or goes down within ``seconds``."""
        ...

    def run(self, program: Program, *, timeout_s: float, go_on: Callable[[], bool]) -> CheckResult:
        """Run ``program`` to its end, at most ``timeout_s`` long, and while ``go_on()`` is true.

        Raises:
            InstallError: It cannot be started as another user; and what ``go_on`` raises.
        """
        ...

    def make_data(self, folder: Path, *, copy_of: Path | None) -> None:
        """Make the new folder ``folder`` an app's data: empty, or a copy of ``copy_of``; synced.

        An app may have put anything into its data; it is read by the app's own user only.

        Raises:
            InstallError: It could not be copied.
        """
        ...

    def sync_data(self, folder: Path) -> None:
        """Make what a program wrote into ``folder`` last.

        Raises:
            InstallError: The disk did not take it.
        """
        ...
