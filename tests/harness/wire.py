"""A wire between a client and a server on loopback that can be cut: both ends see the other gone, in the middle of anything."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


CHUNK_BYTES = 64 * 1024


class Wire:
    """A port of its own that leads to a server; used in one event loop."""

    def __init__(self, url: str) -> None:
        """Lead to the server of a URL."""
        self._parts = urlsplit(url)
        self._open: set[StreamWriter] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The server's URL, by this wire."""
        port = self._server.sockets[0].getsockname()[1]
        user = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{port}"))

    def cut(self) -> None:
        """Reset every connection now; what was on its way is lost."""
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()

    async def _join(self, reader: StreamReader, writer: StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            self._parts.hostname, self._parts.port
        )
        both = {writer, far_writer}
        self._open |= both
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(_lane(reader, far_writer))
            lanes.create_task(_lane(far_reader, writer))
        self._open -= both


async def _lane(reader: StreamReader, writer: StreamWriter) -> None:
    """Pass one direction on until it ends, and end the other side."""
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
