"""The private stack: RabbitMQ, Postgres, OpenLDAP and a Samba domain controller of this checkout, on loopback.

    python3 -m tests.stack up | down | status | run -- COMMAND
    python3 -m tests.stack start | stop | kill | restart  rabbitmq | postgres | openldap | samba

STACK_PORT_BASE fixes the ports, STACK_DURABLE=1 lets Postgres write as it would in earnest, STACK_AD=0 goes without Samba.
"""

import argparse
import os
import signal
import sys
import time
from types import FrameType

from tests.servers.daemon import ServerError
from tests.stack.session import alone_in_checkout, run, say, tell_what_is_missing
from tests.stack.stack import NAMES, Stack, down, up


def _status() -> int:
    stack = Stack.load()
    state = dict.fromkeys(NAMES, False) if stack is None else stack.state()
    for name, answers in state.items():
        say(f"{name:10}{'answers' if answers else 'down'}")
    tell_what_is_missing(stack)
    return 0 if all(state.values()) else 1


def _up(*, durable: bool) -> int:
    begin = time.monotonic()
    stack = up(durable=durable)
    say(
        f"stack: ports from {stack.plan.base_port}, ready after {time.monotonic() - begin:.1f} s;"
        " settings in .stack/env"
    )
    tell_what_is_missing(stack)
    return 0


def _act(action: str, name: str) -> int:
    stack = Stack.load()
    if stack is None:
        raise ServerError(server="stack", why="there is none here; make stack starts it")
    service = stack.service(name)
    for step in ("stop", "start") if action == "restart" else (action,):
        {"stop": service.stop, "start": service.start, "kill": service.kill}[step]()
    return 0


def _interrupt(number: int, _: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="stack", description="the private servers of this checkout"
    )
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
    except ServerError as problem:
        say(str(problem))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
