from dataclasses import replace

import pytest

from worker.domain.doors import way_to_encryption
from worker.domain.survey import AddressSeen, PortSeen, PortState, ServerSeen, Speech


MINE = PortSeen(389, PortState.OPEN, 1, speaks=Speech.LDAP, starttls=False)
WILLING = replace(MINE, starttls=True)
GREETING = replace(MINE, speaks=Speech.OTHER, starttls=None)
TLS = PortSeen(636, PortState.OPEN, 1, configured=False, speaks=Speech.TLS)
REFUSED = PortSeen(636, PortState.REFUSED, 1, configured=False)
SHUT_TOO = replace(REFUSED, port=3269)
SILENT = PortSeen(3269, PortState.TIMED_OUT, 1, configured=False)


def way(*ports: PortSeen) -> str | None:
    """What is said of a server with these ports."""
    seen = (AddressSeen("192.0.2.1", "", ports),)
    return way_to_encryption([ServerSeen("dc1.example.com:389", "ok", 1, seen)])


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((WILLING, TLS), "Use port 636 with LDAPS, or choose STARTTLS for port 389."),
        ((MINE, TLS), "Use port 636 with LDAPS."),
        (
            (WILLING, REFUSED),
            "Choose STARTTLS for port 389, which offers it; port 636 refused the connection.",
        ),
        (
            (MINE, REFUSED, SILENT),
            (
                "Install a certificate on the server: port 389 offers no STARTTLS, and port 636 refused the connection "
                "and port 3269 did not answer. Then choose STARTTLS for that port, or LDAPS with port 636."
            ),
        ),
        (
            (WILLING, REFUSED, SHUT_TOO),
            "Choose STARTTLS for port 389, which offers it; ports 636 and 3269 refused the connection.",
        ),
        (
            (MINE,),
            (
                "Install a certificate on the server: port 389 offers no STARTTLS. "
                "Then choose STARTTLS for that port, or LDAPS with port 636."
            ),
        ),
        (
            (GREETING, REFUSED),
            (
                "Enter the port of the directory service: what answers on port 389 speaks no LDAP, "
                "and port 636 refused the connection."
            ),
        ),
    ],
)
def test_what_was_seen_says_what_to_do(ports: tuple[PortSeen, ...], said: str) -> None:
    """Nobody is sent to a port that was found shut."""
    assert way(*ports) == said


def test_a_server_that_nobody_saw_leaves_the_usual_advice() -> None:
    """The look around may have had no time."""
    assert way() is None
    assert way(replace(REFUSED, configured=True)) is None
