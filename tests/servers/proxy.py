"""A man in the middle that lies as told: between a client and an LDAP server, message by message.

    with FaultProxy(slapd.port, certificate=authority.issue("dc1")) as proxy:
        proxy.arm(Fault(Action.CUT, Kind.ENTRY, nth=700))
        ... read proxy.ldaps_uri ...
        assert proxy.seen(Kind.ENTRY) == 699

It runs in a process of its own: some client libraries block the interpreter that they run in, and
a proxy that stood there too would never be able to answer them.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.servers.ber import Kind
from tests.servers.daemon import PROJECT, ServerError
from tests.servers.slapd import Certificate


class Action(StrEnum):
    """What is done to the message that a fault waits for."""

    CUT = "cut"  # both connections closed instead of it
    HALF = "half"  # its first half, then the end
    GARBAGE = "garbage"  # bytes that are no BER instead of it
    HUGE = "huge"  # the beginning of a message that says it is 2 GiB long, then silence
    FREEZE = "freeze"  # nothing passes any more until ``disarm``; connections stay open
    DELAY = "delay"  # it and all behind it come ``seconds`` later
    TRICKLE = "trickle"  # from here on one byte at a time
    DROP = "drop"
    DUPLICATE = "duplicate"
    RESULT = "result"  # its answer has ``code`` and ``text``; an entry becomes the search's end
    NO_COOKIE = "no_cookie"  # success, and no page follows
    NO_CONTROLS = "no_controls"  # success, without a word on paging
    NOTICE = "notice"  # notice of disconnection with ``code``, then the end


@dataclass(frozen=True, slots=True)
class Fault:
    """Done to the ``nth`` message of a kind since it was armed, and to ``times`` in all (0: ever after).

    Counted over all connections. ``bytes`` set instead of a kind: CUT, FREEZE or TRICKLE once so
    many bytes of answers have passed.
    """

    action: Action
    on: Kind = Kind.ENTRY
    nth: int = 1
    times: int = 1
    code: int = 51
    text: str = "busy"
    seconds: float = 1.0
    after_bytes: int | None = None


class FaultProxy:
    """The proxy as a test holds it. One port: plain and STARTTLS, or TLS from the first byte.

    Addresses are numbers: libldap compares a certificate for "localhost" with the machine's name.
    """

    def __init__(
        self,
        upstream_port: int,
        *,
        certificate: Certificate | None = None,
        upstream_tls: bool = False,
        ldaps: bool = True,
    ) -> None:
        """Stand in front of a server on loopback.

        With a certificate it speaks TLS: at once when ``ldaps``, else when asked by STARTTLS.
        """
        self._setup = {
            "upstream_port": upstream_port,
            "upstream_tls": upstream_tls,
            "cert": str(certificate.cert) if certificate else None,
            "key": str(certificate.key) if certificate else None,
            "ldaps": ldaps and certificate is not None,
        }
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.proxy_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        self.port = int(self._ask(self._setup)["port"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._running()
        # it ends with its standard input, so also when the tests are killed
        process.communicate()
        self._process = None

    @property
    def uri(self) -> str:
        """For plain and STARTTLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps_uri(self) -> str:
        """For TLS from the first byte."""
        return f"ldaps://127.0.0.1:{self.port}"

    def arm(self, *faults: Fault) -> None:
        """From now on these faults, in place of those before; counts start at nothing."""
        self._ask({"arm": [asdict(fault) for fault in faults]})

    def disarm(self) -> None:
        """Be honest again; what was frozen goes on."""
        self.arm()

    def cut(self) -> None:
        """Close every connection now."""
        self._ask({"cut": True})

    def seen(self, kind: Kind) -> int:
        """How many of a kind came to the proxy since the faults were armed, or since the start."""
        return int(self._ask({"seen": kind})["seen"])

    def open_connections(self) -> int:
        """Clients connected now."""
        return int(self._ask({"open": True})["open"])

    def _ask(self, request: Mapping[str, object]) -> dict[str, int]:
        process = self._running()
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise ServerError(server="fault proxy", why=f"ended with {process.wait(10)}")
        reply: dict[str, int] = json.loads(answer)
        return reply

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServerError(server="fault proxy", why="not started; use it in a with statement")
        return self._process
