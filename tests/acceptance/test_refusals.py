"""Directories that lie, break, refuse or show less than before: nobody loses their mail, and the finding says why."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import PROGRAM
from tests.harness.customer import Customer
from tests.harness.lab import BASE, Lab, open_lab
from tests.harness.platform import Platform, Seen
from tests.harness.readme import played
from tests.harness.store import Store
from tests.harness.worker import Worker
from tests.proofs.telling import heard
from tests.servers.ber import Kind
from tests.servers.certs import Authority
from tests.servers.daemon import free_port, wait_until
from tests.servers.proxy import Action, Fault, FaultProxy


PEOPLE = 25
READER = f"cn=reader,ou=Service,{BASE}"


@pytest.fixture(scope="module")
def rough(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Lab]:
    """Give a directory server that these tests may break."""
    with open_lab(tmp_path_factory.mktemp("rough"), authority) as lab:
        yield lab


@pytest.fixture
async def synced(platform: Platform, store: Store, rough: Lab, house: Worker) -> Customer:
    """Give a customer whose 25 people were synced once."""
    customer = Customer(platform, store, rough.branch())
    customer.branch.crowd(PEOPLE)
    await customer.join()
    assert (await customer.save()).name == "sync.completed"
    return customer


@pytest.fixture
def proxy(synced: Customer) -> Iterator[FaultProxy]:
    """Give a way to the directory that breaks as told."""
    with FaultProxy(synced.branch.slapd.port) as proxy:
        yield proxy


async def unharmed(customer: Customer) -> bool:
    """Whether all 25 still take mail, and history knows only of their coming."""
    history = await customer.store.history(customer.tenant)
    return await customer.recipients() == customer.branch.addresses(
        *(f"p{number:03d}" for number in range(PEOPLE))
    ) and set(history) == {(customer.branch.address(f"p{n:03d}"), "added") for n in range(PEOPLE)}


def told(failed: Seen) -> tuple[str, str, str]:
    """Return what a failure says first: which event, which finding, the stage that failed."""
    finding = failed.data["finding"]
    heard(finding)
    stages = [stage["stage"] for stage in finding["stages"] if stage["state"] == "failed"]
    return failed.name, finding["code"], ",".join(stages)


@pytest.mark.proves("read.lost_connection")
async def test_a_directory_that_dies_in_mid_page_removes_nobody(
    synced: Customer, rough: Lab, proxy: FaultProxy
) -> None:
    """Half a list is no list."""
    proxy.arm(Fault(Action.FREEZE, Kind.ENTRY, nth=15))
    form = synced.branch.form(port=proxy.port, force=True)
    cause = await synced.send("directory.save", form)
    assert wait_until(lambda: proxy.seen(Kind.ENTRY) >= 15, within_s=10)

    rough.slapd.kill()
    proxy.disarm()
    failed = await synced.platform.ending(cause)
    rough.slapd.start()

    assert told(failed) == ("sync.failed", "read.lost_connection", "read")
    assert await unharmed(synced)
    assert (await synced.sync()).name == "sync.completed"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(Action.CUT, Kind.ENTRY, nth=15), "read.lost_connection"),
        (Fault(Action.RESULT, Kind.ENTRY, nth=15, code=4), "read.size_limit"),
        (Fault(Action.RESULT, Kind.ENTRY, nth=15, code=51), "read.busy"),
    ],
    ids=["cut", "size-limit", "busy"],
)
async def test_a_listing_that_is_not_whole_removes_nobody(
    synced: Customer, proxy: FaultProxy, fault: Fault, code: str
) -> None:
    """Whatever ends a listing early, those not yet listed keep their mail."""
    proxy.arm(fault)

    failed = await synced.save(port=proxy.port)

    assert told(failed) == ("sync.failed", code, "read")
    assert await unharmed(synced)


async def test_an_entry_that_a_server_leaves_out_is_missed_and_not_removed(
    synced: Customer, proxy: FaultProxy
) -> None:
    """A lie that nothing on the wire betrays costs nobody their mail that day."""
    await synced.save(port=proxy.port)
    proxy.arm(Fault(Action.DROP, Kind.ENTRY, nth=15))

    ending = await synced.sync()

    assert (ending.name, ending.data["counts"]["missing"]) == ("sync.completed", 1)
    assert set((await synced.recipients()).values()) == {"valid"}
    assert len(await synced.recipients()) == PEOPLE


@pytest.mark.proves("read.size_limit")
async def test_a_size_limit_removes_nobody(synced: Customer, rough: Lab) -> None:
    """Servers that give 20 of 25 people say so; the missing five keep their mail."""
    slapd, database = rough.slapd, rough.slapd.database(rough.slapd.trees[0])
    slapd.configure(database, olcLimits=f'dn.exact="{READER}" size=20 size.prtotal=20')
    try:
        failed = await synced.sync()
    finally:
        slapd.restart()

    assert told(failed) == ("sync.failed", "read.size_limit", "read")
    assert await unharmed(synced)


@pytest.mark.proves("read.nothing_found")
async def test_a_filter_that_matches_nothing_removes_nobody(synced: Customer) -> None:
    """A typo in the filter must not empty the list."""
    failed = await synced.save(filter="(mail=nobody@nowhere.example)")

    assert told(failed) == ("sync.failed", "read.nothing_found", "read")
    assert await unharmed(synced)


async def test_an_empty_base_removes_nobody(synced: Customer) -> None:
    """A unit that was emptied by mistake is the same."""
    failed = await synced.save(search_bases=[synced.branch.unit("empty")])

    assert told(failed) == ("sync.failed", "read.nothing_found", "read")
    assert await unharmed(synced)


@pytest.mark.proves("base.not_found")
async def test_a_base_that_is_not_there_removes_nobody(synced: Customer) -> None:
    """Success from a wrong base would be an empty list."""
    failed = await synced.save(search_bases=[f"ou=nowhere,{BASE}"])

    assert told(failed) == ("sync.failed", "base.not_found", "base")
    assert await unharmed(synced)


async def test_rights_that_shrank_hold_the_run(synced: Customer, rough: Lab) -> None:
    """A server that hides entries answers success all the same; a person decides."""
    hidden = f'to dn.regex="^cn=p00.,{synced.branch.base}$" by * none'
    hidden_too = f'to dn.regex="^cn=p01[0-4],{synced.branch.base}$" by * none'
    slapd, database = rough.slapd, rough.slapd.database(rough.slapd.trees[0])
    rules = [hidden, hidden_too, *slapd.trees[0].access_rules()]
    slapd.configure(database, olcAccess=[f"{{{n}}}{rule}" for n, rule in enumerate(rules)])
    try:
        held = await synced.sync()
    finally:
        slapd.restart()

    assert (held.name, held.data["verdict"], held.data["counts"]["held"]) == (
        "sync.held",
        "hold",
        15,
    )
    assert len(await synced.recipients()) == PEOPLE
    assert set((await synced.recipients()).values()) == {"valid"}


async def test_rights_that_are_gone_remove_nobody(synced: Customer, rough: Lab) -> None:
    """An account that may read nothing any more is told so."""
    slapd, database = rough.slapd, rough.slapd.database(rough.slapd.trees[0])
    rules = [f'to dn.subtree="{synced.branch.base}" by * none', *slapd.trees[0].access_rules()]
    slapd.configure(database, olcAccess=[f"{{{n}}}{rule}" for n, rule in enumerate(rules)])
    try:
        failed = await synced.sync()
    finally:
        slapd.restart()

    assert told(failed) == ("sync.failed", "base.not_found", "base")
    assert await unharmed(synced)


async def test_an_empty_password_is_refused_at_the_door(synced: Customer) -> None:
    """A bind with a name and no password is anonymous, and sees what strangers see."""
    refused = await synced.save(password="")

    assert refused.name == "command.rejected"
    assert [error["field"] for error in refused.data["errors"]] == ["password"]
    assert await unharmed(synced)


@pytest.mark.proves("sign_in.wrong_password", "sign_in.waiting")
async def test_a_wrong_password_is_sent_twice_and_no_third_time(synced: Customer) -> None:
    """Pressing again and again must not lock the account that everything depends on."""
    account = f"cn=presser,{synced.branch.base}"
    synced.branch.account("presser", password="right-5ecret")
    presses = [await synced.save(bind_name=account, password="wrong-5ecret") for _ in range(3)]

    assert [told(press)[1] for press in presses] == [
        "sign_in.wrong_password",
        "sign_in.wrong_password",
        "sign_in.waiting",
    ]
    assert synced.branch.slapd.seen(account).binds == 2
    assert await unharmed(synced)


@pytest.mark.proves("sign_in.wrong_password", "sign_in.known_refused")
async def test_a_refused_password_is_not_sent_by_the_schedule(synced: Customer) -> None:
    """Runs at night must not count towards a lockout either."""
    account = f"cn=nightly,{synced.branch.base}"
    synced.branch.account("nightly", password="right-5ecret")
    first = await synced.save(bind_name=account, password="wrong-5ecret", force=True)

    second = await synced.sync(trigger="scheduled")

    assert [told(first)[1], told(second)[1]] == ["sign_in.wrong_password", "sign_in.known_refused"]
    assert synced.branch.slapd.seen(account).binds == 1


async def test_a_server_that_is_away_is_passed_over(synced: Customer) -> None:
    """One domain controller in maintenance is no reason to miss a sync."""
    servers = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{synced.branch.slapd.port}"]

    ending = await synced.save(servers=servers)

    assert ending.name == "sync.completed"
    assert ending.data["counts"]["unchanged"] == PEOPLE


@pytest.mark.proves("reach.refused")
async def test_no_server_that_answers_is_said_so(synced: Customer) -> None:
    """The first thing to look at is the network, and the list stays as it is."""
    failed = await synced.save(servers=[f"127.0.0.1:{free_port()}"])

    assert told(failed) == ("sync.failed", "reach.refused", "reach")
    assert failed.data["finding"]["headline"]
    assert failed.data["finding"]["checks"]
    assert await unharmed(synced)


async def test_a_certificate_of_a_stranger_is_not_trusted(
    synced: Customer, rough: Lab, tmp_path: Path
) -> None:
    """Whoever stands in between would get the password."""
    stranger = Authority.create(tmp_path / "stranger")
    trust = {"ca_pem": stranger.ca.read_text(encoding="utf-8")}

    failed = await synced.save(port=rough.slapd.ldaps_port, security="ldaps", trust=trust)

    assert told(failed)[0] == "sync.failed"
    assert told(failed)[2] == "secure"
    assert await unharmed(synced)


@pytest.mark.timeout(60)
async def test_a_failed_run_tells_what_the_doctor_tells(
    synced: Customer, rough: Lab, house: Worker, tmp_path: Path
) -> None:
    """Whoever looks for themselves finds the same fault, the same servers and the same lines to copy."""
    ca = Authority.create(tmp_path / "stranger").ca
    port = rough.slapd.ldaps_port
    trust = {"ca_pem": ca.read_text(encoding="utf-8")}

    failed = await synced.save(port=port, security="ldaps", trust=trust)
    looked = await asyncio.to_thread(
        played,
        [
            *(str(PROGRAM), "check", "--json", "--type", "openldap", "--ca-file", str(ca)),
            *("--server", f"127.0.0.1:{port}", "--bind-name", READER, "--base", synced.branch.base),
        ],
        {
            "ROLLCALL_PASSWORD": synced.branch.slapd.trees[0].reader_password,
            "ROLLCALL_PAGE_SIZE": house.environment["ROLLCALL_PAGE_SIZE"],
        },
        code=1,
    )

    of_the_run, of_the_doctor = untimed(failed.data["finding"]), untimed(orjson.loads(looked))
    del of_the_doctor["detail"]
    assert of_the_run["servers"][0]["certificates"]
    assert of_the_run["commands"]
    assert of_the_run == of_the_doctor


def untimed(told: Any) -> Any:
    """The same without what a clock says."""
    if isinstance(told, dict):
        return {key: untimed(value) for key, value in told.items() if key != "milliseconds"}
    return [untimed(each) for each in told] if isinstance(told, list) else told


@pytest.mark.proves("reach.not_allowed")
async def test_a_network_that_is_not_allowed_is_not_dialled(synced: Customer) -> None:
    """A form must not reach into networks that are not the customer's."""
    failed = await synced.save(servers=["169.254.169.254:389"])

    assert told(failed) == ("sync.failed", "reach.not_allowed", "reach")


