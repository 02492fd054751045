"""Publishes events, and triggers, with confirms, one at a time in order, and says whether anybody was bound.

Never guesses: a publish that ended without the broker's word may or may not have arrived, and the
same message is then published again by the caller (receivers drop repeats by sequence).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aio_pika
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import PublishError

from worker.adapters.rabbitmq.connection import close_quietly, is_open, open_connection
from worker.adapters.rabbitmq.topology import Broker, declare_exchange
from worker.adapters.rabbitmq.translate import TIMED_OUT, translated
from worker.domain.failures import BrokerFailure
from worker.ports.broker import Message


CONTENT_TYPE = "application/cloudevents+json"
"""CloudEvents 1.0, structured mode."""


@dataclass(slots=True)
class PublisherFigures:
    """What a publisher counted since it was made. Written by it alone, read by telemetry."""

    is_connected: bool = False
    is_blocked: bool = False
    """An alarm of the broker (memory, disk) held the last publish back."""
    connects: int = 0
    confirmed: int = 0
    unroutable: int = 0
    missing_replies: int = 0
    """Answers whose ``reply_to`` queue was gone."""
    unconfirmed: int = 0
    """Publishes that ended without the broker's word."""


class Publisher:
    """The Publisher port on a connection of its own, which an alarm may block without touching intake.

    Connects when first needed and whenever the connection is gone: pacing belongs to the caller.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        now: Callable[[], datetime],
        publish_s: float = 10.0,
        exchange: str | None = None,
    ) -> None:
        """``publish_s`` bounds one publish, the way to an open channel included; ``now`` stamps it.

        ``exchange``: where messages with a routing key go; None: to the exchange of events.
        """
        self.figures = PublisherFigures()
        self._broker = broker
        self._exchange = exchange or broker.topology.events
        self._now = now
        self._publish_s = publish_s
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(self, message: Message) -> bool:
        """Publish to the exchange, or without a routing key to the queue ``reply_to`` names.

        True if a queue took it. Raises BrokerFailure when its fate is unknown, at the latest after
        ``publish_s`` seconds. Cancelled, the fate is unknown as well.
        """
        try:
            with translated("publish"):
                async with asyncio.timeout(self._publish_s):
                    return await self._send(message)
        except BrokerFailure as failure:
            self.figures.unconfirmed += 1
            if failure.code == TIMED_OUT and not self.figures.is_blocked:
                await self._drop_unless_blocked()
            raise

    async def close(self) -> None:
        """Close channel and connection, within seconds even when the broker is frozen or blocked."""
        connection, self._connection, self._channel = self._connection, None, None
        self.figures.is_connected = False
        if connection is not None:
            await close_quietly(connection)

    async def _send(self, message: Message) -> bool:
        channel = await self._ready_channel()
        exchange, key = await self._way(channel, message)
        routed = await _routed(exchange, self._on_the_wire(message), key)
        self.figures.confirmed += 1
        if message.routing_key is None:
            self.figures.missing_replies += not routed
        else:
            self.figures.unroutable += not routed
        return routed

    async def _way(
        self, channel: AbstractChannel, message: Message
    ) -> tuple[AbstractExchange, str]:
        """Give exchange and key. A reply goes by the default exchange (AMQP 0-9-1, section 3.1.3.1)."""
        if message.routing_key is None:
            return channel.default_exchange, message.reply_to or ""
        exchange = await channel.get_exchange(self._exchange, ensure=False)
        return exchange, message.routing_key

    async def _ready_channel(self) -> AbstractChannel:
        async with self._opening:
            connection = await self._ready_connection()
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._open_channel(connection)
            return self._channel

    async def _ready_connection(self) -> AbstractConnection:
        """Give a connection that may be written to; while an alarm blocks it, wait and send nothing.

        Publishing into a blocked connection fills socket buffers with messages that all appear
        when the alarm ends, after they were given up and published again.
        """
        if self._connection is not None and not is_open(self._connection):
            await self.close()
        if self._connection is None:
            self._connection = await open_connection(self._broker, name="rollcall publisher")
            self.figures.connects += 1
        self.figures.is_connected = True
        await _unblocked(self._connection)
        self.figures.is_blocked = False
        return self._connection

    async def _open_channel(self, connection: AbstractConnection) -> AbstractChannel:
        """Open the channel and prove the exchange: publishing to a missing one would close the channel."""
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        await declare_exchange(channel, self._exchange, passive=self._broker.passive)
        return channel

    async def _drop_unless_blocked(self) -> None:
        """After a silence: keep a blocked connection, it comes back; replace any other."""
        if self._connection is None or not is_open(self._connection):
            return
        try:
            async with asyncio.timeout(0):
                await _unblocked(self._connection)
        except TimeoutError:
            self.figures.is_blocked = True
        else:
            await self.close()

    def _on_the_wire(self, message: Message) -> aio_pika.Message:
        return aio_pika.Message(
            message.body,
            message_id=message.id,
            type=message.type,
            timestamp=self._now(),
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type=CONTENT_TYPE,
            correlation_id=message.correlation_id,
            headers={"traceparent": message.traceparent} if message.traceparent else None,
        )


async def _unblocked(connection: AbstractConnection) -> None:
    """Return at once unless the broker said ``connection.blocked``; then when it takes that back."""
    if connection.transport is not None:
        await connection.transport.ready()


async def _routed(exchange: AbstractExchange, message: aio_pika.Message, key: str) -> bool:
    """Publish mandatory, wait for the confirm; False when the broker gave it back: nobody is bound."""
    try:
        await exchange.publish(message, key, mandatory=True)
    except PublishError:
        return False
    return True
