"""A real OpenLDAP and what is needed to read it, and a check that nothing is left behind."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.integration.postgres.conftest import house, pool, shared_database, vault
from tests.proofs.telling import told
from tests.servers import ldif
from tests.servers.certs import Authority
from tests.servers.samba import Samba, missing
from tests.servers.slapd import READER_PASSWORD, Slapd, Tree
from worker.adapters.directory.dial import TcpConnector
from worker.adapters.directory.reader import LdapReader
from worker.domain.failures import DirectoryFailure, Finding, Stage, StageResult, StageState
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Limits,
    Secret,
    Security,
    Server,
    Trust,
)
from worker.domain.plan import ReadPlan
from worker.domain.presets import PRESETS
from worker.domain.server import Profile
from worker.ports.directory import Entry, Page, Proof


__all__ = ["house", "pool", "shared_database", "vault"]

BASE = "dc=hq,dc=test"
PEOPLE = 40
LOOPBACK = Limits(
    allow_networks=("127.0.0.0/8", "::1/128"), connect_s=5, bind_s=5, page_s=10, run_s=20
)
GONE_WITHIN_S = 5


@dataclass(slots=True)
class RecordingGate:
    """Admits everyone and remembers."""

    events: list[str] = field(default_factory=list)

    async def admit(self) -> None:
        """Let them try."""
        self.events.append("admit")

    async def settle(self, *, accepted: bool | None) -> None:
        """Remember the answer."""
        self.events.append(f"settle {accepted}")


@dataclass(slots=True)
class RecordingConnector:
    """Connects, and remembers where to."""

    dialled: list[tuple[str, int]] = field(default_factory=list)

    async def connect(self, address: str, port: int) -> socket.socket:
        """Remember and connect."""
        self.dialled.append((address, port))
        return await TcpConnector().connect(address, port)


@dataclass(slots=True)
class Reading:
    """One reading of a plan, to look at afterwards."""

    plan: ReadPlan
    gate: RecordingGate = field(default_factory=RecordingGate)
    stages: list[StageResult] = field(default_factory=list)
    reader: LdapReader = field(default_factory=LdapReader)
    proof: Proof | None = None
    profile: Profile | None = None

    async def pages(self) -> AsyncIterator[Page]:
        """Read page by page; whoever stops early closes it."""
        async with self.reader.listing(self.plan, gate=self.gate, stages=self.stages) as listing:
            try:
                async for page in listing:
                    yield page
                self.proof = listing.proof
            finally:
                self.profile = listing.profile

    async def entries(self) -> list[Entry]:
        """Read everything."""
        found: list[Entry] = []
        async for page in self.pages():
            found += page
        return found

    async def names(self) -> list[str]:
        """Read everything, return the DNs."""
        return [name for name, _ in await self.entries()]

    async def failure(self) -> DirectoryFailure:
        """Read until it fails, return how."""
        with pytest.raises(DirectoryFailure) as caught:
            await self.entries()
        return caught.value

    async def finding(self) -> Finding:
        """Read until it fails, return what the customer is told; read with care."""
        return told(await self.failure(), self.stages)

    async def code(self) -> str:
        """Read until it fails, return the code of what the customer is told."""
        return (await self.finding()).code

    def states(self) -> list[tuple[Stage, StageState]]:
        """What became of each stage."""
        return [(result.stage, result.state) for result in self.stages]


@pytest.fixture
def form(plain: Server) -> DirectorySettings:
    """The form of an OpenLDAP that works, but for what a test changes in it."""
    return DirectorySettings(
        name="Head office",
        type="openldap",
        servers=(plain,),
        bind_name=f"cn=reader,ou=Service,{BASE}",
        security=Security.NONE,
        search_bases=(BASE,),
    )


def plan_for(
    *servers: Server,
    security: Security = Security.NONE,
    trust: Trust = Trust(),  # noqa: B008 -- frozen
    bind_name: str = f"cn=reader,ou=Service,{BASE}",
    password: str | None = READER_PASSWORD,
    bases: tuple[str, ...] = (BASE,),
    attributes: tuple[str, ...] = ("mail", "proxyAddresses", "entryUUID"),
    wanted: str = "(mail=*)",
    limits: Limits = LOOPBACK,
    page_size: int = 7,
    client: tuple[str, str] | None = None,
    certificate_name: str | None = None,
) -> ReadPlan:
    """Make a plan, with what the test does not care about filled in."""
    return ReadPlan(
        DirectorySettings(
            "HQ",
            "openldap",
            servers,
            bind_name,
            security=security,
            trust=trust,
            certificate_name=certificate_name,
            client_certificate=client[0] if client else None,
        ),
        Credentials(
            Secret(password) if password is not None else None,
            Secret(client[1]) if client else None,
        ),
        PRESETS["openldap"],
        bases,
        wanted,
        attributes,
        replace(limits, page_size=page_size),
    )


def people(base: str = BASE, count: int = PEOPLE) -> str:
    """LDIF of a few people, and a team with a sharp name."""
    records = [ldif.record(f"ou=People,{base}", {"objectClass": "organizationalUnit"})]
    for name in [*(f"p{serial:03}" for serial in range(count - 1)), "C# team"]:
        address = name.replace("# ", "-")
        records.append(
            ldif.record(
                f"cn={name},ou=People,{base}",
                {
                    "objectClass": "inetOrgPerson",
                    "sn": "TRUE",
                    "employeeNumber": "0x10",
                    "mail": f"{address}@hq.test",
                },
            )
        )
    return "".join(records)


TREE = Tree(base=BASE, seed=people())


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Slapd]:
    """One OpenLDAP for all tests that do not change it."""
    folder = tmp_path_factory.mktemp("slapd")
    with Slapd(folder, [TREE], certificate=authority.issue("hq")) as server:
        yield server


@pytest.fixture(scope="session")
def samba(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Samba]:
    """One Active Directory for all tests; who changes it adds an entry of their own."""
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    with Samba(tmp_path_factory.mktemp("samba"), authority.issue("dc")) as server:
        yield server


@pytest.fixture
def plain(slapd: Slapd) -> Server:
    """Its plain port."""
    return Server("127.0.0.1", slapd.port)


@pytest.fixture
def secured(slapd: Slapd) -> Server:
    """Its TLS port."""
    return Server("127.0.0.1", slapd.ldaps_port)


@pytest.fixture
def own_ca(authority: Authority) -> Trust:
    """Trust in the authority of the tests."""
    return Trust(ca_pem=authority.ca.read_text(encoding="ascii"))


def sockets() -> set[str]:
    """The sockets this process has open."""
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            links.add(target)
    return links


def folders() -> list[Path]:
    """The forwarders' directories of this process."""
    return list(Path(tempfile.gettempdir()).glob(f"rollcall-{os.getpid()}-*"))


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """After each test: no task, no socket, no directory that was not there before."""
    tasks, open_before = asyncio.all_tasks(), sockets()

    yield

    loop = asyncio.get_running_loop()
    deadline = loop.time() + GONE_WITHIN_S
    while (  # noqa: ASYNC110 -- nobody sets an event when the kernel has closed a socket
        sockets() - open_before or others() - tasks
    ) and loop.time() < deadline:
        await asyncio.sleep(0)  # a closed transport gives its socket back in the loop's next turn
    assert others() - tasks == set()
    assert sockets() - open_before == set()
    assert folders() == []


def others() -> set[asyncio.Task[object]]:
    """All tasks but the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
