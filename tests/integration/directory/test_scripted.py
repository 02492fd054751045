"""Each failure that no real server at hand can be brought to, played from RFC 4511."""

import asyncio
from dataclasses import replace

import pytest

from tests.integration.directory.conftest import LOOPBACK, Reading, plan_for
from tests.proofs.faults import SUB_CODES
from tests.servers.scripted_ldap import (
    WHO_AM_I,
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
from worker.domain.model import Limits, Security, Server
from worker.domain.plan import ReadPlan


pytestmark = pytest.mark.integration


def plan_at(server: ScriptedLdap, *, limits: Limits = LOOPBACK, page_size: int = 7) -> ReadPlan:
    """Return a plan for the scripted server."""
    return plan_for(
        Server("127.0.0.1", server.port), bases=("dc=x",), limits=limits, page_size=page_size
    )


async def code_when(search: Answer, *, limits: Limits = LOOPBACK) -> str:
    """Return how a listing ends on a server that searches like this."""
    async with ScriptedLdap(search).running() as server:
        return await Reading(plan_at(server, limits=limits)).code()


async def read_when(search: Answer, *, pages: bool = True) -> Reading:
    """Read a server that searches like this."""
    async with ScriptedLdap(search, pages=pages).running() as server:
        reading = Reading(plan_at(server))
        await reading.entries()
    return reading


async def code_of_bind(code: int, words: str = "", *, events: list[str] | None = None) -> str:
    """Return how a sign-in is refused that this result answers."""

    async def bind(client: Client, request: Request) -> None:
        await client.send(result(request.id, 0x61, code, words))

    async with ScriptedLdap(nobody, bind=bind).running() as server:
        reading = Reading(plan_at(server))
        told = await reading.code()
    if events is not None:
        events += reading.gate.events
    return told


async def nobody(client: Client, request: Request) -> None:
    """Find nobody."""
    await client.send(done(request.id))


async def two_people(client: Client, request: Request) -> None:
    """Find two, in one page."""
    await client.send(person(request.id, 1), person(request.id, 2), done(request.id))


# --- signing in --------------------------------------------------------------


@pytest.mark.parametrize(
    ("sub_code", "code"),
    [
        *(
            pytest.param(each.data, each.code, marks=pytest.mark.proves(each.code), id=each.data)
            for each in SUB_CODES
        ),
        ("52F", "sign_in.restricted"),
        ("999", "sign_in.wrong_password"),
    ],
)
async def test_active_directory_says_why_a_sign_in_failed(sub_code: str, code: str) -> None:
    """An admin repairs a locked account otherwise than a mistyped password."""
    words = f"80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {sub_code}, v2580"
    events: list[str] = []

    assert await code_of_bind(49, words, events=events) == code
    assert events == ["admit", "settle False"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (7, "sign_in.method"),
        (8, "sign_in.needs_tls"),
        (13, "sign_in.needs_tls"),
        (14, "sign_in.method"),
        (48, "sign_in.method"),
        (51, "sign_in.busy"),
        (52, "sign_in.unavailable"),
        (53, "sign_in.refused"),
        (80, "sign_in.failed"),
    ],
)
async def test_other_answers_to_a_sign_in_do_not_blame_the_password(answer: int, code: str) -> None:
    """A password nobody looked at is not remembered as wrong; 14 is success to the library."""
    events: list[str] = []

    assert await code_of_bind(answer, events=events) == code
    assert events == ["admit", "settle None"]


@pytest.mark.parametrize("who", ["", "dn:", "u:NT AUTHORITY\\ANONYMOUS LOGON"])
@pytest.mark.proves("sign_in.anonymous")
async def test_a_sign_in_that_ended_as_nobody_is_refused(who: str) -> None:
    """Nobody sees an empty directory, with success."""
    script = ScriptedLdap(two_people, who=who, extensions=(WHO_AM_I,))
    async with script.running() as server:
        assert await Reading(plan_at(server)).code() == "sign_in.anonymous"


