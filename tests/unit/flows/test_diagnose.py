import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from worker.domain.events import finding_payload
from worker.domain.failures import (
    Denied,
    DirectoryFailure,
    Retry,
    Stage,
    StageResult,
    StageState,
    Unfinished,
)
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Kind,
    Limits,
    Secret,
    Server,
)
from worker.domain.plan import ReadPlan
from worker.domain.server import Profile, RootDse, ServerType
from worker.flows.diagnose import Asked, DiagnosePorts, Diagnosis, diagnose
from worker.ports.directory import Entry, Gate, Listing, Page, Proof


SETTINGS = DirectorySettings("HQ", "openldap", (Server("ldap.example.org"),), "cn=reader")
CREDENTIALS = Credentials(Secret("correct-horse"))

OPENLDAP = RootDse(contexts=("dc=example",), object_classes=frozenset({"top", "OpenLDAProotDSE"}))


@dataclass(slots=True)
class Pages:
    """A listing of pages that are known, or one that never comes."""

    pages: list[Page]
    hangs: bool
    said: Profile
    fault: DirectoryFailure | None

    async def __aiter__(self) -> AsyncIterator[Page]:
        for page in self.pages:
            yield page
        if self.fault is not None:
            raise self.fault
        if self.hangs:
            await asyncio.Event().wait()

    @property
    def proof(self) -> Proof:
        """Of all of them."""
        return Proof(
            "ldap.example.org:636", ("dc=example",), sum(map(len, self.pages)), 0, 0.1, 0.2
        )

    @property
    def profile(self) -> Profile:
        """A server that says what it is."""
        return self.said

    async def learn(self) -> None:
        """There is no more to it."""

    async def groups(self) -> tuple[str, ...]:
        """Nobody in particular."""
        return ()


@dataclass(slots=True)
class Directory:
    """A directory in memory, or one that fails at the sign-in; knows its schema if that is asked for."""

    listed: Pages
    failure: DirectoryFailure | None = None

    @asynccontextmanager
    async def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AsyncIterator[Listing]:
        """Give the pages."""
        stages += [StageResult(stage, StageState.OK, 1) for stage in tuple(Stage)[1:4]]
        await gate.admit()
        await gate.settle(accepted=self.failure is None)
        state = StageState.OK if self.failure is None else StageState.FAILED
        stages.append(StageResult(Stage.SIGN_IN, state, 1))
        if self.failure is not None:
            raise self.failure
        stages += [StageResult(stage, StageState.OK, 1) for stage in (Stage.BASE, Stage.READ)]
        assert plan.asks_schema
        yield self.listed


def person(login: str, *mail: str) -> Entry:
    """Return an entry."""
    return f"uid={login},dc=example", {"mail": [each.encode() for each in mail]}


async def diagnosed(
    *entries: Entry,
    domains: tuple[str, ...] | None = None,
    settings: DirectorySettings = SETTINGS,
    failure: DirectoryFailure | None = None,
    fault: DirectoryFailure | None = None,
    known: frozenset[str] | None = None,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
    hangs: bool = False,
) -> Diagnosis:
    """Let the doctor look at a directory with these entries."""
    reader = Directory(Pages([list(entries)], hangs, Profile(OPENLDAP, known), fault), failure)
    ports = DiagnosePorts(reader, limits, egress=("192.0.2.1",))
    return await diagnose(Asked(settings, CREDENTIALS, domains, None), ports=ports)


def states(found: Diagnosis) -> list[StageState]:
    """Return what became of the stages, in their order."""
    assert [each.stage for each in found.finding.stages] == list(Stage)
    return [each.state for each in found.finding.stages]


async def test_all_is_well() -> None:
    """The answer an admin hopes for names the figures too."""
    found = await diagnosed(person("ada", "ada@example.org"))

    assert found.finding.code == "ok"
    assert found.finding.retry is Retry.NEVER
    assert found.finding.seen == "1 entries, 1 addresses"
    assert set(states(found)) == {StageState.OK}
    assert found.preview is not None


async def test_a_refused_sign_in_is_counted_and_ends_the_look() -> None:
    """An account must not be locked by somebody who looks for the fault."""
    found = await diagnosed(failure=Denied("sign_in.locked", "data 775"))

    assert (found.finding.code, found.refused_sign_ins) == ("sign_in.locked", 1)
    assert states(found)[4:] == [StageState.FAILED, *[StageState.NOT_TRIED] * 3]
    assert found.preview is None


