"""What the LDAP library does to a process, and that it does not do it to ours.

Each was reproduced with bonsai 1.5.5 used as documented. Time is measured on the loop itself.
"""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading, plan_for, sockets
from tests.integration.directory.test_scripted import plan_at
from tests.servers.scripted_ldap import (
    SEARCH,
    Answer,
    Client,
    Request,
    ScriptedLdap,
    done,
    entry,
    person,
)
from worker.domain.model import Server


pytestmark = pytest.mark.integration

SHARE = 0.5
"""Of the time a thing takes, in one piece: a frozen loop stands still for nearly all of it, a busy machine slows both."""
WAIT_S = 1.0


@dataclass(slots=True)
class Heartbeat:
    """The longest time the loop did not come round."""

    longest_s: float = 0.0
    whole_s: float = 0.0

    @property
    def share(self) -> float:
        """That time as a share of all the time watched."""
        return self.longest_s / self.whole_s


@asynccontextmanager
async def watched() -> AsyncIterator[Heartbeat]:
    """Measure the loop while something happens on it."""
    heart, beaten = Heartbeat(), asyncio.Event()

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            heart.longest_s = max(heart.longest_s, time.monotonic() - before)
            beaten.set()

    async with asyncio.TaskGroup() as tasks:
        task, began = tasks.create_task(beat()), time.monotonic()
        yield heart
        heart.whole_s = time.monotonic() - began
        beaten.clear()  # what held the loop last is seen by the beat after it
        await beaten.wait()
        task.cancel()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose connects never finish: the queue is full, so the kernel drops what comes."""
    listener = socket.socket()
    held = [listener]
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        filler.connect_ex(listener.getsockname())
        held.append(filler)
    try:
        yield listener.getsockname()[1]
    finally:
        for each in held:
            each.close()


@pytest.mark.proves("reach.timed_out")
async def test_a_host_that_drops_packets_holds_nobody() -> None:
    """A firewall in one customer's network must not stop the syncs of all others."""
    limits = replace(LOOPBACK, connect_s=0.5)
    with black_hole() as port:
        async with watched() as heart:
            code = await Reading(plan_for(Server("127.0.0.1", port), limits=limits)).code()

    assert code == "reach.timed_out"
    assert heart.share < SHARE


@pytest.mark.proves("sign_in.timed_out")
async def test_a_host_that_accepts_and_says_nothing_holds_nobody() -> None:
    """The same, one step later."""

    async def silent(_: Client, __: Request) -> None:
        await asyncio.Event().wait()

    async with ScriptedLdap(silent, bind=silent).running() as server, watched() as heart:
        code = await Reading(plan_at(server, limits=replace(LOOPBACK, bind_s=0.5))).code()

    assert code == "sign_in.timed_out"
    assert heart.share < SHARE


async def test_five_bytes_of_an_entry_hold_nobody() -> None:
    """The library's socket blocks: a message that stops after its first bytes stops the process."""

    async def trickle(client: Client, request: Request) -> None:
        whole = person(request.id, 1)
        await client.send(whole[:5])
        await asyncio.sleep(WAIT_S)  # the server's slowness is what is tested
        await client.send(whole[5:], done(request.id))

    async with ScriptedLdap(trickle).running() as server, watched() as heart:
        names = await Reading(plan_at(server)).names()

    assert names == ["cn=p1,dc=x"]
    assert heart.share < SHARE


async def test_waiting_for_a_slow_server_costs_no_processor() -> None:
    """The library watches for writing too, and an idle socket is always writable."""

    async def slow(client: Client, request: Request) -> None:
        await asyncio.sleep(WAIT_S)  # the server's slowness is what is tested
        await client.send(person(request.id, 1), done(request.id))

    async with ScriptedLdap(slow).running() as server:
        used = time.process_time()
        await Reading(plan_at(server)).entries()
        used = time.process_time() - used

    assert used < WAIT_S / 4


async def test_a_cancelled_search_leaves_nothing_burning() -> None:
    """The library leaves its watchers in place: CPU burns, and a late callback raises."""
    asked, late = asyncio.Event(), asyncio.Event()
    problems: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: problems.append(str(context))
    )

    async def slow(client: Client, request: Request) -> None:
        asked.set()
        await late.wait()
        await client.send(person(request.id, 1), done(request.id))

    async with ScriptedLdap(slow).running() as server:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(Reading(plan_at(server)).entries())
            await asked.wait()
            task.cancel()
        late.set()
        used = time.process_time()
        await asyncio.sleep(WAIT_S / 2)  # time for what must not happen
        used = time.process_time() - used

    assert used < WAIT_S / 8
    assert problems == []


@pytest.mark.parametrize("cancel_at", range(1, 60, 2))
async def test_cancelled_at_any_moment_nothing_is_left(plain: Server, cancel_at: int) -> None:
    """A cancelled run, a lost lease, a shutdown: at each turn of the loop (the fixture looks)."""
    reading = Reading(plan_for(plain, page_size=5))

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reading.entries())
        for _ in range(cancel_at):
            await asyncio.sleep(0)
        task.cancel()

    # what was not answered stays as it was recorded, and counts: the server may have counted it too
    assert reading.gate.events in ([], ["admit"], ["admit", "settle True"])


async def test_two_hundred_refused_sign_ins_leave_no_descriptor(plain: Server) -> None:
    """A connection whose bind failed has no close in the library: it goes with its last reference."""
    before = len(sockets())

    for _ in range(200):
        assert await Reading(plan_for(plain, password="wrong")).code() == "sign_in.wrong_password"

    assert len(sockets()) <= before + 4  # those of the last one go with the loop's next turns


