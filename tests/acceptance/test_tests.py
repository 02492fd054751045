"""``directory.test`` from outside: a form before it is saved, a stored directory, and what must not be held up by them."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.harness.platform import WAIT_S, Platform, Seen
from tests.harness.store import Store
from tests.harness.worker import Worker
from tests.servers.daemon import free_port


PEOPLE = 12
SAVE_ONLY = {"directory", "sync"}
COMPARED = ("code", "stage", "headline", "seen", "checks", "fix", "retry", "ldapsearch", "commands")


def form_of(customer: Customer, **changes: Any) -> dict[str, Any]:
    """The customer's form, as it is tested before it is saved."""
    form = customer.branch.form(**changes)
    return {name: value for name, value in form.items() if name not in SAVE_ONLY}


def untimed(seen: Any) -> Any:
    """What was seen of servers, without how long it took."""
    if isinstance(seen, list):
        return [untimed(each) for each in seen]
    if isinstance(seen, dict):
        return {name: untimed(each) for name, each in seen.items() if name != "milliseconds"}
    return seen


async def asked(customer: Customer, data: dict[str, Any], **how: Any) -> Seen:
    """Ask for a test; gives its answer."""
    cause = await customer.send("directory.test", data, **how)
    return await customer.platform.event("directory.tested", "command.rejected", cause=cause)


@contextmanager
def silent_host() -> Iterator[socket.socket]:
    """Something that takes connections and never says a word."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        yield hole


async def test_a_good_form_is_found_good(customer: Customer) -> None:
    """Before anything is saved an admin knows that it will work; the platform gets the answer where it asked for it."""
    customer.branch.crowd(PEOPLE)
    await customer.join()

    tested = await asked(
        customer, {"form": form_of(customer, notify=["it@example.com"])}, reply="k-test"
    )

    assert (tested.name, tested.data["code"]) == ("directory.tested", "ok")
    assert tested.data["seen"] == f"{PEOPLE} entries, {PEOPLE} addresses"
    assert {stage["state"] for stage in tested.data["stages"]} <= {"ok", "not_tried"}
    assert (tested.data["directory"], tested.data["notify"]) == (None, ["it@example.com"])
    assert tested.place is None
    assert (await customer.platform.replied("k-test")).data == tested.data
    assert await customer.recipients() == {}
    assert await customer.store.runs(customer.tenant) == []


async def test_a_stored_directory_is_tested_without_its_password_being_entered(
    customer: Customer,
) -> None:
    """By the form as it is stored, and by one that was edited for it."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    await customer.save()

    stored = await asked(customer, {"directory": "hq"})
    edited = await asked(
        customer,
        {"directory": "hq", "form": form_of(customer, password=None, filter="(cn=p000)")},
    )

    assert (stored.data["code"], stored.data["directory"]) == ("ok", "hq")
    assert edited.data["seen"] == "1 entries, 1 addresses"


async def test_all_that_is_wrong_with_a_form_is_told_at_once(customer: Customer) -> None:
    """And nothing is dialled for it."""
    await customer.join()
    form = form_of(customer, servers=["dc1:0"], removals={"canaries": ["ceo"]}, password="")

    rejected = await asked(customer, {"form": form})
    of_nothing = await asked(customer, {})
    elsewhere = await asked(customer, {"form": form_of(customer, password=None)})

    fields = [(error["field"], error["code"]) for error in rejected.data["errors"]]
    assert fields == [
        ("form.servers.0", "server.port"),
        ("form.password", "password.empty"),
        ("form.removals.canaries.0", "address.syntax"),
    ]
    assert [error["code"] for error in of_nothing.data["errors"]] == ["test.of_nothing"]
    assert [error["field"] for error in elsewhere.data["errors"]] == ["form.password"]


