"""The man in the middle: each fault as a client meets it."""

import socket
from collections.abc import Iterator

import pytest

from tests.integration.servers.conftest import PEOPLE, Ask
from tests.servers.ber import Kind
from tests.servers.certs import Authority
from tests.servers.daemon import wait_until
from tests.servers.proxy import Action, Fault, FaultProxy
from tests.servers.slapd import Slapd


pytestmark = pytest.mark.integration


@pytest.fixture
def proxy(slapd: Slapd, authority: Authority) -> Iterator[FaultProxy]:
    """TLS in front of the small directory."""
    with FaultProxy(slapd.port, certificate=authority.issue("proxy")) as middle:
        yield middle


def test_without_a_fault_it_is_not_noticed(proxy: FaultProxy, ask: Ask) -> None:
    """What a faulty connection does is only told by comparison with a sound one."""
    answer = ask(proxy.ldaps_uri)

    assert (answer.code, len(answer.entries)) == (0, PEOPLE)
    assert proxy.seen(Kind.ENTRY) == PEOPLE
    assert proxy.seen(Kind.DONE) == PEOPLE // 10


@pytest.mark.parametrize(
    ("fault", "code", "entries"),
    [
        (Fault(Action.CUT, nth=16), 255, 15),
        (Fault(Action.HALF, nth=16), 255, 15),
        (Fault(Action.DROP, nth=16), 0, PEOPLE - 1),
        (Fault(Action.DROP, nth=16, times=5), 0, PEOPLE - 5),
        (Fault(Action.DUPLICATE, nth=16), 0, PEOPLE + 1),
        (Fault(Action.DELAY, nth=16, seconds=0.1), 0, PEOPLE),
        (Fault(Action.TRICKLE, nth=16), 0, PEOPLE),
        (Fault(Action.RESULT, nth=16, code=4), 4, 15),
        (Fault(Action.RESULT, Kind.DONE, nth=2, code=52), 52, 20),
        (Fault(Action.RESULT, Kind.BIND, code=49, text="data 775"), 49, 0),
        (Fault(Action.NO_COOKIE, Kind.DONE, nth=2), 0, 20),
        (Fault(Action.NO_CONTROLS, Kind.DONE, nth=2), 0, 20),
        (Fault(Action.NOTICE, Kind.ENTRY, nth=16, code=52), 52, 15),
        (Fault(Action.CUT, Kind.SEARCH_REQUEST, nth=2), 255, 10),
        (Fault(Action.CUT, Kind.CONNECT), 255, 0),
        (Fault(Action.CUT, after_bytes=3000), 255, 9),
    ],
    ids=lambda value: f"{value.action}-{value.on}" if isinstance(value, Fault) else "",
)
def test_a_fault_shows_as_it_would_in_the_wild(
    fault: Fault, code: int, entries: int, proxy: FaultProxy, ask: Ask
) -> None:
    """A fault that does not reach the client tests nothing."""
    proxy.arm(fault)

    answer = ask(proxy.ldaps_uri)

    assert (answer.code, len(answer.entries)) == (code, entries), answer.complaint


def test_a_client_that_asks_for_starttls_is_read_along_too(
    slapd: Slapd, authority: Authority, ask: Ask
) -> None:
    """STARTTLS would otherwise hide from the proxy what it is to break."""
    certificate = authority.issue("starttls")
    with FaultProxy(slapd.port, certificate=certificate, ldaps=False) as proxy:
        proxy.arm(Fault(Action.DROP, nth=3))
        answer = ask(proxy.uri, starttls=True)

    assert (answer.code, len(answer.entries)) == (0, PEOPLE - 1)


def test_a_server_may_accept_and_say_nothing(proxy: FaultProxy) -> None:
    """The silence before TLS is the one that stopped whole processes."""
    proxy.arm(Fault(Action.FREEZE, Kind.CONNECT))
    with _connected(proxy) as client:
        client.sendall(b"\x16\x03\x01")
        client.settimeout(0.2)

        with pytest.raises(TimeoutError):
            client.recv(1)

        assert proxy.open_connections() == 1


def test_connections_can_be_cut_by_hand(proxy: FaultProxy) -> None:
    """A connection may also die while nothing passes."""
    proxy.arm(Fault(Action.FREEZE, Kind.CONNECT, times=0))
    with _connected(proxy) as first, _connected(proxy) as second:
        assert wait_until(lambda: proxy.open_connections() == 2, within_s=5)
        proxy.cut()

        for client in (first, second):
            assert client.recv(1) == b""


def _connected(proxy: FaultProxy) -> socket.socket:
    client = socket.socket()
    client.settimeout(5)
    client.connect(("127.0.0.1", proxy.port))
    return client
