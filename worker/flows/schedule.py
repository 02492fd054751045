"""What is due to one trigger each, through the queue. Never runs a sync itself, nor puts a run into the store.

A trigger is durable with the decision and forgotten when the broker has confirmed it: what dies in between publishes
it again under the same id, which counts once.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.failures import BrokerFailure, StoreFailure
from worker.ports.broker import Message, Publisher
from worker.ports.schedule import Schedule
from worker.ports.telemetry import Telemetry


BITE_COUNT = 200
"""Directories decided about in one transaction, and triggers published at once."""

BATCH_S = 5.0
"""Below the time after which others take the same triggers."""

IDLE_S = 1.0
AWAY_S = 2.0

ARRANGE_S = 60.0
"""How often directories without a time are looked for: those of an older release, at an upgrade."""

CHECK_COUNT = 50
"""Tenants looked at again in one turn when their reseller's plan has changed; what is due does not wait long for them."""

UNROUTABLE = "broker.unroutable"


@dataclass(frozen=True, slots=True)
class SchedulePorts:
    """What the scheduler needs of the world."""

    schedule: Schedule
    publisher: Publisher
    """To the exchange of commands."""
    telemetry: Telemetry


async def schedule(ports: SchedulePorts) -> None:
    """Trigger what is due until cancelled; a broker or store that is away is waited for."""
    arranged_at = float("-inf")
    while True:
        try:
            if time.monotonic() - arranged_at >= ARRANGE_S:
                arranged_at = await _arrange(ports, arranged_at)
            is_checking = await ports.schedule.recheck(CHECK_COUNT) == CHECK_COUNT
            is_busy = await turn(ports) or is_checking
        except (StoreFailure, BrokerFailure) as away:
            ports.telemetry.event("schedule_waits", code=away.code, detail=away.detail)
            await asyncio.sleep(AWAY_S)
            continue
        if not is_busy:
            await asyncio.sleep(IDLE_S)


async def _arrange(ports: SchedulePorts, before: float) -> float:
    """Give a bite of directories their first time; gives when that was done, ``before`` while there are more."""
    found = await ports.schedule.arrange(BITE_COUNT)
    return before if found == BITE_COUNT else time.monotonic()


async def turn(ports: SchedulePorts) -> bool:
    """Decide about a bite of those that are due, publish a batch of triggers; True if there may be more.

    Raises BrokerFailure when some were not confirmed, after forgetting those that were.
    """
    bite = await ports.schedule.decide(BITE_COUNT)
    if bite.triggered:
        ports.telemetry.count("triggers", bite.triggered)
    if bite.postponed:
        ports.telemetry.event("missed_times_spread", directories=bite.postponed)
    ports.telemetry.gauge("schedule_lateness_seconds", bite.lateness_s)
    messages = await ports.schedule.take(BITE_COUNT)
    if messages:
        await _publish(ports, messages)
    return BITE_COUNT in {bite.looked_at, len(messages)}


async def _publish(ports: SchedulePorts, messages: Sequence[Message]) -> None:
    confirmed: list[Message] = []
    broken: list[BrokerFailure] = []
    try:
        async with asyncio.timeout(BATCH_S), asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(_publish_one(ports.publisher, message, confirmed, broken))
    except TimeoutError:
        broken.append(BrokerFailure("broker.slow", f"{len(confirmed)} of {len(messages)}"))
    finally:
        if confirmed:
            await ports.schedule.confirmed(confirmed)
    if broken:
        raise broken[0]


async def _publish_one(
    publisher: Publisher,
    message: Message,
    confirmed: list[Message],
    broken: list[BrokerFailure],
) -> None:
    """Publish one; a trigger that no queue took is not sent: workers have not declared their queues yet."""
    try:
        routed = await publisher.publish(message)
    except BrokerFailure as failure:
        broken.append(failure)
        return
    if routed:
        confirmed.append(message)
    else:
        broken.append(BrokerFailure(UNROUTABLE, "no worker has made the queue of triggers yet"))
