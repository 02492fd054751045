"""The probes over a loopback socket, as an orchestrator and a scraper ask them."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from worker.adapters import health
from worker.adapters.health import Health, serving


pytestmark = pytest.mark.integration


async def well() -> None:
    """Answer a ping."""


async def broken() -> None:
    """Fail a ping with words that must not get out."""
    raise ConnectionError("secret.example.com refused")  # noqa: TRY003  the words are the point


async def silent() -> None:
    """Never answer a ping."""
    await asyncio.get_running_loop().create_future()


def health_of(
    *, lag_s: float = 0.0, alive: bool = True, pings: Mapping[str, health.Ping] | None = None
) -> Health:
    """Return a state of health."""
    return Health(lambda: lag_s, {"relay": lambda: alive}, pings or {}, lambda: b"metric 1.0\n")


async def send(port: int, request: bytes) -> bytes:
    """Send bytes and return all that comes back."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer


async def ask(state: Health, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body of one request to a server of its own."""
    async with serving(state, host="127.0.0.1", port=0) as port:
        head, _, body = (
            await send(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        ).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def told(body: bytes) -> dict[str, Any]:
    """Read an answer."""
    answer = orjson.loads(body)
    assert isinstance(answer, dict)
    return answer


async def test_a_worker_that_works_is_live() -> None:
    """It is left alone."""
    status, body = await ask(health_of(), "/live")

    assert (status, told(body)["live"]) == (200, True)


@pytest.mark.parametrize("state", [health_of(lag_s=11.0), health_of(alive=False)])
async def test_a_worker_that_is_stuck_is_not_live(state: Health) -> None:
    """It is restarted, and another finishes its runs."""
    status, body = await ask(state, "/live")

    assert (status, told(body)["live"]) == (503, False)


async def test_liveness_asks_no_peer() -> None:
    """An outage of the database must not restart every worker at once."""
    status, _ = await ask(health_of(pings={"database": broken}), "/live")

    assert status == 200


async def test_a_worker_whose_peers_answer_is_ready() -> None:
    """It may be sent work."""
    status, body = await ask(health_of(pings={"database": well, "broker": well}), "/ready")

    assert (status, told(body)["checks"]) == (200, {"database": "ok", "broker": "ok"})


async def test_a_worker_says_which_peer_is_away_and_nothing_more() -> None:
    """The operator sees where to look; a stranger at the port learns no names."""
    pings = {"database": broken, "broker": silent, "other": well}

    status, body = await ask(health_of(pings=pings), "/ready")

    assert status == 503
    assert told(body)["checks"] == {"database": "failed", "broker": "timed out", "other": "ok"}
    assert b"example.com" not in body


async def test_a_worker_that_stops_is_not_ready_but_live() -> None:
    """It gets nothing new and may finish what it has."""
    state = health_of()
    state.is_stopping = True

    assert (await ask(state, "/ready"))[0] == 503
    assert (await ask(state, "/live"))[0] == 200


async def test_metrics_are_scraped() -> None:
    """Prometheus reads them as they are."""
    assert await ask(health_of(), "/metrics?x=1") == (200, b"metric 1.0\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/live", 405), ("HEAD", "/live", 200), ("", "", 405)],
)
async def test_other_requests_get_a_bare_status(method: str, path: str, status: int) -> None:
    """There is nothing else to see or do at this port."""
    answered, body = await ask(health_of(), path, method=method)

    assert answered == status
    assert body in {b"", b"{}"}


async def test_a_head_without_end_is_cut_off() -> None:
    """A peer that only sends costs a bounded buffer."""
    async with serving(health_of(), host="127.0.0.1", port=0) as port:
        assert await send(port, b"GET /live HTTP/1.1\r\n" + b"x" * 100_000) == b""


async def test_a_peer_that_says_nothing_does_not_hold_up_the_stop() -> None:
    """A worker that is told to stop stops, whoever is still connected."""
    async with asyncio.timeout(5):
        async with serving(health_of(), host="127.0.0.1", port=0) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await send(port, b"GET /live HTTP/1.1\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert len(asyncio.all_tasks()) == 1
