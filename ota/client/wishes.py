"""Which downloadable apps the driver wants: told to the Director, who assigns or withdraws them.

Shape: a JSON object, app name to true (wanted) or false (not wanted); replaced as a whole. An app
that is not named was neither chosen nor refused: what the Director assigns is offered.
"""

from pathlib import Path

import msgspec

from ota.client.durable import make_folder, replace_file
from ota.errors import StorageError

WISHES_NAME = "wishes.json"


class Wishes:
    """The file behind it. Both methods block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, bool]:
        """Return what was wished for; nothing if the file cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, bool])
        except (OSError, msgspec.MsgspecError):
            return {}  # at worst the driver is offered an app again

    def set(self, name: str, *, is_wanted: bool) -> None:
        """Remember whether the app ``name`` is wanted.

        Raises:
            StorageError: The disk did not take it; what was wished for stands.
        """
        try:
            make_folder(self._path.parent)
            replace_file(self._path, msgspec.json.encode(self.read() | {name: is_wanted}))
        except OSError as error:
            raise StorageError(
                str(self._path), expected="room for a wish", got=str(error)
            ) from error
