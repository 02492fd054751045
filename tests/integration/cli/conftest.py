"""The program as a person runs it: a process, its arguments, what it prints and its exit code."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import asyncpg
import orjson
import pytest

from tests.conftest import PROGRAM, Servers
from tests.harness.lab import Branch, Lab, open_lab
from tests.harness.worker import Worker, settings
from tests.servers.certs import Authority
from tests.servers.daemon import free_port
from worker.adapters.postgres.clock import PostgresClock
from worker.adapters.postgres.desk import PostgresOrders
from worker.adapters.postgres.intake import PostgresIntake
from worker.adapters.postgres.pool import open_pool
from worker.adapters.secrets import SealedVault
from worker.codec import decode
from worker.domain.commands import Received
from worker.domain.model import Secret
from worker.flows.accept import Accept
from worker.flows.bell import Bell
from worker.flows.carry import carry
from worker.ports.broker import Delivery
from worker.ports.telemetry import NoTelemetry


RUN_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of the program came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, as a program reads it."""
        return orjson.loads(self.out)


@dataclass(slots=True)
class Program:
    """Runs it in an empty directory with a bare environment, and looks for passwords in all it says."""

    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    passwords: Sequence[str] = ()

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Ran:
        """Run to its end."""
        assert not any(secret in " ".join(arguments) for secret in self.passwords)
        done = subprocess.run(  # noqa: S603 - the program under test
            [PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env={**self.environment, **environment},
            timeout=RUN_WITHIN_S,
        )
        for secret in (*self.passwords, *environment.get("ROLLCALL_PASSWORD", "").split()):
            assert secret not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def into(self, output: IO[str], *arguments: str) -> Ran:
        """Run to its end with its answer going elsewhere."""
        done = subprocess.run(  # noqa: S603 - the program under test
            [PROGRAM, *arguments],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=self.directory,
            env=self.environment,
            timeout=RUN_WITHIN_S,
        )
        return Ran(done.returncode, "", done.stderr)


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of the stack, as options; the password is given apart."""

    arguments: tuple[str, ...]
    password: str

    def but(self, *changes: str, without: Sequence[str] = ()) -> list[str]:
        """Return the options with some replaced; each is a name and a value."""
        given = dict(zip(self.arguments[::2], self.arguments[1::2], strict=True))
        given |= dict(zip(changes[::2], changes[1::2], strict=True))
        return [
            each for name, value in given.items() if name not in without for each in (name, value)
        ]


def _at(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.hostname}:{parts.port}"


@pytest.fixture
def ad(servers: Servers) -> Tree:
    """The AD-flavoured tree, by LDAPS."""
    return Tree(
        (
            *("--type", "active_directory"),
            *("--server", _at(servers["STACK_LDAPS_URI"])),
            *("--ca-file", servers["STACK_LDAP_CA"]),
            *("--bind-name", servers["STACK_LDAP_AD_BIND_DN"]),
            *("--base", servers["STACK_LDAP_AD_BASE"]),
        ),
        servers["STACK_LDAP_AD_PASSWORD"],
    )


@pytest.fixture
def plain(servers: Servers) -> Tree:
    """The plain tree, by STARTTLS."""
    return Tree(
        (
            *("--type", "openldap"),
            *("--server", _at(servers["STACK_LDAP_URI"])),
            *("--security", "starttls"),
            *("--ca-file", servers["STACK_LDAP_CA"]),
            *("--bind-name", servers["STACK_LDAP_PLAIN_BIND_DN"]),
            *("--base", servers["STACK_LDAP_PLAIN_BASE"]),
        ),
        servers["STACK_LDAP_PLAIN_PASSWORD"],
    )


@pytest.fixture
def alone(tmp_path: Path) -> Program:
    """Give the program without broker and database, as a newcomer has it."""
    return Program(tmp_path)


@pytest.fixture
def environment(servers: Servers, database: str, amqp_prefix: str) -> dict[str, str]:
    """Give settings with a database of the test's own, and a broker."""
    return settings(amqp_url=servers.amqp_url, database_url=database, prefix=amqp_prefix)


@pytest.fixture
def program(tmp_path: Path, environment: dict[str, str]) -> Program:
    """Give the program as an operator has it, but for the broker: nothing here needs one."""
    kept = {name: value for name, value in environment.items() if "AMQP" not in name}
    secrets = (
        str(urlsplit(environment["ROLLCALL_DATABASE_URL"]).password),
        environment["ROLLCALL_KEYS"],
    )
    return Program(tmp_path, kept, secrets)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Lab]:
    """Give a directory server of the tests' own."""
    with open_lab(tmp_path_factory.mktemp("lab"), authority) as opened:
        yield opened


@pytest.fixture
def branch(lab: Lab) -> Branch:
    """Give an empty branch of it."""
    return lab.branch()


@pytest.fixture
def worker(tmp_path: Path, environment: dict[str, str]) -> Iterator[Worker]:
    """Give a worker whose broker is away, not started."""
    away = f"amqp://nobody:nothing@127.0.0.1:{free_port()}/"
    made = Worker("worker", tmp_path, {**environment, "ROLLCALL_AMQP_URL": away})
    yield made
    made.kill()


class Desk:
    """Does what a message does, and looks at rows."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._url = environment["ROLLCALL_DATABASE_URL"]
        self.vault = SealedVault([Secret(environment["ROLLCALL_KEYS"])])

    async def send(
        self, name: str, tenant: str, data: Mapping[str, object], *, which: str = ""
    ) -> None:
        """Store one command and carry it out; ``which`` tells it from another of its name."""
        body = orjson.dumps(
            {
                "specversion": "1.0",
                "id": f"{name}-{tenant}{which}",
                "source": "test",
                "type": f"rollcall.{name}.v1",
                "subject": tenant,
                "data": data,
            }
        )
        assert isinstance(decode(body), Received), decode(body)
        pool = await open_pool(self._url, size=1)
        try:
            intake = PostgresIntake(pool, PostgresClock(pool), self.vault)
            await Accept(intake, self.vault, NoTelemetry(), Bell(), ())([Delivery(body)])
            orders = PostgresOrders(pool, PostgresClock(pool), NoTelemetry(), timedelta(seconds=60))
            assert await orders.carry_next(carry)
        finally:
            await pool.close()

    async def join(self, branch: Branch, **form: Any) -> str:
        """Store a tenant with the branch as its directory ``hq``, saved but not synced; gives the tenant."""
        tenant = f"tenant-{branch.name}"
        told = {"plan": "enterprise", "domains": [{"name": branch.domain}]}
        await self.send("tenant.save", tenant, told)
        await self.send("directory.save", tenant, branch.form(**{"sync": False, **form}))
        return tenant

    async def rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Run one statement."""
        connection = await asyncpg.connect(self._url, timeout=10)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close(timeout=10)


@pytest.fixture
def desk(environment: dict[str, str]) -> Desk:
    """Give the store's door."""
    return Desk(environment)
