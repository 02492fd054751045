"""What stands between Postfix and its database: a way that can be closed or blocked, and hears what passes."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self


CHUNK = 64 * 1024


class EndError(Exception):
    """One side has ended, so the other is to end too."""


class Passage:
    """Carries connections from a port of its own on loopback to another."""

    def __init__(self, upstream_port: int) -> None:
        self.asked = bytearray()
        self.port = 0
        self._upstream_port = upstream_port
        self._flowing = asyncio.Event()
        self._empty = asyncio.Event()
        self._clients: set[StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def open_to(cls, port: int) -> AsyncIterator[Self]:
        """Let everything pass; for as long as the block lasts."""
        passage = cls(port)
        await passage.open()
        try:
            yield passage
        finally:
            await passage.close()

    async def open(self) -> None:
        """Listen, again on the port that it had."""
        self._flowing.set()
        self._empty.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut what is connected; nobody listens any more."""
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut what is connected; who comes again is let through."""
        self._flowing.set()
        for client in self._clients:
            client.transport.abort()
        await self._empty.wait()

    def block(self) -> None:
        """Connections stand, new ones too, and nothing goes through until they are cut."""
        self._flowing.clear()

    def count(self, words: bytes) -> int:
        """How often these words came by on their way to the database."""
        return self.asked.count(words)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._clients.add(writer)
        self._empty.clear()
        try:
            with contextlib.suppress(OSError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._clients.discard(writer)
            if not self._clients:
                self._empty.set()

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._pump(reader, to_server, self.asked))
                lanes.create_task(self._pump(from_server, writer, bytearray()))
        except* (EndError, OSError):
            # one side ended; the group has ended the other
            pass
        finally:
            to_server.transport.abort()

    async def _pump(self, reader: StreamReader, writer: StreamWriter, heard: bytearray) -> None:
        while chunk := await reader.read(CHUNK):
            heard += chunk
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        raise EndError
