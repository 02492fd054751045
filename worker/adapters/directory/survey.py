"""A look around, without signing in: every server, every address of its name, the ports and what they show.

Vets each address as ``dial`` does, resolves each name once, and is bounded in every part: it tells what there was
time for.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from worker.adapters.directory.dial import Connector, Names, TcpConnector, unreachable
from worker.adapters.directory.probe import Prober, Spoken, Trusting, trusting
from worker.adapters.directory.vetting import verdicts
from worker.domain.failures import DirectoryFailure
from worker.domain.model import Security, Server
from worker.domain.plan import ReadPlan
from worker.domain.survey import (
    ADDRESSES_COUNT,
    CERTIFICATES_COUNT,
    OK,
    TLS_PORTS,
    AddressSeen,
    Certificate,
    Encryption,
    PortSeen,
    PortState,
    ServerSeen,
    Speech,
    Survey,
    usual_ports,
)


CONNECTIONS = 24
"""At once in one survey."""
SURVEYS = 8
"""At once in one process; when many directories fail together, a look at each would tell nothing new."""
STATES = {
    "reach.refused": PortState.REFUSED,
    "reach.reset": PortState.RESET,
    "reach.timed_out": PortState.TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a survey may take, in seconds."""

    part_s: float = 5.0
    """For a name, a connection, or one question."""
    whole_s: float = 15.0


class LdapSurveyor:
    """Implements ``ports.Surveyor``."""

    def __init__(
        self,
        names: Names | None = None,
        connector: Connector | None = None,
        *,
        now: Callable[[], datetime],
        usual: Callable[[str], Sequence[int]] = usual_ports,
        patience: Patience = Patience(),
    ) -> None:
        """``usual`` gives the ports to look at when the configured one does not do."""
        self._now = now
        self._names = names or Names()
        self._connector = connector or TcpConnector()
        self._usual = usual
        self._patience = patience
        self._under_way = 0

    async def survey(self, plan: ReadPlan) -> Survey:
        """Look at all servers of a plan at once; see the port."""
        if self._under_way >= SURVEYS:
            return Survey()
        trust = trusting(plan)
        looks = [self._look(plan, server, trust) for server in plan.settings.servers]
        self._under_way += 1
        try:
            with contextlib.suppress(TimeoutError):  # what was seen by then is told
                async with asyncio.timeout(self._patience.whole_s), asyncio.TaskGroup() as group:
                    for look in looks:
                        group.create_task(look.look())
        finally:
            self._under_way -= 1
        roots = (look.prober.root for look in looks if look.prober.root is not None)
        return Survey(tuple(look.seen() for look in looks), next(roots, None), self._now())

    def _look(self, plan: ReadPlan, server: Server, trust: Trusting) -> "Look":
        slots, part_s = asyncio.Semaphore(CONNECTIONS), self._patience.part_s
        prober = Prober(plan, server.host, self._connector, slots, part_s, trust)
        return Look(plan, server, self._names, prober, tuple(self._usual(plan.settings.type)))


