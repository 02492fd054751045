"""Why an address is valid or not: ``api.why`` in every state, by every source, and what runs read and did not take."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import hypothesis
import pytest
from hypothesis import strategies as st

from tests.integration.postgres.house import HQ, House, people, removals, row, settings
from tests.unit.domain.makers import user
from worker.adapters.postgres.final import APART
from worker.adapters.postgres.reports import PostgresReports
from worker.adapters.postgres.restored import begin_again
from worker.adapters.postgres.spool import open_spool
from worker.adapters.postgres.sweeper import KEPT
from worker.domain.commands import DeleteDirectory, DeleteTenant
from worker.domain.failures import Finding, Retry, Stage
from worker.domain.model import (
    ClaimedRun,
    Domain,
    Kind,
    Limits,
    Mode,
    RemovalPolicy,
    TenantId,
)
from worker.domain.outcomes import Failed, Outcome, Unchanged
from worker.domain.plan import make_plan
from worker.domain.reasons import KEPT_MAX_COUNT, KeptRejects, Reason, text_asked_for
from worker.domain.why import Coming, Hand, Said, State, Via, Why, sentences
from worker.flows.reading import Progress, Reading
from worker.ports import Entry, Proof, Snapshot


JO = "jo@example.com"
NAMES = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
CROWD = people(30)


async def why(house: House, asked: str, tenant: str | None = None) -> Why:
    """What the command tells."""
    told = await PostgresReports(house.pool).why(asked, TenantId(tenant) if tenant else None)
    assert told.state == await house.look(asked), "why and look-up never disagree"
    assert all("None" not in sentence for sentence in sentences(told)), sentences(told)
    return told


async def raw(house: House, asked: str) -> asyncpg.Record:
    """What the function gives to a reader of the database."""
    (found,) = await house.fetch("SELECT * FROM api.why($1)", asked)
    return found


# --- sources -----------------------------------------------------------------


async def test_a_recipient_is_told_with_its_entry_and_the_last_run(house: House) -> None:
    """The first question of every ticket: is it valid, since when, and who says so?"""
    await house.founded()
    begun = house.clock.at
    await house.sync(row(JO, "jo", name="Jo Doe"), row(JO, "desk", kind=1, is_primary=False))
    run = await house.last_run()
    await house.sync_later(row(JO, "jo", name="Jo Doe"), row(JO, "desk", kind=1, is_primary=False))

    told = await why(house, "Jo@Example.com")

    assert (told.state, told.via, told.since, told.tenant) == (
        State.VALID,
        Via.ITSELF,
        begun,
        "acme",
    )
    assert [
        (each.directory, each.entry, each.kind, each.name, each.primary) for each in told.sources
    ] == [
        (HQ, row(JO, "jo").entry, Kind.MAILBOX, "Jo Doe", True),
        (HQ, row(JO, "desk").entry, Kind.GROUP, None, False),
    ]
    (last,) = told.last_run
    assert (last.said, last.run, last.finished_at, last.entries) == (
        Said.SHOWN,
        await house.last_run(),
        house.clock.at,
        2,
    )
    assert told.next == ()
    assert [(each.change, each.run) for each in told.history] == [("added", run)]


async def test_a_reader_of_the_database_gets_plain_columns(house: House) -> None:
    """Whoever joins it to their own pages needs no program of ours; nothing next is NULL."""
    await house.founded()
    await house.sync(JO)

    found = await raw(house, JO)

    assert list(found.keys()) == [
        "tenant",
        "address",
        "state",
        "via",
        "since",
        "domain",
        "sources",
        "last_run",
        "next",
        "ignored",
        "history",
    ]
    assert (found["state"], found["next"], found["ignored"]) == ("valid", None, "[]")


async def test_by_hand_is_a_source_of_three_kinds(house: House) -> None:
    """Held until let go, until a directory shows it, or whatever a run says: they look alike in the list."""
    await house.founded()
    await house.sync(*CROWD)
    await house.add("a@example.com")
    await house.add("b@example.com", adopt=True)
    await house.add("c@example.com", protect=True)

    told = [await why(house, f"{name}@example.com") for name in "abc"]

    assert [each.sources[0].hand for each in told] == [None, Hand.ADOPT, Hand.PROTECT]
    assert {each.sources[0].directory for each in told} == {None}
    assert {each.sources[0].entry for each in told} == {None}
    assert [each.last_run[0].said for each in told] == [Said.NOT_SHOWN] * 3
    assert {each.next for each in told} == {()}
    assert [each.history[0].by_command for each in told] == [True] * 3


async def test_what_a_directory_took_over_is_told(house: House) -> None:
    """An import is meant to vanish into the directory; both halves of that can be seen."""
    await house.founded()
    await house.sync(*CROWD)
    await house.add(JO, adopt=True)
    await house.sync_later(*CROWD, JO)

    told = await why(house, JO)

    assert [(each.directory, each.step, each.decided) for each in told.sources] == [
        (HQ, "present", False),
        (None, "removed", False),
    ]
    assert any("took it over" in each for each in sentences(told))
    assert told.next == ()


async def test_removed_by_hand_goes_by_the_clock(house: House) -> None:
    """A person's decision needs no run; the day it ends is known."""
    await house.founded()
    await house.sync(*CROWD)
    await house.add(JO)
    await house.remove(JO)

    told = await why(house, JO)

    assert (told.state, told.since) == (State.GRACE, house.clock.at)
    assert (told.sources[0].decided, told.sources[0].directory) == (True, None)
    (step,) = told.next
    assert (step.what, step.by, step.not_before) == (
        Coming.REMOVED,
        "clock",
        house.clock.at + timedelta(hours=72),
    )


