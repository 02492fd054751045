"""A person's request at the command line: accepted as a message would be, then followed in the store. Needs no broker."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import orjson

from worker.codec.inbound import decode
from worker.domain.commands import Envelope, FieldError, Received
from worker.domain.model import DirectoryId, Mode, RunState, TenantId, Trigger
from worker.ports import DirectoryLine, Intake, Reports, Standing


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


async def ask_sync(
    tenant: str, directory: str, *, mode: Mode, ports: AskPorts
) -> Envelope | Refusal:
    """Store a ``sync.request``; gives what it is known by. Raises StoreFailure.

    A tenant or directory that is not there is refused at once: a person waits, and a command would wait
    a minute for it.
    """
    read = decode(_message(tenant, directory, mode))
    if not isinstance(read, Received):
        return Refusal(read.errors)
    refused = await _unknown(TenantId(tenant), DirectoryId(directory), ports.reports)
    if refused is not None:
        return Refusal((refused,))
    await ports.intake.store([read])
    return read.envelope


def _message(tenant: str, directory: str, mode: Mode) -> bytes:
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": SOURCE,
            "type": "rollcall.sync.request.v1",
            "subject": tenant,
            "data": {"directory": directory, "trigger": Trigger.MANUAL, "mode": mode},
        }
    )


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
    return standing.state == "rejected"


def _is_picked_up(standing: Standing) -> bool:
    run = standing.run
    return run is not None and (run.state is not RunState.QUEUED or standing.is_behind)
