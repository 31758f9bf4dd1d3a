"""A TCP proxy on loopback that counts every byte and connection between two parties."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class CountingProxy:
    port: int = 0
    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@asynccontextmanager
async def counting_proxy(target_port: int) -> AsyncIterator[CountingProxy]:
    """Forward a free port to ``target_port``; what passes is counted."""
    proxy = CountingProxy()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: str
    ) -> None:
        try:
            while data := await reader.read(65_536):
                setattr(proxy, counter, getattr(proxy, counter) + len(data))
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, far_writer, "bytes_up"))
            group.create_task(pump(far_reader, writer, "bytes_down"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