# --- the way out --------------------------------------------------------------


async def test_each_step_out_says_what_comes_next_and_when(house: House) -> None:
    """The admin who sees a warning wants to know how long there is to mend it."""
    await house.founded()
    await house.sync(*CROWD, JO)
    await house.sync_later(*CROWD)
    left_at = house.clock.at

    missing = await why(house, JO)

    assert (missing.state, missing.sources[0].step, missing.sources[0].left_at) == (
        State.VALID,
        "missing",
        left_at,
    )
    assert missing.last_run[0].said is Said.NOT_SHOWN
    (step,) = missing.next
    assert (step.directory, step.what, step.by, step.not_before) == (
        HQ,
        Coming.GRACE,
        "complete_run",
        left_at + APART,
    )

    await house.sync_later(*CROWD)
    began = house.clock.at
    grace = await why(house, JO)

    assert (grace.state, grace.since) == (State.GRACE, began)
    (step,) = grace.next
    assert (step.what, step.by, step.not_before) == (
        Coming.REMOVED,
        "complete_run",
        began + timedelta(hours=72),
    )
    assert grace.sources[0].grace_until == step.not_before

    house.clock.forward(hours=73)
    await house.sync(*CROWD)
    removed = await why(house, JO)

    assert (removed.state, removed.since, removed.via) == (
        State.UNKNOWN,
        house.clock.at,
        Via.ITSELF,
    )
    (step,) = removed.next
    assert (step.what, step.by, step.not_before) == (
        Coming.FORGOTTEN,
        "clock",
        house.clock.at + KEPT,
    )
    assert [each.change for each in removed.history] == ["removed", "grace", "missing", "added"]


async def test_what_was_forgotten_was_never_known_but_for_its_history(house: House) -> None:
    """After thirty days only the history remembers."""
    await house.founded()
    await house.sync(*CROWD, JO)
    for _ in range(2):
        await house.sync_later(*CROWD)
    house.clock.forward(hours=73)
    await house.sync(*CROWD)
    house.clock.forward(days=31)
    await house.sweeper.housekeep()

    told = await why(house, JO)

    assert (told.state, told.sources, told.next, told.via) == (State.UNKNOWN, (), (), None)
    assert told.history[0].change == "removed"


