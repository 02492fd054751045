"""The platform as the tests play it: speaks AMQP and nothing else, and checks every event against its schema."""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage
from jsonschema import Draft202012Validator, FormatChecker

from tests.servers.daemon import PROJECT


MESSAGES = PROJECT / "schemas" / "messages"
WAIT_S = 20.0
ENDINGS = ("sync.completed", "sync.held", "sync.previewed", "sync.failed", "sync.cancelled")
Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as it came in."""

    name: str
    tenant: str | None
    id: str
    key: str
    data: dict[str, Any]
    body: bytes = field(repr=False)
    correlation_id: str | None = None

    @property
    def place(self) -> tuple[int, int] | None:
        """Its epoch and sequence; None for events outside the tenant's order."""
        epoch, sequence = self.data.get("epoch"), self.data.get("sequence")
        return None if epoch is None or sequence is None else (epoch, sequence)


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = orjson.loads((MESSAGES / f"{name}.v1.schema.json").read_bytes())
    return Draft202012Validator(schema, format_checker=FormatChecker())


def read(message: AbstractIncomingMessage) -> Seen:
    """Decode an event. Raises jsonschema's ValidationError when it is not what was promised."""
    told = orjson.loads(message.body)
    name = told["type"].removeprefix("rollcall.").removesuffix(".v1")
    _validator(name).validate(told)
    return Seen(
        name=name,
        tenant=told.get("subject"),
        id=told["id"],
        key=message.routing_key or "",
        data=told["data"],
        body=message.body,
        correlation_id=message.correlation_id,
    )


class Platform:
    """A client of the broker that has bound a queue of its own to all events.

    The queue is durable, so that nothing is missed while the broker restarts; ``forget`` deletes it.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self.prefix = prefix
        self.events: list[Seen] = []
        self.replies: list[Seen] = []
        self.complaints: list[Exception] = []
        self.reply_queue = f"platform.{prefix}"
        self._url = url
        self._queue = f"{prefix}.seen-by-the-platform"
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url, timeout=WAIT_S)
        self._channel = await self._connection.channel(on_return_raises=True)
        topic = aio_pika.ExchangeType.TOPIC
        self._commands, happened = [
            await self._channel.declare_exchange(f"{self.prefix}.{name}", topic, durable=True)
            for name in ("commands", "events")
        ]
        queue = await self._channel.declare_queue(self._queue, durable=True)
        await queue.bind(happened, "#")
        await queue.consume(self._note(self.events))
        replies = await self._channel.declare_queue(self.reply_queue, durable=True)
        await replies.consume(self._note(self.replies))
        return self

    async def __aexit__(self, *_: object) -> None:
        # A queue that is deleted under its consumer makes the client complain; an acknowledgement that is on its way
        # while its channel closes makes the broker end the connection: so that one is over before the queues go.
        await self._connection.close()
        async with await aio_pika.connect(self._url, timeout=WAIT_S) as connection:
            channel = await connection.channel()
            await channel.queue_delete(self._queue)
            await channel.queue_delete(self.reply_queue)
        assert not self.complaints

    async def reconnect(self) -> None:
        """After a restart of the broker."""
        await self._connection.close()
        await self.__aenter__()

    # --- commands ------------------------------------------------------------

    async def send(
        self,
        name: str,
        tenant: str,
        data: Data | None = None,
        *,
        id_: str | None = None,
        key: str | None = None,
        reply: str | None = None,
        **envelope: object,
    ) -> str:
        """Send a command; gives its id. ``reply``: a correlation id, the answer comes to ``replies`` too."""
        id_ = id_ or uuid.uuid4().hex
        told = {
            "specversion": "1.0",
            "id": id_,
            "source": "platform",
            "type": f"rollcall.{name}.v1",
            "subject": tenant,
            "time": "2026-01-15T09:30:00Z",
            "data": data or {},
        }
        await self.send_bytes(orjson.dumps(told | envelope), key=key or name, reply=reply)
        return id_

    async def send_bytes(
        self, body: bytes, *, key: str, reply: str | None = None, reply_to: str | None = None
    ) -> None:
        """Send any bytes. Raises PublishError when no queue takes them."""
        queue = None if reply is None else reply_to or self.reply_queue
        message = aio_pika.Message(
            body,
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=queue,
            correlation_id=reply,
        )
        async with asyncio.timeout(WAIT_S):
            await self._commands.publish(message, key)

    # --- events --------------------------------------------------------------

    async def event(
        self,
        *names: str,
        cause: str | None = None,
        where: Callable[[Seen], bool] = lambda _: True,
        within_s: float = WAIT_S,
    ) -> Seen:
        """Return the first event of one of these names, also if it came before; under a deadline."""

        def fits(seen: Seen) -> bool:
            named = seen.name in names and (cause is None or cause in seen.data.get("causes", ()))
            return named and where(seen)

        return (await self.several(1, fits, within_s=within_s))[0]

    async def ending(self, cause: str, *, within_s: float = WAIT_S) -> Seen:
        """Return the outcome of the run that answers this command."""
        return await self.event(*ENDINGS, cause=cause, within_s=within_s)

    async def several(
        self, count: int, fits: Callable[[Seen], bool], *, within_s: float = WAIT_S
    ) -> Sequence[Seen]:
        """Return the first ``count`` events that fit, with repeats."""

        def found() -> list[Seen]:
            return list(itertools.islice(filter(fits, self.events), count))

        await self._until(lambda: len(found()) == count, within_s)
        return found()

    async def replied(self, correlation_id: str, *, within_s: float = WAIT_S) -> Seen:
        """Return the first reply with this correlation id."""

        def found() -> list[Seen]:
            return [seen for seen in self.replies if seen.correlation_id == correlation_id]

        await self._until(lambda: bool(found()), within_s)
        return found()[0]

    def of(self, tenant: str) -> list[Seen]:
        """Return a tenant's events in its order, each once; fails on a gap, or on a repeat that differs."""
        first: dict[str, Seen] = {}
        for seen in self.events:
            if seen.tenant == tenant and seen.place is not None:
                assert first.setdefault(seen.id, seen).body == seen.body
        ordered = sorted(first.values(), key=lambda seen: seen.place or (0, 0))
        for epoch, group in itertools.groupby(ordered, key=lambda seen: seen.data["epoch"]):
            sequences = [seen.data["sequence"] for seen in group]
            assert sequences == list(range(1, len(sequences) + 1)), (epoch, sequences)
        return ordered

    def changes(self, tenant: str) -> list[tuple[str, str]]:
        """Return what ``recipients.changed`` told of a tenant: address and change, in order."""
        parts = (
            seen.data["changes"] for seen in self.of(tenant) if seen.name == "recipients.changed"
        )
        return [(change["address"], change["change"]) for part in parts for change in part]

    async def _until(self, holds: Callable[[], bool], within_s: float) -> None:
        is_late = False
        try:
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: bool(self.complaints) or holds())
        except TimeoutError:
            is_late = True
        lately = [(seen.name, seen.tenant, seen.data) for seen in self.events[-6:]]
        assert not self.complaints
        assert not is_late, f"not within {within_s:g} s; the last events: {lately}"

    def _note(self, pile: list[Seen]) -> Callable[[AbstractIncomingMessage], Any]:
        async def note(message: AbstractIncomingMessage) -> None:
            async with self._news:
                try:
                    pile.append(read(message))
                except Exception as complaint:  # noqa: BLE001 - reported by whoever waits, and at the end
                    self.complaints.append(complaint)
                self._news.notify_all()
            await message.ack()

        return note
