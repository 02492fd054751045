"""Syncs that nobody asks for: a time comes, and the rest goes the way of every other request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import aio_pika
import orjson
from aio_pika.abc import AbstractQueue

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.platform import WAIT_S, Seen
from tests.harness.worker import BIN


HOURLY = {"automatic": True, "every_hours": 1}
SCHEDULER = (str(BIN / "rollcall"), "scheduler")


def by_itself(seen: Seen) -> bool:
    """Whether nobody pressed for it."""
    return bool(seen.data.get("trigger") == "scheduled")


@asynccontextmanager
async def overheard(environment: dict[str, str]) -> AsyncIterator[AbstractQueue]:
    """A queue that is given all triggers, whoever sends them."""
    prefix = environment["ROLLCALL_AMQP_PREFIX"]
    async with await aio_pika.connect(environment["ROLLCALL_AMQP_URL"], timeout=WAIT_S) as broker:
        channel = await broker.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(f"{prefix}.commands", "sync.request.scheduled")
        yield queue


async def test_a_directory_whose_time_has_come_is_synced_by_itself(
    customer: Customer, shared_environment: dict[str, str]
) -> None:
    """New mailboxes appear without anybody doing anything; through the queue, as an outside scheduler would."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save(schedule=HOURLY)
    customer.branch.add("bob")

    async with overheard(shared_environment) as queue:
        await customer.store.let_its_time_come(customer.tenant)
        ending = await customer.event("sync.completed", where=by_itself)
        message = await queue.get(timeout=WAIT_S)

    told = orjson.loads(message.body)
    assert told["subject"] == customer.tenant
    assert told["data"] == {"directory": "hq", "trigger": "scheduled", "mode": "apply"}
    assert ending.data["causes"] == [told["id"]]
    assert ending.data["counts"]["added"] == 1
    assert (await customer.recipients()).keys() == customer.branch.addresses("ada", "bob").keys()


async def test_the_next_time_is_shown_where_others_read(customer: Customer) -> None:
    """An admin's page shows when the next sync is; what is paused or by hand only has none."""
    customer.branch.add("ada")
    await customer.join()
    shown = "SELECT next_sync_at, now() AS now FROM api.directory WHERE tenant = $1"

    await customer.save(schedule=HOURLY)
    (automatic,) = await customer.store.rows(shown, customer.tenant)
    await customer.send("directory.pause", {"directory": "hq"})
    await customer.event("directory.paused")
    (paused,) = await customer.store.rows(shown, customer.tenant)

    assert automatic["now"] < automatic["next_sync_at"] <= automatic["now"] + timedelta(hours=1)
    assert automatic["next_sync_at"].astimezone(UTC).microsecond == 0
    assert paused["next_sync_at"] is None


async def test_a_scheduler_alone_triggers_and_workers_find_it_later(
    unhoused: Customer, hire: Hire
) -> None:
    """Workers may all be down: the trigger waits at the broker, and is one sync when they are back."""
    unhoused.branch.add("ada")
    worker = hire()
    worker.start()
    await unhoused.join()
    await unhoused.save(schedule=HOURLY)
    worker.terminate()
    unhoused.branch.add("bob")

    with hire("scheduler", command=SCHEDULER, keys="") as scheduler:
        await unhoused.store.let_its_time_come(unhoused.tenant)
        await unhoused.store.wait_for_no_trigger()
        before = len(await unhoused.store.runs(unhoused.tenant))
        scheduler.terminate()
    hire("heir").start()

    ending = await unhoused.event("sync.completed", where=by_itself)
    assert before == 1
    assert ending.data["counts"]["added"] == 1
    assert len(await unhoused.store.runs(unhoused.tenant)) == 2
