"""Servers that are broken or mean harm: each costs bounded time and memory, and is told by its name.

Memory is the peak of this process while it lasts, time is the reader's own; the loop is watched meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import psutil
import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading, plan_for
from tests.integration.directory.test_scripted import plan_at, two_people
from tests.integration.directory.test_traps import Heartbeat, watched
from tests.servers.scripted_ldap import (
    Answer,
    Client,
    Request,
    ScriptedLdap,
    done,
    entry,
    message,
    octets,
    person,
    reference,
    result,
    tlv,
)
from worker.domain.findings import finding
from worker.domain.model import Limits, Security, Server


pytestmark = pytest.mark.integration

IMPATIENT = replace(LOOPBACK, connect_s=1, bind_s=1, page_s=1, run_s=4)
GROWN_BYTES = 96 * 1024 * 1024
"""Measured: at most 20 MB. Before there were bounds on objects 1 GB and more."""
ENDLESS_S = 15.0
"""For what takes well under a second: a machine may be busy."""
STALL_S = 0.5
"""The loop's longest absence. The worst servers below cost 0.1 s on an idle machine, the library's own reading 20 s."""
LONG = b"x" * 100_000


@dataclass(slots=True)
class Cost:
    """What one reading took."""

    code: str = ""
    grown_bytes: int = 0
    heart: Heartbeat | None = None


@asynccontextmanager
async def memory_watched(cost: Cost) -> AsyncIterator[None]:
    """Look at this process's memory again and again."""
    process = psutil.Process()
    before = process.memory_info().rss

    async def look() -> None:
        while True:
            cost.grown_bytes = max(cost.grown_bytes, process.memory_info().rss - before)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(look())
        yield
        task.cancel()


async def cost_of(script: ScriptedLdap, *, limits: Limits = LOOPBACK, page_size: int = 500) -> Cost:
    """Read a server, and say what that cost; it fails when it costs too much."""
    cost = Cost()
    async with script.running() as server, watched() as heart, memory_watched(cost):
        async with asyncio.timeout(ENDLESS_S):
            reading = Reading(plan_at(server, limits=limits, page_size=page_size))
            cost.code = await reading.code()
    cost.heart = heart
    assert cost.grown_bytes < GROWN_BYTES
    assert heart.longest_s < STALL_S
    return cost


async def code_of(search: Answer, *, limits: Limits = LOOPBACK, pages: bool = True) -> str:
    """Return how a reading ends on a server that searches like this."""
    return (await cost_of(ScriptedLdap(search, pages=pages), limits=limits)).code


def again_and_again(chunk: Callable[[Request], bytes]) -> Answer:
    """Send the same without an end."""

    async def search(client: Client, request: Request) -> None:
        sent = chunk(request)
        while True:
            await client.send(sent)

    return search


def says(*parts: Callable[[Request], bytes]) -> Answer:
    """Send these, once."""

    async def search(client: Client, request: Request) -> None:
        await client.send(*(part(request) for part in parts))

    return search


# --- lists that do not end ---------------------------------------------------


@pytest.mark.proves("read.endless")
async def test_the_same_page_again_is_told_as_a_circle() -> None:
    """It is not told by its cookie: some servers send one cookie with every page (the next test)."""
    search = says(lambda r: person(r.id, 1), lambda r: done(r.id, cookie=b"again"))

    assert await code_of(search) == "read.endless"
    assert "circles" in finding("read.endless").headline


async def test_one_cookie_for_all_pages_is_no_circle() -> None:
    """389 Directory Server and Samba name the search by it, not the place in it."""

    async def search(client: Client, request: Request) -> None:
        is_last = request.id == 8
        found = person(request.id, request.id), done(request.id, cookie=b"" if is_last else b"0")
        await client.send(*found)

    async with ScriptedLdap(search).running() as server:
        assert len(await Reading(plan_at(server)).names()) == 5


