"""How the updates of this vehicle ended, for its driver and its workshop: one small file.

Shape: a JSON array of ``Ended``, oldest first, at most MAX_ENTRIES of them; replaced as a whole.
"""

from pathlib import Path

import msgspec

from ota.client.durable import make_folder, replace_file
from ota.errors import StorageError

HISTORY_NAME = "history.json"
MAX_ENTRIES = 200  # some 60 kB; a vehicle sees a few updates a year


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """One update, or one attempt to offer what was refused.

    ``at_utc`` is wall time, ``YYYY-MM-DDTHH:MM:SSZ``; ``outcome`` that of the manifest, or
    ``attack`` for an offer that was not believed; ``content_hash`` names what was offered, None
    where nothing in the offer was believed.
    """

    at_utc: str
    outcome: str
    name: str = ""
    version: str = ""
    content_hash: str | None = None
    code: str | None = None
    sentence: str = ""
    detail: str = ""


class History:
    """The file behind it. Both methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Ended, ...]:
        """Return what is remembered, oldest first; nothing if the file cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[Ended, ...])
        except (OSError, msgspec.MsgspecError):
            return ()  # a lost memory must not keep the vehicle from being updated

    def add(self, ended: Ended) -> None:
        """Remember ``ended``; saying it twice is saying it once, and so is the same refusal.

        Raises:
            StorageError: The disk did not take it; what was remembered stands.
        """
        known = self.read()
        if ended in known or (known and _is_same_refusal(known[-1], ended)):
            return
        try:
            make_folder(self._path.parent)
            replace_file(self._path, msgspec.json.encode((*known, ended)[-MAX_ENTRIES:]))
        except OSError as error:
            raise StorageError(
                str(self._path), expected="room for the update's history", got=str(error)
            ) from error


def _is_same_refusal(last: Ended, now: Ended) -> bool:
    """Return whether the server only repeats what was refused: a line a day says nothing new."""
    return last.outcome == now.outcome == "attack" and last.code == now.code
