"""The one wiring place: builds everything, starts it, stops it in order. Decides nothing about a sync."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from worker.adapters.directory.reader import LdapReader
from worker.adapters.directory.survey import LdapSurveyor
from worker.adapters.health import Health, serving
from worker.adapters.postgres import migrations
from worker.adapters.postgres.clock import PostgresClock
from worker.adapters.postgres.desk import PostgresOrders
from worker.adapters.postgres.directory_tests import PostgresTests
from worker.adapters.postgres.fleet import PostgresFleet
from worker.adapters.postgres.intake import PostgresIntake
from worker.adapters.postgres.outbox import PostgresOutbox
from worker.adapters.postgres.pool import Pool, open_pool
from worker.adapters.postgres.runs import Claiming, PostgresRuns
from worker.adapters.postgres.schedule import PostgresSchedule
from worker.adapters.postgres.sign_ins import PostgresSignIns
from worker.adapters.postgres.spool import open_spool
from worker.adapters.postgres.sweeper import PostgresSweeper
from worker.adapters.rabbitmq.consumer import Consumer, ConsumerPorts, IntakeLimits
from worker.adapters.rabbitmq.publisher import Publisher
from worker.adapters.rabbitmq.topology import Broker, Topology
from worker.adapters.secrets import SealedVault
from worker.adapters.telemetry import (
    LoopWatch,
    PrometheusTelemetry,
    collections_timed,
    configure_logs,
    library_lines,
)
from worker.domain.failures import StoreFailure
from worker.domain.model import ClaimedRun, ClaimedTest
from worker.domain.outcomes import Outcome
from worker.flows import work
from worker.flows.accept import Accept
from worker.flows.bell import Bell
from worker.flows.examine import ExaminePorts, examine
from worker.flows.relay import RelayPorts, relay
from worker.flows.schedule import SchedulePorts, schedule
from worker.flows.sync import SyncPorts, sync
from worker.ports.desk import Intake, Orders
from worker.ports.directory import DirectoryReader, Surveyor
from worker.ports.directory_tests import DirectoryTests
from worker.ports.runs import Fleet, Outbox, Runs, SignIns, Sweeper
from worker.ports.schedule import Schedule
from worker.ports.vault import Clock, Vault
from worker.settings import Settings


PEERS_S = 5.0

INTAKE_S = 5.0
"""For the deliveries in hand at a stop."""

FLUSH_S = 5.0
"""For the outbox at a stop: what is not confirmed by then goes out with the next start."""

CARRIERS = 2
"""Commands carried out at once by one process; a tenant's are in turn anyway."""


@dataclass(slots=True)
class Parts:
    """The worker's parts, wired. Tests may exchange one before it is started."""

    runs: Runs
    tests: DirectoryTests
    orders: Orders
    intake: Intake
    outbox: Outbox
    sweeper: Sweeper
    fleet: Fleet
    schedule: Schedule
    sign_ins: SignIns
    clock: Clock
    vault: Vault
    directory: DirectoryReader
    surveyor: Surveyor
    publisher: Publisher
    commander: Publisher
    """Publishes triggers, on a connection of its own."""
    telemetry: PrometheusTelemetry
    pool: Pool
    release_outbox: Callable[[], Awaitable[None]]
    ping_store: Callable[[], Awaitable[None]]
    carry_bell: Bell = field(default_factory=Bell)
    run_bell: Bell = field(default_factory=Bell)
    test_bell: Bell = field(default_factory=Bell)
    relay_bell: Bell = field(default_factory=Bell)


Rewire = Callable[[Parts], Parts]
"""What a test may do to the parts before they start: put a pause or a fault in front of one."""