async def test_another_source_keeps_an_address_that_one_lets_go(house: House) -> None:
    """What simply stays has nothing next, however far one of its sources is gone."""
    await house.founded()
    await house.sync(*CROWD, JO)
    await house.add(JO)
    await house.sync_later(*CROWD)

    told = await why(house, JO)

    assert [(each.directory, each.step) for each in told.sources] == [
        (None, "present"),
        (HQ, "missing"),
    ]
    assert told.next == ()


async def test_a_hold_is_named_with_the_version_to_decide_about(house: House) -> None:
    """What the person approves or discards can be copied from the answer."""
    await house.founded()
    await house.sync(*CROWD)
    await house.sync_later(*CROWD[:5])
    hold = await house.hold()

    told = await why(house, CROWD[9])
    await house.discard(hold)
    discarded = await why(house, CROWD[9])

    (step,) = told.next
    assert (told.state, step.what, step.by) == (State.VALID, Coming.HELD, "person")
    assert (step.hold, step.version, step.discarded, step.fleet) == (hold.id, 1, False, False)
    assert told.last_run[0].state == "held"
    assert discarded.next[0].discarded


async def test_an_approved_departure_goes_on_under_a_hold(house: House) -> None:
    """Who said yes to it, and that nothing stops it now."""
    await house.founded()
    await house.sync(*CROWD)
    await house.sync_later(*CROWD[:5])
    await house.approve()

    told = await why(house, CROWD[9])

    assert (told.state, told.sources[0].approved) == (State.GRACE, True)
    assert (told.next[0].what, told.next[0].by) == (Coming.REMOVED, "complete_run")
    assert any("approved" in each for each in sentences(told))


async def test_never_stops_at_missing(house: House) -> None:
    """A directory that may add and not remove says so."""
    await house.founded(removals(policy=RemovalPolicy.NEVER))
    await house.sync(*CROWD, JO)
    await house.sync_later(*CROWD)

    told = await why(house, JO)

    assert [(each.what, each.by, each.not_before) for each in told.next] == [
        (Coming.NEVER, None, None)
    ]


async def test_the_fleet_s_hold_is_told_to_everyone_it_concerns(house: House) -> None:
    """An operator's hold is no fault of the customer's."""
    await house.founded()
    await house.sync(*CROWD, JO)
    await house.sync_later(*CROWD)
    await house.pool.execute(
        "INSERT INTO rollcall.fleet_hold (fleet_hold_id, since, figures) VALUES (gen_random_uuid(), $1, '{}')",
        house.clock.at,
    )

    told = await why(house, JO)

    assert [(each.what, each.fleet, each.hold) for each in told.next] == [(Coming.HELD, True, None)]


async def test_a_deleted_directory_takes_its_addresses_by_the_clock(house: House) -> None:
    """The source is named also when it is gone."""
    await house.founded()
    await house.sync(JO)
    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    told = await why(house, JO)

    assert (told.sources[0].directory, told.sources[0].deleted) == (HQ, True)
    assert (told.next[0].what, told.next[0].by) == (Coming.REMOVED, "clock")
    assert told.last_run == ()


async def test_an_undone_run_is_not_believed(house: House) -> None:
    """What an undo gives back the run did not show; what it lets go the run did."""
    await house.founded()
    await house.sync(*CROWD, JO)
    house.clock.forward(minutes=31)
    await house.sync(*CROWD, "new@example.com")
    house.clock.forward(minutes=1)
    await house.undo()

    given_back, let_go = await why(house, JO), await why(house, "new@example.com")

    assert (given_back.sources[0].step, given_back.last_run[0].said) == ("present", Said.NOT_SHOWN)
    assert (let_go.sources[0].step, let_go.last_run[0].said) == ("missing", Said.SHOWN)
    assert given_back.last_run[0].paused == "a run was undone"


# --- by which way -------------------------------------------------------------


