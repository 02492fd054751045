"""One claimed test to its answer: whatever happens on the way, exactly one is recorded, or another worker's turn it is."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.runs import Directory, OpenGate, person
from worker.domain.failures import (
    Denied,
    Finding,
    LeaseLost,
    StageState,
    StoreFailure,
    Unreachable,
)
from worker.domain.model import (
    ClaimedTest,
    Credentials,
    DirectoryId,
    DirectorySettings,
    Limits,
    Secret,
    Server,
    TenantId,
    Trigger,
)
from worker.domain.outcomes import RunStopped
from worker.domain.sign_in import SignIn
from worker.flows.bell import Bell
from worker.flows.examine import ExaminePorts, examine
from worker.ports.directory import Gate


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
SETTINGS = DirectorySettings("HQ", "openldap", (Server("ldap.example.com"),), "cn=reader")
AWAY = StoreFailure("store.unavailable")
LOST = LeaseLost("store.lease_lost")


def claimed(
    *,
    fault: str | None = None,
    domains: tuple[str, ...] = ("example.com",),
    is_saved: bool = False,
) -> ClaimedTest:
    """A test that a worker holds."""
    return ClaimedTest(
        number=1,
        token=1,
        tenant=TenantId("acme"),
        directory=DirectoryId("hq"),
        causes=("c-1",),
        settings=SETTINGS,
        credentials=Credentials(Secret("correct-horse")),
        is_saved=is_saved,
        domains=domains,
        asked_at=NOW,
        queue_s=0.5,
        fault=fault,
    )


@dataclass(slots=True)
class Book:
    """The DirectoryTests port: remembers what is written, raises what is put into its lists first."""

    keep_faults: list[Exception] = field(default_factory=list)
    end_faults: list[Exception] = field(default_factory=list)
    give_back_hangs: bool = False
    kept: int = 0
    found: list[Finding] = field(default_factory=list)
    given_back: int = 0

    async def claim(self, most: int) -> list[ClaimedTest]:
        """Nothing waits here."""
        return []

    async def keep(self, test: ClaimedTest) -> None:
        """Count it."""
        if self.keep_faults:
            raise self.keep_faults.pop(0)
        self.kept += 1

    async def end(self, test: ClaimedTest, found: Finding) -> None:
        """Keep the answer."""
        if self.end_faults:
            raise self.end_faults.pop(0)
        self.found.append(found)

    async def give_back(self, test: ClaimedTest) -> None:
        """Count it."""
        if self.give_back_hangs:
            await asyncio.Event().wait()
        self.given_back += 1


@dataclass(slots=True)
class Doorman:
    """The SignIns port: remembers who wanted to sign in."""

    behind: OpenGate = field(default_factory=OpenGate)
    wanted: list[SignIn] = field(default_factory=list)

    def gate(self, sign_in: SignIn) -> Gate:
        """Give the one gate."""
        self.wanted.append(sign_in)
        return self.behind


def ports(
    book: Book,
    directory: Directory,
    *,
    doorman: Doorman | None = None,
    notebook: Notebook | None = None,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> ExaminePorts:
    """All that a test needs, in memory."""
    return ExaminePorts(
        tests=book,
        directory=directory,
        sign_ins=doorman or Doorman(),
        telemetry=notebook or Notebook(),
        relay_bell=Bell(),
        limits=limits,
        egress=("192.0.2.1",),
    )


async def test_only_so_many_addresses_of_a_test_are_told_apart() -> None:
    """Whoever answers may mean harm, and several are tested at once: what is remembered of each has a bound."""
    twice = [[person("ada"), person("bob")], [person("ada"), person("bob")]]
    book, wary = Book(), Book()

    await examine(claimed(), ports=ports(book, Directory(twice)))
    await examine(claimed(), ports=replace(ports(wary, Directory(twice)), told_apart=1))

    seen = [each.report.addresses for each in (book.found[0], wary.found[0]) if each.report]
    assert seen == [2, 3]
    assert ports(book, Directory()).told_apart <= 500_000


async def test_a_good_directory_is_found_good() -> None:
    """With every stage, and what was seen."""
    book = Book()

    told = await examine(claimed(), ports=ports(book, Directory()))

    assert told == "ok"
    (found,) = book.found
    assert (found.code, found.seen) == ("ok", "1 entries, 1 addresses")


async def test_the_tenant_s_domains_are_looked_for() -> None:
    """Addresses that will not count are the usual slip of a first form."""
    book = Book()

    await examine(claimed(domains=("example.net",)), ports=ports(book, Directory()))

    assert [each.code for each in book.found] == ["addresses.other_domains"]


async def test_the_sign_in_is_asked_for_as_a_person_s() -> None:
    """Presses are counted like runs, in one book."""
    doorman = Doorman()

    await examine(claimed(), ports=ports(Book(), Directory(), doorman=doorman))

    (wanted,) = doorman.wanted
    assert (wanted.tenant, wanted.account.bind_name) == ("acme", "cn=reader")
    assert wanted.trigger is Trigger.MANUAL
    assert wanted.account.hosts == {"ldap.example.com"}


@pytest.mark.parametrize("is_saved", [True, False])
async def test_the_gate_hears_whether_the_settings_are_saved(*, is_saved: bool) -> None:
    """What is mistyped in a form stops no schedule."""
    doorman = Doorman()

    await examine(claimed(is_saved=is_saved), ports=ports(Book(), Directory(), doorman=doorman))

    assert [wanted.is_trial for wanted in doorman.wanted] == [not is_saved]


async def test_a_sign_in_that_must_wait_is_told_with_the_time() -> None:
    """A person may wait; a riddle is no answer."""
    waiting = Denied("sign_in.waiting", "2026-01-15 10:00 UTC")
    book, directory = Book(), Directory()

    await examine(claimed(), ports=ports(book, directory, doorman=Doorman(OpenGate(waiting))))

    (found,) = book.found
    assert found.code == "sign_in.waiting"
    assert "2026-01-15 10:00 UTC" in found.headline
    assert directory.opened == 0


async def test_a_fault_is_found_and_the_server_s_words_are_for_the_operator() -> None:
    """Fixed sentences go out; what a stranger's server wrote stays in the log."""
    book, notebook = Book(), Notebook()
    directory = Directory(fault=Unreachable("reach.refused", "call 555-EVIL"))

    told = await examine(claimed(), ports=ports(book, directory, notebook=notebook))

    assert told == "reach.refused"
    assert "555" not in repr(book.found)
    assert notebook.said("test_found")[0]["detail"] == "call 555-EVIL"


