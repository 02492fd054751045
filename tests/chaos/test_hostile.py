"""A customer's server that means harm, and a worker that others need."""

import asyncio

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.servers.scripted_ldap import (
    Answer,
    Client,
    Request,
    ScriptedLdap,
    done,
    entry,
    message,
    person,
    result,
    tlv,
)


async def crash(client: Client, request: Request) -> None:
    """Send the message that took the process down: an operation that is none."""
    await client.send(message(request.id, tlv(0x41, b"x")), person(request.id, 1), done(request.id))


async def circle(client: Client, request: Request) -> None:
    """Give one page for ever."""
    await client.send(person(request.id, 1), done(request.id, cookie=b"again"))


async def short(client: Client, request: Request) -> None:
    """End the list by the answer to another question."""
    await client.send(person(request.id, 1), done(request.id + 9), done(request.id, cookie=b"more"))


async def huge(client: Client, request: Request) -> None:
    """Announce two gigabytes."""
    await client.send(b"\x30\x84\x7f\xff\xff\xff\x02\x01" + bytes([request.id]) + b"\x64")


async def wide(client: Client, request: Request) -> None:
    """Send entries that grow in memory, without an end."""
    whole = entry(request.id, "cn=wide,dc=x", {f"a{serial:x}": [b""] for serial in range(150)})
    while True:
        await client.send(whole * 50)


async def leave(client: Client, request: Request) -> None:
    """Say that it shuts down, in the middle of a page."""
    notice = result(0, 0x78, 52, "bye", tail=tlv(0x8A, b"1.3.6.1.4.1.1466.20036"))
    await client.send(person(request.id, 1), notice)
    client.writer.close()


HOSTILE: dict[str, Answer] = {
    "read.unasked": crash,
    "read.endless": circle,
    "read.message_too_large": huge,
    "read.too_many_bytes": wide,
    "read.disconnected": leave,
}


@pytest.mark.timeout(120)
async def test_a_hostile_server_costs_its_own_sync_and_nothing_else(
    customer: Customer, hire: Hire, lab: Lab
) -> None:
    """The list stays as it was, the finding says what happened, the neighbour is synced, the worker lives."""
    worker, neighbour = hire(), Customer(customer.platform, customer.store, lab.branch())
    worker.start()
    people = customer.branch.addresses(*customer.branch.crowd(25))
    neighbour.branch.add("ada", "bob")
    for each in (customer, neighbour):
        await each.join()
        assert (await each.save()).name == "sync.completed"

    told = {}
    for code, search in (*HOSTILE.items(), ("read.unasked: a short list", short)):
        async with ScriptedLdap(search).running() as server, asyncio.TaskGroup() as tasks:
            form = {"servers": [f"127.0.0.1:{server.port}"], "force": True}
            attacked = tasks.create_task(customer.save(**form))
            beside = tasks.create_task(neighbour.sync())
        told[code] = attacked.result().data["finding"]["code"]
        assert beside.result().name == "sync.completed"

    assert told == {code: code.partition(":")[0] for code in told}
    assert await customer.recipients() == people
    assert await neighbour.recipients() == neighbour.branch.addresses("ada", "bob")
    assert len(worker.logged("started")) == 1
    assert worker.daemon.is_running
