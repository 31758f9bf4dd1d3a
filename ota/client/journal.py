"""Where an update stands, across power cuts: one small file, replaced and never edited.

Shape: one line with the CRC-32 of the rest in 8 hex digits, then a JSON object (``JournalEntry``).
"""

import zlib
from pathlib import Path

import msgspec

from ota.client.bundle import content_hash
from ota.client.durable import make_folder, replace_file
from ota.client.offer import Offer, Outcome
from ota.client.states import UpdateState
from ota.errors import InstallError, StorageError

_MAX_BYTES = 1_048_576  # an offer with texts in every language is some 10 kB
_CRC_CHARS = 8


class JournalDamagedError(InstallError):
    """The journal does not hold an entry; what is installed is asked from the disk instead."""

    code = "ota.journal.damaged"


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the update stands.

    ``attempt`` counts the tries of ``state``, before each try. ``offer`` leads the bundle, whose
    other images are ``others``. ``approved`` is the content hash of the bundle that somebody said
    OK to; ``is_technician``: the driver did not. ``deferrals`` counts how often the driver said
    Later to it, ``put_off_until`` (``YYYY-MM-DDTHH:MM:SSZ``) when a recall past its deadline that
    was cancelled may count down again, ``interruptions`` how often a gate closed in the middle of
    it, and ``interrupted`` is that gate's code until what ran before runs again. ``outcome`` and
    ``attack`` outlive the update, for the driver; the Director is told them until it has accepted a
    manifest that holds them: then they are ``reported``.
    """

    state: UpdateState = UpdateState.IDLE
    attempt: int = 0
    offer: Offer | None = None
    others: tuple[Offer, ...] = ()
    approved: str | None = None
    is_technician: bool = False
    deferrals: int = 0
    put_off_until: str | None = None
    interruptions: int = 0
    interrupted: str | None = None
    outcome: Outcome | None = None
    attack: str | None = None
    reported: bool = True

    @property
    def offers(self) -> tuple[Offer, ...]:
        """Return every image of the bundle, the leading one first; empty without an update."""
        return () if self.offer is None else (self.offer, *self.others)

    @property
    def content_hash(self) -> str | None:
        """Return what an OK to this update is bound to; None without an update."""
        return content_hash(self.offers) if self.offers else None


class Journal:
    """The file behind ``JournalEntry``. Both methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> JournalEntry:
        """Return the stored entry, or an idle one if nothing was ever stored.

        Raises:
            JournalDamagedError: The file is cut, changed or of another version.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return JournalEntry()
        checksum, _, body = content.partition(b"\n")
        if len(content) > _MAX_BYTES or checksum != _crc(body):
            raise self._damaged(f"{len(content)} bytes with another checksum")
        return self._decode(body)

    def write(self, entry: JournalEntry) -> None:
        """Replace the stored entry; after a power cut it is the old or the new one.

        Raises:
            InstallError: The disk did not take it; the old entry stands.
        """
        body = msgspec.json.encode(entry)
        try:
            make_folder(self._path.parent)
            replace_file(self._path, _crc(body) + b"\n" + body)
        except OSError as error:
            raise StorageError(
                str(self._path),
                expected="room for the update's journal",
                got=str(error),
                intact="the update stands where it stood",
            ) from error

    def set_aside(self) -> None:
        """Keep a damaged journal under another name, for whoever wants to look."""
        self._path.replace(self._path.with_suffix(".damaged"))

    def _decode(self, body: bytes) -> JournalEntry:
        try:
            return msgspec.json.decode(body, type=JournalEntry)
        except msgspec.MsgspecError as error:
            raise self._damaged(f"an entry this version cannot read ({error})") from error

    def _damaged(self, found: str) -> JournalDamagedError:
        return JournalDamagedError(
            str(self._path),
            expected="an entry with its checksum",
            got=found,
            intact="the installed software is untouched",
        )


def _crc(body: bytes) -> bytes:
    return f"{zlib.crc32(body):0{_CRC_CHARS}x}".encode()
