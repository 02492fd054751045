"""What one port of one address speaks, found out by asking: plain LDAP, TLS, StartTLS, which versions, what certificate.

Never signs in, and shows a client certificate to nobody whose own is not proved (a pinned one is compared when the
handshake is over, as in a sync: what was shown by then is no secret). Each question is a connection of its own with a
deadline of its own.
"""

import asyncio
import contextlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from worker.adapters.directory.asking import NotLdapError, asked
from worker.adapters.directory.certificates import shown
from worker.adapters.directory.dial import Connector, attach, start_tls
from worker.adapters.directory.secure import handshake_failure, tls_context
from worker.domain.failures import DirectoryFailure
from worker.domain.plan import ReadPlan
from worker.domain.server import RootDse
from worker.domain.survey import OK, Certificate, Speech


VERSIONS = {
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.0": ssl.TLSVersion.TLSv1,
}
SPELLINGS = {"TLSv1.3": "TLS 1.3", "TLSv1.2": "TLS 1.2", "TLSv1.1": "TLS 1.1", "TLSv1": "TLS 1.0"}
MUTE = (OSError, EOFError, NotLdapError, DirectoryFailure)
"""How a port fails to answer a question; a deadline is an OSError, too."""
NO_TLS = frozenset(
    {
        "secure.tls_on_plain_port",
        "secure.starttls_refused",
        "secure.early_data",
    }
)
"""Faults after which asking again in TLS tells nothing more."""
HUNG_UP = "secure.closed"
OLD = frozenset({"TLS 1.0", "TLS 1.1"})
EVERYTHING = "DEFAULT:@SECLEVEL=0"
"""All ciphers that prove something, weak keys included."""


@dataclass(frozen=True, slots=True)
class Trusting:
    """The context that the settings ask for; made once a survey, since reading the public authorities takes 20 ms."""

    context: ssl.SSLContext | None
    fault: str = ""
    """The code of why there is none."""


def trusting(plan: ReadPlan) -> Trusting:
    """Make the context of a plan, if its certificates can be read."""
    try:
        return Trusting(tls_context(plan.settings, plan.credentials))
    except DirectoryFailure as failure:
        return Trusting(None, failure.code)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a handshake came to. ``version`` is empty if it did not come to an end."""

    check: str
    version: str = ""
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a port speaks."""

    speaks: Speech
    starttls: bool | None = None
    handshake: Handshake | None = None


