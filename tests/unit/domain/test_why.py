"""What a person reads who asks why an address is valid or not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from worker.domain.model import DirectoryId, HoldId, Kind, RunId, TenantId
from worker.domain.reasons import Reason
from worker.domain.reconcile import Step
from worker.domain.why import (
    COMINGS,
    DECIDED,
    HANDS,
    REASONS,
    SAYINGS,
    STATES,
    STEPS,
    VIAS,
    Coming,
    DomainFacts,
    FailedRun,
    Hand,
    IgnoredValue,
    LastRun,
    NextStep,
    Said,
    Source,
    State,
    Via,
    Why,
    sentences,
)


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ACME = TenantId("acme")
HQ = DirectoryId("hq")
RUN = RunId(UUID(int=1))
OTHER_RUN = RunId(UUID(int=2))
JO = "jo@example.com"
DOMAIN = DomainFacts(
    "example.com",
    catch_all=False,
    alias_of=None,
    by_hand=False,
    authoritative=True,
    added_at=NOW,
    removed_at=None,
    restored_at=None,
)
SOURCE = Source(
    directory=HQ,
    deleted=False,
    hand=None,
    entry=UUID(int=3),
    kind=Kind.PUBLIC_FOLDER,
    primary=True,
    enabled=True,
    name="Jo Doe",
    since=NOW,
    step=Step.PRESENT,
    left_at=None,
    grace_until=None,
    removed_at=None,
    decided=False,
    approved=False,
)
LEFT = replace(SOURCE, left_at=NOW, grace_until=LATER, removed_at=LATER)
LAST = LastRun(
    directory=HQ,
    run=RUN,
    state="completed",
    finished_at=NOW,
    said=Said.SHOWN,
    reasons=(),
    entries=812,
    not_kept=0,
    failed=None,
    paused=None,
    next_sync_at=None,
)
NEXT = NextStep(
    directory=HQ,
    what=Coming.GRACE,
    not_before=LATER,
    by="complete_run",
    hold=None,
    version=None,
    discarded=False,
    fleet=False,
    paused=None,
    next_sync_at=None,
)
IGNORED = IgnoredValue(
    tenant=ACME,
    directory=HQ,
    address=JO,
    reason=Reason.LEFT_OUT,
    entry="CN=Jo,DC=example,DC=com",
    run=RUN,
    seen_at=NOW,
    last_run=OTHER_RUN,
    last_run_at=LATER,
)
VALID = Why(
    asked=JO,
    tenant=ACME,
    address=JO,
    state=State.VALID,
    via=Via.ITSELF,
    since=NOW,
    domain=DOMAIN,
    sources=(SOURCE,),
    last_run=(LAST,),
    next=(),
    ignored=(),
    history=(),
)
UNKNOWN = replace(VALID, state=State.UNKNOWN, via=None, since=None, sources=(), last_run=())


def told(why: Why) -> str:
    """All of it; nothing is left unfilled."""
    said = sentences(why)
    assert all(each[-1] in ".?" for each in said), said
    text = "\n".join(said)
    assert "None" not in text
    assert not set("{}") & set(text)
    return text


def test_a_valid_address_is_told_in_three_sentences() -> None:
    """What is pasted into a ticket: since when, who holds it, and that the last run agrees."""
    assert sentences(VALID) == [
        "jo@example.com is valid since 2026-01-15 09:30:00 UTC.",
        "Directory hq holds it since 2026-01-15 09:30:00 UTC: entry 00000000-0000-0000-0000-000000000003 (public folder, its primary address, Jo Doe).",
        "The last complete run of hq (00000000-0000-0000-0000-000000000001, 2026-01-15 09:30:00 UTC) showed it.",
    ]


def test_every_table_has_a_sentence_for_each_of_its_words() -> None:
    """A state, a step or a reason that is added is said from the first day."""
    assert set(REASONS) == set(Reason)
    assert set(VIAS) == set(Via)
    assert set(STATES) == set(State)
    assert set(STEPS) == set(Step)
    assert set(SAYINGS) == set(Said)
    assert set(COMINGS) == set(Coming)
    assert set(HANDS) == {None, *Hand}
    assert set(DECIDED) == {Step.GRACE, Step.REMOVED}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_said_with_the_entry_and_the_run(reason: Reason) -> None:
    """Who looks after the directory can find the entry and mend it."""
    why = replace(UNKNOWN, ignored=(replace(IGNORED, reason=reason),))

    assert f"left out because {REASONS[reason]} (first by run {RUN}, 2026-01-15" in told(why)
    assert "in entry CN=Jo,DC=example,DC=com" in told(why)


@pytest.mark.parametrize(("state", "word"), [(each, STATES[each].split("{")[0]) for each in State])
def test_every_state_is_said_first(state: State, word: str) -> None:
    """The answer comes before its reasons."""
    assert told(replace(VALID, state=state)).startswith(f"{JO} {word.rstrip()}")


@pytest.mark.parametrize(
    ("via", "begin"),
    [
        (Via.ITSELF, "jo@example.com is valid"),
        (Via.SUB_ADDRESS, "jo+x@example.net is a sub-address of jo@example.com, which is valid"),
        (
            Via.ALIAS_DOMAIN,
            "jo+x@example.net is jo@example.com in an alias domain, which is valid",
        ),
        (
            Via.ALIAS_DOMAIN_SUB_ADDRESS,
            "jo+x@example.net is a sub-address of jo@example.com in an alias domain, which is valid",
        ),
        (Via.POSTMASTER, "jo@example.com is valid"),
        (Via.CATCH_ALL, "jo+x@example.net is valid"),
    ],
)
def test_every_way_to_an_owner_is_said(via: Via, begin: str) -> None:
    """Whoever asked for another address than is held sees how they belong together."""
    assert told(replace(VALID, asked="jo+x@example.net", via=via)).startswith(begin)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            replace(LEFT, step=Step.MISSING),
            "It is missing from hq since 2026-01-15 09:30:00 UTC; until its grace begins it is valid.",
        ),
        (
            replace(LEFT, step=Step.GRACE),
            "It left hq (2026-01-15 09:30:00 UTC); its grace ends 2026-01-15 10:30:00 UTC.",
        ),
        (
            replace(LEFT, step=Step.REMOVED),
            "It left hq (2026-01-15 09:30:00 UTC) and was removed 2026-01-15 10:30:00 UTC.",
        ),
        (
            replace(LEFT, step=Step.GRACE, decided=True, deleted=True),
            "A decision took it off (directory hq, deleted since, 2026-01-15 09:30:00 UTC); its grace ends 2026-01-15 10:30:00 UTC.",
        ),
        (
            replace(LEFT, step=Step.REMOVED, decided=True, directory=None),
            "A decision took it off (by hand, 2026-01-15 09:30:00 UTC); it was removed 2026-01-15 10:30:00 UTC.",
        ),
        (
            replace(SOURCE, directory=None),
            "It is held by hand since 2026-01-15 09:30:00 UTC, until a person lets it go.",
        ),
        (
            replace(SOURCE, directory=None, hand=Hand.ADOPT),
            "It is held by hand since 2026-01-15 09:30:00 UTC, until a directory shows it too.",
        ),
        (
            replace(SOURCE, directory=None, hand=Hand.PROTECT),
            "It is held by hand since 2026-01-15 09:30:00 UTC and protected: no run removes it.",
        ),
        (
            replace(LEFT, directory=None, hand=Hand.ADOPT, step=Step.REMOVED),
            "It was held by hand until a directory took it over (2026-01-15 10:30:00 UTC).",
        ),
        (
            replace(SOURCE, enabled=False, primary=False, name=None, kind=Kind.MAILBOX),
            "Directory hq holds it since 2026-01-15 09:30:00 UTC: entry 00000000-0000-0000-0000-000000000003 (mailbox, disabled).",
        ),
    ],
)
def test_every_source_is_said_by_how_far_it_is(source: Source, sentence: str) -> None:
    """A source by hand, a directory, a decision: each reads as what it is."""
    assert sentence in told(replace(VALID, sources=(source,))).splitlines()


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            NEXT,
            "It enters grace with the first complete run of hq that begins after 2026-01-15 10:30:00 UTC and does not show it, unless the run is held.",
        ),
        (
            replace(NEXT, what=Coming.REMOVED),
            "It is removed by the first complete run of hq that begins after 2026-01-15 10:30:00 UTC and does not show it, unless the run is held.",
        ),
        (
            replace(NEXT, what=Coming.REMOVED, by="clock"),
            "It is removed when its grace ends (2026-01-15 10:30:00 UTC), without another run.",
        ),
        (
            replace(NEXT, what=Coming.HELD, hold=HoldId(UUID(int=4)), version=2, by="person"),
            "It stays as it is: hold 00000000-0000-0000-0000-000000000004 (version 2) of hq waits for a person.",
        ),
        (
            replace(NEXT, what=Coming.HELD, fleet=True, by="person"),
            "It stays as it is: removals of all directories are held until the operator releases them (many directories failed or shrank at once).",
        ),
        (
            replace(NEXT, what=Coming.NEVER, by=None),
            "It stays as it is: removals of hq are set to never.",
        ),
        (
            replace(NEXT, what=Coming.FORGOTTEN, by="clock"),
            "If it comes back before 2026-01-15 10:30:00 UTC, it comes back with its history; then it is forgotten.",
        ),
        (
            replace(NEXT, next_sync_at=LATER),
            "The next scheduled run of hq is due 2026-01-15 10:30:00 UTC.",
        ),
        (
            replace(NEXT, what=Coming.HELD, hold=HoldId(UUID(int=4)), version=2, discarded=True),
            "The hold was discarded: nothing leaves, and nobody is told again until its addresses change.",
        ),
    ],
)
def test_every_thing_that_may_come_is_said_with_its_time(step: NextStep, sentence: str) -> None:
    """How long is there to mend it, and who has to act?"""
    why = replace(VALID, sources=(replace(LEFT, step=Step.MISSING),), next=(step,))

    assert sentence in told(why).splitlines()


def test_an_approval_is_said_where_a_run_still_has_to_come() -> None:
    """Nobody waits for a hold that no longer stops it."""
    going = replace(VALID, sources=(replace(LEFT, step=Step.GRACE, approved=True),), next=(NEXT,))

    assert "A person approved that it goes: no hold stops it." in told(going)


def test_who_was_not_shown_is_told_where_to_look() -> None:
    """Not shown by a complete run: the entry lies elsewhere, or is not what the filter asks for."""
    absent = replace(UNKNOWN, last_run=(replace(LAST, said=Said.NOT_SHOWN),))

    assert "read 812 entries and did not show it." in told(absent)
    assert "below the search bases" in told(absent)
    assert "more values than are kept" not in told(absent)
    assert "below the search bases" not in told(replace(absent, sources=(LEFT,)))


@pytest.mark.parametrize(
    ("not_kept", "words"),
    [
        (7, "That run ignored 7 more values than are kept, so it may be among them."),
        (None, "What that run ignored was not kept; the next complete run keeps it."),
    ],
)
def test_what_is_not_kept_is_admitted(not_kept: int | None, words: str) -> None:
    """That the run did not show it is not the whole truth then."""
    last = replace(LAST, said=Said.NOT_SHOWN, not_kept=not_kept)

    assert words in told(replace(UNKNOWN, last_run=(last,)))


def test_a_directory_in_trouble_says_so() -> None:
    """A failed or a paused directory is why nothing moves."""
    failed = FailedRun(OTHER_RUN, LATER, "sign_in.wrong_password")
    last = replace(
        LAST,
        said=Said.NOT_READ,
        run=None,
        finished_at=None,
        failed=failed,
        paused="a run was undone",
    )

    text = told(replace(UNKNOWN, state=State.NOT_AUTHORITATIVE, last_run=(last,)))

    assert "Directory hq has had no complete run yet." in text
    assert "(2026-01-15 10:30:00 UTC, sign_in.wrong_password)" in text
    assert "Scheduled runs of hq are paused: a run was undone." in text


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (None, "Its domain belongs to no tenant."),
        (
            replace(DOMAIN, removed_at=LATER),
            "Its domain example.com was taken off tenant acme (2026-01-15 10:30:00 UTC).",
        ),
        (DOMAIN, "an address there is called unknown only once"),
        (
            replace(DOMAIN, restored_at=LATER),
            "The database was restored from a backup (2026-01-15 10:30:00 UTC)",
        ),
        (replace(DOMAIN, restored_at=NOW - timedelta(days=9)), "is acme's since 2026-01-15"),
    ],
)
def test_why_nobody_may_be_called_unknown_is_said(domain: DomainFacts | None, words: str) -> None:
    """Each is another thing to do: nothing, put the domain back, wait for a sync."""
    assert words in told(replace(UNKNOWN, state=State.NOT_AUTHORITATIVE, domain=domain))


def test_postmaster_needs_no_source() -> None:
    """It is valid by the standard, and that is said."""
    assert "RFC 5321" in told(replace(VALID, via=Via.POSTMASTER, sources=()))


def test_a_text_that_is_no_address_is_called_so() -> None:
    """And what the run made of it still follows."""
    why = replace(UNKNOWN, asked="jo doe", address="jo doe", domain=None, ignored=(IGNORED,))

    assert told(why).startswith("jo doe is no mail address.\n")
    assert "left out because" in told(why)
    assert not why.is_address


def test_another_tenant_s_directory_is_named_as_such() -> None:
    """Where the domain is nobody's, the operator sees whose directory has it."""
    assert "Directory hq of tenant acme has" in told(
        replace(UNKNOWN, tenant=None, ignored=(IGNORED,))
    )
    assert "Directory hq has" in told(replace(UNKNOWN, ignored=(IGNORED,)))