async def test_an_earlier_page_again_is_a_circle_too() -> None:
    """Pages one, two, one, two: also if it came to an end, a page would be missing."""
    search = says(
        lambda r: person(r.id, r.id % 2),
        lambda r: done(r.id, cookie=b"" if r.id > 6 else str(r.id).encode()),
    )

    assert await code_of(search) == "read.endless"


async def test_pages_without_entries_for_ever_are_told_as_such() -> None:
    """Empty pages are no end, but a thousand in a row are no list."""
    assert await code_of(says(lambda r: done(r.id, cookie=str(r.id).encode()))) == "read.endless"


async def test_made_up_people_for_ever_are_too_many() -> None:
    """Each page looks honest."""
    search = says(
        lambda r: b"".join(person(r.id, r.id * 100 + n) for n in range(100)),
        lambda r: done(r.id, cookie=b"more"),
    )

    assert await code_of(search, limits=replace(LOOPBACK, entries=5_000)) == "read.too_many_entries"


async def test_a_page_that_never_ends_is_cut() -> None:
    """Five hundred entries were asked for."""
    search = again_and_again(lambda r: person(r.id, 1) * 500)

    assert await code_of(search) == "read.no_paging"


async def test_a_list_without_pages_that_never_ends_is_cut() -> None:
    """A server without paging gives everything at once, and all of it is in memory."""
    search = again_and_again(lambda r: person(r.id, 1) * 500)

    assert await code_of(search, pages=False) == "read.too_many_entries"


@pytest.mark.proves("read.too_many_references")
async def test_references_without_an_end_are_cut() -> None:
    """They were kept: 128 MB of them took a gigabyte and half a minute."""
    search = again_and_again(lambda r: reference(r.id, "ldap://192.0.2.1/dc=x") * 500)

    assert await code_of(search) == "read.too_many_references"


# --- answers that answer nothing ---------------------------------------------


@pytest.mark.parametrize("operation", [0x00, 0x30, 0x41, 0x60, 0x63, 0x66, 0x6F, 0x79, 0x7F, 0xFF])
async def test_an_operation_nobody_asked_for_does_not_reach_the_library(operation: int) -> None:
    """One such message, and bonsai 1.5.5 took the whole process down, with all tenants' syncs."""
    search = says(
        lambda r: message(r.id, tlv(operation, b"x")),
        lambda r: person(r.id, 1),
        lambda r: done(r.id),
    )

    assert await code_of(search) == "read.unasked"


async def test_intermediate_responses_without_an_end_are_refused() -> None:
    """The library kept them all: 1.4 GB in 40 s. Nothing we ask has any (RFC 4511 section 4.13)."""
    said = tlv(0x79, tlv(0x80, b"1.2.3"), tlv(0x81, b"x"))

    assert await code_of(again_and_again(lambda r: message(r.id, said) * 500)) == "read.unasked"


@pytest.mark.parametrize("off", [-4, -1, 1, 50])
async def test_a_result_to_another_question_does_not_end_the_list(off: int) -> None:
    """The library goes by the order: a short list passed for whole, with success."""
    search = says(
        lambda r: person(r.id, 1),
        lambda r: done(max(1, r.id + off), cookie=b""),
        lambda r: done(r.id, cookie=b"more"),
    )

    assert await code_of(search) == "read.unasked"


@pytest.mark.parametrize("off", [-1, 1])
async def test_a_reference_to_another_question_is_not_passed_over(off: int) -> None:
    """The library drops it without a word: whoever mixes up two answers has perhaps mixed up more."""
    search = says(
        lambda r: person(r.id, 1),
        lambda r: reference(r.id + off, "ldap://other.test/dc=y"),
        lambda r: done(r.id),
    )

    assert await code_of(search) == "read.unasked"


@pytest.mark.parametrize("tag", [0x61, 0x78])
async def test_a_result_of_another_kind_does_not_end_the_list(tag: int) -> None:
    """A yes to a sign-in is none to a search."""
    search = says(lambda r: person(r.id, 1), lambda r: result(r.id, tag))

    assert await code_of(search) == "read.unasked"