async def test_each_way_to_an_owner_is_named(house: House) -> None:
    """Sub-address and alias domain answer for somebody: say for whom."""
    await house.save_tenant(
        Domain("example.com", delimiter="+"),
        Domain("example.net", alias_of="example.com", delimiter="+"),
    )
    await house.save_directory()
    house.clock.forward(minutes=1)
    await house.sync(JO)

    told = {
        asked: await why(house, asked)
        for asked in (
            JO,
            "jo+x@example.com",
            "jo@example.net",
            "jo+x@example.net",
            "postmaster@example.net",
            "postmaster",
            "nobody@example.net",
        )
    }

    assert [each.via for each in told.values()] == [
        Via.ITSELF,
        Via.SUB_ADDRESS,
        Via.ALIAS_DOMAIN,
        Via.ALIAS_DOMAIN_SUB_ADDRESS,
        Via.POSTMASTER,
        Via.POSTMASTER,
        None,
    ]
    assert [each.address for each in told.values()][:4] == [JO] * 4
    assert told["nobody@example.net"].state is State.UNKNOWN


async def test_a_sub_address_of_somebody_removed_names_them(house: House) -> None:
    """jo+x is refused because jo has gone: that is the answer, not "never heard of"."""
    await house.save_tenant(Domain("example.com", delimiter="+"))
    await house.save_directory()
    house.clock.forward(minutes=1)
    await house.sync(*CROWD, JO)
    for _ in range(2):
        await house.sync_later(*CROWD)
    house.clock.forward(hours=73)
    await house.sync(*CROWD)

    told = await why(house, "jo+x@example.com")

    assert (told.state, told.address, told.via) == (State.UNKNOWN, JO, Via.SUB_ADDRESS)
    assert told.sources[0].step == "removed"


async def test_a_catch_all_domain_says_so(house: House) -> None:
    """Accepted does not mean that somebody is there."""
    await house.save_tenant(Domain("example.com", catch_all=True))
    await house.save_directory()
    await house.sync(JO)

    told = await why(house, "anybody@example.com")

    assert (told.state, told.via, told.sources, told.since) == (
        State.CATCH_ALL,
        Via.CATCH_ALL,
        (),
        None,
    )


async def test_a_domain_that_was_not_read_yet_calls_nobody_unknown(house: House) -> None:
    """Not read: the directory is there, and its password is wrong."""
    await house.founded()
    await house.request()
    run = await house.claim()
    await house.runs.end(run, FAILED)

    told = await why(house, JO)

    assert told.state is State.NOT_AUTHORITATIVE
    (last,) = told.last_run
    assert (last.said, last.run) == (Said.NOT_READ, None)
    assert last.failed is not None
    assert (last.failed.code, last.failed.run) == (FAILED.finding.code, run.lease.run)


FAILED = Failed(
    Finding(
        code="sign_in.wrong_password",
        stage=Stage.SIGN_IN,
        headline="The server refused the name or the password.",
        seen="",
        checks=(),
        fix="",
        retry=Retry.AFTER_CHANGE,
        ldapsearch="",
        stages=(),
    )
)


async def test_a_restore_is_why_nobody_is_called_unknown(house: House) -> None:
    """After a restore the answer changes for everybody at once, and the operator is asked why."""
    await house.founded()
    house.clock.forward(minutes=1)
    await house.sync(JO)
    house.clock.forward(minutes=1)
    await begin_again(house.pool, house.clock, tell=lambda _: None)

    told = await why(house, "x@example.com")

    assert told.state is State.NOT_AUTHORITATIVE
    assert told.domain is not None
    assert told.domain.restored_at == house.clock.at
    assert "restored from a backup" in sentences(told)[1]


async def test_a_domain_taken_off_is_told_with_whose_it_was(house: House) -> None:
    """The addresses depart by that decision; the look-up knows the domain no more."""
    await house.save_tenant("example.com", "example.org")
    await house.save_directory()
    await house.sync("jo@example.org", JO)
    house.clock.forward(minutes=1)
    await house.save_tenant("example.com")

    told = await why(house, "jo@example.org")

    assert (told.state, told.tenant) == (State.NOT_AUTHORITATIVE, "acme")
    assert told.domain is not None
    assert told.domain.removed_at == house.clock.at
    assert (told.sources[0].step, told.sources[0].decided) == ("grace", True)
    assert (told.next[0].what, told.next[0].by) == (Coming.REMOVED, "clock")


