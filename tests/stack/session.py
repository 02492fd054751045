"""One command with servers around it: brought up, told to it, cleared away whatever happens."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from tests.servers.daemon import PROJECT, ServerError
from tests.stack import leftovers
from tests.stack.plan import HOME
from tests.stack.stack import Stack, down, up


# With these in the environment there are servers already, and none is started
OWN_SERVERS = ("ROLLCALL_AMQP_URL", "ROLLCALL_DATABASE_URL")
BROKER_PORTS = {"amqp": 5672, "amqps": 5671}
POSTGRES_PORT = 5432


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
        stack = up(durable=durable)
        tell_what_is_missing(stack)
        return _call(command, stack.environment())
    finally:
        if not was_up:
            down()


def _call(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it and end whatever it leaves behind."""
    mark = str(HOME)
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
            say(f"left behind, ended now: {leftovers.describe(pid)}")
        leftovers.end("STACK_RUN", mark)
        child.wait()


def _check_reachable() -> None:
    for name in OWN_SERVERS:
        where = urlsplit(os.environ[name])
        default = BROKER_PORTS.get(where.scheme, POSTGRES_PORT)
        try:
            socket.create_connection((where.hostname or "", where.port or default), 5).close()
        except OSError as exc:
            why = f"set, so no server is started, but nobody answers there: {exc}"
            raise ServerError(server=name, why=why) from exc


@contextlib.contextmanager
def alone_in_checkout() -> Iterator[None]:
    """One at a time: two runs would stop each other's servers."""
    lock = PROJECT / ".cache" / "stack.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w", encoding="utf-8") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run in this checkout to end")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def tell_what_is_missing(stack: Stack | None) -> None:
    """A server that tests can do without, and will be skipped for."""
    if stack is not None and stack.without_samba:
        say(f"stack: no Active Directory: {stack.without_samba}")


def say(text: str) -> None:
    """Tell the person at the terminal; standard output belongs to the command."""
    sys.stderr.write(f"{text}\n")
