"""What one private stack is: where it lives, its ports, its passwords. Saved, so that any process can find it."""

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from tests.servers.daemon import ENVIRONMENT, PROJECT, ServerError


HOME = PROJECT / ".stack"
BLOCK = 8
# Below Linux's own range for outgoing connections (32768 and up), above what services like to take
FIRST_PORT, LAST_PORT = 20000, 32000
USED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The choices of one stack."""

    home: Path
    base_port: int
    postgres_home: Path
    durable: bool
    broker_password: str
    database_password: str
    admin_password: str
    directory_password: str
    broker_user: str = "rollcall"

    @classmethod
    def make(
        cls, *, home: Path, base_port: int, postgres_home: Path, durable: bool = False
    ) -> Self:
        """Choose passwords for a new stack and save it."""
        plan = cls(
            home=home,
            base_port=base_port,
            postgres_home=postgres_home,
            durable=durable,
            broker_password=secrets.token_hex(12),
            database_password=secrets.token_hex(12),
            admin_password=secrets.token_hex(12),
            directory_password=secrets.token_hex(12),
        )
        plan.save()
        return plan

    @classmethod
    def load(cls, home: Path = HOME) -> Self | None:
        """The stack that was made here, running or not."""
        try:
            saved = json.loads((home / "plan.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        paths = {name: Path(saved[name]) for name in ("home", "postgres_home")}
        return cls(**{**saved, **paths})

    def save(self) -> None:
        """Write it where ``load`` looks; whole or not at all."""
        saved = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }
        write_private(self.home / "plan.json", json.dumps(saved, indent=1))

    def with_durable(self, durable: bool) -> Self:  # noqa: FBT001 - named by the method
        """The same stack with or without Postgres keeping its word over a power cut."""
        changed = replace(self, durable=durable)
        changed.save()
        return changed

    @property
    def run(self) -> Path:
        """Pid files and logs."""
        return self.home / "run"

    @property
    def marks(self) -> dict[str, str]:
        """Every process of this stack carries this, so that leftovers are found after a crash.

        A server that a test starts again is the stack's, not left behind by that test's run.
        """
        return {"STACK_OWNER": str(self.home), "STACK_RUN": ""}

    @property
    def environment(self) -> dict[str, str]:
        """What a program of this stack is run with."""
        return {**ENVIRONMENT, **self.marks}

    @property
    def amqp_port(self) -> int:
        """RabbitMQ."""
        return self.base_port

    @property
    def dist_port(self) -> int:
        """RabbitMQ's talk between nodes and with rabbitmqctl."""
        return self.base_port + 1

    @property
    def epmd_port(self) -> int:
        """Erlang's own directory of nodes."""
        return self.base_port + 2

    @property
    def postgres_port(self) -> int:
        """Postgres."""
        return self.base_port + 3

    @property
    def ldap_port(self) -> int:
        """OpenLDAP, plain and STARTTLS."""
        return self.base_port + 4

    @property
    def ldaps_port(self) -> int:
        """OpenLDAP, TLS."""
        return self.base_port + 5

    @property
    def ad_port(self) -> int:
        """Active Directory, STARTTLS."""
        return self.base_port + 6

    @property
    def ad_ldaps_port(self) -> int:
        """Active Directory, TLS."""
        return self.base_port + 7


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read."""
    half = path.with_suffix(".new")
    half.touch(mode=0o600)
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def choose_ports(home: Path) -> int:
    """The first port of a free block; STACK_PORT_BASE decides if it is set.

    Each checkout starts to look at a place of its own, so that two started at once do not meet.
    """
    fixed = os.environ.get("STACK_PORT_BASE")
    candidates = iter([int(fixed)]) if fixed else _blocks(home)
    for base in candidates:
        if ports_are_free(base):
            return base
    raise ServerError(server="stack", why=f"no free ports from {fixed or FIRST_PORT}")


def ports_are_free(base: int) -> bool:
    """Whether nobody listens on the ports of a block."""
    return all(map(_is_free, range(base, base + USED)))


def _blocks(home: Path) -> Iterator[int]:
    count = (LAST_PORT - FIRST_PORT) // BLOCK
    first = int.from_bytes(hashlib.sha256(os.fsencode(home)).digest()[:4], "big")
    return (FIRST_PORT + (first + step) % count * BLOCK for step in range(count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # a connection that just ended does not hold a port against a server
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
