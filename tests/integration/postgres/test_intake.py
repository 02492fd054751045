"""The door: a batch is durable in one commit or not at all; a repeat is one effect and is answered again."""

from dataclasses import replace

import orjson
import pytest

from tests.contract.examples import EXAMPLES
from tests.integration.postgres.house import House, settings
from worker.codec.inbound import decode
from worker.domain.commands import (
    FieldError,
    Received,
    Refused,
    RequestSync,
    SaveDirectory,
    SaveTenant,
)
from worker.domain.failures import RequestFailure
from worker.domain.model import DirectoryId, Domain, Mode, Secret, TenantId, Tier, Trigger
from worker.flows.accept import Accept
from worker.flows.bell import Bell
from worker.ports.telemetry import NoTelemetry


def tenant(domain: str = "example.com") -> SaveTenant:
    """A command that any tenant may send."""
    return SaveTenant(Tier.BASIC, (Domain(domain),), None, None)


async def test_a_batch_is_stored_in_the_order_it_came(house: House) -> None:
    """A save and the sync that follows it must not change places."""
    await house.store(*[house.received(tenant(), id=f"m{number}") for number in range(20)])

    found = await house.fetch("SELECT id FROM rollcall.command ORDER BY number")
    assert [each["id"] for each in found] == [f"m{number}" for number in range(20)]


async def test_an_empty_batch_and_one_of_refusals_only_are_stored(house: House) -> None:
    """Garbage alone is no reason to stop."""
    await house.store()
    await house.store(Refused((FieldError("", "message.not_json", "…"),), size=3, body=b"{x}"))

    assert await house.value("SELECT count(*) FROM rollcall.parked") == 1


async def test_a_repeat_is_one_effect_and_gets_the_recorded_outcome_again(house: House) -> None:
    """Delivery is at least once; the platform may ask again without fear."""
    item = house.received(tenant(), id="m1")
    await house.store(item)
    await house.carry()

    await house.store(item)
    await house.carry()

    first, again = await house.events("tenant.saved")
    assert first == again
    assert await house.value("SELECT count(*) FROM rollcall.tenant") == 1


async def test_a_repeat_is_answered_to_the_queue_it_names(house: House) -> None:
    """Who asks again asks because the first answer never came."""
    await house.store(house.received(tenant(), id="m1"))
    await house.carry()

    await house.store(house.received(tenant(), id="m1", reply_to="reply.q", correlation_id="c9"))

    (reply,) = await house.fetch("SELECT * FROM rollcall.outbox WHERE reply_to IS NOT NULL")
    assert (reply["reply_to"], reply["correlation_id"], reply["routing_key"]) == (
        "reply.q",
        "c9",
        None,
    )


async def test_a_repeat_of_a_command_that_waits_has_no_answer_yet(house: House) -> None:
    """The one answer comes when it is carried out."""
    item = house.received(tenant(), id="m1")
    await house.store(item)
    await house.store(item)

    assert await house.events() == []
    await house.carry()
    assert len(await house.events("tenant.saved")) == 1


async def test_a_repeat_within_one_batch_is_one_command(house: House) -> None:
    """A publisher that lost a confirm sends twice in a row."""
    item = house.received(tenant(), id="m1")

    await house.store(item, item, item)
    await house.carry()

    assert await house.value("SELECT count(*) FROM rollcall.command") == 1
    assert len(await house.events("tenant.saved")) == 1


async def test_a_rejected_command_is_rejected_again(house: House) -> None:
    """The answer to a repeat is the answer, whatever it was."""
    await house.save_tenant("example.com", tenant="other")
    item = house.received(tenant(), id="m1")
    await house.store(item)
    await house.carry()

    await house.store(item)

    first, again = await house.events("command.rejected")
    assert first == again


async def test_the_outcome_of_a_run_is_told_again_to_each_who_asked(house: House) -> None:
    """The outcome of a sync.request is the run's."""
    await house.founded()
    command = RequestSync(DirectoryId("hq"), Trigger.MANUAL, Mode.APPLY)
    item = house.received(command, id="ask")
    await house.store(item)
    await house.carry()
    run = await house.claim()
    await house.conclude(run, house.snapshot(run, []))

    await house.store(item)

    first, again = await house.events("sync.completed")
    assert first == again


async def test_an_id_used_for_another_message_is_parked_and_rejected(house: House) -> None:
    """Else the second would be answered with the outcome of the first, and never done."""
    await house.store(house.received(tenant(), id="m1"))
    await house.carry()

    await house.store(house.received(tenant("example.net"), id="m1", reply_to="reply.q"))
    await house.carry()

    (told,) = await house.events("command.rejected")
    assert (told["data"]["command"], told["data"]["errors"][0]["code"]) == ("m1", "id_reused")
    assert await house.value("SELECT reason -> 0 ->> 'code' FROM rollcall.parked") == "id_reused"
    assert await house.value("SELECT count(*) FROM rollcall.outbox WHERE reply_to = 'reply.q'") == 1
    assert await house.value("SELECT count(*) FROM rollcall.command") == 1


async def test_an_id_reused_within_one_batch_is_found_too(house: House) -> None:
    """The first to come has it."""
    await house.store(
        house.received(tenant(), id="m1"), house.received(tenant("example.net"), id="m1")
    )
    await house.carry()

    assert len(await house.events("command.rejected")) == 1
    assert (await house.last("tenant.saved"))["domains"][0]["name"] == "example.com"


async def test_sources_do_not_share_ids(house: House) -> None:
    """CloudEvents: source and id together name a message."""
    item = house.received(tenant(), id="m1")
    other = house.received(tenant("example.net"), id="m1", tenant="other")

    await house.store(item, replace(other, envelope=replace(other.envelope, source="elsewhere")))
    await house.carry()

    assert len(await house.events("tenant.saved")) == 2