@dataclass(slots=True)
class Look:
    """One server under survey: what has been seen of it so far."""

    plan: ReadPlan
    server: Server
    names: Names
    prober: Prober
    usual: tuple[int, ...]
    name: str = "name.timed_out"
    milliseconds: int = 0
    more_addresses: int = 0
    forbidden: dict[str, str] = field(default_factory=dict)
    """Every address looked at, and why it is not dialled; empty: it is."""
    ports: dict[tuple[str, int], PortSeen] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The configured one."""
        return self.server.port_for(self.plan.settings.security)

    def seen(self) -> ServerSeen:
        """Return what has been seen so far."""
        host = f"[{self.server.host}]" if ":" in self.server.host else self.server.host
        return ServerSeen(
            f"{host}:{self.port}",
            self.name,
            self.milliseconds,
            tuple(
                AddressSeen(address, forbidden, self._ports_of(address))
                for address, forbidden in self.forbidden.items()
            ),
            self.more_addresses,
            tuple(self.certificates.values()),
        )

    def _ports_of(self, address: str) -> tuple[PortSeen, ...]:
        """Return what was seen of an address, the configured port first."""
        mine = [port for (at, _), port in self.ports.items() if at == address]
        return tuple(sorted(mine, key=lambda port: (not port.configured, port.port)))

    async def look(self) -> None:
        """Resolve the name, then look at all its addresses at once."""
        addresses = await self._resolve()
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                group.create_task(self._address(address))
        await self._ask_versions()

    async def _resolve(self) -> list[str]:
        """Return the addresses that may be dialled."""
        began, part_s = monotonic(), self.prober.part_s
        try:
            async with asyncio.timeout(part_s):
                found = await self.names.addresses(self.server.host, within_s=part_s)
        except (DirectoryFailure, TimeoutError) as exc:
            self.name = exc.code if isinstance(exc, DirectoryFailure) else self.name
            return []
        finally:
            self.milliseconds = since(began)
        self.name, self.more_addresses = OK, max(0, len(found) - ADDRESSES_COUNT)
        judged = verdicts(found[:ADDRESSES_COUNT], self.plan.limits)
        self.forbidden = {address: reason or "" for address, reason in judged.items()}
        return [address for address, reason in judged.items() if reason is None]

    async def _address(self, address: str) -> None:
        """Look at the configured port of an address, and where that does not do at the usual ones."""
        if await self._port(address, self.port):
            return
        async with asyncio.TaskGroup() as group:
            for port in self.usual:
                if port != self.port:
                    group.create_task(self._port(address, port))

    def _suits(self, spoken: Spoken) -> bool:
        """Whether a port speaks as the settings want it to; a certificate that is wrong is wrong on every port."""
        security = self.plan.settings.security
        if security is Security.LDAPS:
            return spoken.speaks is Speech.TLS
        return spoken.speaks is Speech.LDAP and (security is Security.NONE or bool(spoken.starttls))

    async def _port(self, address: str, port: int) -> bool:
        """Look at one port; tell whether it speaks as the settings want."""
        began = monotonic()
        seen = PortSeen(port, PortState.TIMED_OUT, 0, port == self.port)
        self.ports[address, port] = seen
        try:
            await self.prober.reach(address, port)
        except OSError as exc:
            state = STATES.get(unreachable(exc).code, PortState.UNROUTABLE)
            self.ports[address, port] = replace(seen, state=state, milliseconds=since(began))
            return False
        seen = replace(seen, state=PortState.OPEN, milliseconds=since(began))
        self.ports[address, port] = seen
        wants_tls = port in TLS_PORTS or (
            port == self.port and self.plan.settings.security is Security.LDAPS
        )
        spoken = await self.prober.spoken(address, port, wants_tls=wants_tls)
        self.ports[address, port] = self._told(seen, spoken)
        return self._suits(spoken)

    def _told(self, seen: PortSeen, spoken: Spoken) -> PortSeen:
        """Put what a port speaks to what was seen of it, and keep its certificate."""
        shake, security = spoken.handshake, self.plan.settings.security
        shown = shake.certificate if shake else None
        if shown is not None and len(self.certificates) < CERTIFICATES_COUNT:
            self.certificates.setdefault(shown.fingerprint, shown)
        is_proved = security is Security.NONE or (shake is not None and shake.check == OK)
        return replace(
            seen,
            speaks=spoken.speaks,
            starttls=spoken.starttls,
            tls=Encryption(
                shake.check, shake.version, certificate=shown.fingerprint if shown else ""
            )
            if shake
            else None,
            suits=self._suits(spoken) and is_proved,
        )

    async def _ask_versions(self) -> None:
        """Ask the first port with encryption for each version: once a server, since each takes a connection."""
        at = next((at for at, port in self.ports.items() if port.tls is not None), None)
        if at is None:
            return
        is_starttls = self.ports[at].speaks is Speech.LDAP
        versions = await self.prober.versions(*at, starttls=is_starttls)
        seen = self.ports[at]
        if seen.tls is not None:
            self.ports[at] = replace(seen, tls=replace(seen.tls, versions=versions))


def since(began: float) -> int:
    """Return the milliseconds from then to now."""
    return round((monotonic() - began) * 1000)
