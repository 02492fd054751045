"""A test of a directory from its command to its answer, on a real store and real servers."""

import asyncio
import socket
from dataclasses import replace

import pytest

from tests.integration.directory.conftest import LOOPBACK
from tests.integration.postgres.house import House, settings
from tests.servers.scripted_ldap import Client, Request, ScriptedLdap
from tests.servers.slapd import READER_PASSWORD, Slapd
from worker.adapters.directory.reader import LdapReader
from worker.adapters.postgres.directory_tests import PostgresTests
from worker.adapters.postgres.runs import Claiming
from worker.domain.commands import CheckDirectory, Form
from worker.domain.model import DirectorySettings, Limits, Secret, Security, Server
from worker.flows.bell import Bell
from worker.flows.examine import ExaminePorts, examine
from worker.ports.telemetry import NoTelemetry


pytestmark = pytest.mark.integration

WAIT_S = 10


def ports(house: House, *, limits: Limits = LOOPBACK) -> ExaminePorts:
    """What a worker's tests have."""
    return ExaminePorts(
        tests=PostgresTests(house.pool, house.clock, house.vault, Claiming("worker-1")),
        directory=LdapReader(),
        sign_ins=house.sign_ins,
        telemetry=NoTelemetry(),
        relay_bell=Bell(),
        limits=limits,
    )


def form_at(port: int, **changed: object) -> DirectorySettings:
    """A form that reads a plain server on loopback."""
    return settings(servers=(Server("127.0.0.1", port),), security=Security.NONE, **changed)


async def ask(house: House, form: DirectorySettings, password: str = "x") -> None:  # noqa: S107 - of nobody
    """Ask for a test of a form."""
    sealed = house.vault.seal(Secret(password))
    await house.send(CheckDirectory(None, Form(form, sealed, None)))


async def test_an_openldap_is_found_good(house: House, slapd: Slapd) -> None:
    """Every stage, with what was seen, in the event that goes out."""
    tree = slapd.trees[0]
    await house.save_tenant("hq.test", "example.com")
    form = form_at(slapd.port, bind_name=tree.reader, search_bases=(tree.base,))
    await ask(house, form, READER_PASSWORD)
    (test,) = await ports(house).tests.claim(1)

    told = await examine(test, ports=ports(house))

    answer = await house.last("directory.tested")
    assert answer["code"] == told
    assert [stage["stage"] for stage in answer["stages"]] == [
        *("settings", "name", "reach", "secure", "sign_in", "base", "read", "addresses")
    ]
    assert READER_PASSWORD not in repr(await house.events())


async def test_no_database_connection_is_held_while_a_directory_is_read(house: House) -> None:
    """Sixteen hosts that say nothing must not hold the connections that everybody's commands need."""
    await house.save_tenant("example.com")
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        hole.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await ask(house, form_at(hole.getsockname()[1]))
        (test,) = await ports(house).tests.claim(1)

        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            task = group.create_task(examine(test, ports=ports(house)))
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(hole)
            with connection:
                await loop.sock_recv(connection, 1)  # it has passed the gate and signs in
                in_use = house.pool.get_size() - house.pool.get_idle_size()
            await task

    assert in_use == 0


async def test_a_directory_without_an_end_is_read_for_a_bounded_time(house: House) -> None:
    """A person waits; the answer says that it took too long."""

    async def silent(_: Client, __: Request) -> None:
        await asyncio.Event().wait()

    await house.save_tenant("example.com")
    async with ScriptedLdap(silent).running() as server:
        await ask(house, form_at(server.port, search_bases=("dc=x",)))
        (test,) = await ports(house).tests.claim(1)
        limits = replace(LOOPBACK, run_s=0.5)

        told = await examine(test, ports=ports(house, limits=limits))

    assert told == "read.run_deadline"
    assert (await house.last("directory.tested"))["code"] == told
