"""A receiver that starts with nothing ends with the list that the mail filter sees: over cuts, repeats, restarts and restores."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path

import aio_pika
import pytest

from tests.conftest import Servers
from tests.consumer.book import Book
from tests.consumer.core import checksum
from tests.harness.backup import Backup
from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.platform import Seen
from tests.harness.receiver import Receiver, at_work
from tests.harness.wire import Wire


WITHIN_S = 20.0
PEOPLE = 60
ROUNDS = 6
CUT_AT = frozenset({1, 4, 9, 10, 17})

MakeReceiver = Callable[..., Receiver]


@pytest.fixture
async def wire(servers: Servers) -> AsyncIterator[Wire]:
    """Give a way to the broker that can be cut."""
    async with Wire(servers.amqp_url) as opened:
        yield opened


@pytest.fixture
async def receiver(servers: Servers, wire: Wire, tmp_path: Path) -> AsyncIterator[MakeReceiver]:
    """Give a way to make receivers of one file; their queues are gone after the test."""
    queues: set[str] = set()

    def make(customer: Customer, *, cut_at: Collection[int] = ()) -> Receiver:
        book = Book(tmp_path / "list.sqlite")
        prefix, tenant = customer.platform.prefix, customer.tenant
        made = Receiver(wire.url, prefix, tenant, book, wire=wire, cut_at=cut_at)
        queues.add(made.queue)
        return made

    yield make
    async with asyncio.timeout(WITHIN_S), await aio_pika.connect(servers.amqp_url) as connection:
        channel = await connection.channel()
        for queue in queues:
            await channel.queue_delete(queue)


@pytest.fixture
async def settled(customer: Customer) -> Customer:
    """Give a customer with people in the directory and some by hand."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    await customer.save()
    await by_hand(customer, "recipient.add", *(f"hand{number}" for number in range(ROUNDS + 2)))
    return customer


async def by_hand(customer: Customer, name: str, *logins: str) -> None:
    """Add or remove by hand."""
    addresses = [customer.branch.address(login) for login in logins]
    cause = await customer.send(name, {"addresses": addresses})
    told = await customer.platform.event("recipients.changed", "command.rejected", cause=cause)
    assert told.name == "recipients.changed"


async def one_more_round(customer: Customer, number: int) -> None:
    """Somebody joins, somebody leaves, and one who was added by hand goes."""
    customer.branch.add(f"joined{number}")
    customer.branch.remove(f"p{number:03d}")
    assert (await customer.sync()).name == "sync.completed"
    await by_hand(customer, "recipient.remove", f"hand{number}")


async def republished(customer: Customer) -> Seen:
    """Have the whole list told; gives its last part."""
    cause = await customer.send("recipients.republish")
    return await customer.platform.event(
        "recipients.snapshot",
        cause=cause,
        where=lambda seen: seen.data["part"] == seen.data["parts"],
    )


async def put_again(servers: Servers, queue: str, events: Collection[Seen]) -> None:
    """Put events into a queue once more, as a broker does that is not sure they were taken."""
    async with asyncio.timeout(WITHIN_S), await aio_pika.connect(servers.amqp_url) as connection:
        channel = await connection.channel()
        for seen in events:
            await channel.default_exchange.publish(aio_pika.Message(seen.body), queue)


@pytest.mark.timeout(90)
async def test_a_receiver_that_starts_amid_changes_ends_equal(
    settled: Customer, receiver: MakeReceiver, wire: Wire, servers: Servers
) -> None:
    """It begins with a republish while syncs go on, is cut off between taking and acknowledging, and is restarted."""
    async with at_work(receiver(settled, cut_at=CUT_AT)) as first:
        await first.until(lambda: first.taken > 0)
        for number in range(ROUNDS):
            await one_more_round(settled, number)
        # what was cut off before it was acknowledged comes again
        await first.until(lambda: wire.cuts == len(CUT_AT) <= first.repeats)
        await put_again(servers, first.queue, settled.platform.of(settled.tenant))
    await one_more_round(settled, ROUNDS)  # while it is away
    async with at_work(receiver(settled)) as second:
        fresh = await republished(settled)
        await second.caught_up(settled)

    assert second.list == await settled.recipients()
    assert set(second.list.values()) == {"valid", "grace"}
    assert checksum(second.state.recipients) == fresh.data["checksum"]
    assert len(second.list) == fresh.data["count"]


@pytest.fixture
async def backup(
    servers: Servers, environment: Mapping[str, str], hire: Hire
) -> AsyncIterator[Backup]:
    """Give a worker at work, and a way to back up and restore its database."""
    worker = hire()
    worker.start()
    made = Backup(servers.database_url, environment, worker)
    yield made
    await made.forget()


@pytest.mark.timeout(120)
async def test_a_restored_backup_misleads_no_receiver_and_refuses_nobody(
    unhoused: Customer, backup: Backup, receiver: MakeReceiver
) -> None:
    """Receivers know a later list than the backup; who joined since keeps their mail. Twice, from one backup."""
    customer, late = unhoused, unhoused.branch.address("late")
    customer.branch.crowd(PEOPLE)
    await customer.join()
    await customer.save()
    await backup.make()
    customer.branch.add("late")
    await customer.sync()
    async with at_work(receiver(customer)) as follower:
        await follower.caught_up(customer)
        epoch = follower.state.place.epoch
        for _ in range(2):
            assert late in follower.list
            await backup.put_back()
            assert await customer.store.lookup(late) == "not_authoritative"
            backup.worker.start()

            epoch = await follower.in_epoch_after(epoch)

            assert follower.list == await customer.recipients()
            assert late not in follower.list
            assert await customer.store.lookup(late) == "not_authoritative"
            await assert_mended_by_a_sync(customer, late)
            await follower.caught_up(customer)
            assert follower.list == await customer.recipients()


async def assert_mended_by_a_sync(customer: Customer, late: str) -> None:
    """The next sync knows who joined since the backup, and may call others unknown again."""
    assert (await customer.sync()).name == "sync.completed"
    assert await customer.store.lookup(late) == "valid"
    assert await customer.store.lookup(customer.branch.address("nobody")) == "unknown"
