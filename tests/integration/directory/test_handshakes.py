"""Handshakes that come to nothing: the wrong service, an old one, one that hangs up or gives up."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.integration.directory.conftest import Reading, plan_for
from tests.integration.directory.test_refusals import shaking_hands_once
from tests.proofs.telling import told
from tests.servers.certs import Authority
from tests.servers.scripted_ldap import result
from worker.adapters.directory.secure import REASONS, handshake_failure
from worker.domain.failures import Untrusted
from worker.domain.model import Security, Server, Trust


pytestmark = pytest.mark.integration

RSA = ("-newkey", "rsa:2048", "-nodes")
PUBLIC = Trust()
"""What a customer trusts who has said nothing."""
NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset (socket(7))."""


@asynccontextmanager
async def service(
    greeting: bytes = b"", *, answer: bytes = b"", resets: bool = False
) -> AsyncIterator[Server]:
    """Run a service that greets, hears one thing out, answers and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(greeting)
            await reader.read(4096)
            writer.write(answer)
            await writer.drain()
        if resets:
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
            )
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])


async def code_at(
    server: Server,
    security: Security = Security.LDAPS,
    trust: Trust = PUBLIC,
    name: str | None = None,
) -> str:
    """Return how it is told; no password was sent."""
    reading = Reading(plan_for(server, security=security, trust=trust, certificate_name=name))
    code = await reading.code()
    assert reading.gate.events == []
    return code


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.hq.test ESMTP ready\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+OK POP3 ready\r\n",
        result(0, 0x78, 2, "not understood"),
    ],
    ids=["smtp", "http", "pop3", "ldap"],
)
@pytest.mark.proves("secure.tls_on_plain_port")
async def test_a_service_that_answers_in_plain_text(answer: bytes) -> None:
    """Another service than the one that was meant, or the directory's own plain port."""
    async with service(answer=answer) as server:
        assert await code_at(server) == "secure.tls_on_plain_port"


@pytest.mark.parametrize(
    "greeting", [b"220 mail.hq.test ESMTP ready\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"]
)
@pytest.mark.proves("secure.tls_on_plain_port")
async def test_a_service_that_greets_in_plain_text(greeting: bytes) -> None:
    """A banner before anything was asked."""
    async with service(greeting) as server:
        assert await code_at(server) == "secure.tls_on_plain_port"


@pytest.mark.parametrize("resets", [False, True], ids=["eof", "reset"])
@pytest.mark.parametrize("security", [Security.LDAPS, Security.STARTTLS])
@pytest.mark.proves("secure.closed")
async def test_a_handshake_cut_short(security: Security, *, resets: bool) -> None:
    """Active Directory without a certificate takes connections to 636 and cuts them; so do firewalls."""
    async with service(resets=resets) as server:
        assert await code_at(server, security) == "secure.closed"


def contexts(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return two servers' contexts: one that knows TLS 1.1 at most, one with the ciphers of that time."""
    shown = authority.issue("of-long-ago", key=RSA)
    protocol, cipher = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for _ in range(2))
    for context in (protocol, cipher):
        context.load_cert_chain(shown.cert, shown.key)
        context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        protocol.maximum_version = ssl.TLSVersion.TLSv1_1
    cipher.maximum_version = ssl.TLSVersion.TLSv1_2
    cipher.set_ciphers("AES128-SHA")
    return protocol, cipher


@pytest.mark.parametrize("which", [0, 1], ids=["tls-1.1", "ciphers"])
@pytest.mark.proves("secure.protocol_too_old")
async def test_a_server_of_long_ago(authority: Authority, own_ca: Trust, which: int) -> None:
    """Nothing that a password is sent through today."""
    async with shaking_hands_once(contexts(authority)[which]) as server:
        assert await code_at(server, trust=own_ca) == "secure.protocol_too_old"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.proves("secure.client_certificate")
async def test_a_client_certificate_that_is_missing(
    authority: Authority, own_ca: Trust, version: ssl.TLSVersion
) -> None:
    """TLS 1.2 answers as if it knew no common cipher, TLS 1.3 only after the handshake; both are told as what they are."""
    shown = authority.issue("demanding")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)
    context.load_verify_locations(shown.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version

    async with shaking_hands_once(context) as server:
        plan = plan_for(server, security=Security.LDAPS, trust=own_ca)
        assert await Reading(plan).code() == "secure.client_certificate"


@pytest.mark.proves("secure.failed")
async def test_an_alert_that_says_little(authority: Authority, own_ca: Trust) -> None:
    """The server gives up, and its own log says why."""
    shown = authority.issue("giving-up")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.cert, shown.key)
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    async with shaking_hands_once(context) as server:
        assert await code_at(server, trust=own_ca, name="localhost") == "secure.failed"


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param(reason, marks=pytest.mark.proves(code), id=reason)
        for reason, code in REASONS.items()
    ],
)
def test_a_reason_is_told_whatever_brought_it_about(reason: str) -> None:
    """OpenSSL has many words for few faults, and not every one can be had from a server at hand."""
    fault = ssl.SSLError(1, "as OpenSSL words it")
    fault.reason = reason

    failure = handshake_failure(fault)

    assert isinstance(failure, Untrusted)
    assert told(failure, ()).code == REASONS[reason]