async def test_a_notice_of_another_kind_is_none() -> None:
    """Message id 0 is for the notice of disconnection alone."""
    assert await code_of(says(lambda r: done(0), lambda r: done(r.id))) == "read.unasked"


@pytest.mark.proves("read.unasked")
async def test_an_entry_after_the_last_result_is_not_passed_over() -> None:
    """Whichever of the two is wrong, the list is not what the server meant."""
    search = says(lambda r: person(r.id, 1), lambda r: done(r.id), lambda r: person(r.id, 2))

    assert await code_of(search) == "read.unasked"


async def test_a_result_that_comes_twice_is_noticed() -> None:
    """The second one would be taken for the answer to the next question."""
    search = says(lambda r: person(r.id, 1), lambda r: done(r.id, cookie=b"1") * 2)

    assert await code_of(search) == "read.unasked"


async def test_entries_in_answer_to_a_sign_in_are_refused() -> None:
    """Nothing may be said before it is asked for."""
    bind = says(lambda r: person(r.id, 1), lambda r: result(r.id, 0x61))

    assert (await cost_of(ScriptedLdap(two_people, bind=bind))).code == "read.unasked"


async def test_words_before_the_first_question_are_refused() -> None:
    """A banner, or what is left of somebody else's connection."""
    script = ScriptedLdap(two_people, greeting=result(1, 0x61))

    assert (await cost_of(script)).code == "read.unasked"


async def test_a_later_page_that_does_not_say_whether_it_is_the_last_is_none() -> None:
    """Its cookie was lost on the way: what follows would be missing."""
    search = says(
        lambda r: person(r.id, r.id), lambda r: done(r.id, cookie=None if r.cookie else b"1")
    )

    assert await code_of(search) == "read.cookie"


async def test_a_full_page_that_does_not_say_whether_it_is_the_last_is_none() -> None:
    """Exactly as many as were asked for, from a server that offers pages: there are more."""
    search = says(
        lambda r: b"".join(person(r.id, n) for n in range(7)), lambda r: done(r.id, cookie=None)
    )
    script = ScriptedLdap(search)

    assert (await cost_of(script, page_size=7)).code == "read.cookie"


# --- sizes -------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"\x30\x84\x7f\xff\xff\xff", b"\x30\x84\xff\xff\xff\xff"])
async def test_a_length_of_gigabytes_is_not_waited_for(head: bytes) -> None:
    """Nor is memory set aside for it."""
    search = says(lambda r: head + b"\x02\x01" + bytes([r.id]) + b"\x64")

    assert await code_of(search) == "read.message_too_large"


async def test_a_length_of_gigabytes_in_answer_to_the_sign_in_is_no_entry() -> None:
    """Nobody has asked for one: it is no LDAP."""
    bind = says(lambda _: b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x61")

    assert (await cost_of(ScriptedLdap(says(), bind=bind))).code == "read.malformed"


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(b"\x30\x80\x02\x01\x04\x64\x80\x00\x00\x00\x00", id="indefinite lengths"),
        pytest.param(b"\x30\x89" + b"\xff" * 9, id="a length of nine bytes"),
        pytest.param(b"\x30\x0c\x02\x01\x04\x64\x07\x04\x7f" + b"x" * 5, id="a name too long"),
        pytest.param(
            message(
                4, tlv(0x64, octets("cn=a"), tlv(0x30, tlv(0x30, octets("mail"), octets("a"))))
            ),
            id="a value that is no set",
        ),
        pytest.param(
            message(
                4, tlv(0x64, octets("cn=a"), tlv(0x30, tlv(0x30, octets("mail"), b"\x31\x7f")))
            ),
            id="a set that leaves its entry",
        ),
        pytest.param(message(4, tlv(0x64, octets("cn=a"))), id="an entry without attributes"),
    ],
)
async def test_an_entry_that_is_none_is_not_half_an_entry(forged: bytes) -> None:
    """The library ends an entry silently where it cannot read on: addresses would be lost."""
    assert await code_of(says(lambda _: forged, lambda r: done(r.id))) == "read.malformed"


