"""The private stack: RabbitMQ, Postgres and OpenLDAP of this checkout, on loopback.

    python3 -m tests.stack.stack up | down | status | run -- COMMAND
    python3 -m tests.stack.stack start | stop | kill | restart  rabbitmq | postgres | openldap

Standard library only: it runs before the project's environment exists. STACK_PORT_BASE fixes the
ports, STACK_DURABLE=1 lets Postgres write as it would in earnest.
"""

import argparse
import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol, Self
from urllib.parse import urlsplit

from tests.servers.daemon import NotReadyError
from tests.servers.slapd import Slapd, Tree
from tests.stack import leftovers
from tests.stack.openldap import openldap
from tests.stack.plan import (
    HOME,
    PROJECT,
    NoPortsError,
    Plan,
    ports_are_free,
    write_private,
)
from tests.stack.postgres import Postgres, choose_home
from tests.stack.rabbitmq import RabbitMQ


NAMES = ("rabbitmq", "postgres", "openldap")
# With these in the environment there are servers already, and none is started
OWN_SERVERS = ("ROLLCALL_AMQP_URL", "ROLLCALL_DATABASE_URL")
TRIES = 3


class Service(Protocol):
    """What the stack asks of each of its servers."""

    def start(self) -> None:
        """Start it if it does not run, and wait until it answers."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...

    def kill(self) -> None:
        """End it as a crash would."""
        ...


@dataclass(frozen=True, slots=True)
class Stack:
    """The servers of one plan. Usable from any process: what runs is read from pid files."""

    plan: Plan

    @classmethod
    def load(cls, home: Path = HOME) -> Self | None:
        """The stack that was started in this checkout."""
        plan = Plan.load(home)
        return None if plan is None else cls(plan)

    @property
    def rabbitmq(self) -> RabbitMQ:
        """The broker; has ``rabbitmqctl`` too."""
        return RabbitMQ(self.plan)

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return Postgres(self.plan)

    @property
    def openldap(self) -> Slapd:
        """The directory server; ``trees[0]`` is AD-flavoured, ``trees[1]`` plain."""
        return openldap(self.plan)

    def service(self, name: str) -> Service:
        """One of NAMES."""
        services: Mapping[str, Service] = {
            "rabbitmq": self.rabbitmq,
            "postgres": self.postgres,
            "openldap": self.openldap,
        }
        return services[name]

    def state(self) -> dict[str, bool]:
        """Which servers answer."""
        with ThreadPoolExecutor() as pool:
            answers = pool.map(
                lambda ask: ask(),
                (self.rabbitmq.is_ready, self.postgres.is_ready, self.openldap.answers),
            )
        return dict(zip(NAMES, answers, strict=True))

    def start(self) -> None:
        """Start what does not answer, all at once; nothing of it stays when one fails."""
        waiting = [name for name, answers in self.state().items() if not answers]
        with ThreadPoolExecutor() as pool:
            starts = [pool.submit(_start_afresh, self.service(name)) for name in waiting]
            try:
                for start in starts:
                    start.result()
            except BaseException:
                # the other threads wait for servers that will not come now
                leftovers.end("STACK_OWNER", str(self.plan.home), at_once=True)
                raise

    def environment(self) -> dict[str, str]:
        """What programs and tests are told."""
        plan, (ad, plain) = self.plan, self.openldap.trees
        amqp = f"{plan.broker_user}:{plan.broker_password}@127.0.0.1:{plan.amqp_port}"
        database = f"127.0.0.1:{plan.postgres_port}"
        tls = self.openldap.certificate
        return {
            "ROLLCALL_AMQP_URL": f"amqp://{amqp}/",
            "ROLLCALL_DATABASE_URL": f"postgresql://rollcall:{plan.database_password}@{database}/rollcall",
            "STACK_DATABASE_ADMIN_URL": f"postgresql://postgres:{plan.admin_password}@{database}/postgres",
            "STACK_LDAP_URI": f"ldap://localhost:{plan.ldap_port}",
            "STACK_LDAPS_URI": f"ldaps://localhost:{plan.ldaps_port}",
            "STACK_LDAP_CA": str(tls.ca) if tls else "",
            **_tree_environment("AD", ad),
            **_tree_environment("PLAIN", plain),
        }


def _tree_environment(kind: str, tree: Tree) -> dict[str, str]:
    return {
        f"STACK_LDAP_{kind}_BASE": tree.base,
        f"STACK_LDAP_{kind}_BIND_DN": tree.reader,
        f"STACK_LDAP_{kind}_PASSWORD": tree.reader_password,
        f"STACK_LDAP_{kind}_ADMIN_DN": tree.admin,
        f"STACK_LDAP_{kind}_ADMIN_PASSWORD": tree.admin_password,
    }


def _start_afresh(service: Service) -> None:
    """A server that runs but does not answer is no use: end it first."""
    service.kill()
    service.start()


def up(*, home: Path = HOME, durable: bool = False) -> Stack:
    """Bring the stack up, or find it so."""
    for attempt in range(TRIES):
        stack = _planned(home, durable=durable)
        try:
            stack.start()
        except NotReadyError:
            down(home=home)
            # somebody else took one of the ports between the look and the start: look again
            if attempt + 1 == TRIES or ports_are_free(stack.plan.base_port):
                raise
            continue
        lines = [f"export {name}={shlex.quote(value)}" for name, value in stack.environment().items()]
        write_private(home / "env", "\n".join(lines) + "\n")
        return stack
    raise AssertionError


def _planned(home: Path, *, durable: bool) -> Stack:
    stack = Stack.load(home)
    if stack is None or not any(stack.state().values()):
        down(home=home)
        home.mkdir(mode=0o700)
        return Stack(Plan.make(home=home, postgres_home=choose_home(home), durable=durable))
    if stack.plan.durable == durable:
        return stack
    stack.postgres.stop()
    return Stack(stack.plan.with_durable(durable))


def down(*, home: Path = HOME) -> None:
    """End everything that was started here, also by a start that crashed, and forget it."""
    stack = Stack.load(home)
    if stack is not None:
        with ThreadPoolExecutor() as pool:
            for name in NAMES:
                pool.submit(stack.service(name).stop)
    leftovers.end("STACK_OWNER", str(home))
    if stack is not None:
        shutil.rmtree(stack.plan.postgres_home, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def run(command: Sequence[str], *, durable: bool) -> int:
    """Run a command with the stack around it; a stack that was up before stays up.

    With servers of one's own in the environment, nothing is started.
    """
    if all(name in os.environ for name in OWN_SERVERS):
        _check_reachable()
        return _call(command, {})
    found = Stack.load()
    was_up = found is not None and all(found.state().values())
    try:
        return _call(command, up(durable=durable).environment())
    finally:
        if not was_up:
            down()


def _call(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it and end whatever it leaves behind."""
    mark = uuid.uuid4().hex
    child = subprocess.Popen(
        command, env={**os.environ, **environment, "STACK_RUN": mark}, cwd=PROJECT
    )
    try:
        return child.wait()
    except BaseException:
        # a Ctrl-C reached it too; anything else must be passed on
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.send_signal(signal.SIGINT)
            child.wait(timeout=20)
        raise
    finally:
        for pid in leftovers.marked("STACK_RUN", mark):
            _say(f"left behind, ended now: {leftovers.describe(pid)}")
        leftovers.end("STACK_RUN", mark)
        child.wait()