async def test_an_address_nobody_heard_of_has_nothing_to_tell(house: House) -> None:
    """Not a source, not a run, not a domain."""
    await house.founded()
    house.clock.forward(minutes=1)
    await house.sync(JO)

    never, nobodys = await why(house, "x@example.com"), await why(house, "x@elsewhere.example")

    assert (never.state, never.sources, never.ignored) == (State.UNKNOWN, (), ())
    assert never.last_run[0].said is Said.NOT_SHOWN
    assert (nobodys.state, nobodys.tenant, nobodys.domain, nobodys.last_run) == (
        State.NOT_AUTHORITATIVE,
        None,
        None,
        (),
    )
    assert not nobodys.is_known


# --- what was read and not taken ----------------------------------------------

DN = "CN={},OU=Oslo\\, Norway,DC=example,DC=com"
EXCHANGE = settings(
    type="active_directory", kinds=(Kind.MAILBOX,), leave_out=("*.secret@example.com",)
)


def entry(name: str, *addresses: str, **more: str | Sequence[str]) -> Entry:
    """One Exchange object."""
    told = {"objectGUID": uuid5(NAMES, name).bytes_le, "displayName": name, **more}
    return DN.format(name), user(*addresses, **told)  # type: ignore[arg-type]  # a mapping of both


ADA = entry("Ada", "SMTP:ada@example.com")
REJECTED: tuple[tuple[str, str, Entry], ...] = (
    ("far@elsewhere.example", "other_domain", entry("Far", "smtp:Far@Elsewhere.example")),
    ("jo smith@example.com", "malformed", entry("Space", "smtp:Jo Smith@example.com ")),
    ("x.secret@example.com", "left_out", entry("Secret", "smtp:X.Secret@example.com")),
    ("all@example.com", "kind", entry("All", "SMTP:all@example.com", objectClass="group")),
    (
        "healthmailbox7f3a1b2@example.com",
        "system",
        entry("HealthMailbox7f3a1b2", "SMTP:HealthMailbox7f3a1b2@example.com"),
    ),
    (
        "old@example.com",
        "no_mail",
        entry("Old", "SMTP:old@example.com", msExchRecipientTypeDetails="65536"),
    ),
    ("bare@example.com", "no_type", entry("Bare", "Bare@example.com")),
    ("@example.com", "catch_all", entry("Whole", "smtp:@example.com")),
)


async def snapshot_of(
    house: House, run: ClaimedRun, *entries: Entry, wire: bytes = b""
) -> Snapshot:
    """What the worker makes of a directory that shows these."""
    plan = make_plan(run.settings, run.credentials, Limits())
    rows, aside = (house.stack.enter_context(open_spool()) for _ in range(2))
    reading = Reading(run, plan, read_at=house.clock.at, spools=(rows, aside), progress=Progress())
    reading.take(list(entries))
    return await reading.snapshot(Proof("dc1:636", (), len(entries), 0, 0.1, 0.2, wire))


async def read(
    house: House,
    *entries: Entry,
    wire: bytes = b"",
    mode: Mode = Mode.APPLY,
    directory: str = HQ,
    tenant: str = "acme",
) -> Outcome:
    """One run of a directory that shows these."""
    house.clock.forward(minutes=31)
    await house.request(directory, tenant=tenant, mode=mode)
    run = await house.claim()
    return await house.conclude(run, await snapshot_of(house, run, *entries, wire=wire))


async def test_a_value_that_is_no_mail_address_is_not_kept(house: House) -> None:
    """X500 and SIP stand in every mailbox of Exchange; nobody asks for them."""
    await house.founded(EXCHANGE)

    await read(house, ADA, entry("Bob", "X500:/o=Acme/cn=bob", "SIP:bob@example.com"))

    assert await house.value("SELECT count(*) FROM rollcall.ignored") == 0


