"""One outbox row to one confirmed message, in order per tenant. Never forgets a row before the confirm."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.failures import BrokerFailure, StoreFailure
from worker.flows.bell import Bell
from worker.ports.broker import Message, Publisher
from worker.ports.runs import Outbox
from worker.ports.telemetry import Telemetry


BATCH_COUNT = 200
BATCH_S = 4.0
"""Below the relay's lease, so that no two workers publish the same tenant's events at once."""

IDLE_S = 1.0
AWAY_S = 2.0


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """What the relay needs of the world."""

    outbox: Outbox
    publisher: Publisher
    telemetry: Telemetry
    bell: Bell


async def relay(ports: RelayPorts) -> None:
    """Relay until cancelled; a broker or store that is away is waited for."""
    while True:
        try:
            sent = await relay_batch(ports)
        except (StoreFailure, BrokerFailure) as away:
            ports.telemetry.event("relay_waits", code=away.code, detail=away.detail)
            await asyncio.sleep(AWAY_S)
            continue
        if sent is None:
            await asyncio.sleep(AWAY_S)  # another worker relays
        elif sent == 0:
            await ports.bell.wait(IDLE_S)


async def relay_batch(ports: RelayPorts) -> int | None:
    """Publish the oldest events; gives how many were confirmed, None while another worker relays.

    Raises BrokerFailure when some were not, after forgetting those that were.
    """
    if not await ports.outbox.lead():
        return None
    messages = await ports.outbox.next(BATCH_COUNT)
    if not messages:
        return 0
    by_tenant: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        by_tenant[message.tenant].append(message)
    confirmed: list[int] = []
    broken: list[BrokerFailure] = []
    try:
        async with asyncio.timeout(BATCH_S), asyncio.TaskGroup() as group:
            for ordered in by_tenant.values():
                group.create_task(_publish_in_order(ports, ordered, confirmed, broken))
    except TimeoutError:
        broken.append(BrokerFailure("broker.slow", f"{len(confirmed)} of {len(messages)}"))
    finally:
        if confirmed:
            await ports.outbox.confirmed(confirmed)
    if broken:
        raise broken[0]
    return len(confirmed)


async def _publish_in_order(
    ports: RelayPorts,
    messages: Sequence[Message],
    confirmed: list[int],
    broken: list[BrokerFailure],
) -> None:
    """Publish one tenant's events one after another; the first that is not confirmed stops the rest."""
    for message in messages:
        try:
            routed = await ports.publisher.publish(message)
        except BrokerFailure as failure:
            broken.append(failure)
            ports.telemetry.count("publish_unconfirmed")
            return
        confirmed.append(message.number)
        ports.telemetry.count("published")
        if not routed:
            ports.telemetry.count("publish_returned")
