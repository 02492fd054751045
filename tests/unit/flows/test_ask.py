from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from worker.domain.commands import ApproveHold, Envelope, FieldError, Received, Refused, RequestSync
from worker.domain.model import DirectoryId, HoldId, Mode, RunId, RunState, TenantId, Trigger
from worker.flows.ask import (
    SOURCE,
    AskPorts,
    Patience,
    Refusal,
    ask,
    ask_sync,
    decided,
    follow,
    request,
)
from worker.ports.reports import (
    Answered,
    ChangeLine,
    DirectoryLine,
    HoldLine,
    Look,
    RunLine,
    SetLine,
    Standing,
)


NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = RunLine(
    run=RunId(UUID(int=1)),
    directory=DirectoryId("hq"),
    trigger=Trigger.MANUAL,
    mode=Mode.APPLY,
    state=RunState.QUEUED,
    verdict=None,
    attempt=0,
    counts={},
    seconds={},
    reasons=(),
    finding=None,
    queued_at=NOW,
    started_at=None,
    finished_at=None,
)
HQ = DirectoryLine(
    tenant=TenantId("t1"),
    directory=DirectoryId("hq"),
    name="HQ",
    type="openldap",
    state="in_force",
    paused=None,
    last_good_at=None,
    failing_since=None,
    failing=None,
    next_sync_at=None,
    queued=0,
    running=0,
    held=0,
    held_since=None,
    warnings=(),
)
ENVELOPE = Envelope(SOURCE, "c1", TenantId("t1"), "sync.request")


@dataclass(slots=True)
class Book:
    """Intake and reports in memory: a tenant t1 with a directory hq, and how things stand from look to look."""

    standings: Sequence[Standing | None] = ()
    stored: list[Received | Refused] = field(default_factory=list)
    told: list[Standing] = field(default_factory=list)
    looks: int = 0

    async def store(self, batch: Sequence[Received | Refused]) -> None:
        """Keep."""
        self.stored += batch

    async def runs(self, look: Look) -> list[RunLine]:
        """None."""
        return []

    async def changes(self, look: Look) -> list[ChangeLine]:
        """None."""
        return []

    async def directories(
        self, tenant: TenantId | None, *, reseller: str | None = None, most: int
    ) -> list[DirectoryLine]:
        """The one."""
        return [HQ]

    async def knows(self, tenant: TenantId) -> bool:
        """Whether it is the one."""
        return tenant == "t1"

    async def answers(self, envelope: Envelope) -> list[Answered]:
        """The one."""
        return [Answered("hold.approved", {"approved": 2})]

    async def holds(self, tenant: TenantId) -> list[HoldLine]:
        """None."""
        return []

    async def waiting(
        self, tenant: TenantId, of: HoldId | RunId, *, most: int | None
    ) -> list[SetLine]:
        """None."""
        return []

    async def standing(self, envelope: Envelope) -> Standing | None:
        """The next; the last one stays."""
        self.looks += 1
        return self.standings[min(self.looks, len(self.standings)) - 1]

    @property
    def ports(self) -> AskPorts:
        """This, as ports."""
        return AskPorts(self, self, self.told.append)


def standing(state: RunState | None = None, *, is_behind: bool = False) -> Standing:
    """Return a command whose run is in this state."""
    run = replace(RUN, state=state) if state else None
    return Standing("done" if run else "stored", (), run, is_behind)


async def test_a_request_is_stored_like_a_message() -> None:
    """What a person types goes the way of every message, so no rule is passed by."""
    book = Book()

    asked = await ask_sync("t1", "hq", mode=Mode.PREVIEW, ports=book.ports)

    assert isinstance(asked, Envelope)
    assert (asked.source, asked.tenant, asked.name) == (SOURCE, "t1", "sync.request")
    [received] = book.stored
    assert isinstance(received, Received)
    assert received.command == RequestSync(DirectoryId("hq"), Trigger.MANUAL, Mode.PREVIEW)


async def test_what_is_not_there_is_refused_at_once() -> None:
    """A slip in a name must not wait a minute for a directory that never comes."""
    book = Book()

    refused = [
        await ask_sync(*place, mode=Mode.APPLY, ports=book.ports)
        for place in (("t2", "hq"), ("t1", "lab"), ("t 1", "h/q"))
    ]

    codes = [
        [each.code for each in answer.errors] for answer in refused if isinstance(answer, Refusal)
    ]
    assert codes[:2] == [["tenant.unknown"], ["directory.unknown"]]
    assert len(codes[2]) == 2
    assert book.stored == []