def test_a_domain_that_joined_since_makes_a_reason_out_of_date() -> None:
    """The admin has mended it already; all that is missing is a run."""
    foreign = replace(UNKNOWN, ignored=(replace(IGNORED, reason=Reason.OTHER_DOMAIN),))
    words = "the next complete run of hq takes it"

    assert words in told(foreign)
    assert words not in told(replace(foreign, tenant=TenantId("other")))
    assert words not in told(replace(foreign, domain=None))
    assert words not in told(replace(foreign, domain=replace(DOMAIN, removed_at=LATER)))


@pytest.mark.parametrize(
    ("why", "is_accepted", "is_known"),
    [
        (VALID, True, True),
        (replace(VALID, state=State.GRACE), True, True),
        (replace(UNKNOWN, state=State.CATCH_ALL, via=Via.CATCH_ALL), True, True),
        (UNKNOWN, False, False),
        (replace(UNKNOWN, state=State.NOT_AUTHORITATIVE), False, False),
        (replace(UNKNOWN, ignored=(IGNORED,)), False, True),
        (replace(UNKNOWN, sources=(LEFT,)), False, True),
    ],
)
def test_a_script_can_tell_what_it_comes_to(why: Why, is_accepted: bool, is_known: bool) -> None:  # noqa: FBT001 - a table
    """The exit code rests on these two."""
    assert (why.is_accepted, why.is_known) == (is_accepted, is_known)