async def test_one_that_is_past_its_time_is_answered_and_not_carried_out() -> None:
    """Who asked has gone: no directory is bothered, no password sent."""
    book, directory, doorman = Book(), Directory(), Doorman()

    await examine(
        claimed(fault="settings.not_tested"), ports=ports(book, directory, doorman=doorman)
    )

    (found,) = book.found
    assert found.code == "settings.not_tested"
    assert {stage.state for stage in found.stages} == {StageState.NOT_TRIED}
    assert (directory.opened, doorman.wanted) == (0, [])


async def test_a_bug_is_answered_as_ours() -> None:
    """Nobody waits for an answer that never comes."""
    book, notebook = Book(), Notebook()

    told = await examine(
        claimed(), ports=ports(book, Directory(fault=LookupError("bug")), notebook=notebook)
    )

    assert told == "internal"
    assert [each.code for each in book.found] == ["internal"]
    assert len(notebook.said("test_broke")) == 1


async def test_a_test_of_the_deleted_is_dropped() -> None:
    """Its command was answered when they were deleted."""
    book = Book()
    doorman = Doorman(OpenGate(RunStopped("deleted")))

    assert await examine(claimed(), ports=ports(book, Directory(), doorman=doorman)) == "gone"
    assert book.found == []


async def test_a_store_that_is_away_at_the_gate_leaves_the_test_to_its_lease() -> None:
    """No password is sent unrecorded."""
    book, directory = Book(), Directory()

    told = await examine(claimed(), ports=ports(book, directory, doorman=Doorman(OpenGate(AWAY))))

    assert (told, book.found, directory.opened) == ("postponed", [], 0)


@jumping
async def test_an_answer_is_recorded_although_the_store_was_away() -> None:
    """Postgres restarts in seconds."""
    book = Book(end_faults=[AWAY, AWAY])

    assert await examine(claimed(), ports=ports(book, Directory())) == "ok"
    assert len(book.found) == 1


@jumping
async def test_an_answer_that_cannot_be_recorded_is_another_worker_s() -> None:
    """The lease lapses, and the test begins again."""
    book = Book(end_faults=[AWAY] * 10)

    assert await examine(claimed(), ports=ports(book, Directory())) == "postponed"


async def test_what_another_worker_has_taken_is_not_answered_twice() -> None:
    """One answer a command."""
    book = Book(end_faults=[LOST])

    assert await examine(claimed(), ports=ports(book, Directory())) == "gone"
    assert book.found == []


async def test_a_recording_that_breaks_ends_no_worker() -> None:
    """The others' tests go on."""
    notebook = Notebook()
    book = Book(end_faults=[LookupError("bug")])

    assert (
        await examine(claimed(), ports=ports(book, Directory(), notebook=notebook)) == "postponed"
    )
    assert len(notebook.said("test_recording_broke")) == 1


@jumping
async def test_the_lease_is_kept_while_a_directory_is_slow() -> None:
    """Also over a beat that the store missed; the reading has its own end."""
    book = Book(keep_faults=[AWAY])

    told = await examine(
        claimed(), ports=ports(book, Directory(hangs=True), limits=Limits(run_s=30))
    )

    assert told == "read.run_deadline"
    assert book.kept > 5


@jumping
async def test_a_lease_that_is_lost_ends_the_reading() -> None:
    """Two workers at one account would count twice."""
    book, directory = Book(keep_faults=[LOST]), Directory(hangs=True)

    assert await examine(claimed(), ports=ports(book, directory)) == "gone"
    assert (directory.opened, directory.closed) == (1, 1)


@jumping
async def test_cancelled_it_is_given_back() -> None:
    """A worker that stops leaves the test to another at once, within a bounded time."""
    for hangs in (False, True):
        book, directory = Book(give_back_hangs=hangs), Directory(hangs=True)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            task = group.create_task(examine(claimed(), ports=ports(book, directory)))
            await asyncio.sleep(1)
            task.cancel()

        assert task.cancelled()
        assert (book.given_back, directory.closed) == (0 if hangs else 1, 1)
