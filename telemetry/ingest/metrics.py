"""What ingest counts, as Prometheus text: an endpoint on loopback, a file, or a command.

Source of the form: Prometheus text exposition format 0.0.4. Nothing here is about one vehicle.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

from telemetry.ingest.service import IngestService
from telemetry.ingest.store import Index

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MAX_REQUEST_BYTES = 4096
_PATIENCE_S = 5.0


def store_text(index: Index) -> str:
    """Return what is stored, answered and waiting; raise StorageError. Blocks.

    Looks at every row: for a command, not for a page that is asked every few seconds.
    """
    counts = index.counts()
    lines = [
        *_metric("stored_batches", "gauge", "Batches stored.", {"": counts["batches"]}),
        *_metric("stored_rows", "gauge", "Rows stored.", {"": counts["rows"]}),
        *_metric("stored_bytes", "gauge", "Bytes of them on the wire.", {"": counts["bytes"]}),
        *_metric("receipts_total", "counter", "Answers given.", _by("status", index.answers())),
    ]
    return "\n".join(lines) + "\n" + waiting_text(index)


def waiting_text(index: Index) -> str:
    """Return what waits beside the stored batches; quick however many there are. Blocks."""
    counts = index.waiting()
    lines = [
        *_metric("parts_waiting", "gauge", "Parts that wait for others.", {"": counts["parts"]}),
        *_metric(
            "parts_waiting_bytes", "gauge", "Bytes of these parts.", {"": counts["parts_bytes"]}
        ),
        *_metric(
            "quarantined", "gauge", "Refused batches kept aside.", _by("code", index.refusals())
        ),
        *_metric("reports_waiting", "gauge", "Reports for a workshop.", {"": counts["reports"]}),
        *_metric("unfinished", "gauge", "Batches being written.", {"": counts["unfinished"]}),
    ]
    return "\n".join(lines) + "\n"


def worker_text(service: IngestService, *, decoder_deaths: int) -> str:
    """Return what this process has done since it started. Does not block."""
    batches = {
        name.removeprefix("batches."): count
        for name, count in service.counters.items()
        if name.startswith("batches.")
    }
    failures = {
        name: count for name, count in service.counters.items() if not name.startswith("batches.")
    }
    lines = [
        *_metric("receiving", "gauge", "1 while subscribed.", {"": int(service.is_receiving)}),
        *_metric("in_progress", "gauge", "Batches at a desk.", {"": service.in_progress}),
        *_metric("batches_total", "counter", "Messages answered.", _by("status", batches)),
        *_metric("failures_total", "counter", "What went wrong.", _by("code", failures)),
        *_metric("decoder_deaths_total", "counter", "Decoders replaced.", {"": decoder_deaths}),
    ]
    return "\n".join(lines) + "\n"


async def serve_metrics(text: Callable[[], str], *, port: int, stop: asyncio.Event) -> None:
    """Answer GET /metrics on loopback until ``stop``; any other request is 404."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                request = await reader.readuntil(b"\r\n\r\n")
                is_known = request.startswith(b"GET /metrics ")
                body = (await asyncio.to_thread(text)).encode() if is_known else b"not found\n"
                status = "200 OK" if is_known else "404 Not Found"
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (
            TimeoutError,
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ) as error:
            log.info("metrics_dropped", extra={"reason": str(error)})
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=_MAX_REQUEST_BYTES)
    async with server:
        log.info("metrics_ready", extra={"port": server.sockets[0].getsockname()[1]})
        await stop.wait()


def _by(label: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {f'{{{label}="{name}"}}': count for name, count in sorted(counts.items())}


def _metric(name: str, kind: str, text: str, values: Mapping[str, int]) -> Iterator[str]:
    full = f"okdrive_ingest_{name}"
    yield f"# HELP {full} {text}"
    yield f"# TYPE {full} {kind}"
    for labels, value in values.items():
        yield f"{full}{labels} {value}"
