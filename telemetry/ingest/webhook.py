"""Handing sealed reports to a workshop: one HTTPS POST each, signed, tried again until it is taken.

Form of the headers and of what is signed: Standard Webhooks 1.0, signature ``v1a`` (Ed25519 over
"id.timestamp.body"). The id is the same at every try, so the workshop takes a report once. The body
is the ciphertext; a redirect is not followed, and of the answer only the status is read.
"""

import asyncio
import base64
import http.client
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telemetry.ingest.clock import Clock
from telemetry.ingest.errors import ConfigError, StorageError
from telemetry.ingest.reports import Report, ReportQueue, wait_s
from telemetry.seal import key_id_of

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/vnd.okdrive.sealed"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TAKEN = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where reports go, and with how much patience."""

    url: str
    ca_file: Path | None = None  # None: the authorities of this machine
    timeout_s: float = 10.0
    shortest_wait_s: int = 5  # doubles after each attempt
    longest_wait_s: int = 3600
    idle_s: float = 2.0  # between two looks at an empty queue


class Webhook:
    """One address that takes reports. Blocks."""

    def __init__(self, settings: WebhookSettings, key: Ed25519PrivateKey) -> None:
        """Check the address; raise ConfigError. Nothing is connected yet."""
        self.settings = settings
        self._key = key
        parts = urlsplit(settings.url)
        is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or is_local):
            raise _config_error("url", f"{settings.url}: expected an https address")
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = None if is_local else _context(settings.ca_file)

    def deliver(self, report: Report, now_s: int) -> str | None:
        """Send ``report``; return None if it was taken, else why not, in a few words."""
        try:
            status = self._post(report.sealed, self._headers(report, now_s))
        except (OSError, http.client.HTTPException) as error:  # TLS errors are OSErrors
            return f"{type(error).__name__}: {error}"
        return None if status in _TAKEN else f"status {status}"

    def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        timeout_s = self.settings.timeout_s
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=self._context
            )
        try:
            connection.request("POST", self._path, body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()

    def _headers(self, report: Report, now_s: int) -> dict[str, str]:
        identity = report.report_id.hex()
        signature = self._key.sign(f"{identity}.{now_s}.".encode() + report.sealed)
        return {
            "content-type": CONTENT_TYPE,
            "webhook-id": identity,
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
            "okdrive-key-id": key_id_of(report.sealed).hex(),
        }


class Deliverer:
    """Hands on what waits, one report after the other."""

    def __init__(
        self,
        *,
        queue: ReportQueue,
        webhook: Webhook,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._queue, self._webhook, self._clock = queue, webhook, clock
        self._settings, self._random = webhook.settings, random
        self.counters: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Hand on until ``stop``; a store or a workshop in trouble is tried again later."""
        while not stop.is_set():
            try:
                is_busy = await asyncio.to_thread(self.step)
            except StorageError as error:
                log.warning("reports_wait", extra={"code": error.code, "reason": str(error)})
                is_busy = False
            if not is_busy:
                await _wait(stop, self._settings.idle_s)

    def step(self) -> bool:
        """Try one report whose turn it is; return False if there was none. Blocks."""
        settings = self._settings
        now_s = self._now_s()
        report = self._queue.next_due(
            now_s, lease_s=round(2 * settings.timeout_s) + 1, longest_s=settings.longest_wait_s
        )
        if report is None:
            return False
        failure = self._webhook.deliver(report, now_s)
        if failure is None:
            self._queue.delivered(report)
            self.counters["reports.delivered"] += 1
            log.info("report_delivered", extra={"attempts": report.attempts})
            return True
        pause_s = wait_s(
            report.attempts,
            shortest_s=settings.shortest_wait_s,
            longest_s=settings.longest_wait_s,
            random=self._random(),
        )
        self._queue.put_off(report, self._now_s() + pause_s)
        self.counters["reports.failed"] += 1
        log.warning("report_waits", extra={"reason": failure, "retry_s": pause_s})
        return True

    def _now_s(self) -> int:
        return int(self._clock.utc_now().timestamp())


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # TLS errors are OSErrors
        raise _config_error("ca_file", f"{ca_file}: {error.strerror or error}") from error


def _config_error(key: str, why: str) -> ConfigError:
    return ConfigError(
        f"workshop.{key}: {why}",
        intact="nothing was started, nothing was connected",
        advice="name an https address and the authorities of its certificate; http is for loopback",
    )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