async def test_a_test_and_a_sync_say_the_same_of_the_same_fault(customer: Customer) -> None:
    """Whichever button was pressed, the way out is one."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    faults: tuple[dict[str, Any], ...] = (
        {"port": free_port()},
        {"servers": ["nowhere.invalid"]},
        {"security": "starttls", "trust": {"fingerprint": "sha256:" + "00" * 32}},
        {"search_bases": ["ou=nowhere,dc=lab,dc=example"]},
        {"filter": "(cn=nobody)"},
        {"password": "wrong"},
    )

    codes = []
    for fault in faults:
        failed = await customer.save(**fault)
        stored = await asked(customer, {"directory": "hq"})
        assert failed.name == "sync.failed", fault
        told = [
            {name: of[name] for name in COMPARED} | {"servers": untimed(of["servers"])}
            for of in (failed.data["finding"], stored.data)
        ]
        assert told[0] == told[1]
        codes.append(stored.data["code"])

    assert codes[-1] == "sign_in.wrong_password"
    assert len(set(codes)) == len(faults)


async def test_the_same_test_twice_is_one_test_and_its_answer_comes_again(
    customer: Customer,
) -> None:
    """Delivery is at least once."""
    customer.branch.crowd(PEOPLE)
    await customer.join()
    data = {"form": form_of(customer)}
    first = await asked(customer, data, id_="test-1")

    await customer.send("directory.test", data, id_="test-1", reply="k-again")

    again = await customer.platform.replied("k-again")
    assert (again.id, again.data) == (first.id, first.data)


async def test_a_black_hole_delays_no_other_test_and_no_sync(
    platform: Platform, store: Store, lab: Lab, house: Worker
) -> None:
    """One customer presses again and again at a host that is silent: at most three times the usual and half a second."""
    quick, stuck = (Customer(platform, store, lab.branch()) for _ in range(2))
    quick.branch.crowd(PEOPLE)
    stuck.branch.crowd(PEOPLE)
    await quick.join()
    await quick.save()
    await stuck.join()
    alone_s = await slowest_of_three(quick)
    with silent_host() as hole:
        # as another account, or the customer's own sync would wait for these sign-ins
        form = form_of(stuck, port=hole.getsockname()[1], bind_name=stuck.branch.dn("nobody"))
        causes = [await stuck.send("directory.test", {"form": form}) for _ in range(20)]

        beside_s = await slowest_of_three(quick)
        # nor do the customer's own other commands wait
        assert (await stuck.save()).name == "sync.completed"

        answered = [
            seen.data["causes"][0] for seen in platform.events if seen.name == "directory.tested"
        ]
    for cause in causes:
        await platform.event("directory.tested", cause=cause, within_s=2 * WAIT_S)

    assert not set(causes) & set(answered)
    assert beside_s <= 3 * alone_s + 0.5


async def slowest_of_three(customer: Customer) -> float:
    """How long a test and a sync take a customer, at worst."""
    took_s = []
    for _ in range(3):
        began = time.monotonic()
        assert (await asked(customer, {"directory": "hq"})).data["code"] == "ok"
        assert (await customer.sync()).name == "sync.completed"
        took_s.append(time.monotonic() - began)
    return max(took_s)


@pytest.mark.timeout(60)
async def test_a_test_outlives_its_worker(unhoused: Customer, hire: Hire) -> None:
    """Killed while it read, it is another's within the lease; whoever asked gets one answer."""
    with silent_host() as hole, hire("first") as first:
        hole.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await unhoused.join()
        form = form_of(unhoused, port=hole.getsockname()[1])
        cause = await unhoused.send("directory.test", {"form": form})
        with await connected(hole):
            first.kill()
        with hire("second") as second:
            (await connected(hole)).close()
            tested = await unhoused.platform.event("directory.tested", cause=cause)
            second.terminate()

    assert tested.data["code"].startswith(("sign_in.", "reach.", "secure."))
    assert len(second.logged("test_ended")) == 1
    answers = [seen for seen in unhoused.platform.events if cause in seen.data.get("causes", ())]
    assert len(answers) == 1


@pytest.mark.timeout(60)
async def test_a_stop_gives_a_test_to_another_worker_at_once(
    unhoused: Customer, hire: Hire
) -> None:
    """A person waits; a rolling restart must not cost the lease."""
    with silent_host() as hole, hire("first", drain_s=0.5, lease_s=60, renew_s=20) as first:
        hole.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await unhoused.join()
        form = form_of(unhoused, port=hole.getsockname()[1])
        cause = await unhoused.send("directory.test", {"form": form})
        with hire("second"), await connected(hole):
            first.terminate()
            (await connected(hole)).close()
            tested = await unhoused.platform.event("directory.tested", cause=cause)

    assert tested.data["code"] != "ok"


async def connected(hole: socket.socket) -> socket.socket:
    """Wait until somebody connects."""
    async with asyncio.timeout(WAIT_S):
        connection, _ = await asyncio.get_running_loop().sock_accept(hole)
    return connection


@pytest.mark.timeout(60)
async def test_a_test_dials_where_the_service_may(unhoused: Customer, hire: Hire) -> None:
    """Whoever types a form must not look around in our own network with it, as an admin may at home."""
    with silent_host() as hole, hire("strict", allow_networks=""):
        hole.setblocking(False)  # noqa: FBT003 - the standard library's signature
        await unhoused.join()
        port = hole.getsockname()[1]
        codes = {
            (await asked(unhoused, {"form": form_of(unhoused, servers=[f"{host}:{port}"])})).data[
                "code"
            ]
            for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1")
        }
        with pytest.raises(BlockingIOError):
            hole.accept()

    assert codes == {"reach.not_allowed"}