async def test_a_busy_server_is_passed_over() -> None:
    """The next domain controller may have time."""

    async def busy(client: Client, request: Request) -> None:
        await client.send(result(request.id, 0x61, 51))

    async with (
        ScriptedLdap(nobody, bind=busy).running() as one,
        ScriptedLdap(two_people).running() as other,
    ):
        plan = plan_at(one)
        servers = (*plan.settings.servers, Server("127.0.0.1", other.port))
        reading = Reading(replace(plan, settings=replace(plan.settings, servers=servers)))

        names = await reading.names()

    assert names == ["cn=p1,dc=x", "cn=p2,dc=x"]
    assert reading.gate.events == ["admit", "settle None", "admit", "settle True"]


async def test_a_sign_in_that_is_cancelled_stays_recorded_as_made() -> None:
    """An attempt whose answer was lost still counts towards a lockout: only who is told of an answer forgets it."""
    asked = asyncio.Event()

    async def silent(_: Client, __: Request) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with ScriptedLdap(nobody, bind=silent).running() as server:
        reading = Reading(plan_at(server))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(reading.entries())
            await asked.wait()
            task.cancel()

    assert reading.gate.events == ["admit"]


# --- the end of a list -------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (1, "read.not_allowed"),
        (3, "read.time_limit"),
        (4, "read.size_limit"),
        (9, "read.partial"),
        (10, "read.referral"),
        (11, "read.admin_limit"),
        (2, "read.protocol_error"),
        (16, "read.bad_attribute"),
        (18, "read.bad_filter"),
        (32, "base.not_found"),
        (50, "read.not_allowed"),
        (51, "read.busy"),
        (52, "read.unavailable"),
        (80, "read.server_error"),
        (71, "read.failed"),
    ],
)
async def test_any_result_but_success_fails_the_listing(answer: int, code: str) -> None:
    """What came before is not the list. The library calls 9 and 10 success, and 32 an empty list."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1), done(request.id, answer))

    assert await code_when(search) == code


@pytest.mark.parametrize("answer", [2, 12, 53])
@pytest.mark.proves("read.cookie")
async def test_a_cookie_the_server_no_longer_knows_fails_the_listing(answer: int) -> None:
    """A cookie belongs to one connection and one server; behind a balancer it gets lost."""

    async def search(client: Client, request: Request) -> None:
        if request.cookie:
            await client.send(done(request.id, answer))
        else:
            await client.send(person(request.id, 1), done(request.id, cookie=b"next"))

    assert await code_when(search) == "read.cookie"


async def test_empty_pages_are_no_end() -> None:
    """Only the empty cookie ends a list; filters on the server can leave a page without entries."""

    async def search(client: Client, request: Request) -> None:
        following = {b"": b"1", b"1": b"2", b"2": b""}[request.cookie]
        found = person(request.id, 1) if request.cookie == b"2" else b""
        await client.send(found, done(request.id, cookie=following))

    reading = await read_when(search)

    assert reading.proof is not None
    assert reading.proof.entries == 1


@pytest.mark.proves("read.too_many_entries")
async def test_a_cookie_that_never_ends_is_bounded() -> None:
    """A broken server must not keep a worker for ever, whoever it makes up."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, request.id), done(request.id, cookie=b"again"))

    assert await code_when(search, limits=replace(LOOPBACK, entries=500)) == "read.too_many_entries"


@pytest.mark.proves("read.run_deadline")
async def test_slow_pages_for_ever_end_at_the_runs_deadline() -> None:
    """Not even entries to count: time is the last bound."""

    async def search(client: Client, request: Request) -> None:
        await asyncio.sleep(0.05)  # the server's slowness is what is tested
        await client.send(done(request.id, cookie=b"again"))

    assert await code_when(search, limits=replace(LOOPBACK, run_s=0.5)) == "read.run_deadline"


@pytest.mark.proves("read.miscounted")
async def test_entries_the_library_did_not_give_fail_the_listing() -> None:
    """An entry under a number nobody asked with is dropped by the library, but was on the wire."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1), person(request.id + 50, 2), done(request.id))

    assert await code_when(search) == "read.miscounted"


async def test_a_server_without_paging_is_read_at_once() -> None:
    """Some directories offer no pages; result 0 is then the whole list."""
    async with ScriptedLdap(two_people, pages=False).running() as server:
        reading = Reading(plan_at(server))
        names = await reading.names()

    assert names == ["cn=p1,dc=x", "cn=p2,dc=x"]
    assert [request.page_size for request in server.requests] == [None] * len(server.requests)


async def test_a_page_without_its_control_is_the_whole_list() -> None:
    """RFC 2696: a server that ignores the control answers as if it had not been sent."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1), done(request.id, cookie=None))

    reading = await read_when(search)

    assert reading.proof is not None
    assert reading.proof.entries == 1


