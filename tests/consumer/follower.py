"""Follows one tenant's events over AMQP: fold, keep, ask if needed, and only then acknowledge.

Killed or cut off anywhere, it goes on where it was: what was not acknowledged comes again, and what was kept already is known
by its sequence. Its queue is durable and its own, so that nothing is missed while it is away. It serves the list it has,
also while it waits for a better one. A question about a tenant that is gone is answered by ``command.rejected``, which has no
place in the order and is not looked at here: ``tenant.deleted`` is what empties the list.
"""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from tests.consumer.book import Book
from tests.consumer.core import State, asked, fold, started


PREFETCH_COUNT = 50
CONNECT_S = 10.0
PAUSE_S = 0.2
"""Before the next try to connect."""

Inbox: TypeAlias = "asyncio.Queue[AbstractIncomingMessage | None]"
LOST = (ConnectionError, TimeoutError, aio_pika.exceptions.AMQPError)


@dataclass(slots=True)
class Follower:
    """Keeps the list of one tenant; ``state.recipients`` is what it serves."""

    url: str
    prefix: str
    tenant: str
    book: Book
    patience_s: float = 30.0
    """How long to wait for a republish before asking again: the question, or the answer, may have been lost."""
    state: State = field(default_factory=State)

    @property
    def queue(self) -> str:
        """The name of its queue."""
        return f"{self.prefix}.list-of.{self.tenant}"

    async def run(self) -> None:
        """Follow until cancelled, over as many connections as it takes."""
        self.state = self.book.load()
        while True:
            try:
                await self._connected()
            except LOST:
                self.state = started(self.state)
            except Exception as ended:
                # aiormq 7.2 rejects what waits with a bare Exception when a connection ends without a reason
                if type(ended) is not Exception:
                    raise
                self.state = started(self.state)
            await asyncio.sleep(PAUSE_S)

    async def _connected(self) -> None:
        connection = await aio_pika.connect(self.url, timeout=CONNECT_S)
        async with connection:
            channel = await connection.channel()
            commands = await self._exchange(channel, "commands")
            inbox: Inbox = asyncio.Queue()
            channel.close_callbacks.add(lambda *_: inbox.put_nowait(None))
            await self._consume(channel, inbox)
            await self._follow(inbox, commands)

    async def _exchange(self, channel: AbstractChannel, name: str) -> AbstractExchange:
        topic = aio_pika.ExchangeType.TOPIC
        return await channel.declare_exchange(f"{self.prefix}.{name}", topic, durable=True)

    async def _consume(self, channel: AbstractChannel, inbox: Inbox) -> None:
        await channel.set_qos(prefetch_count=PREFETCH_COUNT)
        queue = await channel.declare_queue(self.queue, durable=True)
        # every event of the tenant, not recipients.changed alone: each has a place in the order
        await queue.bind(await self._exchange(channel, "events"), f"*.*.{self.tenant}")
        await queue.consume(inbox.put)

    async def _follow(self, inbox: Inbox, commands: AbstractExchange) -> None:
        """Take events until the connection ends."""
        while True:
            if self.state.asks:
                await self._ask(commands)
            try:
                async with asyncio.timeout(self.patience_s):
                    message = await inbox.get()
            except TimeoutError:
                self.state = started(self.state)
                continue
            if message is None:
                return
            self.take(json.loads(message.body))
            await message.ack()

    def take(self, event: dict[str, Any]) -> None:
        """Fold one event and keep what comes of it."""
        after = fold(self.state, event)
        if after is not self.state:
            self.book.save(self.state, after)
            self.state = after

    async def _ask(self, commands: AbstractExchange) -> None:
        """Ask for the whole list; the answer comes as events."""
        told = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self.queue,
            "type": "rollcall.recipients.republish.v1",
            "subject": self.tenant,
            "data": {},
        }
        message = aio_pika.Message(
            json.dumps(told).encode(),
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await commands.publish(message, "recipients.republish")
        self.state = asked(self.state)
