"""A customer whose hosts swallow everything, and the others, who must not notice."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from typing_extensions import override

from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.lab import Lab
from tests.harness.platform import Platform
from tests.harness.worker import Worker
from tests.integration.directory.test_traps import black_hole


HOLES = 12
"""Directories; of one tenant four are read at once (``ROLLCALL_RUNS_PER_TENANT``)."""
SYNCS = 5
DEADLINE_S = 5
"""Of a connection and of a sign-in."""
SLOWER = 3.0
SLACK_S = 0.5
"""A sync of the other customer's may take three times as long, or so much longer: a machine may be busy."""
STALL_S = 0.5


@dataclass(frozen=True, slots=True)
class Hole:
    """Where everything goes in, and what comes out."""

    server: str
    name_server: int
    code: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of syncs without and with the hole, and the loop's longest absence meanwhile."""

    alone: list[float]
    beside: list[float]
    lag_s: float

    @override
    def __str__(self) -> str:
        alone, beside = statistics.median(self.alone), statistics.median(self.beside)
        return (
            f"a sync took {alone:.3f} s alone and {beside:.3f} s beside {HOLES} holes"
            f" (ratio {beside / alone:.2f}); worst lag of the loop {self.lag_s * 1000:.0f} ms"
        )

    def check(self) -> None:
        """Nobody waited."""
        bound = statistics.median(self.alone) * SLOWER + SLACK_S
        assert statistics.median(self.beside) < bound
        assert max(self.beside) < DEADLINE_S
        assert self.lag_s < STALL_S


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read for ever and say nothing."""
    while await reader.read(4096):
        pass
    writer.close()


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Hole]:
    """Open a hole of this kind; its name server never answers."""
    async with AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        deaf, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        stack.callback(deaf.close)
        names: int = deaf.get_extra_info("sockname")[1]
        if kind == "drops packets":
            port = stack.enter_context(black_hole())
            yield Hole(f"127.0.0.1:{port}", names, "reach.timed_out")
        elif kind == "says nothing":
            silent = await asyncio.start_server(swallow, "127.0.0.1")
            stack.callback(silent.close)
            port = silent.sockets[0].getsockname()[1]
            yield Hole(f"127.0.0.1:{port}", names, "sign_in.timed_out")
        else:
            yield Hole("dc1.hole.example:389", names, "name.timed_out")


async def seconds_of_syncs(customer: Customer) -> list[float]:
    """How long some syncs take, one after another, from the request to the outcome."""
    took = []
    for _ in range(SYNCS):
        began = time.monotonic()
        assert (await customer.sync()).name == "sync.completed"
        took.append(time.monotonic() - began)
    return took


async def running(customer: Customer) -> int:
    """How many of a customer's runs are being carried out."""
    runs = await customer.store.runs(customer.tenant)
    return [run["state"] for run in runs].count("running")


def lags(worker: Worker) -> list[float]:
    """Each time the worker's loop came round late, so far."""
    return [line["seconds"] for line in worker.logged("lag")]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["drops packets", "says nothing", "has no name"])
async def test_a_hole_in_one_customers_network_delays_nobody_else(
    kind: str, customer: Customer, hire: Hire, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """A firewall that swallows packets is the commonest fault there is; its owner alone may wait for it."""
    people = customer.branch.addresses(*customer.branch.crowd(25))
    async with opened(kind) as hole:
        worker = hire(
            command=(sys.executable, "-m", "tests.chaos.watched", str(hole.name_server)),
            connect_s=DEADLINE_S,
            bind_s=DEADLINE_S,
        )
        worker.start()
        await customer.join()
        await customer.save()
        alone, known = await seconds_of_syncs(customer), len(lags(worker))

        swallowed = await swallowed_runs(customer.platform, customer, lab, hole)
        while await running(swallowed) == 0:
            pass
        beside, still = await seconds_of_syncs(customer), await running(swallowed)
        ending = await swallowed.event("sync.failed", within_s=40)

    figures = Figures(alone, beside, max(lags(worker)[known:], default=0.0))
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: {figures}\n")
    assert still > 0  # else nothing was measured
    assert ending.data["finding"]["code"] == hole.code
    figures.check()
    assert await customer.recipients() == people


async def swallowed_runs(platform: Platform, neighbour: Customer, lab: Lab, hole: Hole) -> Customer:
    """Let another customer press Save & Sync for many directories behind the hole, all at once."""
    customer = Customer(platform, neighbour.store, lab.branch())
    await customer.join()
    for number in range(HOLES):
        form = customer.branch.form(
            directory=f"hole-{number}",
            servers=[hole.server],
            bind_name=f"cn=reader{number},dc=x",
        )
        await customer.send("directory.save", form)
    return customer
