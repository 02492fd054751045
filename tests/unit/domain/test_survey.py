import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from worker.domain.survey import (
    SEEN_CHARACTERS,
    AddressSeen,
    Certificate,
    Encryption,
    PortSeen,
    PortState,
    ServerSeen,
    Speech,
    clean,
    told,
    usual_ports,
)


FINGERPRINT = f"sha256:{'ab' * 32}"
SHOWN = Certificate(
    FINGERPRINT,
    names=("dc1.corp.local", "corp.local"),
    issuer="CN=Corp CA",
    valid_until=datetime(2027, 3, 4, tzinfo=UTC),
    key="RSA 2048",
)


def server(*ports: PortSeen, name: str = "ok", shown: tuple[Certificate, ...] = ()) -> ServerSeen:
    """A server of one address."""
    addresses = (AddressSeen("192.0.2.1", ports=ports),) if name == "ok" else ()
    return ServerSeen("dc1.example.com:636", name, 1, addresses, 0, shown)


def test_the_other_port_is_named_in_a_sentence() -> None:
    """The commonest slip of all."""
    seen = server(
        PortSeen(389, PortState.TIMED_OUT, 5000),
        PortSeen(636, PortState.OPEN, 3, configured=False, speaks=Speech.TLS),
    )

    assert told([seen]) == (
        "dc1.example.com has 1 address: 192.0.2.1 port 389 no answer, port 636 open (TLS). "
        "636 is open, 389 is not."
    )


def test_a_certificate_is_told_in_one_sentence() -> None:
    """Whole enough to be compared and pinned."""
    seen = server(PortSeen(636, PortState.OPEN, 3, speaks=Speech.TLS), shown=(SHOWN,))

    assert told([seen]).endswith(
        "The certificate is for dc1.corp.local and corp.local, valid until 2027-03-04, "
        f"issued by CN=Corp CA, key RSA 2048, fingerprint {FINGERPRINT}."
    )


def test_versions_that_could_not_be_asked_are_told_as_such() -> None:
    """Silence would read as no."""
    tls = Encryption("ok", "TLS 1.2", {"TLS 1.3": False, "TLS 1.2": True, "TLS 1.0": None})

    said = told([server(PortSeen(636, PortState.OPEN, 3, speaks=Speech.TLS, tls=tls))])

    assert "It offers TLS 1.2. Whether it offers TLS 1.0 could not be asked from here." in said


def test_addresses_that_were_not_looked_at_are_counted() -> None:
    """A name of a hundred addresses is told of, not gone through."""
    seen = ServerSeen(
        "dc1.example.com:636",
        "ok",
        1,
        (AddressSeen("192.0.2.1"), AddressSeen("10.0.0.1", "private")),
        94,
    )

    assert told([seen]) == (
        "dc1.example.com has 96 addresses: 192.0.2.1 was not reached in time; "
        "10.0.0.1 is an address inside a private network: not dialled from here; 94 more were not looked at."
    )


@pytest.mark.parametrize("code", ["name.not_found", "name.failed", "name.timed_out"])
def test_a_name_that_leads_nowhere_is_told(code: str) -> None:
    """Each in its own words."""
    assert told([server(name=code)]).startswith("dc1.example.com: its name ")


def test_a_server_does_if_every_address_does() -> None:
    """Every other sync would fail."""
    good = PortSeen(636, PortState.OPEN, 1, speaks=Speech.TLS, suits=True)
    bad = PortSeen(636, PortState.OPEN, 1, speaks=Speech.LDAP)
    both = ServerSeen(
        "x:636",
        "ok",
        1,
        (AddressSeen("192.0.2.1", ports=(good,)), AddressSeen("::1", ports=(bad,))),
    )

    assert server(good).is_well
    assert not both.is_well
    assert not server(name="name.failed").is_well
    assert not server().is_well


def test_active_directory_has_two_more_usual_ports() -> None:
    """The global catalogue's."""
    assert usual_ports("active_directory") == (389, 636, 3268, 3269)
    assert usual_ports("samba_ad") == (389, 636, 3268, 3269)
    assert usual_ports("openldap") == (389, 636)


@given(st.text(max_size=300))
def test_what_a_stranger_wrote_is_fit_to_be_shown(text: str) -> None:
    """A certificate's name must not steer a terminal or turn a sentence around."""
    shown = clean(text)

    assert len(shown) <= 100
    assert all(unicodedata.category(sign)[0] != "C" for sign in shown)
    assert not set("\n\r\u2028\u2029\u202e\x1b") & set(shown)


def test_what_is_seen_has_an_end() -> None:
    """Five servers with four certificates of ten names each would fill a page."""
    name = "x" * 100
    many = tuple(Certificate(FINGERPRINT, names=(name,) * 10) for _ in range(4))
    port = PortSeen(636, PortState.OPEN, 1, speaks=Speech.TLS)

    assert len(told([server(port, shown=many)] * 5)) == SEEN_CHARACTERS