async def test_references_are_counted_and_not_followed() -> None:
    """Active Directory sends some with every search of a domain's root."""

    async def search(client: Client, request: Request) -> None:
        uri = "ldap://127.0.0.1:1/CN=Configuration,DC=x"
        await client.send(person(request.id, 1), reference(request.id, uri), done(request.id))

    reading = await read_when(search)

    assert reading.proof is not None
    assert (reading.proof.entries, reading.proof.references) == (1, 1)


@pytest.mark.proves("read.disconnected")
async def test_a_notice_of_disconnection_is_heard() -> None:
    """A server that shuts down says so; that is not the end of the list."""

    async def search(client: Client, request: Request) -> None:
        name = tlv(0x8A, b"1.3.6.1.4.1.1466.20036")
        await client.send(person(request.id, 1), result(0, 0x78, 52, "going down", tail=name))
        client.writer.close()

    assert await code_when(search) == "read.disconnected"


@pytest.mark.proves("read.lost_connection")
async def test_a_connection_lost_before_the_result_fails_the_listing() -> None:
    """A firewall's idle timer, a restart."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1))
        client.writer.close()

    assert await code_when(search) == "read.lost_connection"


@pytest.mark.proves("read.timed_out")
async def test_a_page_that_takes_too_long_fails_the_listing() -> None:
    """The page's deadline, not the server, decides how long a run waits."""

    async def search(client: Client, request: Request) -> None:
        await client.send(person(request.id, 1))

    assert await code_when(search, limits=replace(LOOPBACK, page_s=0.2)) == "read.timed_out"


# --- hostile servers ---------------------------------------------------------


@pytest.mark.proves("read.message_too_large")
async def test_a_message_too_large_is_not_taken() -> None:
    """One entry must not fill the memory of all tenants."""

    async def search(client: Client, request: Request) -> None:
        await client.send(entry(request.id, "cn=big,dc=x", {"mail": [b"x" * 70_000]}))

    limits = replace(LOOPBACK, message_bytes=65_536)
    assert await code_when(search, limits=limits) == "read.message_too_large"


@pytest.mark.proves("read.too_many_bytes")
async def test_more_bytes_than_a_run_may_take_end_it() -> None:
    """Also when each message is small."""

    async def search(client: Client, request: Request) -> None:
        await client.send(*(person(request.id, 1) for _ in range(2_000)))

    assert await code_when(search, limits=replace(LOOPBACK, run_bytes=50_000)) == (
        "read.too_many_bytes"
    )


@pytest.mark.proves("read.too_many_values")
async def test_more_values_than_an_entry_may_have_end_it() -> None:
    """A million empty values are small on the wire and large in memory."""

    async def search(client: Client, request: Request) -> None:
        values = [b"a@example.org"] * 300
        await client.send(entry(request.id, "cn=many,dc=x", {"mail": values}), done(request.id))

    limits = replace(LOOPBACK, values_per_entry=200)
    assert await code_when(search, limits=limits) == "read.too_many_values"


async def test_thousands_of_attributes_do_not_hold_the_process() -> None:
    """The library looks each attribute up by walking them all: the square of a hostile number."""

    async def search(client: Client, request: Request) -> None:
        kinds = {f"a{serial}": [b""] for serial in range(100_000)}
        await client.send(entry(request.id, "cn=wide,dc=x", kinds), done(request.id))

    assert await code_when(search) == "read.malformed"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x80\x02\x01\x01",
        b"\x30\x05\x04\x03abc\x00\x00\x00",
        message(2, tlv(0x65, b"\x0a\x09\x00")),
    ],
)
@pytest.mark.proves("read.malformed")
async def test_what_is_no_ldap_ends_the_run(garbage: bytes) -> None:
    """A proxy in the path, or a fuzzer."""

    async def search(client: Client, _: Request) -> None:
        await client.send(garbage)

    assert await code_when(search) == "read.malformed"


