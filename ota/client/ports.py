"""The doors of the update client: what it needs from outside, as small as it needs it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ota.client.offer import Offer
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
    """Puts an image in place, tries it, takes it back. Every method blocks and may run twice."""

    def installed(self, name: str) -> Installed | None:
        """Return what runs now, asked from the disk; None if nothing is installed."""
        ...

    def is_quarantined(self, content_hash: str) -> bool:
        """Return whether this image has failed too often to be tried again."""
        ...

    def install(self, image: Path, offer: Offer) -> None:
        """Unpack and make it current, on trial; what ran before stays.

        Raises:
            InstallError: The image or the disk is wrong.
        """
        ...

    def check(self, offer: Offer) -> None:
        """Return if the version on trial is healthy.

        Raises:
            InstallError: It is not.
        """
        ...

    def commit(self, offer: Offer) -> None:
        """End the trial: this version stays.

        Raises:
            InstallError: The disk did not take it; call again.
        """
        ...

    def roll_back(self, offer: Offer | None) -> None:
        """End the trial: what ran before runs again. None: whatever is on trial.

        Raises:
            InstallError: The disk did not take it; call again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """How a program ended: its exit code, None if time ran out; the beginning of what it said."""

    exit_code: int | None
    output: str


class AppRunner(Protocol):
    """Runs programs of a package as somebody who is not the agent. Every method blocks."""

    def start(self, name: str, folder: Path, command: Sequence[str]) -> None:
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

    def check(self, folder: Path, command: Sequence[str], *, timeout_s: float) -> CheckResult:
        """Run ``command`` of the package in ``folder`` to its end, at most ``timeout_s`` long.

        Raises:
            InstallError: It cannot be started as another user.
        """
        ...
