"""Liveness, readiness and metrics over plain HTTP, for probes and scrapers. Shows no tenant's data and does no work.

Three fixed paths do not ask for a web framework: a request is one line and a bounded head, an answer closes the
connection. Live never looks at broker or database, or an outage of theirs would restart every worker at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson


LAG_MAX_S = 10.0
"""A loop this late does no work in time any more."""

PING_S = 1.0
"""Longest time for all pings of one readiness answer, side by side."""

REQUEST_S = 5.0
"""Longest time for one request and its answer."""

HEAD_MAX_BYTES = 8 * 1024
CONNECTIONS_MAX_COUNT = 64
CLOSE_S = 1.0

_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"

Ping = Callable[[], Awaitable[object]]
"""Returns if a peer answers, raises if it does not."""


@dataclass(slots=True)
class Health:
    """What the answers are made from, each asked for when a probe comes."""

    lag_s: Callable[[], float]
    tasks: Mapping[str, Callable[[], bool]]
    """The main tasks by name; True while one is alive."""
    pings: Mapping[str, Ping]
    exposition: Callable[[], bytes]
    is_stopping: bool = field(default=False)
    """Set when a stop was asked for: not ready from then on, still live."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    kind: str = _JSON


@asynccontextmanager
async def serving(health: Health, *, host: str, port: int) -> AsyncIterator[int]:
    """Answer probes as long as the block lasts; gives the port bound (``port`` 0 takes any free one)."""
    talks: set[asyncio.Task[object]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(talks) >= CONNECTIONS_MAX_COUNT:
            writer.close()
            return
        talks.add(task)
        try:
            await _talk(health, reader, writer)
        finally:
            talks.discard(task)

    server = await asyncio.start_server(talk, host, port, limit=HEAD_MAX_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _end(talks)


async def _end(talks: set[asyncio.Task[object]]) -> None:
    """Cancel what still talks; a server's own ``wait_closed`` does not wait for it in Python 3.11."""
    for task in talks:
        task.cancel()
    if talks:
        await asyncio.wait(talks, timeout=CLOSE_S)


async def _talk(health: Health, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close. A peer that is slow, gone or no HTTP client gets no answer."""
    try:
        async with asyncio.timeout(REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(_http(await _answer(head, health)))
            await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


def _http(answer: _Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + answer.body


async def _answer(head: bytes, health: Health) -> _Answer:
    method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in {"GET", "HEAD"}:
        return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"{}")
    match path:
        case "/live":
            answer = _live(health)
        case "/ready":
            answer = await _ready(health)
        case "/metrics":
            answer = _Answer(HTTPStatus.OK, health.exposition(), _METRICS)
        case _:
            answer = _Answer(HTTPStatus.NOT_FOUND, b"{}")
    return answer if method == "GET" else _Answer(answer.status, b"", answer.kind)


def _live(health: Health) -> _Answer:
    lag_s = health.lag_s()
    tasks = {name: is_alive() for name, is_alive in health.tasks.items()}
    is_live = lag_s < LAG_MAX_S and all(tasks.values())
    return _judged(is_live, {"live": is_live, "loop_lag_s": round(lag_s, 3), "tasks": tasks})


async def _ready(health: Health) -> _Answer:
    async with asyncio.TaskGroup() as group:
        asked = {name: group.create_task(_ping(ping)) for name, ping in health.pings.items()}
    checks = {name: task.result() for name, task in asked.items()}
    is_ready = not health.is_stopping and all(answer == "ok" for answer in checks.values())
    told = {"ready": is_ready, "stopping": health.is_stopping, "checks": checks}
    return _judged(is_ready, told)


async def _ping(ping: Ping) -> str:
    """Ask one peer. Whatever it raises means "not ready": the reason is in the log of who uses that peer."""
    try:
        async with asyncio.timeout(PING_S):
            await ping()
    except TimeoutError:
        return "timed out"
    except Exception:  # noqa: BLE001  a probe that dies of a peer's error would hide the other peers
        return "failed"
    return "ok"


def _judged(is_well: bool, told: Mapping[str, object]) -> _Answer:  # noqa: FBT001  the verdict itself
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    return _Answer(status, orjson.dumps(told))