async def test_a_run_is_followed_to_its_outcome() -> None:
    """Whoever waits sees what goes on, and then what it came to."""
    steps = [
        None,
        standing(),
        standing(RunState.QUEUED),
        standing(RunState.RUNNING),
        standing(RunState.HELD),
    ]
    book = Book(steps)

    followed = await follow(ENVELOPE, patience=Patience(20, 20), ports=book.ports)

    assert followed.is_over
    assert followed.standing == steps[-1]
    assert book.told == steps[1:]


async def test_a_rejected_request_is_over() -> None:
    """There is no run to wait for."""
    rejected = Standing("rejected", (FieldError("f", "c", "m"),), None, is_behind=False)

    followed = await follow(ENVELOPE, patience=Patience(20, 20), ports=Book([rejected]).ports)

    assert followed.is_over


async def test_nobody_waits_long_for_a_worker_that_is_not_there() -> None:
    """A forgotten worker is told, not waited for."""
    book = Book([standing(RunState.QUEUED)])

    followed = await follow(ENVELOPE, patience=Patience(0, 20), ports=book.ports)

    assert not followed.is_over
    assert not followed.is_picked_up


async def test_a_run_behind_another_is_waited_for() -> None:
    """A worker is at the directory already; the request has its turn."""
    book = Book([standing(RunState.QUEUED, is_behind=True), standing(RunState.COMPLETED)])

    followed = await follow(ENVELOPE, patience=Patience(0, 20), ports=book.ports)

    assert followed.is_over


async def test_waiting_has_an_end() -> None:
    """A run that hangs does not keep a person's terminal for ever."""
    book = Book([standing(RunState.RUNNING)])

    followed = await follow(ENVELOPE, patience=Patience(0, 0), ports=book.ports)

    assert (followed.is_over, followed.is_picked_up) == (False, True)


# --- decisions ---------------------------------------------------------------

APPROVAL = {"hold": str(UUID(int=2)), "version": 3}


async def test_a_decision_is_stored_as_a_message_would_be() -> None:
    """The command line has no rights that a message has not."""
    book, made = Book(), request("hold.approve", "t1", APPROVAL)
    assert isinstance(made, Received)

    assert await ask([made], ports=book.ports) is None

    assert book.stored == [made]
    assert made.command == ApproveHold(HoldId(UUID(int=2)), 3)


async def test_a_decision_about_an_unknown_tenant_is_refused_at_once() -> None:
    """A person waits; a command would wait a minute for its tenant."""
    book, made = Book(), request("hold.approve", "nobody", APPROVAL)
    assert isinstance(made, Received)

    refused = await ask([made], ports=book.ports)

    assert isinstance(refused, Refusal)
    assert [each.code for each in refused.errors] == ["tenant.unknown"]
    assert book.stored == []


@pytest.mark.parametrize("name", ["directory.pause", "directory.resume"])
async def test_a_decision_about_an_unknown_directory_is_refused_at_once(name: str) -> None:
    """As for its tenant: nothing is stored that would wait a minute for it."""
    book, slip = Book(), request(name, "t1", {"directory": "branch"})
    right = request(name, "t1", {"directory": "hq"})
    assert isinstance(slip, Received)
    assert isinstance(right, Received)

    refused = await ask([slip], ports=book.ports)

    assert isinstance(refused, Refusal)
    assert [each.code for each in refused.errors] == ["directory.unknown"]
    assert book.stored == []
    assert await ask([right], ports=book.ports) is None
    assert book.stored == [right]


def test_a_decision_that_is_wrong_in_form_says_where() -> None:
    """Before anything is stored."""
    refused = request("hold.approve", "t1", {"hold": "?", "version": 0})

    assert isinstance(refused, Refusal)
    assert [each.field for each in refused.errors] == ["hold", "version"]


async def test_a_decision_is_followed_to_its_answer() -> None:
    """It has no run: it is over when it is carried out."""
    stored = Standing("stored", (), None, is_behind=False)
    book = Book([stored, replace(stored, state="done")])

    came_to = await decided(ENVELOPE, patience=Patience(5, 5), ports=book.ports)

    assert came_to.followed.is_over
    assert [each.name for each in came_to.answers] == ["hold.approved"]


async def test_a_decision_that_nobody_carries_out_has_no_answer() -> None:
    """The person is told that it waits."""
    book = Book([Standing("stored", (), None, is_behind=False)])

    came_to = await decided(ENVELOPE, patience=Patience(0, 0), ports=book.ports)

    assert not came_to.followed.is_over
    assert came_to.answers == ()
