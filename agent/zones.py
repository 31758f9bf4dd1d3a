"""The places that the driver drew, sealed in the state file. Every function blocks.

If they cannot be read (their key is lost, the disk changed them) nobody knows any more what has to
stay unseen: then nothing with a place is offered until the driver has drawn them again.
"""

import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from agent.privacy.places import Zone
from agent.privacy.zones import DrawnZone, ZoneError, expect_drawable, with_one_more
from agent.store.database import Database
from agent.store.sealed import DamagedNoteError, SealedNote
from agent.store.state import ZONES_NOTE


class Zones:
    """What was drawn in this vehicle, whoever drives."""

    def __init__(self, database: Database, secret: Callable[[], bytes]) -> None:
        """Wire; ``secret`` returns what centres are moved under, 32 bytes or more."""
        self._secret = secret
        self._note = SealedNote(database, ZONES_NOTE, self._key)

    def drawn(self) -> list[DrawnZone]:
        """Return what was drawn, oldest first; raise ZoneError if it cannot be read."""
        try:
            text = self._note.read()
            return msgspec.json.decode(text, type=list[DrawnZone]) if text else []
        except (DamagedNoteError, msgspec.DecodeError) as error:
            raise ZoneError(
                "zones.unreadable",
                "the places that were drawn cannot be read: their key is lost or the disk changed"
                " them; nothing with a place is offered until `okdrive-agent zones remove --all`"
                " and drawing them again",
            ) from error

    def covers(self) -> list[Zone] | None:
        """Return the circles to keep silent about; None if nobody knows them any more."""
        with suppress(ZoneError):
            return [zone.cover(self._secret()) for zone in self.drawn()]
        return None

    def add(self, zone: DrawnZone) -> Zone:
        """Keep ``zone`` too and return its cover; joins a transaction under way.

        Raises:
            ZoneError: Out of bounds, there already, one too many, or the others cannot be read.
        """
        expect_drawable(zone.latitude, zone.longitude, zone.radius_m, zone.name)
        self._write(with_one_more(self.drawn(), zone))
        return zone.cover(self._secret())

    def remove(self, prefix: str) -> DrawnZone:
        """Forget the one place whose id or name begins with ``prefix``, and return it.

        Raises:
            ZoneError: There is none, or several.
        """
        drawn = self.drawn()
        found = [zone for zone in drawn if _is_meant(zone, prefix)]
        if len(found) != 1:
            raise ZoneError(
                "zones.not_found",
                f"{prefix}: expected exactly one place, found {len(found)}; nothing was changed",
            )
        self._write([zone for zone in drawn if zone != found[0]])
        return found[0]

    def clear(self) -> None:
        """Forget every place, also those that cannot be read."""
        self._write([])

    def _write(self, zones: Sequence[DrawnZone]) -> None:
        self._note.write(msgspec.json.encode(zones))

    def _key(self) -> bytes:
        return hmac.digest(self._secret(), b"okdrive drawn places", "sha256")


def _is_meant(zone: DrawnZone, prefix: str) -> bool:
    return bool(prefix) and (zone.zone_id.startswith(prefix) or zone.name == prefix)