@pytest.mark.parametrize("place", ["values", "controls", "reference"])
async def test_deep_nesting_is_not_followed(place: str) -> None:
    """Twenty thousand levels; whoever goes down by calls runs out of stack."""
    deep = b""
    for _ in range(15_000):
        deep = tlv(0x31 if place == "values" else 0x30, deep)
    values = tlv(0x30, tlv(0x30, octets("mail"), deep))
    sent = {
        "values": lambda r: message(r.id, tlv(0x64, octets("cn=a"), values)) + done(r.id),
        "controls": lambda r: person(r.id, 1) + result(r.id, 0x65, control=tlv(0xA0, deep)),
        "reference": lambda r: message(r.id, tlv(0x73, deep)) + done(r.id),
    }[place]

    assert await code_of(says(sent)) in {"read.malformed", "read.message_too_large"}


async def test_an_entry_of_fifty_thousand_values_is_too_many() -> None:
    """The bound is 20,000 (``ROLLCALL_VALUES_PER_ENTRY``)."""
    values = [f"p{serial}@example.org" for serial in range(50_000)]
    whole = entry(4, "cn=many,dc=x", {"mail": values})

    assert await code_of(says(lambda _: whole, lambda r: done(r.id))) == "read.too_many_values"


async def test_many_entries_of_many_values_are_too_much_together() -> None:
    """Each is within its bound; a page of them was 1.7 GB."""
    large = entry(4, "cn=many,dc=x", {"mail": [b"ab"] * 19_000})

    assert await code_of(again_and_again(lambda _: large)) == "read.too_many_bytes"


async def test_many_wide_entries_are_too_much_together() -> None:
    """Empty attributes are small on the wire: within the bound on bytes they took 1.6 GB."""
    wide = entry(4, "cn=wide,dc=x", {f"a{serial:x}": [b""] for serial in range(150)})

    assert (
        await code_of(again_and_again(lambda _: wide * 100), pages=False) == "read.too_many_bytes"
    )


def of_width(entries: int, values: int) -> Answer:
    """Answer with one page of so many entries, each of so many addresses."""
    wide = [f"p{serial}@example.org" for serial in range(values)]
    rows = [entry(4, f"cn=e{number},dc=x", {"mail": wide}) for number in range(entries)]
    return says(lambda _: b"".join(rows), lambda r: done(r.id))


@pytest.mark.parametrize(
    ("entries", "values", "way"),
    [(90, 1_500, "paged"), (2, 19_000, "paged"), (9_000, 1, "unpaged")],
)
async def test_whoever_works_on_a_large_page_lets_others_have_their_turn(
    entries: int, values: int, way: str
) -> None:
    """A page within all bounds may hold a million addresses: 1.6 s of work, page after page, in which nobody else is heard."""
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    at, sizes = [], []
    server = ScriptedLdap(of_width(entries, values), pages=way == "paged")
    async with server.running() as place, asyncio.TaskGroup() as group:
        other = group.create_task(neighbour())
        async for page in Reading(plan_at(place, page_size=500)).pages():
            at.append(turns)
            sizes.append((len(page), sum(len(each["mail"]) for _, each in page)))
        other.cancel()

    assert sum(size for size, _ in sizes) == entries
    assert all(size <= 1_000 for size, _ in sizes)
    assert all(held <= 10_000 or size == 1 for size, held in sizes)
    assert len(set(at)) == len(at) > 1


async def test_values_of_megabytes_are_not_taken() -> None:
    """Four megabytes are a message's bound (``ROLLCALL_MESSAGE_BYTES``)."""
    large = entry(4, "cn=big,dc=x", {"mail": [LONG * 50]})

    assert await code_of(says(lambda _: large, lambda r: done(r.id))) == "read.message_too_large"


async def test_many_values_of_megabytes_are_bounded_together() -> None:
    """Each is within its bound."""
    large = entry(4, "cn=big,dc=x", {"mail": [LONG * 30]})
    limits = replace(LOOPBACK, run_bytes=32 * 1024 * 1024)

    assert await code_of(again_and_again(lambda _: large), limits=limits) == "read.too_many_bytes"


