"""Opens the one connection to a directory server: name, address, TCP, TLS, all under one deadline.

The only resolver of names. A name is resolved once, every address is vetted, and the connection
goes to that very address. libldap never connects anywhere but to our own private socket: its
connects and handshakes hold the whole process (measured with bonsai 1.5.5 and libldap 2.5.13).
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from worker.adapters.directory.secure import check_fingerprint, handshake_failure
from worker.adapters.directory.shape import SEQUENCE
from worker.adapters.directory.stages import Progress
from worker.adapters.directory.vetting import Address, verdicts
from worker.adapters.directory.wire import (
    EXTENDED_RESPONSE,
    header,
    parse_result,
)
from worker.domain.failures import (
    DirectoryFailure,
    Misdirected,
    Stage,
    Unfinished,
    Unreachable,
    Untrusted,
)
from worker.domain.model import Limits, Security
from worker.domain.survey import kind_of_address, listed


START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
"""The StartTLS request (RFC 4511 section 4.14.1), message id 1."""
ROOT_DSE = (
    b"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00"
    b"\x87\x0bobjectClass\x30\x00"
)
"""A search of the rootDSE that any LDAP server answers: tells a plain port from a TLS port."""
START_TLS_ANSWER_BYTES = 4096
TLS_ALERT = 0x15
PROBE_S = 3.0
ADDRESSES = 8
"""Of each kind of one name: a customer's name server could name thousands, and we would knock at each."""


