"""Signed documents of the update chain, handed to the flows that use them.

Here, and nowhere else, what the update client verified becomes what telemetry believes.
"""

from collections.abc import Callable

from agent.consent.recipients import Recipients
from ota.client.documents import Take
from ota.errors import DocumentError
from telemetry.keyset import KeySetError, decode_key_set

INGEST_KEYS = "ingest-keys"


def ingest_keys_taker(recipients: Recipients, on_change: Callable[[], None]) -> Take:
    """Return what puts a verified set of ingest keys to use.

    ``on_change`` is called in the thread of the update check when the set is another one.
    """

    def take(content: bytes) -> None:
        try:
            is_new = recipients.replace(decode_key_set(content))
        except KeySetError as error:
            raise DocumentError(
                INGEST_KEYS, expected="a newer set of ingest keys", got=str(error)
            ) from error
        if is_new:
            on_change()

    return take