async def test_what_is_refused_is_parked_without_its_body(house: House) -> None:
    """It may hold a password; the reason, the size and a keyed digest are enough to find the sender's mistake."""
    body = b'{"password": "hunter2"}'
    refused = Refused(
        (FieldError("type", "type.unknown", "No such type."),),
        size=len(body),
        body=body,
        source="platform",
        id="x1",
        tenant=TenantId("acme"),
        name="no.such",
        reply_to="reply.q",
        correlation_id="c1",
    )

    await house.store(refused)

    (parked,) = await house.fetch("SELECT * FROM rollcall.parked")
    assert "hunter2" not in str(dict(parked))
    assert (parked["source"], parked["id"], parked["type"], parked["size"]) == (
        "platform",
        "x1",
        "no.such",
        23,
    )
    assert parked["digest"] == house.vault.digests(body)[0]
    told = await house.last("command.rejected")
    assert told["errors"] == [{"field": "type", "code": "type.unknown", "message": "No such type."}]
    (reply,) = await house.fetch("SELECT * FROM rollcall.outbox WHERE reply_to IS NOT NULL")
    assert (reply["reply_to"], reply["correlation_id"]) == ("reply.q", "c1")


async def test_a_batch_with_a_secret_in_clear_is_not_stored_at_all(house: House) -> None:
    """A password lies in the database sealed or not at all."""
    clear = SaveDirectory(
        DirectoryId("hq"),
        settings(),
        Secret("hunter2"),
        None,
        sync=False,
        force=False,
        revision=None,
    )

    with pytest.raises(RequestFailure, match="unsealed"):
        await house.store(house.received(tenant()), house.received(clear))

    assert await house.value("SELECT count(*) FROM rollcall.command") == 0


CERTIFICATE = orjson.loads((EXAMPLES / "valid" / "directory.save-custom-own-ca.json").read_bytes())[
    "data"
]["trust"]["ca_pem"]
KEY = "-----BEGIN PRIVATE KEY-----\nS29hbGFLb2FsYUtvYWxh\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("directory.save", {"client_certificate": f"Bag Attributes\n{KEY}{CERTIFICATE}"}),
        ("directory.save", {"trust": {"ca_pem": f"{CERTIFICATE}{KEY}"}}),
        ("directory.save", {"name": KEY.replace("\n", " ")}),
        ("directory.test", {"client_certificate": f"{CERTIFICATE}{KEY}"}),
    ],
    ids=["key and certificate", "own ca", "name", "test"],
)
async def test_a_private_key_in_the_wrong_field_is_in_no_column(
    house: House, name: str, change: dict[str, object]
) -> None:
    """The combined file that other programs want is pasted into the one field for certificates."""
    await house.founded()
    form = {
        "type": "openldap",
        "servers": ["ldap.example.com"],
        "bind_name": "cn=reader",
        "password": "hunter2",
    } | change
    data = {"form": form} if name == "directory.test" else form | {"directory": "hq"}
    envelope = {"specversion": "1.0", "id": "k1", "source": "s", "subject": "acme"}
    body = orjson.dumps(envelope | {"type": f"rollcall.{name}.v1", "data": data})

    read = decode(body)
    if isinstance(read, Received):
        accept = Accept(house.intake, house.vault, NoTelemetry(), Bell(), ())
        read = accept.sealed(read)
    await house.store(read)
    await house.carry()

    kept = await everything_kept(house)
    assert "key.misplaced" in kept
    assert "S29hbGFLb2FsYUtvYWxh" not in kept
    assert b"S29hbGFLb2FsYUtvYWxh".hex() not in kept


async def everything_kept(house: House) -> str:
    """Return every column of every row of ours, as text."""
    tables = await house.fetch(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'rollcall' AND table_type = 'BASE TABLE'"
    )
    rows = [
        row
        for (table,) in tables
        for row in await house.fetch(f"SELECT * FROM rollcall.{table}")  # noqa: S608 - as the catalogue names it
    ]
    return "\n".join(
        value.hex() if isinstance(value, bytes) else str(value) for row in rows for value in row
    )


NASTY = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"[]",
    b'{"id": "\\u0000", "source": "\\u0000", "subject": "\\u0000", "type": "\\u0000"}',
    b'{"id": "a\\u0000b", "source": "\\ud83d\\ude00", "type": "rollcall.tenant.save.v1", "data": {"plan": "\\u0000"}}',
    (
        b'{"specversion": "1.0", "id": "1", "source": "s", "subject": "acme", "type": "rollcall.tenant.save.v1",'
        b' "data": {"plan": "basic", "reseller": "a\\u0000b", "domains": [{"name": "x\\u0000.com"}]}}'
    ),
    (
        b'{"specversion": "1.0", "id": "2", "source": "s", "subject": "acme", "type": "rollcall.directory.save.v1",'
        b' "data": {"directory": "hq", "type": "openldap", "servers": ["a.example"], "bind_name": "cn=a\\u0000b",'
        b' "password": "p\\u0000", "name": "n\\u0000", "filter": "(cn=\\u0000)", "\\u0000": "\\u0000"}}'
    ),
]


@pytest.mark.parametrize("body", NASTY, ids=range(len(NASTY)))
async def test_no_message_can_make_a_batch_impossible_to_store(house: House, body: bytes) -> None:
    """What Postgres cannot take must be refused at the door, or it would come back for ever and block the queue."""
    read = decode(
        body, reply_to="r\x00", correlation_id="c\x00", traceparent="t\x00", reply_prefixes=("r",)
    )

    await house.store(read, house.received(tenant()))

    assert await house.value("SELECT count(*) FROM rollcall.parked") == 1