async def test_a_server_s_words_are_kept_from_the_finding() -> None:
    """What a customer reads is fixed; a server may write anything."""
    found = await diagnosed(failure=Denied("sign_in.locked", "call 555-EVIL"))

    assert "555" not in repr(found.finding)
    assert found.detail == "call 555-EVIL"


async def test_the_search_to_repeat_has_no_password() -> None:
    """The line is pasted into tickets."""
    found = await diagnosed(person("ada", "ada@example.org"))

    assert found.finding.ldapsearch.startswith("ldapsearch")
    assert "correct-horse" not in repr(found)


async def test_addresses_in_other_domains_only_are_a_finding_that_names_them() -> None:
    """The usual slip is a domain that was forgotten; seeing its name is the cure."""
    found = await diagnosed(
        person("ada", "ada@b.example", "ada2@b.example"),
        person("bob", "bob@xn--bcher-kva.example"),
        domains=("a.example",),
    )

    assert found.finding.code == "addresses.other_domains"
    assert found.finding.seen == "2 entries, in b.example (2), bücher.example (1)"
    assert states(found)[-1] is StageState.FAILED


async def test_entries_without_addresses_are_a_finding() -> None:
    """An empty list must never look like success."""
    found = await diagnosed(person("ada"))

    assert found.finding.code == "addresses.none_valid"


async def test_settings_that_cannot_be_planned_are_the_first_stage() -> None:
    """Nothing is dialled for a form that asks for what its type has not."""
    found = await diagnosed(settings=replace(SETTINGS, kinds=(Kind.PUBLIC_FOLDER,)))

    assert found.finding.code == "settings.no_such_kind"
    assert states(found) == [StageState.FAILED, *[StageState.NOT_TRIED] * 7]


async def test_a_look_has_a_deadline() -> None:
    """A directory that stops talking is told as such."""
    found = await diagnosed(hangs=True, limits=Limits(run_s=0.02))

    assert found.finding.code == "read.run_deadline"


async def test_cancelled_it_ends() -> None:
    """Control-C means now."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await diagnosed(hangs=True)


# --- whether the type fits ----------------------------------------------------

AS_EXCHANGE = replace(SETTINGS, type="active_directory")
NO_PROXY_ADDRESSES = "This server has no proxyAddresses, which the type active_directory reads; choose openldap (OpenLDAP)."


async def test_when_nothing_is_found_the_type_that_does_not_fit_is_the_first_thing_to_look_at() -> (
    None
):
    """The wrong type is the usual reason, and what the server says of itself names the right one."""
    found = await diagnosed(
        settings=AS_EXCHANGE,
        fault=Unfinished("read.nothing_found"),
        known=frozenset({"mail", "inetorgperson"}),
    )

    assert found.finding.code == "read.nothing_found"
    assert found.finding.checks[0] == NO_PROXY_ADDRESSES
    assert len(found.finding.checks) > 1


async def test_entries_without_a_valid_address_name_it_too() -> None:
    """The filter may be the customer's own, and find people all the same."""
    found = await diagnosed(
        person("ada"), settings=AS_EXCHANGE, known=frozenset({"mail", "inetorgperson"})
    )

    assert (found.finding.code, found.finding.checks[0]) == (
        "addresses.none_valid",
        NO_PROXY_ADDRESSES,
    )


async def test_other_faults_are_not_laid_to_the_type() -> None:
    """A page that is refused has nothing to do with it."""
    found = await diagnosed(
        settings=AS_EXCHANGE, fault=Unfinished("read.size_limit"), known=frozenset({"mail"})
    )

    assert "type" not in found.finding.checks[0]
    assert found.finding.detected is not None


async def test_a_type_that_fits_is_not_spoken_of() -> None:
    """The answer an admin hopes for stays short."""
    found = await diagnosed(
        person("ada", "ada@example.org"), known=frozenset({"mail", "inetorgperson"})
    )

    assert (found.finding.code, len(found.finding.checks)) == ("ok", 1)


async def test_what_the_server_is_goes_with_the_answer() -> None:
    """Platforms fill in the form with it."""
    found = await diagnosed(person("ada", "ada@example.org"))

    assert found.detected is not None
    assert found.detected is found.finding.detected
    assert found.detected.server is ServerType.OPENLDAP
    assert finding_payload(found.finding)["detected"] == {
        "server": "openldap",
        "version": "",
        "types": ("openldap",),
        "bases": ("dc=example",),
        "attributes": ("mail",),
    }


async def test_a_server_that_let_nobody_in_is_not_known() -> None:
    """Nothing is claimed of what was not asked."""
    found = await diagnosed(failure=Denied("sign_in.locked"))

    assert found.detected is None
    assert finding_payload(found.finding)["detected"] is None