@pytest.mark.parametrize(("address", "reason", "rejected"), REJECTED)
async def test_what_was_left_out_says_why_and_where(
    house: House, address: str, reason: str, rejected: Entry
) -> None:
    """Why is it refused, the admin has it in the directory? The entry and the reason, in one answer."""
    await house.founded(EXCHANGE)
    await read(house, ADA, rejected)

    told = await why(house, address)

    (found,) = told.ignored
    assert (found.reason, found.entry, found.tenant, found.directory) == (
        reason,
        rejected[0],
        "acme",
        HQ,
    )
    assert (found.run, found.seen_at) == (await house.last_run(), house.clock.at)
    if told.last_run:  # of a domain that is nobody's only the reject is told
        assert (told.last_run[0].said, told.last_run[0].reasons) == (Said.IGNORED, (reason,))
    assert not told.is_accepted
    assert told.is_known


def test_every_reason_that_is_kept_is_tried_here() -> None:
    """A new reason gets its test."""
    tried = {reason for _, reason, _ in REJECTED}

    assert tried == set(Reason) - {Reason.OTHER_TYPE, Reason.NO_ADDRESS}


async def test_a_text_that_is_no_address_is_found_as_it_was_written(house: House) -> None:
    """The admin pastes what the directory shows."""
    await house.founded(EXCHANGE)
    await read(house, ADA, entry("Cut", "smtp:ÅSA", "smtp:tab\there@example.com"))

    for asked in ("åsa", " ÅSA ", "Tab\there@example.com"):
        assert [each.reason for each in (await why(house, asked)).ignored] == ["malformed"]


async def test_a_long_text_is_found_by_its_beginning(house: House) -> None:
    """A hostile value costs a bounded row."""
    long = "x" * 5_000
    await house.founded(EXCHANGE)
    await read(house, ADA, entry("Long", f"smtp:{long}"))

    (found,) = (await why(house, long)).ignored
    assert found.address == "x" * 320


async def test_a_text_outside_ascii_is_asked_for_as_the_code_lowers_it(house: House) -> None:
    """Code and database agree on lower case and composed letters, also in a domain of nobody's."""
    await house.founded(EXCHANGE)
    written = "Jo\u0301RG@B\u00dcCHER.example"
    await read(house, ADA, entry("Odd", f"smtp:{written}"), entry("Odder", "smtp:İSTANBUL ΟΔΟΣ"))

    assert (await why(house, "jórg@xn--bcher-kva.example")).ignored
    assert (await why(house, "İSTANBUL ΟΔΟΣ")).ignored


async def test_code_and_database_keep_a_text_under_the_same_form(house: House) -> None:
    """What was kept by the one must be found by the other, whatever letters it is made of."""
    words = st.text(st.characters(codec="utf-8", min_codepoint=1, exclude_categories=["Cn"]))
    seen: list[str] = []

    @hypothesis.settings(max_examples=150, database=None)
    @hypothesis.given(words)
    def gather(word: str) -> None:
        seen.append(word)

    gather()
    found = await house.fetch(
        """SELECT rollcall.text_asked_for(word) AS text
           FROM unnest($1::text[]) WITH ORDINALITY AS asked (word, place) ORDER BY place""",
        seen,
    )

    assert [each["text"] for each in found] == [
        text_asked_for(word.encode()).decode() for word in seen
    ]


async def test_only_the_tenant_s_own_rejects_are_told_of_its_domain(house: House) -> None:
    """What another customer's directory happens to hold is not this customer's business."""
    await house.founded(EXCHANGE)
    await house.save_tenant("example.org", tenant="other")
    await house.save_directory(EXCHANGE, tenant="other")
    both = entry("Ada", "smtp:ada@example.org", "smtp:x@example.com", "smtp:y@nowhere.example")
    await read(house, both, entry("Bob", "smtp:bob@example.com"))
    await read(house, both, tenant="other")

    ours, theirs, nobodys = [
        [each.tenant for each in (await why(house, asked)).ignored]
        for asked in ("x@example.com", "ada@example.org", "y@nowhere.example")
    ]

    assert (ours, theirs, nobodys) == ([], [], ["acme", "other"])
    named = await why(house, "y@nowhere.example", "acme")
    assert [each.tenant for each in named.ignored] == ["acme"]
    assert [each.said for each in named.last_run] == [Said.IGNORED]
    assert [each.tenant for each in (await why(house, "ada@example.org", "acme")).ignored] == [
        "acme"
    ]
    assert (await why(house, "y@nowhere.example", "no-such")).ignored == ()