def build(settings: Settings, *, pool: Pool, telemetry: PrometheusTelemetry) -> Parts:
    """Wire the parts on one pool; opens nothing."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    clock, vault = PostgresClock(pool), SealedVault(settings.keys)
    claiming = Claiming(
        owner=owner,
        lease=timedelta(seconds=settings.lease_s),
        per_tenant=settings.runs_per_tenant,
        per_reseller=settings.runs_per_reseller,
        retries=tuple(timedelta(seconds=pause_s) for pause_s in settings.retry_s),
    )
    runs = PostgresRuns(pool, clock, vault, claiming)
    outbox = PostgresOutbox(pool, owner)
    return Parts(
        runs=runs,
        tests=PostgresTests(pool, clock, vault, claiming, settings.tests_per_tenant),
        orders=PostgresOrders(pool, clock, telemetry, timedelta(seconds=settings.command_wait_s)),
        intake=PostgresIntake(pool, clock, vault),
        outbox=outbox,
        sweeper=PostgresSweeper(pool, clock, runs, history_months=settings.history_months),
        fleet=PostgresFleet(pool, clock, settings.fleet_limits()),
        schedule=PostgresSchedule(pool, clock),
        sign_ins=PostgresSignIns(pool, clock, vault),
        clock=clock,
        vault=vault,
        directory=LdapReader(),
        surveyor=LdapSurveyor(now=_wall_clock),
        publisher=Publisher(broker(settings), now=_wall_clock),
        commander=commander(settings),
        telemetry=telemetry,
        pool=pool,
        release_outbox=outbox.release,
        ping_store=partial(_ping, clock),
    )


def _wall_clock() -> datetime:
    """For the timestamp property of AMQP messages and the age of certificates, which decide nothing."""
    return datetime.now(UTC)  # noqa: TID251 - see above


async def _ping(clock: Clock) -> None:
    await clock.now()


def broker(settings: Settings) -> Broker:
    """Return where the broker is and what is named how there."""
    return Broker(settings.amqp_url.reveal(), Topology(settings.amqp_prefix))


def commander(settings: Settings) -> Publisher:
    """Return what publishes commands, as an outside scheduler would."""
    where = broker(settings)
    return Publisher(where, now=_wall_clock, exchange=where.topology.commands)


def sync_ports(settings: Settings, parts: Parts) -> SyncPorts:
    """Return what a run needs of the parts."""
    return SyncPorts(
        runs=parts.runs,
        directory=parts.directory,
        sign_ins=parts.sign_ins,
        clock=parts.clock,
        telemetry=parts.telemetry,
        spool=partial(open_spool, settings.spool_dir),
        relay_bell=parts.relay_bell,
        limits=settings.limits(),
        beat_s=min(2.0, settings.renew_s),
        egress=settings.egress_ips,
        surveyor=parts.surveyor,
        retries=len(settings.retry_s),
    )


def examine_ports(settings: Settings, parts: Parts) -> ExaminePorts:
    """Return what a test needs of the parts."""
    return ExaminePorts(
        tests=parts.tests,
        directory=parts.directory,
        sign_ins=parts.sign_ins,
        telemetry=parts.telemetry,
        relay_bell=parts.relay_bell,
        limits=settings.test_limits(),
        beat_s=min(2.0, settings.renew_s),
        egress=settings.egress_ips,
        surveyor=parts.surveyor,
    )


async def run(settings: Settings, *, rewire: Rewire = lambda parts: parts) -> None:
    """Run the worker until SIGTERM or SIGINT, then stop in order; a second signal stops at once.

    Raises StoreFailure when the database is not migrated, or stays away at the start.
    """
    async with _opened(settings) as (pool, telemetry, stack):
        parts = rewire(build(settings, pool=pool, telemetry=telemetry))
        stack.push_async_callback(parts.publisher.close)
        stack.push_async_callback(parts.commander.close)
        # What is loaded by now stays: a full collection need not look at it again and again.
        gc.collect()
        gc.freeze()
        telemetry.event("started", **_arithmetic(settings))
        await _Worker(settings, parts).work()
        telemetry.event("stopped")


async def run_scheduler(settings: Settings) -> None:
    """Trigger what is due until SIGTERM or SIGINT, and nothing else. Raises StoreFailure as ``run`` does."""
    async with _opened(settings) as (pool, telemetry, stack):
        publisher, clock = commander(settings), PostgresClock(pool)
        stack.push_async_callback(publisher.close)
        ports = SchedulePorts(PostgresSchedule(pool, clock), publisher, telemetry)
        watch, stopping = LoopWatch(telemetry), asyncio.Event()
        health = Health(
            lag_s=watch.lag_s,
            tasks={},
            pings={"database": partial(_ping, clock)},
            exposition=telemetry.exposition,
        )
        telemetry.event("started")
        async with (
            serving(health, host=settings.health_host, port=settings.health_port) as port,
            _signals(stopping),
            asyncio.TaskGroup() as group,
        ):
            tasks = [group.create_task(watch.run()), group.create_task(schedule(ports))]
            health.tasks = {"schedule": partial(_is_alive, tasks[1])}
            telemetry.event("health_listening", port=port)
            await stopping.wait()
            telemetry.event("stopping")
            for task in tasks:
                task.cancel()
        telemetry.event("stopped")


@asynccontextmanager
async def _opened(
    settings: Settings,
) -> AsyncIterator[tuple[Pool, PrometheusTelemetry, AsyncExitStack]]:
    """Give logs, metrics and a pool on a database of this release; what is put on the stack is closed before them."""
    logger = configure_logs(sys.stderr, level=settings.log_level, form=settings.log_format)
    telemetry = PrometheusTelemetry(logger)
    pending = await migrations.pending(settings.database_url.reveal())
    if pending:
        raise StoreFailure(
            code="store.not_migrated", detail=f"run `rollcall migrate` first: {pending}"
        )
    async with AsyncExitStack() as stack:
        stack.enter_context(library_lines(logger))
        stack.enter_context(collections_timed(telemetry))
        pool = await open_pool(settings.database_url.reveal(), size=settings.pool_size)
        stack.push_async_callback(_close_pool, pool)
        yield pool, telemetry, stack


def _arithmetic(settings: Settings) -> dict[str, object]:
    """Back-pressure, as it is printed at the start."""
    return {
        "prefetch": settings.prefetch,
        "concurrent_runs": settings.concurrent_runs,
        "concurrent_tests": settings.concurrent_tests,
        "database_connections": settings.pool_size,
        "ldap_sessions_at_most": settings.concurrent_runs + settings.concurrent_tests,
    }


async def _close_pool(pool: Pool) -> None:
    try:
        async with asyncio.timeout(FLUSH_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


class _Worker:
    """The running worker: which tasks there are, and in which order they stop."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._watch = LoopWatch(parts.telemetry)
        self._executor = work.Executor(
            queue=parts.runs,
            work=partial(
                work.timed,
                sync=partial(_sync, ports=sync_ports(settings, parts)),
                telemetry=parts.telemetry,
            ),
            bell=parts.run_bell,
            telemetry=parts.telemetry,
            capacity=settings.concurrent_runs,
            drain_s=settings.drain_s,
        )
        self._examiner = work.Executor(
            queue=parts.tests,
            work=partial(_examine, ports=examine_ports(settings, parts)),
            bell=parts.test_bell,
            telemetry=parts.telemetry,
            capacity=settings.concurrent_tests,
            drain_s=settings.drain_s,
            gauge="tests_running",
        )
        self._consumer = Consumer(
            broker(settings),
            ConsumerPorts(
                accept=Accept(
                    intake=parts.intake,
                    vault=parts.vault,
                    telemetry=parts.telemetry,
                    carry_bell=parts.carry_bell,
                    reply_prefixes=settings.reply_prefixes,
                ),
                ping=parts.ping_store,
                telemetry=parts.telemetry,
            ),
            limits=IntakeLimits(
                prefetch_commands=settings.prefetch, prefetch_scheduled=settings.prefetch
            ),
        )
        self._relay_ports = RelayPorts(
            parts.outbox, parts.publisher, parts.telemetry, parts.relay_bell
        )
        self._health = Health(
            lag_s=self._watch.lag_s,
            tasks={},
            pings={"database": parts.ping_store, "broker": self._is_consuming},
            exposition=parts.telemetry.exposition,
        )

    async def _is_consuming(self) -> None:
        if not self._consumer.figures.is_ready:
            raise ConnectionError

    async def work(self) -> None:
        """Work until a signal, then stop in order."""
        settings, stopping = self._settings, asyncio.Event()
        async with (
            serving(self._health, host=settings.health_host, port=settings.health_port) as port,
            _signals(stopping),
            asyncio.TaskGroup() as group,
        ):
            tasks = {name: group.create_task(job, name=name) for name, job in self._jobs().items()}
            self._health.tasks = {name: partial(_is_alive, task) for name, task in tasks.items()}
            self._parts.telemetry.event("health_listening", port=port)
            await stopping.wait()
            self._parts.telemetry.event("stopping")
            self._health.is_stopping = True
            await self._stop(tasks)

    def _jobs(self) -> dict[str, Coroutine[None, None, None]]:
        parts = self._parts
        jobs: dict[str, Coroutine[None, None, None]] = {
            "intake": self._consumer.run(),
            "executor": self._executor.execute(),
            "examiner": self._examiner.execute(),
            "relay": relay(self._relay_ports),
            "sweep": work.sweep(parts.sweeper, found=parts.run_bell, telemetry=parts.telemetry),
            "fleet": work.watch_fleet(parts.fleet, telemetry=parts.telemetry),
            "schedule": schedule(SchedulePorts(parts.schedule, parts.commander, parts.telemetry)),
            "watch": self._watch.run(),
            "peers": self._watch_peers(),
            "figures": work.figures(parts.sweeper, telemetry=parts.telemetry),
        }
        for number in range(CARRIERS):
            jobs[f"carry-{number}"] = work.carry_out(
                parts.orders,
                bell=parts.carry_bell,
                done=(parts.run_bell, parts.test_bell, parts.relay_bell),
                telemetry=parts.telemetry,
            )
        return jobs

    async def _watch_peers(self) -> None:
        """Feed the metrics from what the adapters count for themselves, until cancelled."""
        telemetry, pool = self._parts.telemetry, self._parts.pool
        consumer, publisher = self._consumer.figures, self._parts.publisher.figures
        told: dict[str, int] = {}
        while True:
            for metric, count in (
                ("redelivered", consumer.redelivered),
                ("stale_ack", consumer.stale_acks),
                ("amqp_reconnects", max(0, consumer.connects - 1) + max(0, publisher.connects - 1)),
            ):
                telemetry.count(metric, count - told.get(metric, 0))
                told[metric] = count
            telemetry.gauge("amqp_blocked", int(publisher.is_blocked))
            telemetry.gauge("pool_in_use", pool.get_size() - pool.get_idle_size())
            await asyncio.sleep(PEERS_S)

    async def _stop(self, tasks: dict[str, "asyncio.Task[None]"]) -> None:
        """No new deliveries and claims; runs and tests may end; then the outbox is flushed; then all is closed."""
        self._executor.stop()
        self._examiner.stop()
        await self._stop_intake()
        for name, task in tasks.items():
            if name.startswith("carry") or name in {"sweep", "fleet", "schedule"}:
                task.cancel()
        await asyncio.wait([tasks["executor"], tasks["examiner"]])
        await self._flush()
        for task in tasks.values():
            task.cancel()

    async def _stop_intake(self) -> None:
        """Finish what was delivered; with a store that hangs, what is not acked comes again."""
        try:
            async with asyncio.timeout(INTAKE_S):
                await self._consumer.stop()
        except TimeoutError:
            self._parts.telemetry.event("intake_not_finished")

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                while await self._parts.outbox.next(1):
                    self._parts.relay_bell.ring()
                    await asyncio.sleep(0.05)
                await self._parts.release_outbox()
        except (TimeoutError, StoreFailure) as away:
            self._parts.telemetry.event("outbox_not_flushed", detail=str(away))


def _is_alive(task: "asyncio.Task[None]") -> bool:
    return not task.done()


async def _sync(run: ClaimedRun, *, ports: SyncPorts) -> Outcome:
    return await sync(run, ports=ports)


async def _examine(test: ClaimedTest, *, ports: ExaminePorts) -> str:
    return await examine(test, ports=ports)


@asynccontextmanager
async def _signals(stopping: asyncio.Event) -> AsyncIterator[None]:
    """Set the event at the first SIGTERM or SIGINT; the second has its usual effect."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, once)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def migrate(settings: Settings) -> list[str]:
    """Apply the migrations that are new; gives their names. Raises StoreFailure."""
    return await migrations.migrate(settings.database_url.reveal())
