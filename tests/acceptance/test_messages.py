"""What the door does with messages: repeated, reused, late, early, garbled, oversized."""

import asyncio

import orjson
import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.platform import Seen
from tests.harness.store import Store


LIMIT_BYTES = 256 * 1024


async def test_the_same_message_three_times_is_one_effect(customer: Customer) -> None:
    """A platform that is not sure sends again, and must neither sync thrice nor wait for ever."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save()
    told = {"directory": "hq", "trigger": "manual", "mode": "apply"}
    once = f"once-{customer.tenant}"
    first = await customer.send("sync.request", told, id_=once, reply="r1")
    outcome = await customer.platform.ending(first)

    for reply in ("r2", "r3"):
        await customer.send("sync.request", told, id_=once, reply=reply)
    again = [await customer.platform.replied(reply) for reply in ("r1", "r2", "r3")]
    sent = await customer.platform.several(3, lambda seen: seen.id == outcome.id)

    assert {seen.id for seen in again} == {outcome.id}
    assert {seen.body for seen in (*again, *sent)} == {outcome.body}
    assert len(await customer.store.runs(customer.tenant)) == 2
    assert customer.platform.of(customer.tenant)


async def test_copies_of_save_and_sync_are_one_save_and_one_run(customer: Customer) -> None:
    """Three copies within one second are what a flapping connection makes."""
    customer.branch.add("ada")
    await customer.join()
    once, form = f"once-{customer.tenant}", customer.branch.form()

    for _ in range(3):
        await customer.send("directory.save", form, id_=once, reply="r")
    ending = await customer.platform.ending(once)
    reply = await customer.platform.replied("r")

    assert ending.name == "sync.completed"
    assert (reply.name, reply.data["revision"]) == ("directory.saved", 1)
    saved = [seen for seen in customer.platform.replies if seen.name == "directory.saved"]
    assert {seen.id for seen in saved} == {reply.id}
    assert len(await customer.store.runs(customer.tenant)) == 1


async def test_an_outcome_is_answered_to_the_queue_that_asked(customer: Customer) -> None:
    """A page that waits for its own answer need not read everybody's events."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save()

    cause = await customer.send(
        "sync.request",
        {"directory": "hq", "trigger": "manual", "mode": "apply"},
        reply="page-7",
    )
    reply = await customer.platform.replied("page-7")

    assert reply.name == "sync.completed"
    assert reply.data["causes"] == [cause]
    assert reply.id == (await customer.platform.ending(cause)).id


async def test_a_reply_queue_that_is_gone_blocks_nobody(customer: Customer) -> None:
    """Whoever closed the page before the answer came must not stop everybody's events."""
    customer.branch.add("ada")
    await customer.join()
    body = _command(customer, "directory.save", customer.branch.form(), id_=f"g-{customer.tenant}")

    await customer.platform.send_bytes(
        body, key="directory.save", reply="c", reply_to="platform.closed"
    )
    ending = await customer.platform.ending(f"g-{customer.tenant}")

    assert ending.name == "sync.completed"
    assert (await customer.sync()).name == "sync.completed"


async def test_a_reply_queue_that_is_not_allowed_is_refused(customer: Customer) -> None:
    """Nobody may have answers sent into a queue of ours or of another service."""
    await customer.join()
    body = _command(customer, "sync.request", {"directory": "hq"}, id_="elsewhere")

    await customer.platform.send_bytes(
        body, key="sync.request", reply="c", reply_to="rollcall.commands"
    )

    refused = await customer.platform.event("command.rejected", cause="elsewhere")
    assert _codes(refused) == ["reply_to.not_allowed"]


async def test_an_id_used_for_another_message_is_refused(customer: Customer) -> None:
    """A counter that started again at 1 must not make commands vanish in silence."""
    await customer.join()
    await customer.send("directory.pause", {"directory": "hq"}, id_="reused")

    await customer.send("directory.resume", {"directory": "hq"}, id_="reused")

    refused = await customer.platform.event("command.rejected", cause="reused")
    assert _codes(refused) == ["id_reused"]


async def test_a_late_message_does_no_harm(customer: Customer) -> None:
    """What a person corrected must not be undone by yesterday's message."""
    await customer.join(revision=7)
    await customer.send("directory.save", customer.branch.form(sync=False, revision=4))

    old_tenant = await customer.join(revision=6, domains=[{"name": "old.example.com"}])
    cause = await customer.send(
        "directory.save", customer.branch.form(sync=False, revision=3, name="Old")
    )
    old_form = await customer.platform.event("command.rejected", "directory.saved", cause=cause)

    assert [_codes(old_tenant), _codes(old_form)] == [["stale"], ["stale"]]
    (row,) = await customer.store.rows(
        "SELECT * FROM api.directory WHERE tenant = $1", customer.tenant
    )
    assert (row["revision"], row["name"]) == (4, "hq")


