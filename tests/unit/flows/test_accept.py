"""Deliveries to durable intents: whole batches, secrets sealed, and the loop never stands still over a long list."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from tests.contract.examples import EXAMPLES
from worker.adapters.secrets import SealedVault, generate_key, public_key, seal_for
from worker.domain.commands import (
    AddRecipients,
    CheckDirectory,
    Received,
    Refused,
    SaveDirectory,
    Sealed,
)
from worker.domain.model import DirectoryId, Secret
from worker.flows.accept import LARGE_BYTES, Accept
from worker.flows.bell import Bell
from worker.ports.broker import Delivery
from worker.ports.telemetry import NoTelemetry


CERTIFICATE = orjson.loads((EXAMPLES / "valid" / "directory.save-custom-own-ca.json").read_bytes())[
    "data"
]["trust"]["ca_pem"]


@dataclass(slots=True)
class Memory:
    """The Intake port, and a Vault that seals by turning around."""

    stored: list[Received | Refused] = field(default_factory=list)

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Keep."""
        self.stored += batch

    def seal(self, secret: Secret) -> Sealed:
        """Turn around."""
        return Sealed(secret.reveal()[::-1].encode())

    def unseal(self, sealed: Sealed) -> Secret:
        """Turn back."""
        return Secret(sealed.decode()[::-1])

    def digests(self, value: bytes) -> tuple[bytes, ...]:
        """No matter here."""
        return (value[:16],)


def message(name: str, data: object) -> Delivery:
    """One message of a platform."""
    told = {
        "specversion": "1.0",
        "id": "c-1",
        "source": "platform",
        "type": f"rollcall.{name}.v1",
        "subject": "acme",
        "data": data,
    }
    return Delivery(orjson.dumps(told))


def accept(memory: Memory) -> Accept:
    """The door, on these books."""
    return Accept(memory, memory, NoTelemetry(), Bell(), ())


async def test_a_batch_is_stored_whole_and_in_order() -> None:
    """What is wrong among it is stored as refused, at its place."""
    memory = Memory()

    await accept(memory)([message("tenant.delete", {}), Delivery(b"?"), message("run.undo", {})])

    assert [type(each) for each in memory.stored] == [Received, Refused, Refused]


async def test_a_password_in_clear_is_sealed_before_anything_is_stored() -> None:
    """The database never sees it."""
    memory = Memory()
    form = {
        "directory": "hq",
        "type": "openldap",
        "servers": ["ldap.example.com"],
        "bind_name": "cn=reader",
        "password": "correct horse",
    }

    await accept(memory)([message("directory.save", form)])

    (stored,) = memory.stored
    assert isinstance(stored, Received)
    assert isinstance(stored.command, SaveDirectory)
    assert stored.command.password == Sealed(b"esroh tcerroc")


async def test_the_secrets_of_a_form_to_be_tested_are_sealed_too() -> None:
    """It is not saved, and yet it waits in the database for a moment."""
    memory = Memory()
    form = {
        "type": "openldap",
        "servers": ["ldap.example.com"],
        "bind_name": "cn=reader",
        "password": "correct horse",
    }

    await accept(memory)([message("directory.test", {"form": form})])

    (stored,) = memory.stored
    assert isinstance(stored, Received)
    assert isinstance(stored.command, CheckDirectory)
    assert stored.command.form is not None
    assert stored.command.form.password == Sealed(b"esroh tcerroc")
    assert "correct horse" not in repr(stored.command)


@pytest.mark.parametrize(
    ("field", "text", "sealed_for", "code"),
    [
        ("password_sealed", "correct horse", "another", "secret.other_key"),
        ("client_key_sealed", "correct horse", "another", "secret.other_key"),
        ("password_sealed", "a" * 1_025, "ours", "value.too_long"),
        ("password_sealed", "a\0b", "ours", "value.control_character"),
        ("client_key_sealed", "correct horse", "ours", "key.not_pem"),
    ],
)
@pytest.mark.parametrize("name", ["directory.save", "directory.test"])
async def test_a_sealed_secret_is_held_to_what_one_in_clear_is(
    name: str, field: str, text: str, sealed_for: str, code: str
) -> None:
    """What no key of ours opens would be taken, and each sync fail."""
    keys = {each: Secret(generate_key()) for each in ("ours", "another")}
    memory = Memory()
    box = seal_for(public_key(keys[sealed_for]), Secret(text))
    form = {
        "type": "openldap",
        "servers": ["ldap.example.com"],
        "bind_name": "cn=reader",
        "client_certificate": CERTIFICATE,
        field: base64.b64encode(box).decode(),
    }
    data = {"form": form} if name == "directory.test" else {**form, "directory": "hq"}
    door = Accept(memory, SealedVault([keys["ours"]]), NoTelemetry(), Bell(), ())

    await door([message(name, data)])

    (stored,) = memory.stored
    assert isinstance(stored, Refused)
    at = f"form.{field}" if name == "directory.test" else field
    assert [(each.field, each.code) for each in stored.errors] == [(at, code)]
    assert (stored.id, stored.tenant, stored.name) == ("c-1", "acme", name)


async def test_what_any_key_of_ours_opens_is_taken() -> None:
    """While keys are changed, some platforms seal for the one and some for the other."""
    old, new = Secret(generate_key()), Secret(generate_key())
    memory = Memory()
    boxes = [seal_for(public_key(key), Secret("correct horse")) for key in (old, new)]
    form = {
        "directory": "hq",
        "type": "openldap",
        "servers": ["ldap.example.com"],
        "bind_name": "cn=reader",
    }
    sealed = [form | {"password_sealed": base64.b64encode(box).decode()} for box in boxes]

    await Accept(memory, SealedVault([new, old]), NoTelemetry(), Bell(), ())(
        [message("directory.save", each) for each in sealed]
    )

    assert [type(each) for each in memory.stored] == [Received, Received]


async def test_a_stored_directory_is_tested_as_it_is_asked() -> None:
    """There is nothing to seal."""
    memory = Memory()

    await accept(memory)([message("directory.test", {"directory": "hq"})])

    (stored,) = memory.stored
    assert isinstance(stored, Received)
    assert stored.command == CheckDirectory(DirectoryId("hq"), None)


async def test_the_loop_turns_while_a_long_list_is_checked() -> None:
    """Nine thousand addresses take a while; leases must be renewed and probes answered meanwhile."""
    memory, turns = Memory(), 0
    long = message("recipient.add", {"addresses": [f"p{n}@example.com" for n in range(9_000)]})
    assert len(long.body) > LARGE_BYTES

    async def turning() -> None:
        nonlocal turns
        while not memory.stored:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(turning())
        group.create_task(accept(memory)([long]))

    (stored,) = memory.stored
    assert isinstance(stored, Received)
    assert isinstance(stored.command, AddRecipients)
    assert len(stored.command.addresses) == 9_000
    assert turns > 10