# --- text that is none -------------------------------------------------------


@pytest.mark.parametrize("kind", [b"mail\0x", b"ma\0il", b"\0", b"", b"\xff\xfe", b"m" * 200])
async def test_a_name_of_an_attribute_that_is_none_ends_the_run(kind: bytes) -> None:
    """At a NUL the library would end it, and ``mail`` would be what was never called so."""
    row = tlv(0x30, octets(kind), tlv(0x31, octets("a@example.org")))
    said = tlv(0x64, octets("cn=odd,dc=x"), tlv(0x30, row))

    code = await code_of(says(lambda r: message(r.id, said), lambda r: done(r.id)))

    assert code in {"read.malformed", "read.miscounted"}


async def test_a_name_that_a_nul_would_make_another_one_is_not_taken_for_it() -> None:
    """Beside the true ``mail`` its values would be lost, or come twice, without a word."""
    rows = [
        tlv(0x30, octets(kind), tlv(0x31, octets(value)))
        for kind, value in ((b"mail", "a@example.org"), (b"mail\0x", "b@example.org"))
    ]
    said = tlv(0x64, octets("cn=odd,dc=x"), tlv(0x30, b"".join(rows)))

    code = await code_of(says(lambda r: message(r.id, said), lambda r: done(r.id)))

    assert code == "read.miscounted"


@pytest.mark.parametrize("name", [b"cn=a\0b,dc=x", b"\0", b"cn=\xff\xfe,dc=x"])
async def test_a_dn_that_is_no_text_ends_the_run(name: bytes) -> None:
    """It is what an entry is told apart by where there is no better id."""
    said = tlv(0x64, octets(name), tlv(0x30))

    assert (
        await code_of(says(lambda r: message(r.id, said), lambda r: done(r.id))) == "read.malformed"
    )


async def test_values_are_bytes_whatever_they_are() -> None:
    """A NUL or broken UTF-8 in a value is the value's fault alone: it is counted as malformed later."""
    odd = [b"a\0b@example.org", b"\xff\xfe@example.org", b"", b"ok@example.org"]
    search = says(lambda r: entry(r.id, "cn=odd,dc=x", {"mail": odd}), lambda r: done(r.id))

    async with ScriptedLdap(search).running() as server:
        ((_, values),) = await Reading(plan_at(server)).entries()

    assert values == {"mail": odd}


async def test_one_attribute_twice_loses_no_value() -> None:
    """Of two with one name the library keeps the last."""
    twice = tlv(0x30, octets("mail"), tlv(0x31, octets("a@example.org")))
    said = tlv(0x64, octets("cn=odd,dc=x"), tlv(0x30, twice, twice))

    assert (
        await code_of(says(lambda r: message(r.id, said), lambda r: done(r.id)))
        == "read.miscounted"
    )


# --- time --------------------------------------------------------------------


async def drip(write: Callable[[bytes], Awaitable[None]], data: bytes) -> None:
    """A byte now and then: never silent, and never done."""
    for byte in data:
        await write(bytes([byte]))
        await asyncio.sleep(0.2)  # the server's slowness is what is tested


def dripping(answer: Callable[[Request], bytes]) -> Answer:
    """Answer byte by byte."""

    async def search(client: Client, request: Request) -> None:
        await drip(client.send, answer(request))

    return search


async def test_a_sign_in_byte_by_byte_ends_in_time() -> None:
    """A deadline is for the whole answer, not for each byte."""
    bind = dripping(lambda r: result(r.id, 0x61, 0, "x" * 90))
    script = ScriptedLdap(two_people, bind=bind)

    assert (await cost_of(script, limits=IMPATIENT)).code == "sign_in.timed_out"