async def test_a_command_may_come_before_its_tenant(customer: Customer) -> None:
    """Two services of the platform do not wait for each other."""
    customer.branch.add("ada")

    cause = await customer.send("directory.save", customer.branch.form())
    await _stored(customer.store, cause)
    await customer.join()

    assert (await customer.platform.ending(cause)).name == "sync.completed"
    assert await customer.recipients() == customer.branch.addresses("ada")


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        ({"plan": "platinum"}, "plan", "value.not_allowed"),
        ({"plan": "basic", "domains": []}, "domains", "value.too_few"),
        ({"plan": "basic", "domains": [{"name": "nodot"}]}, "domains.0.name", "domain.syntax"),
    ],
)
async def test_a_form_with_a_mistake_is_answered_by_field(
    customer: Customer, data: dict[str, object], field: str, code: str
) -> None:
    """Whoever sent it is told what to enter instead, and where."""
    cause = await customer.send("tenant.save", data)

    refused = await customer.platform.event("command.rejected", cause=cause)

    assert [(error["field"], error["code"]) for error in refused.data["errors"]] == [(field, code)]
    assert all(error["message"] for error in refused.data["errors"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json {", "message.not_json"),
        (b"[1, 2]", "message.not_an_object"),
        (b"\xff\xfe\x00", "message.not_json"),
        (b'{"specversion":"1.0","data":' + b"[" * 5000 + b"]" * 5000 + b"}", "message.too_deep"),
        (b'{"x":"' + b"a" * LIMIT_BYTES + b'"}', "message.too_large"),
    ],
    ids=["text", "array", "bytes", "deep", "oversized"],
)
async def test_what_is_no_command_is_parked_and_answered(
    customer: Customer, body: bytes, code: str
) -> None:
    """One garbled message must neither block the queue nor vanish without a trace."""
    before = await _parked(customer.store)

    await customer.platform.send_bytes(body, key="tenant.save")
    refused = await customer.platform.event(
        "command.rejected", where=lambda seen: seen.data["errors"][0]["code"] == code
    )

    assert refused.key == "command.rejected"
    assert len(await _parked(customer.store)) == len(before) + 1
    # and the queue moves on
    assert (await customer.join()).name == "tenant.saved"


async def test_a_command_nobody_knows_is_refused(customer: Customer) -> None:
    """A newer platform is told at once that this release cannot do it."""
    cause = await customer.send("tenant.polish", {}, key="tenant.polish")

    refused = await customer.platform.event("command.rejected", cause=cause)

    assert _codes(refused) == ["type.unknown"]


async def test_another_tenants_domain_is_refused(customer: Customer) -> None:
    """Nobody may take over another customer's mail."""
    await customer.join()
    told = {"plan": "basic", "domains": [{"name": customer.branch.domain}]}

    cause = await customer.platform.send("tenant.save", f"{customer.tenant}-thief", told)

    refused = await customer.platform.event("command.rejected", cause=cause)
    assert _codes(refused) == ["domain.taken"]


async def test_a_plan_without_automatic_sync_refuses_what_needs_it(customer: Customer) -> None:
    """Nobody gets for nothing what others pay for, and nobody is left guessing why."""
    customer.branch.add("ada")
    await customer.join(plan="basic")

    form = await customer.save(schedule={"automatic": True})
    by_hand = await customer.save()
    trigger = await customer.sync(trigger="scheduled")

    assert (_codes(form), _codes(trigger)) == (["plan.automatic_sync"], ["plan.automatic_sync"])
    assert by_hand.name == "sync.completed"


async def test_a_tenant_that_never_comes_ends_the_wait(unhoused: Customer, hire: Hire) -> None:
    """A typo in a tenant's name is answered after a minute, not never."""
    hire(command_wait_s=2).start()

    cause = await unhoused.request()

    refused = await unhoused.platform.event("command.rejected", cause=cause)
    assert _codes(refused) == ["tenant.unknown"]


def _codes(refused: Seen) -> list[str]:
    return [error["code"] for error in refused.data["errors"]]


def _command(customer: Customer, name: str, data: dict[str, object], *, id_: str) -> bytes:
    told = {"specversion": "1.0", "id": id_, "source": "platform", "type": f"rollcall.{name}.v1"}
    return orjson.dumps(told | {"subject": customer.tenant, "data": data})


async def _parked(store: Store) -> list[object]:
    return list(await store.rows("SELECT * FROM api.parked"))


async def _stored(store: Store, cause: str) -> None:
    """Wait until a command is durable."""
    query = "SELECT FROM rollcall.command WHERE id = $1"
    async with asyncio.timeout(10):
        while not await store.rows(query, cause):
            pass