@pytest.mark.timeout(60)
async def test_a_black_hole_delays_nobody_else(
    platform: Platform, store: Store, lab: Lab, house: Worker
) -> None:
    """One customer's firewall must not be another's delay: at most three times the usual and half a second."""
    quick, stuck = (Customer(platform, store, lab.branch()) for _ in range(2))
    quick.branch.crowd(PEOPLE)
    await quick.join()
    await quick.save()
    await stuck.join()
    alone_s = await _slowest_of_three(quick)
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        port = hole.getsockname()[1]
        names = [f"hole{number}" for number in range(4)]
        causes = [
            await stuck.send("directory.save", stuck.branch.form(directory=name, port=port))
            for name in names
        ]
        runs = [await platform.event("sync.accepted", cause=cause) for cause in causes]

        beside_s = await _slowest_of_three(quick)

        states = {run["state"] for run in await store.runs(stuck.tenant)}
        for run in runs:
            await stuck.send("sync.cancel", {"run": run.data["run"]})
        endings = [await platform.ending(cause) for cause in causes]

    assert states == {"running"}
    assert {ending.name for ending in endings} == {"sync.cancelled"}
    assert beside_s <= 3 * alone_s + 0.5


async def _slowest_of_three(customer: Customer) -> float:
    took_s = []
    for _ in range(3):
        began = time.monotonic()
        assert (await customer.sync()).name == "sync.completed"
        took_s.append(time.monotonic() - began)
    return max(took_s)