def _check_reachable() -> None:
    for name in OWN_SERVERS:
        where = urlsplit(os.environ[name])
        default = {"amqp": 5672, "amqps": 5671}.get(where.scheme, 5432)
        try:
            socket.create_connection((where.hostname or "", where.port or default), 5).close()
        except OSError as exc:
            raise NotReadyError(
                f"{name} is set, so no server is started, but it does not answer: {exc}"
            ) from exc


@contextlib.contextmanager
def alone_in_checkout() -> Iterator[None]:
    """One at a time: two runs would stop each other's servers."""
    lock = PROJECT / ".cache" / "stack.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another run in this checkout to end")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _status() -> int:
    stack = Stack.load()
    state = dict.fromkeys(NAMES, False) if stack is None else stack.state()
    for name, answers in state.items():
        print(f"{name:10}{'answers' if answers else 'down'}")
    return 0 if all(state.values()) else 1


def _up(*, durable: bool) -> int:
    begin = time.monotonic()
    stack = up(durable=durable)
    _say(
        f"stack: ports from {stack.plan.base_port}, ready after {time.monotonic() - begin:.1f} s;"
        " settings in .stack/env"
    )
    return 0


def _act(action: str, name: str) -> int:
    stack = Stack.load()
    if stack is None:
        raise NotReadyError("there is no stack here; start it with: make stack")
    service = stack.service(name)
    for step in ("stop", "start") if action == "restart" else (action,):
        {"stop": service.stop, "start": service.start, "kill": service.kill}[step]()
    return 0


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stack", description="the private servers of this checkout")
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("up", "down", "status"):
        actions.add_parser(action)
    for action in ("start", "stop", "kill", "restart"):
        actions.add_parser(action).add_argument("name", choices=NAMES)
    actions.add_parser("run").add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    """The command line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    chosen = _arguments()
    durable = os.environ.get("STACK_DURABLE", "") not in {"", "0"}
    match chosen.action:
        case "up":
            with alone_in_checkout():
                return _up(durable=durable)
        case "down":
            with alone_in_checkout():
                down()
                return 0
        case "run":
            with alone_in_checkout():
                command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
                return run(command, durable=durable)
        case "status":
            return _status()
        case action:
            return _act(action, chosen.name)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NotReadyError, NoPortsError) as problem:
        _say(f"stack: {problem}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
