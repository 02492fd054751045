"""A person's request at the command line: accepted as a message would be, then followed in the store. Needs no broker."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import orjson

from worker.codec.inbound import decode
from worker.domain.commands import (
    Envelope,
    FieldError,
    PauseDirectory,
    Received,
    ResumeDirectory,
)
from worker.domain.model import DirectoryId, Mode, RunState, TenantId, Trigger
from worker.ports.desk import Intake
from worker.ports.reports import Answered, DirectoryLine, Reports, Standing


SOURCE = "rollcall.cli"
POLL_S = 0.25
DIRECTORIES_NAMED_COUNT = 10_000

NO_TENANT = FieldError("tenant", "tenant.unknown", "There is no such tenant.")
NO_DIRECTORY = FieldError("directory", "directory.unknown", "This tenant has no such directory.")
OPEN = frozenset({RunState.QUEUED, RunState.RUNNING})


@dataclass(frozen=True, slots=True)
class AskPorts:
    """What a request needs of the world. ``tell`` hears how things stand, several times a second."""

    intake: Intake
    reports: Reports
    tell: Callable[[Standing], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds."""

    pick_up_s: float
    """For a worker to begin."""
    run_s: float
    """For the outcome, from the request on."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was asked for."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class Followed:
    """How things stood when the following ended; None: it was never seen stored."""

    standing: Standing | None

    @property
    def is_over(self) -> bool:
        """Whether there is an outcome."""
        return self.standing is not None and _is_over(self.standing)

    @property
    def is_picked_up(self) -> bool:
        """Whether a worker is at it."""
        return self.standing is not None and _is_picked_up(self.standing)


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one request: how it stood when the following ended, and the events that answered it."""

    followed: Followed
    answers: Sequence[Answered] = ()


async def ask_sync(
    tenant: str, directory: str, *, mode: Mode, ports: AskPorts
) -> Envelope | Refusal:
    """Store a ``sync.request``; gives what it is known by. Raises StoreFailure.

    A tenant or directory that is not there is refused at once: a person waits, and a command would wait
    a minute for it.
    """
    asked = {"directory": directory, "trigger": Trigger.MANUAL, "mode": mode}
    read = request("sync.request", tenant, asked)
    if isinstance(read, Refusal):
        return read
    refused = await _unknown(TenantId(tenant), DirectoryId(directory), ports.reports)
    if refused is not None:
        return Refusal((refused,))
    await ports.intake.store([read])
    return read.envelope


def request(name: str, tenant: str, data: Mapping[str, object]) -> Received | Refusal:
    """Make the message that a platform would send, and read it as one."""
    message = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": SOURCE,
        "type": f"rollcall.{name}.v1",
        "subject": tenant,
        "data": data,
    }
    read = decode(orjson.dumps(message))
    return read if isinstance(read, Received) else Refusal(read.errors)


async def ask(requests: Sequence[Received], *, ports: AskPorts) -> Refusal | None:
    """Store what a person decides about one tenant, in this order. Raises StoreFailure.

    A tenant or directory that is not there is refused at once: a person waits, and a command would wait a minute for it.
    """
    tenants = {each.envelope.tenant for each in requests}
    if not all([await ports.reports.knows(tenant) for tenant in tenants]):
        return Refusal((NO_TENANT,))
    for each in requests:
        if isinstance(each.command, PauseDirectory | ResumeDirectory):
            refused = await _unknown(each.envelope.tenant, each.command.directory, ports.reports)
            if refused is not None:
                return Refusal((refused,))
    await ports.intake.store(requests)
    return None


async def _unknown(tenant: TenantId, directory: DirectoryId, reports: Reports) -> FieldError | None:
    if not await reports.knows(tenant):
        return NO_TENANT
    known: list[DirectoryLine] = await reports.directories(tenant, most=DIRECTORIES_NAMED_COUNT)
    return None if directory in {each.directory for each in known} else NO_DIRECTORY


async def follow(envelope: Envelope, *, patience: Patience, ports: AskPorts) -> Followed:
    """Wait for the outcome; gives up when no worker begins in time. Raises StoreFailure."""
    began = time.monotonic()
    while True:
        standing = await ports.reports.standing(envelope)
        followed = Followed(standing)
        if standing is not None:
            ports.tell(standing)
        waited_s = time.monotonic() - began
        if followed.is_over or waited_s >= patience.run_s:
            return followed
        if waited_s >= patience.pick_up_s and not followed.is_picked_up:
            return followed
        await asyncio.sleep(POLL_S)


def _is_over(standing: Standing) -> bool:
    if standing.run is not None:
        return standing.run.state not in OPEN
    return standing.state != "stored"


def _is_picked_up(standing: Standing) -> bool:
    run = standing.run
    return run is not None and (run.state is not RunState.QUEUED or standing.is_behind)


async def decided(envelope: Envelope, *, patience: Patience, ports: AskPorts) -> Decided:
    """Wait until a decision is carried out or refused, and give its answers. Raises StoreFailure."""
    followed = await follow(envelope, patience=patience, ports=ports)
    if not followed.is_over:
        return Decided(followed)
    return Decided(followed, await ports.reports.answers(envelope))
