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
from telemetry.ingest.prepare import Prepared, prepare
from telemetry.ingest.reports import ReportQueue
from telemetry.ingest.sink import Arrival, ParquetSink
from telemetry.ingest.store import Store
from telemetry.purposes import Purpose
from telemetry.records import BATCH_ID_BYTES, Receipt, ReceiptStatus
from telemetry.seal import ERASE, SealError, key_id_of, largest_sealed
from telemetry.topics import TopicError, parse_uplink

WITHDRAWN = "ingest.withdrawn"  # its vehicle took it back
MAX_REPORT_BYTES = 64 * 1024  # of a report before it was sealed
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
    takes_reports: bool = False  # a workshop is named to hand them on to
    reports_max: int = 10_000
    reports_days: int = 7
    batch_days: int = 731  # as the notices say: at most 24 months
    receipts_days: int = 180


Prepare = Callable[[bytes], Prepared]  # decodes and checks; raises CodecError
OpenBatch = Callable[[str, bytes], bytes]  # opens what was sealed for this; raises SealError


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
        self._reports = ReportQueue(store.index.database)
        self._open = open_batch
        self._clock = clock
        self._settings = settings
        self._prepare = prepare_batch or (lambda payload: prepare(payload, settings.limits))

    def take(
        self,
        topic: str,
        payload: bytes,
        content_type: str | None = None,
        correlation: bytes | None = None,
    ) -> Receipt:
        """Store a batch or a part, or refuse it into quarantine; then the answer is true.

        ``correlation`` is the batch id as the vehicle names it: of what cannot be opened here, a
        report for a workshop, nobody else knows it.

        Raises:
            StorageError: Neither could be written; there is no answer.
        """
        take = self._take_part if content_type == PART_TYPE else self._take_whole
        receipt = take(topic, payload, correlation)
        if receipt.code != WITHDRAWN:  # nothing of it may be kept
            self._index.note_receipt(receipt, self._today())
        return receipt

    def erase(self, message: bytes) -> Erasure | Receipt:
        """Delete what ``message`` asks for; a refusal if it asks for nothing that can be read.

        Raises:
            StorageError: It could not be deleted, or not all of it; there is no answer.
        """
        identity = erase_id(message)  # until it is open there is no other name for it
        try:
            opened = self._open(ERASE, message)
            identity = erase_id(opened)
            request = decode_erase(opened)
        except (CodecError, SealError) as error:  # not kept aside: it may hold a token
            return _refusal(identity, error.code)
        return self._eraser.erase(request, erase_id=identity, today=self._today())

    def purge(self) -> int:
        """Delete whatever has been here long enough; return how many."""
        today, settings = self._today(), self._settings
        purged = self._index.purge_quarantine(today, days=settings.quarantine_days)
        purged += self._index.purge_parts(today, days=settings.parts_days)
        purged += self._reports.purge(today, days=settings.reports_days)
        purged += self._index.purge_receipts(today, days=settings.receipts_days)
        purged += self._eraser.forget(today, days=settings.batch_days)
        purged += self._sink.expire(today, days=settings.batch_days)
        return purged + self._sink.sweep(today)

    def _take_whole(self, topic: str, sealed: bytes, correlation: bytes | None) -> Receipt:
        identity, payload = batch_id(sealed), None  # until it is open it has no other name
        try:
            purpose = parse_uplink(topic)
            if purpose is Purpose.WORKSHOP:
                return self._take_report(sealed, correlation)
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

    def _take_report(self, sealed: bytes, correlation: bytes | None) -> Receipt:
        """Keep a report for the workshop as it came; raise SealError if it is not ciphertext."""
        key_id_of(sealed, max_bytes=MAX_REPORT_BYTES)
        if correlation is None or len(correlation) != BATCH_ID_BYTES:
            return _refusal(batch_id(sealed), "ingest.correlation")
        if not self._settings.takes_reports:
            return _refusal(correlation, "ingest.no_workshop")
        is_new = self._reports.add(
            sealed, batch_id=correlation, today=self._today(), most=self._settings.reports_max
        )
        if is_new is None:
            return _refusal(correlation, "ingest.workshop_full")
        status = ReceiptStatus.STORED if is_new else ReceiptStatus.DUPLICATE
        return Receipt(batch_id=correlation, part=0, status=status, code=None)

    def _take_part(self, topic: str, payload: bytes, correlation: bytes | None) -> Receipt:
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
        return self._complete(topic, parts, correlation)

    def _complete(self, topic: str, parts: Sequence[Part], correlation: bytes | None) -> Receipt:
        sealed_id = parts[0].sealed_id
        try:
            receipt = self._take_whole(topic, join(parts), correlation)
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
