"""The platform as the benchmark plays it: a command goes out, the clock runs until its outcome comes in.

Events are not checked against their schemas here: that would burn the processor the worker is measured on.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage


WITHIN_S = 300.0
OUTCOMES = (
    "tenant.saved",
    "tenant.deleted",
    "sync.completed",
    "sync.held",
    "sync.failed",
    "sync.cancelled",
    "command.rejected",
)


class UnexpectedError(RuntimeError):
    """The worker's answer is not the one that a correct worker gives here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome event, and how long it took from publishing the command to receiving it."""

    total_s: float
    data: Mapping[str, Any] = field(repr=False)

    @property
    def seconds(self) -> Mapping[str, float]:
        """The worker's own account, by step."""
        seconds: Mapping[str, float] = self.data["seconds"]
        return seconds

    def count(self, name: str) -> int:
        """One of the outcome's counts."""
        counted: int = self.data["counts"][name]
        return counted


class Platform:
    """A client of the broker with a queue of its own for outcomes and one for changes."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._outcomes: dict[str, tuple[float, str, dict[str, Any]]] = {}
        self._changes: dict[str, int] = {}
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._url, timeout=WITHIN_S)
        channel = await self._connection.channel(on_return_raises=True)
        topic = aio_pika.ExchangeType.TOPIC
        self._commands, events = [
            await channel.declare_exchange(f"{self._prefix}.{name}", topic, durable=True)
            for name in ("commands", "events")
        ]
        outcomes = await channel.declare_queue(exclusive=True)
        for name in OUTCOMES:
            await outcomes.bind(events, f"{name}.#")
        await outcomes.consume(self._note_outcome, no_ack=True)
        changes = await channel.declare_queue(exclusive=True)
        await changes.bind(events, "recipients.changed.#")
        await changes.consume(self._note_changes, no_ack=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def ask(self, name: str, tenant: str, data: Mapping[str, Any], *, want: str) -> Outcome:
        """Send a command and wait for its outcome. Raises UnexpectedError when that is not ``want``."""
        told = {
            "specversion": "1.0",
            "id": uuid.uuid4().hex,
            "source": "platform",
            "type": f"rollcall.{name}.v1",
            "subject": tenant,
            "time": "2026-01-15T09:30:00Z",
            "data": data,
        }
        message = aio_pika.Message(
            orjson.dumps(told),
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        cause = str(told["id"])
        began = time.perf_counter()
        await self._commands.publish(message, name)
        async with asyncio.timeout(WITHIN_S), self._news:
            await self._news.wait_for(lambda: cause in self._outcomes)
        ended, came, found = self._outcomes.pop(cause)
        if came != want:
            raise UnexpectedError(f"{name} of {tenant} came to {came}: {found}")
        return Outcome(ended - began, found)

    async def all_changes(self, tenant: str, count: int) -> None:
        """Wait until as many changes of a tenant's list have been told."""
        async with asyncio.timeout(WITHIN_S), self._news:
            await self._news.wait_for(lambda: self._changes.get(tenant, 0) >= count)
        if self._changes[tenant] != count:
            raise UnexpectedError(f"{self._changes[tenant]} changes told, {count} made")

    async def _note_outcome(self, message: AbstractIncomingMessage) -> None:
        now = time.perf_counter()
        told = orjson.loads(message.body)
        name = told["type"].removeprefix("rollcall.").removesuffix(".v1")
        data = told["data"]
        async with self._news:
            for cause in data["causes"]:
                self._outcomes[cause] = (now, name, data)
            self._news.notify_all()

    async def _note_changes(self, message: AbstractIncomingMessage) -> None:
        told = orjson.loads(message.body)
        tenant = told["subject"]
        async with self._news:
            self._changes[tenant] = self._changes.get(tenant, 0) + len(told["data"]["changes"])
            self._news.notify_all()
