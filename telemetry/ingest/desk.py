"""One message at a time: open -> decode -> dedupe -> sink; or erase. Knows no network.

What cannot be opened, read or believed goes aside as it came, with the reason; a refusal is an
answer like any other. Between two messages there is no state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from telemetry.codec.batch import BatchLimits, batch_id, batch_pseudonym, claimed_rows
from telemetry.codec.erase import Erasure, decode_erase, erase_id
from telemetry.codec.errors import CodecError
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import Part, decode_part, join
from telemetry.ingest.clock import Clock
from telemetry.ingest.dedupe import Standing
from telemetry.ingest.entries import Quarantined
from telemetry.ingest.erasure import Eraser
from telemetry.ingest.sink import Arrival, ParquetSink, Prepared, prepare
from telemetry.ingest.store import Store
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import SealError, key_id_of, largest_sealed
from telemetry.topics import TopicError, parse_uplink

WITHDRAWN = "ingest.withdrawn"  # its vehicle took it back
_REASON_CHARS = 300
_STATUS = {
    Standing.STORED: ReceiptStatus.STORED,
    Standing.KNOWN: ReceiptStatus.DUPLICATE,
    Standing.WITHDRAWN: ReceiptStatus.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """How much of what comes from outside is looked at and kept."""

    limits: BatchLimits = field(default_factory=BatchLimits)
    max_rows_per_byte: int = 2_000  # a small batch may not claim to be a huge one
    quarantine_days: int = 7
    quarantine_max: int = 10_000
    parts_days: int = 7  # parts wait this long for the others
    parts_max_bytes: int = 256 * 1024 * 1024


Prepare = Callable[[bytes], Prepared]  # decodes and checks; raises CodecError
OpenBatch = Callable[[Purpose, bytes], bytes]  # opens what was sealed; raises SealError


class Desk:
    """Takes a message and says what to answer. Blocks.

    Any number of threads and processes may take messages for the same store.
    """

    def __init__(
        self,
        *,
        store: Store,
        open_batch: OpenBatch,
        clock: Clock,
        settings: DeskSettings,
        prepare_batch: Prepare | None = None,
    ) -> None:
        self._index = store.index
        self._sink = ParquetSink(store.files, store.index)
        self._eraser = Eraser(store.index.database, store.files)
        self._open = open_batch
        self._clock = clock
        self._settings = settings
        self._prepare = prepare_batch or (lambda payload: prepare(payload, settings.limits))

    def take(self, topic: str, payload: bytes, content_type: str | None = None) -> Receipt:
        """Store a batch or a part, or refuse it into quarantine; then the answer is true.

        Raises:
            StorageError: Neither could be written; there is no answer.
        """
        is_part = content_type == PART_TYPE
        receipt = self._take_part(topic, payload) if is_part else self._take_whole(topic, payload)
        if receipt.code != WITHDRAWN:  # nothing of it may be kept
            self._index.note_receipt(receipt, self._today())
        return receipt

    def erase(self, message: bytes) -> Erasure | Receipt:
        """Delete what ``message`` asks for; a refusal if it asks for nothing that can be read.

        Raises:
            StorageError: It could not be deleted, or not all of it; there is no answer.
        """
        identity = erase_id(message)
        try:
            request = decode_erase(message)
        except CodecError as error:  # not kept aside: it may hold a token
            return _refusal(identity, error.code)
        return self._eraser.erase(request, erase_id=identity)

    def purge(self) -> int:
        """Delete what has been aside long enough; return how many."""
        today, settings = self._today(), self._settings
        purged = self._index.purge_quarantine(today, days=settings.quarantine_days)
        purged += self._index.purge_parts(today, days=settings.parts_days)
        return purged + self._sink.sweep(today)

    def _take_whole(self, topic: str, sealed: bytes) -> Receipt:
        identity, payload = batch_id(sealed), None  # until it is open it has no other name
        try:
            purpose = parse_uplink(topic)
            payload = self._open(purpose, sealed)
            identity = batch_id(payload)
            batch = self._prepared(purpose, payload)
        except (CodecError, SealError, TopicError) as error:
            return self._refuse(identity, sealed, error, pseudonym=_pseudonym(payload))
        arrival = Arrival(
            batch_id=identity,
            part=0,
            batch=batch,
            size_bytes=len(sealed),
            day=self._today(),
        )
        status = _STATUS[self._sink.store(arrival)]
        if status is ReceiptStatus.REFUSED:
            return _refusal(identity, WITHDRAWN)
        return Receipt(batch_id=identity, part=0, status=status, code=None)

    def _take_part(self, topic: str, payload: bytes) -> Receipt:
        try:
            parse_uplink(topic)
            part = decode_part(payload, max_bytes=largest_sealed(self._settings.limits.max_bytes))
        except (CodecError, TopicError) as error:
            return self._refuse(batch_id(payload), payload, error)
        if known := self._index.joined(part.sealed_id):
            return Receipt(batch_id=known, part=0, status=ReceiptStatus.DUPLICATE, code=None)
        parts = self._index.keep_part(part, self._today(), max_bytes=self._settings.parts_max_bytes)
        if not parts:
            return Receipt(
                batch_id=part.sealed_id, part=part.part, status=ReceiptStatus.STORED, code=None
            )
        return self._complete(topic, parts)

    def _complete(self, topic: str, parts: Sequence[Part]) -> Receipt:
        sealed_id = parts[0].sealed_id
        try:
            receipt = self._take_whole(topic, join(parts))
        except CodecError as error:
            joined = b"".join(part.chunk for part in parts)
            receipt = self._refuse(sealed_id, joined, error)
        is_stored = receipt.status is not ReceiptStatus.REFUSED
        self._index.end_parts(sealed_id, receipt.batch_id if is_stored else None, self._today())
        return receipt

    def _prepared(self, purpose: Purpose, payload: bytes) -> Prepared:
        limits = self._settings.limits
        rows = claimed_rows(payload, limits)
        if rows > self._settings.max_rows_per_byte * len(payload):
            raise CodecError(
                f"batch: expected at most {self._settings.max_rows_per_byte} rows a byte,"
                f" got {rows} rows in {len(payload)} bytes",
                code="ingest.ratio",
            )
        batch = self._prepare(payload)
        if batch.purpose != purpose:
            raise CodecError(
                f"batch: expected purpose {purpose} on this topic, got {batch.purpose}",
                code="ingest.wrong_topic",
            )
        return batch

    def _refuse(
        self,
        identity: bytes,
        payload: bytes,
        error: CodecError | SealError | TopicError,
        *,
        pseudonym: bytes | None = None,
    ) -> Receipt:
        """Keep ciphertext and reason; other bytes are not kept: nobody knows what they are."""
        is_small = len(payload) <= largest_sealed(self._settings.limits.max_bytes)
        refused = Quarantined(
            batch_id=identity,
            code=error.code,
            reason=str(error)[:_REASON_CHARS],
            size_bytes=len(payload),
            payload=payload if is_small and _is_sealed(payload) else None,
            pseudonym=pseudonym,
            day=self._today(),
        )
        self._index.quarantine(refused, keep=self._settings.quarantine_max)
        return _refusal(identity, error.code)

    def _today(self) -> date:
        return self._clock.utc_now().date()


def _refusal(identity: bytes, code: str) -> Receipt:
    return Receipt(batch_id=identity, part=0, status=ReceiptStatus.REFUSED, code=code)


def _pseudonym(payload: bytes | None) -> bytes | None:
    try:
        return None if payload is None else batch_pseudonym(payload)
    except CodecError:
        return None


def _is_sealed(payload: bytes) -> bool:
    try:
        key_id_of(payload)
    except SealError:
        return False
    return True