async def test_a_domain_that_joined_since_is_noticed(house: House) -> None:
    """The reason is out of date: the next run takes it."""
    await house.founded(EXCHANGE)
    await read(house, ADA, entry("Far", "smtp:far@example.org"))
    await house.save_tenant("example.com", "example.org")

    told = await why(house, "far@example.org")

    assert any("the next complete run of hq takes it" in each for each in sentences(told))
    await read(house, ADA, entry("Far", "smtp:far@example.org"))
    assert (await why(house, "far@example.org")).ignored == ()


async def test_an_entry_without_a_backslash_in_mind_does_no_harm(house: House) -> None:
    """Names and values are strangers' text: tabs, backslashes, quotes, zero bytes."""
    await house.founded(EXCHANGE)
    dn = 'CN=a\\,b\tc\nd"\0,DC=x'
    await read(house, ADA, (dn, user("smtp:back\\slash\t@x", objectGUID=b"1" * 16)))

    (found,) = (await why(house, "back\\slash\t@x")).ignored

    assert found.entry == dn.replace("\0", "\ufffd")


# --- what it costs ------------------------------------------------------------


async def kept(house: House) -> list[tuple[Any, ...]]:
    """Each row, with what tells whether it was written again."""
    return [
        tuple(each)
        for each in await house.fetch(
            "SELECT address, reason, run_id, ctid, xmin::text FROM rollcall.ignored ORDER BY 1, 2"
        )
    ]


async def test_an_unchanged_run_writes_nothing(house: House) -> None:
    """Twenty thousand foreign addresses a sync, for thousands of customers: only what changes may cost."""
    await house.founded(EXCHANGE)
    listed = [ADA, *(each for _, _, each in REJECTED)]
    await read(house, *listed)
    before = await kept(house)

    assert isinstance(await read(house, *listed), Unchanged)
    assert isinstance(await read(house, *reversed(listed)), Unchanged)

    assert len(before) == len(REJECTED)
    assert await kept(house) == before


async def test_a_run_known_by_the_wire_keeps_what_is_stored(house: House) -> None:
    """The same bytes are not even looked at: what they rejected stands."""
    await house.founded(EXCHANGE)
    listed = [ADA, REJECTED[0][2]]
    await read(house, *listed, wire=b"bytes")
    before = await kept(house)

    await house.request()
    run = await house.claim()
    snapshot = await snapshot_of(house, run, *listed, wire=b"bytes")
    assert (snapshot.spool, snapshot.rejects) == (None, None)
    assert isinstance(await house.conclude(run, snapshot), Unchanged)

    assert before
    assert await kept(house) == before


async def test_only_differences_are_written(house: House) -> None:
    """One more or less is one row, under the run that saw it first."""
    await house.founded(EXCHANGE)
    first, second, third = (each for _, _, each in REJECTED[:3])
    await read(house, ADA, first, second)
    before = {each[0]: each for each in await kept(house)}

    await read(house, ADA, second, third)

    after = {each[0]: each for each in await kept(house)}
    assert set(after) == {"jo smith@example.com", "x.secret@example.com"}
    assert after["jo smith@example.com"] == before["jo smith@example.com"]
    assert after["x.secret@example.com"][2] == await house.last_run()


async def test_rejects_that_change_alone_are_noticed(house: House) -> None:
    """The recipients are the same, so nothing is compared; the answer must be the new one all the same."""
    await house.founded(EXCHANGE)
    await read(house, ADA)

    assert isinstance(await read(house, ADA, REJECTED[0][2]), Unchanged)

    assert len(await kept(house)) == 1


async def test_a_preview_writes_nothing(house: House) -> None:
    """It changes nothing, not even an answer."""
    await house.founded(EXCHANGE)

    await read(house, ADA, REJECTED[0][2], mode=Mode.PREVIEW)

    assert await kept(house) == []
    assert (await why(house, "far@elsewhere.example")).ignored == ()