async def test_the_code_of_one_tenants_error_is_not_anothers() -> None:
    """The library keeps an error's code on its class, so two failures at once get mixed up."""

    async def refused(client: Client, request: Request, code: int) -> None:
        await client.send(done(request.id, code))

    async with (
        ScriptedLdap(lambda client, request: refused(client, request, 80)).running() as one,
        ScriptedLdap(lambda client, request: refused(client, request, 51)).running() as other,
        asyncio.TaskGroup() as tasks,
    ):
        first = [tasks.create_task(Reading(plan_at(one)).code()) for _ in range(20)]
        second = [tasks.create_task(Reading(plan_at(other)).code()) for _ in range(20)]

    assert {task.result() for task in first} == {"read.server_error"}
    assert {task.result() for task in second} == {"read.busy"}


async def test_a_temporary_directory_in_upper_case_is_found(
    plain: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The library lower-cases the path in its URL."""
    folder = tmp_path / "UPPER Case"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    assert len(await Reading(plan_for(plain)).names()) > 0
    assert list(folder.iterdir()) == []


async def test_pages_leave_the_loop_to_others(plain: Server) -> None:
    """Many directories are read in one process."""
    async with watched() as heart, asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(Reading(plan_for(plain, page_size=5)).entries())

    assert heart.share < SHARE


CROWD = 25_000
SEARCH_ID = 4
"""Bind, rootDSE and base come before the search."""


@pytest.fixture(scope="module")
def crowd() -> Answer:
    """Far too many at once, as a server without paging must send them; made before time is measured."""
    values = {f"a{column}": [b"x"] for column in range(12)}
    answer = b"".join(entry(SEARCH_ID, f"cn=p{serial}", values) for serial in range(CROWD))
    answer += done(SEARCH_ID, cookie=None)

    async def search(client: Client, _: Request) -> None:
        await client.send(answer)

    return search


async def test_a_whole_directory_at_once_leaves_the_loop_to_others(crowd: Answer) -> None:
    """A server without paging gives everything in one answer; others must not wait for it."""
    async with ScriptedLdap(crowd, pages=False).running() as server, watched() as heart:
        plan = replace(plan_at(server), attributes=tuple(f"a{column}" for column in range(12)))
        entries = await Reading(plan).entries()

    assert len(entries) == CROWD
    assert heart.share < SHARE


@pytest.mark.parametrize("turns", [50, 200, 800])
async def test_a_whole_directory_at_once_can_be_cancelled(crowd: Answer, turns: int) -> None:
    """The thread that reads it is waited for, and its connection is gone."""
    asked = asyncio.Event()

    async def search(client: Client, request: Request) -> None:
        asked.set()
        await crowd(client, request)

    async with ScriptedLdap(search, pages=False).running() as server, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(Reading(plan_at(server)).entries())
        await asked.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    assert task.cancelled()


async def test_no_variable_of_the_machine_changes_a_search() -> None:
    """A DEREF or TIMELIMIT in a variable or in ldap.conf would go out with every tenant's search."""
    program = (
        "import asyncio, sys\n"
        "from tests.integration.directory.conftest import Reading, plan_for\n"
        "from worker.domain.model import Server\n"
        "plan = plan_for(Server('127.0.0.1', int(sys.argv[1])), bases=('dc=x',))\n"
        "asyncio.run(Reading(plan).names())\n"
    )
    environment = {"LDAPDEREF": "always", "LDAPTIMELIMIT": "7", "PYTHONPATH": ":".join(sys.path)}

    async with ScriptedLdap(everyone_named).running() as server:
        ran = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, str(server.port)),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await ran.wait() == 0

    searches = [request for request in server.requests if request.operation == SEARCH]
    assert {(request.dereference, request.time_limit) for request in searches} == {(0, 0)}


async def everyone_named(client: Client, request: Request) -> None:
    """Find one."""
    await client.send(person(request.id, 1), done(request.id))


async def test_a_failure_in_the_callers_hands_closes_the_connection(plain: Server) -> None:
    """The store may fail while a page is being kept."""
    reading = Reading(plan_for(plain, page_size=5))

    async def store_fails() -> None:
        async with reading.reader.listing(
            reading.plan, gate=reading.gate, stages=reading.stages
        ) as listing:
            async for _ in listing:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store_fails()


async def test_a_slow_consumer_is_waited_for() -> None:
    """Back-pressure: a server that sends faster than we keep does not fill our memory."""
    stalled = asyncio.Event()
    sent_bytes = 0

    async def flood(client: Client, request: Request) -> None:
        nonlocal sent_bytes
        if not request.cookie:
            await client.send(person(request.id, 1), done(request.id, cookie=b"more"))
            return
        chunk = entry(request.id, "cn=x,dc=x", {"mail": [b"x" * 250_000]})
        try:
            while True:
                async with asyncio.timeout(0.5):
                    await client.send(chunk)
                sent_bytes += len(chunk)
        except TimeoutError:
            stalled.set()

    async with ScriptedLdap(flood).running() as server:
        reading = Reading(plan_at(server))
        async with reading.reader.listing(
            reading.plan, gate=reading.gate, stages=reading.stages
        ) as listing:
            async for _ in listing:
                await stalled.wait()
                break

    assert sent_bytes < 24_000_000  # what the kernel buffers on loopback, and no more
