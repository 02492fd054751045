"""Nothing that a worker says or keeps holds a secret, whatever went wrong; looked for in every form it could take."""

import asyncio
import base64
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import orjson
import pytest

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Branch, Lab
from tests.harness.platform import WAIT_S, Seen
from tests.harness.worker import Worker
from tests.servers.daemon import free_port


RIGHT = "Tr4u+ig/Koala%71"
WRONG = "F4lsch+er/Koala%72"
TYPED_WRONG = "Schr4eg+er/Koala%73"
TESTED_WRONG = "Pr0bier+er/Koala%74"
BROKEN = (sys.executable, "-m", "tests.chaos.launcher", "--broken")


@dataclass(slots=True)
class Evidence:
    """Everything that was said and kept, by where."""

    found: dict[str, bytes] = field(default_factory=dict)

    def leaks(self, secrets: dict[str, str]) -> list[tuple[str, str, str]]:
        """Return which secret is where, in which form."""
        return [
            (name, form, place)
            for name, secret in secrets.items()
            for form, text in forms(secret.encode())
            for place, said in self.found.items()
            if text in said
        ]


def forms(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what a secret looks like in logs, JSON, URLs and dumps."""
    text = secret.decode()
    yield "plain", secret
    yield "json", orjson.dumps(text)[1:-1]
    yield "repr", repr(text)[1:-1].encode()
    yield "quoted", quote(text, safe="").encode()
    yield "quoted as a form", quote_plus(text).encode()
    yield "hex", secret.hex().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # inside a longer text it begins at one of three places; its edges mix with what is beside it
            whole = encode(b"\0" * offset + secret).rstrip(b"=")
            yield f"base64, {offset} on", whole[4 if offset else 0 : -1]


def test_the_search_finds_what_it_looks_for() -> None:
    """A search that finds nothing anywhere proves nothing."""
    said = {
        "log": b'{"detail": "bind with Tr4u+ig/Koala%71 refused"}',
        "dump": base64.b64encode(b"user:" + RIGHT.encode() + b"@host"),
        "arguments": f"amqp://u:{quote(RIGHT, safe='')}@h".encode(),
    }

    assert {place for _, _, place in Evidence(said).leaks({"password": RIGHT})} == set(said)


def koala(lab: Lab, branch: Branch) -> dict[str, Any]:
    """Return a form with every secret that one can hold."""
    certificate = lab.authority.issue("client", usage="clientAuth")
    branch.account("koala", password=RIGHT)
    return {
        "bind_name": branch.dn("koala"),
        "security": "ldaps",
        "port": lab.slapd.ldaps_port,
        "trust": {"ca_pem": lab.authority.ca.read_text(encoding="utf-8")},
        "client_certificate": certificate.cert.read_text(encoding="utf-8"),
        "client_key": certificate.key.read_text(encoding="utf-8"),
        "password": RIGHT,
    }


async def everything_goes_wrong(customer: Customer, form: dict[str, Any]) -> list[str]:
    """Test, sync, fail in every stage, be refused at the door; gives the names of the outcomes."""
    ended = [
        await doctor(customer, form | {"password": TESTED_WRONG}),
        await doctor(customer, form),
    ]
    ended += [await customer.save(**form), await customer.sync(mode="preview")]
    changes: tuple[dict[str, Any], ...] = (
        {"password": WRONG},
        {"port": free_port()},
        {"trust": {"fingerprint": "sha256:" + "00" * 32}},
        {"security": "starttls"},
        {"schedule": {"every_hours": 5}},
        {"password": [TYPED_WRONG]},
        {"password_sealed": TYPED_WRONG},
    )
    ended += [await customer.save(**form | change) for change in changes]
    for body in (b'{"data": {"password": "%s"', b'{"id": "x", "password": "%s", "data": 1}'):
        broken = body.replace(b"%s", RIGHT.encode())
        await customer.platform.send_bytes(broken, key="directory.save")
    await customer.platform.several(5, lambda seen: seen.name == "command.rejected")
    return [seen.name for seen in ended]


async def doctor(customer: Customer, form: dict[str, Any]) -> Seen:
    """Test a form that is not saved; gives the answer."""
    cause = await customer.send("directory.test", {"form": customer.branch.form(**form)})
    return await customer.platform.event("directory.tested", cause=cause)


async def dump_during_a_test(customer: Customer, form: dict[str, Any], url: str) -> bytes:
    """What a backup would hold while a form is being tested at a host that says nothing."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        hole.setblocking(False)  # noqa: FBT003 - the standard library's signature
        silent = customer.branch.form(**form | {"port": hole.getsockname()[1]})
        await customer.send("directory.test", {"form": silent})
        async with asyncio.timeout(WAIT_S):
            connection, _ = await asyncio.get_running_loop().sock_accept(hole)
        with connection:
            return dump(url)


@pytest.mark.timeout(60)
async def test_no_secret_is_in_logs_events_database_or_arguments(
    unhoused: Customer, hire: Hire, lab: Lab, environment: dict[str, str]
) -> None:
    """A customer's password must not be read by whoever may read a log or a backup."""
    unhoused.branch.crowd(12)
    form, evidence = koala(lab, unhoused.branch), Evidence()
    with hire("honest") as honest:
        await unhoused.join()
        ended = await everything_goes_wrong(unhoused, form)
        evidence.found["arguments"] = arguments(honest)
        evidence.found["meanwhile"] = await dump_during_a_test(
            unhoused, form, environment["ROLLCALL_DATABASE_URL"]
        )
        honest.terminate()
    with hire("broken", command=BROKEN) as broken:
        ended.append((await unhoused.save(**form)).name)
        broken.terminate()
    evidence.found["log"] = (honest.log() + broken.log()).encode()
    evidence.found["events"] = b"\n".join(seen.body for seen in unhoused.platform.events)
    evidence.found["database"] = dump(environment["ROLLCALL_DATABASE_URL"])

    leaks = evidence.leaks(
        {
            "password": RIGHT,
            "refused password": WRONG,
            "tested password": TESTED_WRONG,
            "password in the wrong place": TYPED_WRONG,
            "client key": form["client_key"].splitlines()[1],
            "sealing key": environment["ROLLCALL_KEYS"],
            "broker's password": _password(environment["ROLLCALL_AMQP_URL"]),
            "database's password": _password(environment["ROLLCALL_DATABASE_URL"]),
        }
    )

    assert leaks == []
    assert ended == [
        *["directory.tested"] * 2,
        *("sync.completed", "sync.previewed"),
        *["sync.failed"] * 4,
        *["command.rejected"] * 3,
        "sync.failed",
    ]
    # and where was looked, there was something to see
    assert "LookupError" in broken.log()
    assert "Traceback" in broken.log()
    assert all(b"koala" in evidence.found[place] for place in ("log", "database"))
    assert b"run" in evidence.found["arguments"]
    # a test is kept while it lasts, and no longer
    kept = [
        b"INTO rollcall.directory_test " in evidence.found[at] for at in ("meanwhile", "database")
    ]
    assert kept == [True, False]


def arguments(worker: Worker) -> bytes:
    """Return the command lines of a worker and of all it started."""
    first = worker.daemon.pid
    assert first is not None
    pids = [first]
    for pid in pids:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        pids += map(int, children.split())
    return b"\n".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def dump(url: str) -> bytes:
    """Return all that a backup of the database would hold."""
    parts = urlsplit(url)
    done = subprocess.run(  # noqa: S603 - the words are ours
        [
            *("/usr/bin/pg_dump", "--inserts", "-h", str(parts.hostname), "-p", str(parts.port)),
            *("-U", str(parts.username), parts.path[1:]),
        ],
        env={"PGPASSWORD": str(parts.password)},
        capture_output=True,
        check=True,
    )
    return done.stdout


def _password(url: str) -> str:
    return str(urlsplit(url).password)