async def test_a_held_run_was_a_complete_one(house: House) -> None:
    """What it left out is known, although what it missed waits."""
    await house.founded(EXCHANGE)
    crowd = [entry(f"p{number}", f"SMTP:p{number}@example.com") for number in range(30)]
    await read(house, *crowd)
    await read(house, ADA, REJECTED[0][2])

    told = await why(house, "far@elsewhere.example")

    assert await house.value("SELECT state FROM api.run ORDER BY finished_at DESC LIMIT 1") == (
        "held"
    )
    assert [each.reason for each in told.ignored] == ["other_domain"]


async def test_a_directory_read_before_this_was_kept_is_read_the_long_way_once(
    house: House,
) -> None:
    """After an upgrade the short cut must not hide what was ignored for ever."""
    await house.founded(EXCHANGE)
    await read(house, ADA, REJECTED[0][2], wire=b"bytes")
    await house.pool.execute("DELETE FROM rollcall.ignored")
    await house.pool.execute("UPDATE rollcall.directory SET rejects_digest = NULL")
    assert (await why(house, "x@example.com")).last_run[0].not_kept is None

    assert isinstance(await read(house, ADA, REJECTED[0][2], wire=b"bytes"), Unchanged)

    assert len(await kept(house)) == 1
    assert (await why(house, "x@example.com")).last_run[0].not_kept == 0


async def test_more_than_are_kept_is_said(house: House) -> None:
    """Who is not among the first twenty thousand may still have been ignored: "not shown" must not be the whole answer."""
    await house.founded(EXCHANGE)
    many = [f"smtp:f{number}@elsewhere.example" for number in range(KEPT_MAX_COUNT + 5)]
    await read(house, ADA, entry("Many", *many))

    first = await why(house, "f0@elsewhere.example")
    last = await why(house, f"f{KEPT_MAX_COUNT + 4}@elsewhere.example", "acme")

    assert await house.value("SELECT count(*) FROM rollcall.ignored") == KEPT_MAX_COUNT
    assert first.ignored
    assert (last.ignored, last.last_run[0].said, last.last_run[0].not_kept) == (
        (),
        Said.NOT_SHOWN,
        5,
    )
    assert any("ignored 5 more values than are kept" in each for each in sentences(last))


async def test_what_comes_in_another_order_beyond_the_bound_is_the_same(house: House) -> None:
    """Which of too many are kept does not matter; writing them again at each run would."""
    await house.founded(EXCHANGE)
    await house.request()
    run = await house.claim()
    snapshot = await snapshot_of(house, run, ADA)
    bounded = KeptRejects(b"a@x.example\tother_domain\tCN=a\n", 1, b"d" * 16)
    await house.conclude(run, replace(snapshot, rejects=bounded))
    before = await kept(house)

    await house.request()
    run = await house.claim()
    other = KeptRejects(b"b@x.example\tother_domain\tCN=b\n", 1, b"d" * 16)
    await house.conclude(run, replace(await snapshot_of(house, run, ADA), rejects=other))

    assert await kept(house) == before


async def test_a_deleted_directory_s_rejects_go_with_it(house: House) -> None:
    """Nobody asks for them any more, and its number is never used again."""
    await house.founded(EXCHANGE)
    await read(house, ADA, REJECTED[0][2])

    await house.send(DeleteDirectory(HQ, keep_by_hand=False))

    assert await kept(house) == []


async def test_a_deleted_tenant_is_hidden_at_once_and_purged_later(house: House) -> None:
    """Its rejects are personal data like its recipients."""
    await house.founded(EXCHANGE)
    await read(house, ADA, REJECTED[0][2])
    await house.send(DeleteTenant())

    told = await why(house, "far@elsewhere.example"), await why(house, "ada@example.com")

    assert [(each.ignored, each.tenant, each.sources, each.history) for each in told] == [
        ((), None, (), ())
    ] * 2
    house.clock.forward(days=31)
    for _ in range(12):
        await house.sweeper.housekeep()
    assert await kept(house) == []