async def test_names_that_are_no_text_end_the_run() -> None:
    """The library cannot make an object of them and loses the page."""

    async def search(client: Client, request: Request) -> None:
        rows = tlv(0x30, tlv(0x30, octets(b"\xff\xfe"), tlv(0x31, octets("x"))))
        await client.send(
            message(request.id, tlv(0x64, octets("cn=odd,dc=x"), rows)), done(request.id)
        )

    assert await code_when(search) == "read.malformed"


# --- StartTLS ----------------------------------------------------------------


async def starttls_code(answer: bytes) -> str:
    """Return how an answer to StartTLS is taken."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        plan = plan_for(Server("127.0.0.1", port), security=Security.STARTTLS)
        return await Reading(plan).code()


@pytest.mark.proves("secure.early_data")
async def test_bytes_injected_before_the_handshake_are_refused() -> None:
    """Trap: plain text added after the answer would be taken for the server's words under TLS."""
    injected = result(1, 0x78) + person(2, 1) + done(2)

    assert await starttls_code(injected) == "secure.early_data"


async def test_an_answer_to_starttls_that_does_not_end_is_refused() -> None:
    """Nor is it waited for for ever."""
    assert await starttls_code(b"\x30\x84\x00\xff\xff\xff\x02\x01\x01\x78" + b"x" * 9_000) == (
        "secure.early_data"
    )


@pytest.mark.parametrize("code", [2, 52, 53])
@pytest.mark.proves("secure.starttls_refused")
async def test_starttls_that_is_not_offered(code: int) -> None:
    """Active Directory without a certificate says 52: a matter of settings, not of waiting."""
    assert await starttls_code(result(1, 0x78, code)) == "secure.starttls_refused"


# --- ranges and spellings ----------------------------------------------------


async def test_values_in_ranges_are_completed() -> None:
    """Active Directory gives 1500 values at a time; the rest are somebody's addresses too."""
    everyone = [f"smtp:a{serial}@example.org".encode() for serial in range(25)]

    async def search(client: Client, request: Request) -> None:
        name = "cn=many,dc=x"
        if request.scope != 0:
            found = {"mail": [b"m@example.org"], "proxyAddresses": []}
            found["proxyAddresses;range=0-9"] = everyone[:10]
            await client.send(entry(request.id, name, found), done(request.id))
            return
        low, high = map(int, request.attributes[0].partition("range=")[2].split("-"))
        upper = "*" if high >= len(everyone) - 1 else str(high)
        asked = f"proxyAddresses;range={low}-{upper}"
        await client.send(
            entry(request.id, name, {asked: everyone[low : high + 1]}),
            done(request.id, cookie=None),
        )

    async with ScriptedLdap(search).running() as server:
        entries = await Reading(plan_at(server)).entries()

    assert entries == [("cn=many,dc=x", {"mail": [b"m@example.org"], "proxyAddresses": everyone})]


@pytest.mark.proves("read.range")
async def test_a_range_that_does_not_continue_fails_the_listing() -> None:
    """Half of somebody's addresses is not all of them."""

    async def search(client: Client, request: Request) -> None:
        found = {"proxyAddresses;range=0-1": [b"1", b"2"]} if request.scope else {}
        await client.send(entry(request.id, "cn=many,dc=x", found), done(request.id))

    assert await code_when(search) == "read.range"


async def test_another_spelling_is_brought_to_the_one_asked_for() -> None:
    """Attribute names have no case; an address under ``MAIL`` must not be overlooked."""

    async def search(client: Client, request: Request) -> None:
        values = {"MAIL": [b"a@example.org"], "mail;lang-de": [b"b@example.org"], "x": [b"TRUE"]}
        await client.send(entry(request.id, "cn=odd,dc=x", values), done(request.id))

    async with ScriptedLdap(search).running() as server:
        ((_, values),) = await Reading(plan_at(server)).entries()

    assert values == {"mail": [b"a@example.org", b"b@example.org"], "x": [b"TRUE"]}
