"""Named checks of an ingest, one small function each: ok, warn or fail, and what to do."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from telemetry.ingest.config import IngestConfig
from telemetry.ingest.errors import IngestError
from telemetry.ingest.keyring import load_keys
from telemetry.ingest.reports import ReportQueue
from telemetry.ingest.signing import load_signer
from telemetry.ingest.sink import ParquetSink
from telemetry.ingest.store import Index, open_to_read

_PATIENT_ATTEMPTS = 3
_LOW_SPACE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check found; ``verdict`` is ok, warn or fail."""

    name: str
    verdict: str
    finding: str
    advice: str = ""


def check_all(config: IngestConfig) -> list[Check]:
    """Run every check, in the order a person would look."""
    checks = [check_files(config), check_key(config), check_keys(config)]
    checks.append(check_room(config.folder))
    try:
        store = open_to_read(config)
    except IngestError as error:
        return [*checks, _failed("store", error)]
    try:
        sink = ParquetSink(store.files, store.index)
        return [
            *checks,
            check_store(store.index),
            check_batch_files(sink),
            check_quarantine(store.index),
            check_reports(config, store.index),
        ]
    finally:
        store.close()


def exit_code(checks: Sequence[Check]) -> int:
    """Return 1 after a failure, 4 after a warning, else 0."""
    verdicts = {check.verdict for check in checks}
    return 1 if "fail" in verdicts else 4 if "warn" in verdicts else 0


def check_files(config: IngestConfig) -> Check:
    """Check that the files for TLS are there."""
    broker = config.broker
    missing = [
        str(path)
        for path in (broker.ca_file, broker.cert_file, broker.key_file)
        if not path.is_file()
    ]
    if missing:
        return Check(
            name="tls",
            verdict="fail",
            finding=f"missing: {', '.join(missing)}",
            advice="restore the files or correct their paths in the configuration",
        )
    return Check(name="tls", verdict="ok", finding="authority, certificate and key are there")


def check_key(config: IngestConfig) -> Check:
    """Check that receipts can be signed."""
    try:
        signer = load_signer(config.receipt_key)
    except IngestError as error:
        return _failed("receipt key", error)
    return Check(name="receipt key", verdict="ok", finding=f"key id {signer.key_id}")


def check_keys(config: IngestConfig) -> Check:
    """Check that batches can be opened."""
    try:
        keys = load_keys(config.sealing_keys)
    except IngestError as error:
        return _failed("sealing keys", error)
    found = ", ".join(f"{purpose} {key_id.hex()}" for purpose, key_id in keys)
    if not found:
        return Check(
            name="sealing keys",
            verdict="fail",
            finding=f"{config.sealing_keys}: no key, nothing can be opened",
            advice="okdrive-ingest keys make",
        )
    return Check(name="sealing keys", verdict="ok", finding=found)


def check_room(folder: Path) -> Check:
    """Check that the disk has room."""
    if not folder.is_dir():
        return Check(
            name="disk",
            verdict="warn",
            finding=f"{folder} does not exist yet",
            advice="okdrive-ingest run makes it",
        )
    free = shutil.disk_usage(folder).free
    is_low = free < _LOW_SPACE_BYTES
    return Check(
        name="disk",
        verdict="warn" if is_low else "ok",
        finding=f"{free // (1024 * 1024)} MiB free",
        advice="make room: a full disk stops receiving, nothing is lost" if is_low else "",
    )


def check_store(index: Index) -> Check:
    """Check that the index can be read, and say what it holds."""
    counts = index.counts()
    return Check(
        name="store",
        verdict="ok",
        finding=f"{counts['batches']} batches, {counts['rows']} rows,"
        f" {counts['duplicates']} duplicates answered",
    )


def check_batch_files(sink: ParquetSink) -> Check:
    """Check that index and files agree."""
    missing, orphans = sink.missing(), sink.orphans()
    if missing:
        return Check(
            name="files",
            verdict="fail",
            finding=f"{len(missing)} stored batches have no file, first {missing[0]}",
            advice="restore the files from a backup",
        )
    if orphans:
        return Check(
            name="files",
            verdict="warn",
            finding=f"{len(orphans)} files are not in the index, first {orphans[0]}",
            advice="no receiver wrote them here; do not count them",
        )
    return Check(name="files", verdict="ok", finding="every stored batch has its file")


def check_quarantine(index: Index) -> Check:
    """Check whether batches were refused lately."""
    refused = index.counts()["quarantined"]
    return Check(
        name="quarantine",
        verdict="warn" if refused else "ok",
        finding=f"{refused} refused",
        advice="okdrive-ingest quarantine list" if refused else "",
    )


def check_reports(config: IngestConfig, index: Index) -> Check:
    """Check whether reports wait for a workshop that does not take them."""
    waiting = ReportQueue(index.database).waiting()
    tried = [report for report in waiting if report.attempts > _PATIENT_ATTEMPTS]
    if config.workshop is None:
        return Check(
            name="workshop",
            verdict="warn" if waiting else "ok",
            finding=f"none is named; {len(waiting)} reports wait",
            advice="name one in [workshop], or they are deleted after 7 days" if waiting else "",
        )
    return Check(
        name="workshop",
        verdict="warn" if tried else "ok",
        finding=f"{len(waiting)} reports wait, {len(tried)} after many attempts",
        advice=f"see why {config.workshop.url} does not take them" if tried else "",
    )


def _failed(name: str, error: IngestError) -> Check:
    return Check(name=name, verdict="fail", finding=str(error), advice=error.advice)