class Connector(Protocol):
    """Makes the TCP connection; the seam where a test can watch or break it."""

    async def connect(self, address: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket to this numeric address. Raises OSError."""
        ...


class TcpConnector:
    """Connects by the running loop."""

    async def connect(self, address: str, port: int) -> socket.socket:
        """Connect; the socket is closed when that fails or is cancelled."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)  # noqa: FBT003 -- the standard library's signature
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock


class Names:
    """The hosts file first, then DNS; never our own search domains, never a thread pool."""

    def __init__(
        self,
        hosts: Path = Path("/etc/hosts"),
        resolver: Callable[[], dns.asyncresolver.Resolver] = dns.asyncresolver.Resolver,
    ) -> None:
        self._hosts = hosts
        self._resolver = resolver

    async def addresses(self, host: str, *, within_s: float) -> tuple[Address, ...]:
        """Return the addresses of a host, IPv4 first, at least one.

        Raises Unreachable ``name.not_found``, ``name.failed``, ``name.timed_out``.
        """
        literal = numeric(host)
        if literal is not None:
            return (literal,)
        return self._from_hosts(host) or await self._from_dns(host, within_s)

    def _from_hosts(self, host: str) -> tuple[Address, ...]:
        wanted = host.rstrip(".").lower()
        try:
            lines = self._hosts.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ()
        rows = [line.partition("#")[0].lower().split() for line in lines]
        found = [numeric(row[0]) for row in rows if wanted in row[1:]]
        return tuple(address for address in found if address is not None)

    async def _from_dns(self, host: str, within_s: float) -> tuple[Address, ...]:
        try:
            name = dns.name.from_text(host)
            resolver = self._resolver()
        except (dns.exception.DNSException, UnicodeError) as exc:
            raise Unreachable("name.not_found", f"{type(exc).__name__}") from exc
        resolver.lifetime = within_s
        async with asyncio.TaskGroup() as both:
            v4 = both.create_task(ask(resolver, name, dns.rdatatype.A))
            v6 = both.create_task(ask(resolver, name, dns.rdatatype.AAAA))
        found = v4.result().addresses + v6.result().addresses
        if found:
            return found
        raise v4.result().fault or v6.result().fault or Unreachable("name.not_found", "no address")


@dataclass(frozen=True, slots=True)
class Answered:
    """What DNS said for one record type: one broken type must not spoil the other."""

    addresses: tuple[Address, ...] = ()
    fault: DirectoryFailure | None = None


async def ask(
    resolver: dns.asyncresolver.Resolver, name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> Answered:
    """Ask for one record type; a fault is an answer too."""
    try:
        answer = await resolver.resolve(name, kind, search=False, raise_on_no_answer=False)
    except dns.resolver.NXDOMAIN:
        return Answered(fault=Unreachable("name.not_found", "NXDOMAIN"))
    except dns.exception.Timeout as exc:
        return Answered(fault=Unreachable("name.timed_out", type(exc).__name__))
    except (dns.exception.DNSException, OSError) as exc:
        return Answered(fault=Unreachable("name.failed", type(exc).__name__))
    records = islice(answer.rrset or (), ADDRESSES)
    return Answered(tuple(ip_address(record.to_text()) for record in records))


def numeric(host: str) -> Address | None:
    """Return the address a literal stands for (RFC 4516 allows brackets around IPv6), else None."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Target:
    """One server of a directory, with all that is needed to reach it."""

    host: str
    port: int
    security: Security
    certificate_name: str
    limits: Limits
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """None for plain LDAP."""
    fingerprint: str | None = None

    @property
    def label(self) -> str:
        """``host:port`` as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection: its transport, and the address it goes to."""

    transport: asyncio.Transport
    address: str
    certificate_until: datetime | None = None


class Dialler:
    """Dials one target. Closes what it opened when that fails or is cancelled."""

    def __init__(self, names: Names, connector: Connector) -> None:
        self._names = names
        self._connector = connector

    async def dial(self, target: Target, far: asyncio.Protocol, progress: Progress) -> Line:
        """Return an open, secured connection that feeds ``far``, within ``limits.connect_s``.

        Raises Unreachable ``name.*``, ``reach.*``, ``secure.*``; Untrusted ``secure.*``.
        """
        deadline = asyncio.get_running_loop().time() + target.limits.connect_s
        with progress.stage(Stage.NAME) as step:
            addresses = await self._resolve(target, deadline)
            step.seen = ", ".join(map(str, addresses))
        with progress.stage(Stage.REACH) as step:
            sock, address = await self._reach(target, addresses, deadline)
            step.seen = address
        if target.context is None:
            progress.skip(
                Stage.SECURE, "plain LDAP: password and addresses cross the network in clear"
            )
            return Line(await attach(sock, far), address)
        with progress.stage(Stage.SECURE) as step, closing_on_failure(sock):
            async with within(deadline, "secure.timed_out"):
                transport = await self._secure(target, sock, far, address)
            step.seen = describe(transport)
        return Line(transport, address, valid_until(transport))

    async def _resolve(self, target: Target, deadline: float) -> tuple[Address, ...]:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        async with within(deadline, "name.timed_out"):
            return await self._names.addresses(target.host, within_s=left)

    async def _reach(
        self, target: Target, addresses: tuple[Address, ...], deadline: float
    ) -> tuple[socket.socket, str]:
        """Try each allowed address in turn; one that stays silent leaves time for those after it."""
        judged = verdicts(addresses, target.limits)
        allowed = [address for address, reason in judged.items() if reason is None]
        if not allowed:
            raise not_allowed(judged)
        loop, failure = asyncio.get_running_loop(), Unreachable("reach.timed_out")
        for tried, address in enumerate(allowed):
            now = loop.time()
            share = now + max(0.0, deadline - now) / (len(allowed) - tried)
            try:
                async with within(share, "reach.timed_out"):
                    return await self._connector.connect(address, target.port), address
            except OSError as exc:
                failure = unreachable(exc)
            except Unreachable as exc:
                failure = exc
        raise failure

    async def _secure(
        self, target: Target, sock: socket.socket, far: asyncio.Protocol, address: str
    ) -> asyncio.Transport:
        try:
            if target.security is Security.STARTTLS:
                await start_tls(sock)
            transport = await attach(sock, far, target.context, target.certificate_name)
        except (OSError, EOFError) as exc:
            raise await self._explain(exc, target, address) from exc
        if target.fingerprint is not None:
            try:
                shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
                check_fingerprint(shown, target.fingerprint)
            except Untrusted:
                transport.abort()
                raise
        return transport

    async def _explain(
        self, exc: OSError | EOFError, target: Target, address: str
    ) -> DirectoryFailure:
        """Say why a handshake broke. A bare hang-up is most often the wrong port: look which one it is."""
        failure = handshake_failure(exc)
        if failure.code != "secure.closed":
            return failure
        if target.security is Security.LDAPS and await self.speaks_plain(address, target.port):
            return Untrusted("secure.tls_on_plain_port", "the port answers plain LDAP")
        if target.security is Security.STARTTLS and await self.speaks_tls(address, target.port):
            return Untrusted("secure.plain_on_tls_port", "the port answers a TLS handshake")
        return failure

    async def speaks_plain(self, address: str, port: int) -> bool:
        """Ask a harmless question in plain LDAP: is there an answer in plain LDAP?"""

        async def asks(sock: socket.socket) -> bool:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(sock, ROOT_DSE)
            return (await loop.sock_recv(sock, 1)) == bytes([SEQUENCE])

        return await self._probe(address, port, asks)

    async def speaks_tls(self, address: str, port: int) -> bool:
        """Begin a handshake that trusts anybody and carries nothing: is it answered?"""

        async def greets(sock: socket.socket) -> bool:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            (await attach(sock, asyncio.Protocol(), context, "")).abort()
            return True

        return await self._probe(address, port, greets)

    async def _probe(
        self, address: str, port: int, question: Callable[[socket.socket], Awaitable[bool]]
    ) -> bool:
        try:
            async with asyncio.timeout(PROBE_S):
                sock = await self._connector.connect(address, port)
                with closing_on_failure(sock):
                    answer = await question(sock)
                sock.close()
                return answer
        except OSError:  # TimeoutError and ssl.SSLError are of this family
            return False


async def attach(
    sock: socket.socket,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext | None = None,
    name: str = "",
) -> asyncio.Transport:
    """Put a protocol on a connected socket, behind a TLS handshake if there is a context."""
    transport, _ = await asyncio.get_running_loop().create_connection(
        lambda: protocol,
        sock=sock,
        ssl=context,
        server_hostname=name if context else None,
    )
    return transport


async def start_tls(sock: socket.socket) -> None:
    """Ask for TLS by hand (RFC 4511 section 4.14). Nothing may come after the answer in plain text.

    What an attacker adds there would be taken for the server's first words under TLS.
    Raises EOFError, Untrusted ``secure.starttls_refused``, ``secure.early_data``, ``secure.failed``.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, START_TLS)
    answer = b""
    while len(answer) < START_TLS_ANSWER_BYTES:
        more = await loop.sock_recv(sock, START_TLS_ANSWER_BYTES)
        answer += more
        if not more or answer[0] == TLS_ALERT:
            raise EOFError
        if start_tls_answered(answer):
            return
    raise Untrusted("secure.early_data", "the answer to StartTLS does not end")


def start_tls_answered(answer: bytes) -> bool:
    """Tell whether the whole answer is here, and nothing but the answer."""
    try:
        start, stop, operation = header(answer, 0)
        if stop > len(answer):
            return False
        result = parse_result(answer[start:stop])
    except IndexError:
        return False
    except Unfinished as exc:
        raise Untrusted("secure.failed", exc.detail) from exc
    if operation != EXTENDED_RESPONSE or result.code != 0:
        raise Untrusted("secure.starttls_refused", f"{result.code} {result.diagnostic}")
    if stop != len(answer):
        raise Untrusted("secure.early_data", f"{len(answer) - stop} bytes before the handshake")
    return True


def not_allowed(judged: Mapping[str, str | None]) -> Misdirected:
    """Return the failure of a server none of whose addresses may be dialled, given why each may not."""
    kinds = {address: kind_of_address(reason or "") for address, reason in judged.items()}
    seen = ", ".join(f"{address} is {kind}" for address, kind in kinds.items())
    return Misdirected(
        "reach.not_allowed", seen, figure=listed(list(dict.fromkeys(kinds.values())))
    )


def unreachable(exc: OSError) -> Unreachable:
    """Translate a fault of connecting, by type."""
    if isinstance(exc, ConnectionRefusedError):
        return Unreachable("reach.refused", str(exc))
    if isinstance(exc, ConnectionResetError):
        return Unreachable("reach.reset", str(exc))
    if isinstance(exc, TimeoutError):
        return Unreachable("reach.timed_out", str(exc))
    return Unreachable("reach.unroutable", str(exc))


def valid_until(transport: asyncio.Transport) -> datetime | None:
    """Return when the server's certificate expires; None where only its fingerprint was checked: its date ends nothing then."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    expiry = (tls.getpeercert() or {}).get("notAfter")
    if not isinstance(expiry, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(expiry), UTC)


def describe(transport: asyncio.Transport) -> str:
    """Say what the handshake agreed on: protocol, cipher, and until when the certificate is valid."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    cipher = tls.cipher()
    expiry = (tls.getpeercert() or {}).get("notAfter", "")
    seen = f"{tls.version()} {cipher[0] if cipher else ''}"
    return f"{seen}, certificate valid until {expiry}" if expiry else seen


@contextmanager
def closing_on_failure(sock: socket.socket) -> Iterator[None]:
    """Close the socket if what is inside fails or is cancelled; closing twice does no harm."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


@asynccontextmanager
async def within(deadline: float, code: str) -> AsyncIterator[None]:
    """Run what is inside until a deadline (loop time) that ends in a failure with a name."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError as exc:
        raise Unreachable(code, "deadline passed") from exc