@pytest.mark.parametrize("place", ["root", "base"])
async def test_a_base_byte_by_byte_ends_in_time(place: str) -> None:
    """Also before the list."""
    slow = dripping(lambda r: entry(r.id, "dc=x", {"o": ["x" * 90]}))
    script = (
        ScriptedLdap(two_people, root=slow)
        if place == "root"
        else ScriptedLdap(two_people, base=slow)
    )

    assert (await cost_of(script, limits=IMPATIENT)).code == "base.timed_out"


async def test_a_page_byte_by_byte_ends_in_time() -> None:
    """Nobody waits for it longer than for silence."""
    slow = dripping(lambda r: b"".join(person(r.id, n) for n in range(9)))

    assert await code_of(slow, limits=IMPATIENT) == "read.timed_out"


async def test_pages_just_in_time_end_with_the_run() -> None:
    """Each page within its deadline, for ever."""

    async def search(client: Client, request: Request) -> None:
        await asyncio.sleep(0.3)  # the server's slowness is what is tested
        await client.send(person(request.id, request.id), done(request.id, cookie=b"more"))

    assert await code_of(search, limits=replace(IMPATIENT, run_s=2)) == "read.run_deadline"


async def test_a_server_that_hangs_up_after_each_page_is_told_as_such() -> None:
    """The cookie is good on this connection only, so nobody begins anew for ever."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1), done(request.id, cookie=b"more"))
        client.writer.close()

    assert await code_of(search) == "read.lost_connection"


async def test_a_notice_in_the_middle_of_an_entry_is_none() -> None:
    """Half an entry is no entry, whatever follows."""
    search = says(lambda r: person(r.id, 1)[:20], lambda _: result(0, 0x78, 52, "going down"))

    assert await code_of(search, limits=IMPATIENT) in {"read.malformed", "read.timed_out"}


# --- before TLS stands -------------------------------------------------------

RawServer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def code_before_tls(script: RawServer, security: Security) -> str:
    """Return how a reading ends on a server that does this to whoever connects."""
    cost, running = Cost(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(ConnectionError, asyncio.CancelledError):
            await script(reader, writer)
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        target = Server("127.0.0.1", server.sockets[0].getsockname()[1])
        plan = plan_for(target, security=security, limits=IMPATIENT)
        async with watched() as heart, memory_watched(cost), asyncio.timeout(ENDLESS_S):
            cost.code = await Reading(plan).code()
        for task in running:
            task.cancel()
    assert heart.longest_s < STALL_S
    assert cost.grown_bytes < GROWN_BYTES
    return cost.code


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Listen and say nothing."""
    while await reader.read(4096):
        pass


async def slow_yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer StartTLS byte by byte."""
    await reader.read(4096)

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    await drip(write, result(1, 0x78, 0, "x" * 90))


async def yes_and_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say yes to StartTLS and nothing to the handshake."""
    await reader.read(4096)
    writer.write(result(1, 0x78))
    await silence(reader, writer)


async def slow_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin a ServerHello and never end it: a record's head, then byte by byte."""
    await reader.read(4096)
    writer.write(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03")

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    await drip(write, bytes(100))


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer anything with zeros, for ever."""
    await reader.read(4096)
    while True:
        writer.write(bytes(65536))
        await writer.drain()


@pytest.mark.parametrize(
    ("script", "security", "codes"),
    [
        (silence, Security.LDAPS, {"secure.timed_out"}),
        (silence, Security.STARTTLS, {"secure.timed_out"}),
        (slow_yes, Security.STARTTLS, {"secure.timed_out"}),
        (yes_and_silence, Security.STARTTLS, {"secure.timed_out"}),
        (slow_handshake, Security.LDAPS, {"secure.timed_out"}),
        (flood, Security.LDAPS, {"secure.tls_on_plain_port", "secure.failed"}),
        (flood, Security.STARTTLS, {"secure.failed"}),
        (flood, Security.NONE, {"read.malformed"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_server_that_keeps_encryption_from_standing_ends_in_time(
    script: RawServer, security: Security, codes: set[str]
) -> None:
    """The handshake is under the same deadline as name and connection."""
    assert await code_before_tls(script, security) in codes