@dataclass(slots=True)
class Prober:
    """Asks the ports of one server. ``root`` is what the first that answers strangers says of itself."""

    plan: ReadPlan
    host: str
    connector: Connector
    slots: asyncio.Semaphore
    """How many connections may be open at once."""
    part_s: float
    trust: "Trusting"
    root: RootDse | None = None

    async def reach(self, address: str, port: int) -> None:
        """Connect and hang up. Raises OSError."""
        async with self._connected(address, port):
            return

    async def spoken(self, address: str, port: int, *, wants_tls: bool) -> Spoken:
        """Find out what an open port speaks; asked first is what is usual there."""
        if wants_tls and (tls := await self._encryption(address, port)):
            return Spoken(Speech.TLS, None, tls)
        said = await self._plain(address, port)
        if said is Speech.LDAP:
            tls = await self._encryption(address, port, starttls=True)
            return Spoken(said, tls is not None, tls)
        if not wants_tls and (tls := await self._encryption(address, port)):
            return Spoken(Speech.TLS, None, tls)
        return Spoken(said)

    async def versions(self, address: str, port: int, *, starttls: bool) -> dict[str, bool | None]:
        """Ask for each version of TLS by itself; None where the OpenSSL here cannot, or nothing was answered."""
        offered: dict[str, bool | None] = dict.fromkeys(VERSIONS)

        async def ask(version: str, context: ssl.SSLContext) -> None:
            try:
                await self._handshake(address, port, context, starttls=starttls, wants_root=False)
            except TimeoutError:
                return
            except MUTE:
                offered[version] = False
            else:
                offered[version] = True

        async with asyncio.TaskGroup() as group:
            for name, version in VERSIONS.items():
                if (context := only(version)) is not None:
                    group.create_task(ask(name, context))
        return offered

    async def _plain(self, address: str, port: int) -> Speech:
        try:
            async with self._connected(address, port) as sock:
                await self._ask(*await streamed(sock))
        except NotLdapError:
            return Speech.OTHER
        except MUTE:
            return Speech.NOTHING
        return Speech.LDAP

    async def _ask(self, reader: asyncio.StreamReader, transport: asyncio.Transport) -> None:
        """Ask what the server is; that a stranger is not told is an answer too."""
        try:
            async with asyncio.timeout(self.part_s):
                said = await asked(reader, transport)
        finally:
            transport.abort()
        self.root = self.root or said

    async def _encryption(
        self, address: str, port: int, *, starttls: bool = False
    ) -> Handshake | None:
        """Shake hands as the settings say; where that fails, with anybody, only to see the certificate.

        None if there is no TLS to be had.
        """
        check = self.trust.fault
        try:
            if self.trust.context is not None:
                version, certificate = await self._handshake(
                    address, port, self.trust.context, starttls=starttls
                )
                return Handshake(self._pinned(certificate), version, certificate)
        except TimeoutError:
            return None
        except (OSError, EOFError) as exc:
            check = handshake_failure(exc).code
        except DirectoryFailure as failure:
            check = failure.code
        if check in NO_TLS:
            return None
        try:
            version, certificate = await self._handshake(
                address, port, anybody(), starttls=starttls
            )
        except MUTE:  # without an alert or a certificate there is no sign of TLS
            return None if check == HUNG_UP else Handshake(check)
        if check == HUNG_UP and version in OLD:  # some cut the connection instead of saying why
            check = "secure.protocol_too_old"
        return Handshake(check, version, certificate)

    def _pinned(self, certificate: Certificate | None) -> str:
        pinned = self.plan.settings.trust.fingerprint
        if pinned is None or (certificate and certificate.fingerprint == f"sha256:{pinned}"):
            return OK
        return "secure.wrong_fingerprint"

    async def _handshake(
        self,
        address: str,
        port: int,
        context: ssl.SSLContext,
        *,
        starttls: bool,
        wants_root: bool = True,
    ) -> tuple[str, Certificate | None]:
        """Return the version agreed on and the certificate shown. Raises OSError, EOFError, DirectoryFailure."""
        name = (self.plan.settings.certificate_name or self.host).rstrip(".")
        async with self._connected(address, port) as sock:
            async with asyncio.timeout(self.part_s):
                if starttls:
                    await start_tls(sock)
                reader, transport = await streamed(sock, context, name)
            tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
            seen = SPELLINGS.get(tls.version() or "", ""), shown(tls)
            if wants_root and self.root is None:
                with contextlib.suppress(*MUTE):  # the handshake is what was wanted
                    await self._ask(reader, transport)
            transport.abort()
            return seen

    @asynccontextmanager
    async def _connected(self, address: str, port: int) -> AsyncIterator[socket.socket]:
        """Give a connected socket, closed in the end. Raises OSError."""
        async with self.slots:
            async with asyncio.timeout(self.part_s):
                sock = await self.connector.connect(address, port)
            try:
                yield sock
            finally:
                sock.close()


async def streamed(
    sock: socket.socket, context: ssl.SSLContext | None = None, name: str = ""
) -> tuple[asyncio.StreamReader, asyncio.Transport]:
    """Put a stream on a connected socket, behind a handshake if there is a context."""
    reader = asyncio.StreamReader()
    transport = await attach(sock, asyncio.StreamReaderProtocol(reader), context, name)
    return reader, transport


@cache
def anybody() -> ssl.SSLContext:
    """Return a context that trusts anybody and takes whatever is offered: to look, never to speak of secrets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers(EVERYTHING)
    return context


@cache
def only(version: ssl.TLSVersion) -> ssl.SSLContext | None:
    """Return a context for one version alone, or None if the OpenSSL here cannot speak it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(EVERYTHING)
    try:
        with (
            warnings.catch_warnings()
        ):  # that the old ones are not to be used is known: they are only asked for
            warnings.simplefilter("ignore")
            context.minimum_version = context.maximum_version = version
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).do_handshake()
    except ssl.SSLWantReadError:  # it has said hello
        return context
    except (ssl.SSLError, ValueError):
        return None
    return context
