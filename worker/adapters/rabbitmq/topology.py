"""Exchanges, queues and bindings as data, and the one function that declares them.

Two queues, so that a person's request never waits behind a night's triggers. Both dead-letter into
a third, which holds only what could not be stored. Arguments of a queue are frozen once it exists:
they state type and dead-lettering alone, everything tunable belongs in a broker policy.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractConnection

from worker.adapters.rabbitmq.translate import DIFFERS, NO_RIGHT, NOT_FOUND, translated
from worker.domain.failures import BrokerFailure


DECLARE_S = 30.0
"""For the whole topology, in seconds; a quorum queue takes about 50 ms on one idle node."""

DELIVERY_LIMIT = 20
"""Handings-over before a message is dead-lettered. RabbitMQ 4 has this default, 3.x has none
(https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling): said explicitly, both agree."""

NO_DELIVERY_LIMIT = 1_000_000_000
"""For the undeliverable: looking at a message with "requeue" in the management page counts as a
delivery, and at the limit of 20 that RabbitMQ 4 would set it would be dropped. 3.x refuses -1."""

COMMAND_KEYS = (
    "tenant.*",
    "directory.*",
    "sync.request",
    "sync.cancel",
    "hold.*",
    "run.*",
    "recipient.*",
    "recipients.*",
)
SCHEDULED_KEY = "sync.request.scheduled"  # three words: no pattern above matches it


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and its frozen arguments."""

    name: str
    arguments: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of ``exchange`` whose key matches ``key`` reach ``queue``."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """All that Rollcall needs of a broker, under one name prefix."""

    prefix: str = "rollcall"

    @property
    def commands(self) -> str:
        """Name of the commands exchange and of the queue for all but the scheduled."""
        return f"{self.prefix}.commands"

    @property
    def scheduled(self) -> str:
        """Name of the queue of scheduled triggers."""
        return f"{self.prefix}.commands.scheduled"

    @property
    def undeliverable(self) -> str:
        """Name of the queue of dead letters."""
        return f"{self.prefix}.commands.undeliverable"

    @property
    def events(self) -> str:
        """Name of the exchange of events."""
        return f"{self.prefix}.events"

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Durable topic exchanges."""
        return (self.commands, self.events)

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Queues, the dead letters' first: an at-least-once dead letter without a target waits unseen."""
        return (
            Queue(
                self.undeliverable,
                {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT},
            ),
            Queue(self.commands, self._intake_arguments),
            Queue(self.scheduled, self._intake_arguments),
        )

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The routing table of commands."""
        plain = (Binding(self.commands, self.commands, key) for key in COMMAND_KEYS)
        return (*plain, Binding(self.commands, self.scheduled, SCHEDULED_KEY))

    @property
    def _intake_arguments(self) -> Mapping[str, str | int]:
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",  # the default exchange: straight to the queue named next
            "x-dead-letter-routing-key": self.undeliverable,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # what at-least-once demands; no length limit is set
        }


@dataclass(frozen=True, slots=True)
class Broker:
    """Which broker, and the names used there. The URL holds a password: it is never printed."""

    url: str = field(repr=False)
    topology: Topology = Topology()
    passive: bool = False
    """Operators own the topology: look that it is there, create nothing."""
    connect_s: float = 10.0


async def declare(connection: AbstractConnection, broker: Broker) -> None:
    """Make the topology exist, or (passive) make sure that it does. Doing it again changes nothing.

    Raises BrokerFailure ``broker.differs`` when something exists with other arguments,
    ``broker.not_found`` when it is missing (passive), ``broker.no_right``; each names the object.
    A refused declaration costs its channel, which is therefore one of its own.
    """
    with translated("declare the topology"):
        async with asyncio.timeout(DECLARE_S), connection.channel() as channel:
            for exchange in broker.topology.exchanges:
                await declare_exchange(channel, exchange, passive=broker.passive)
            for queue in broker.topology.queues:
                await _declare_queue(channel, queue, passive=broker.passive)
            if not broker.passive:
                await _bind(channel, broker.topology.bindings)


async def declare_exchange(channel: AbstractChannel, name: str, *, passive: bool) -> None:
    """Make one durable topic exchange exist, or look that it does. Raises as ``declare``."""
    try:
        with translated(f"declare exchange {name}"):
            await channel.declare_exchange(name, "topic", durable=True, passive=passive)
    except BrokerFailure as failure:
        raise _explained(failure, f"exchange {name}") from failure


async def _declare_queue(channel: AbstractChannel, queue: Queue, *, passive: bool) -> None:
    try:
        with translated(f"declare queue {queue.name}"):
            await channel.declare_queue(
                queue.name, durable=True, passive=passive, arguments=dict(queue.arguments)
            )
    except BrokerFailure as failure:
        raise _explained(failure, f"queue {queue.name}") from failure


async def _bind(channel: AbstractChannel, bindings: tuple[Binding, ...]) -> None:
    for binding in bindings:
        queue = await channel.get_queue(binding.queue, ensure=False)
        await queue.bind(binding.exchange, binding.key)


WHAT_TO_DO = {
    DIFFERS: (
        "{it} exists with other arguments. Let it run empty and delete it, then it is made anew; "
        "or keep it and declare the topology passively."
    ),
    NOT_FOUND: "{it} does not exist, and the topology is declared passively: create it.",
    NO_RIGHT: "the user of the AMQP URL may not configure {it}: grant it, or declare passively.",
}


def _explained(failure: BrokerFailure, it: str) -> BrokerFailure:
    advice = WHAT_TO_DO.get(failure.code)
    if advice is None:
        return failure
    return BrokerFailure(failure.code, f"{advice.format(it=it)} ({failure.detail})")
