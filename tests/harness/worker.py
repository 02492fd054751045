"""A worker as an operator runs it: a process of its own, its settings in its environment, its log in a file."""

import http.client
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.servers.daemon import PROJECT, Daemon, wait_until
from worker.adapters.secrets import generate_key


START_WITHIN_S = 30
BIN = PROJECT / ".venv" / "bin"
RUN = (str(BIN / "rollcall"), "run")


def settings(*, amqp_url: str, database_url: str, prefix: str, **more: object) -> dict[str, str]:
    """Return an environment for workers that share broker, database and keys; short leases, small pages."""
    chosen: dict[str, object] = {
        "amqp_url": amqp_url,
        "amqp_prefix": prefix,
        "database_url": database_url,
        "keys": generate_key(),
        "allow_networks": "127.0.0.0/8,::1/128",
        "reply_prefixes": "platform.",
        "health_port": 0,
        "lease_s": 3,
        "renew_s": 1,
        "page_size": 10,
        # many tests lose people at once, each on purpose: only those about it may alarm
        "fleet_customers": 100_000,
        "log_level": "debug",
        **more,
    }
    return {f"ROLLCALL_{name.upper()}": str(value) for name, value in chosen.items()}


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process; a context manager that kills what a test left running."""

    name: str
    directory: Path
    environment: Mapping[str, str]
    command: Sequence[str] = RUN

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.kill()

    @property
    def daemon(self) -> Daemon:
        """The process."""
        return Daemon(self.name, self.directory, self.environment)

    def start(self) -> None:
        """Start it, and wait until it is ready for commands."""
        self.spawn()
        self.daemon.wait_ready(self.is_ready, within_s=START_WITHIN_S)

    def spawn(self) -> None:
        """Start it and do not wait."""
        self.daemon.spawn(self.command, cwd=PROJECT)

    def kill(self) -> None:
        """End it at once, as ``kill -9`` does."""
        self.daemon.kill()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and do not wait."""
        self.daemon.send(signal.SIGTERM)

    def wait_gone(self, *, within_s: float = 15) -> None:
        """Wait for its end. Fails when it does not end in time."""
        assert wait_until(lambda: not self.daemon.is_running, within_s=within_s), self.daemon.tail()

    def terminate(self, *, within_s: float = 15) -> None:
        """Send SIGTERM and wait."""
        self.ask_to_stop()
        self.wait_gone(within_s=within_s)

    def is_ready(self) -> bool:
        """Whether its readiness probe says so."""
        return bool(self.probe("/ready"))

    def probe(self, path: str) -> dict[str, Any] | None:
        """Ask its health port; None when it does not answer or says no."""
        listening = [line for line in self.lines() if line["event"] == "health_listening"]
        if not listening:
            return None
        connection = http.client.HTTPConnection("127.0.0.1", listening[-1]["port"], timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            told: dict[str, Any] = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return told if answer.status == http.client.OK else None

    def lines(self) -> list[dict[str, Any]]:
        """Return its log lines; a line that is no JSON object is given under ``event``."""
        return list(map(_line, self.log().splitlines()))

    def log(self) -> str:
        """Return its log as it is."""
        return self.daemon.log.read_text(encoding="utf-8") if self.daemon.log.exists() else ""

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        return [line for line in self.lines() if line["event"] == event]

    def wait_for(self, holds: Callable[[], bool], *, within_s: float = 20) -> None:
        """Wait for a condition on its log or its servers, under a deadline."""
        assert wait_until(holds, within_s=within_s), self.daemon.tail()


def _line(text: str) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return {"event": text}
    return read
