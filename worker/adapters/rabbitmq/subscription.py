"""One queue consumed on one channel: deliveries in order, their end, and the two ways to settle them."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from aiormq.abc import AbstractChannel, DeliveredMessage

from worker.adapters.rabbitmq.connection import CLOSE_S
from worker.adapters.rabbitmq.translate import translated
from worker.domain.failures import BrokerFailure
from worker.ports.broker import Delivery


HEADER_CHARACTERS = 512
"""A ``traceparent`` has 55 (W3C Trace Context); what is longer than this is not one."""


class Inbox:
    """Deliveries of one channel in the broker's order, until there are no more.

    Works on aiormq's deliveries: each knows the one channel it can be acked on, dead or alive, and
    nothing of a sender's properties is interpreted on the way.
    """

    def __init__(self) -> None:
        self._waiting: deque[DeliveredMessage] = deque()
        self._changed = asyncio.Event()
        self._is_over = False

    async def put(self, message: DeliveredMessage) -> None:
        """Take one delivery; the callback of the consumer."""
        self._waiting.append(message)
        self._changed.set()

    def finish(self) -> None:
        """No more will come; what waits is still given."""
        self._is_over = True
        self._changed.set()

    def abandon(self) -> None:
        """The channel is gone: what waits can no longer be acked and will come again."""
        self._waiting.clear()
        self.finish()

    async def batch(self, *, most: int, linger_s: float) -> list[DeliveredMessage]:
        """Wait for the next deliveries, at most ``most``; none means over."""
        await self._until(1)
        with suppress(TimeoutError):
            async with asyncio.timeout(linger_s):
                await self._until(most)
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    async def _until(self, wanted: int) -> None:
        while len(self._waiting) < wanted and not self._is_over:
            self._changed.clear()
            await self._changed.wait()


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One queue consumed on one channel of its own."""

    queue: str
    channel: AbstractChannel
    inbox: Inbox

    async def start(self, *, prefetch: int) -> None:
        """Begin consuming; the inbox is abandoned when channel or consumer ends."""
        self.channel.closing.add_done_callback(lambda _: self.inbox.abandon())
        # The queue was deleted or moved: the broker ends the consumer, the channel stays open.
        self.channel.on_consumer_cancel_callbacks.add(lambda _: self.inbox.abandon())
        await self.channel.basic_qos(prefetch_count=prefetch)
        await self.channel.basic_consume(self.queue, self.inbox.put, consumer_tag=self.queue)

    async def finish(self) -> None:
        """Ask the broker for no more; what it has already sent is still in the inbox.

        A quorum queue answers before it has stopped (RabbitMQ 3.10, seen in one stop of six under
        load): the stragglers find no consumer, stay unacked, and come again when the channel closes.
        """
        with suppress(BrokerFailure), translated(f"stop consuming {self.queue}"):
            async with asyncio.timeout(CLOSE_S):
                await self.channel.basic_cancel(self.queue)
        self.inbox.finish()


async def ack_up_to(message: DeliveredMessage) -> None:
    """Ack this delivery and all before it, through the channel they came by. Raises BrokerFailure if that is gone.

    Acking a number on another channel would close that channel (406) and hand its deliveries over again.
    """
    with translated("ack"):
        await message.channel.basic_ack(_tag(message), multiple=True)


async def give_back(message: DeliveredMessage) -> None:
    """Return one delivery to its queue, counted by the broker. Raises BrokerFailure if its channel is gone."""
    with translated("give back"):
        await message.channel.basic_reject(_tag(message), requeue=True)


def delivery_of(message: DeliveredMessage) -> Delivery:
    """Say a delivery in the port's words. Properties of the wrong type count as absent."""
    properties = message.header.properties
    headers = properties.headers or {}
    return Delivery(
        body=message.body,
        redelivered=bool(message.redelivered),
        reply_to=_text(properties.reply_to),
        correlation_id=_text(properties.correlation_id),
        traceparent=_text(headers.get("traceparent")),
    )


def _text(value: object) -> str | None:
    """Give a property as text; some clients send header values as bytes."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value
    return text if isinstance(text, str) and len(text) <= HEADER_CHARACTERS else None


def _tag(message: DeliveredMessage) -> int:
    return message.delivery_tag or 0
