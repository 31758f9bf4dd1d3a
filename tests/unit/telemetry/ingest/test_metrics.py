import asyncio
import logging

import pytest

from telemetry.ingest.metrics import serve_metrics
from tests.support.wait import wait_until


async def get(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /secrets HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"x" * 10_000, b""),
    ],
    ids=["metrics", "other-page", "other-verb", "endless"],
)
async def test_the_endpoint_answers_one_page(
    caplog: pytest.LogCaptureFixture, request_: bytes, expected: bytes
) -> None:
    caplog.set_level(logging.INFO)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_metrics(lambda: "okdrive_x 1\n", port=0, stop=stop))
        await wait_until(lambda: "metrics_ready" in caplog.messages)
        [ready] = [record for record in caplog.records if record.message == "metrics_ready"]
        try:
            answer = await get(ready.port, request_)
        except ConnectionError:
            answer = b""
        stop.set()
    assert answer.startswith(expected)
    if expected.endswith(b"OK"):
        assert answer.endswith(b"\r\n\r\nokdrive_x 1\n")
        assert b"text/plain; version=0.0.4" in answer
