"""Each command to what it asks, or to why not: decided without a store."""

from dataclasses import replace
from uuid import UUID

import pytest

from tests.fakes.desk import MemoryDesk, desk
from worker.domain.commands import (
    AddRecipients,
    ApproveHold,
    CancelSync,
    CheckDirectory,
    Command,
    DeleteDirectory,
    DeleteTenant,
    DiscardHold,
    Form,
    PauseDirectory,
    RemoveRecipients,
    RepublishRecipients,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
    Sealed,
    UndoRun,
)
from worker.domain.decisions import HoldRecord, RunRecord
from worker.domain.model import (
    Address,
    DirectoryId,
    DirectorySettings,
    Domain,
    HoldId,
    Logins,
    Mode,
    Removals,
    RunId,
    RunState,
    Schedule,
    Server,
    Tier,
    Trigger,
)
from worker.domain.rulings import DirectoryRecord, DomainChanges, TenantRecord
from worker.flows.carry import NO_DIRECTORY, NO_OPEN_RUN, NO_TENANT, PAUSED_BY_HAND, carry
from worker.ports.desk import Done, Rejected, Settled, Waiting


HQ = DirectoryId("hq")
FORM = DirectorySettings("HQ", "openldap", (Server("ldap.example.com"),), "cn=reader")
TENANT = TenantRecord(Tier.STANDARD, None, 5, (Domain("example.com"),))
KNOWN = DirectoryRecord(4, None, 4, None, FORM, True, False, None)  # noqa: FBT003 - has a password, no key
SAVE = SaveDirectory(HQ, FORM, Sealed(b"x"), None, sync=False, force=False, revision=None)
RUN = RunId(UUID(int=7))
HOLD = HoldRecord(HoldId(UUID(int=8)), HQ, version=2, ended_how=None, discarded_version=None)
ENDED = RunRecord(
    RUN, HQ, RunState.COMPLETED, Mode.APPLY, is_undone=False, is_directory_deleted=False
)
JO, NY = Address("jo@example.com"), Address("ny@example.net")
ABOUT_DIRECTORY: list[tuple[str, Command]] = [
    ("directory.delete", DeleteDirectory(HQ, keep_by_hand=False)),
    ("directory.pause", PauseDirectory(HQ)),
    ("directory.resume", ResumeDirectory(HQ)),
    ("sync.request", RequestSync(HQ, Trigger.MANUAL, Mode.APPLY)),
    ("directory.test", CheckDirectory(HQ, None)),
    ("directory.test", CheckDirectory(HQ, Form(FORM, Sealed(b"x"), None))),
]
ABOUT_TENANT: list[tuple[str, Command]] = [
    ("tenant.delete", DeleteTenant()),
    ("sync.cancel", CancelSync(RUN)),
    ("directory.save", SAVE),
    ("run.undo", UndoRun(RUN)),
    ("hold.approve", ApproveHold(HoldId(UUID(int=8)), 2)),
    ("hold.discard", DiscardHold(HoldId(UUID(int=8)), 2)),
    ("recipient.add", AddRecipients((JO,), adopt=False, protect=False)),
    ("recipient.remove", RemoveRecipients((JO,))),
    ("recipients.republish", RepublishRecipients()),
    ("directory.test", CheckDirectory(None, Form(FORM, Sealed(b"x"), None))),
    *ABOUT_DIRECTORY,
]


async def carried(on: MemoryDesk) -> Done:
    """Carry it out; it must be."""
    settled = await carry(on)
    assert isinstance(settled, Done)
    return settled


def codes(settled: Settled) -> list[str]:
    """Why it was rejected."""
    assert isinstance(settled, Rejected)
    return [error.code for error in settled.errors]


@pytest.mark.parametrize(("name", "command"), ABOUT_TENANT)
async def test_a_command_waits_for_a_tenant_that_is_not_known(name: str, command: Command) -> None:
    """Two queues have no order among them."""
    assert await carry(desk(name, command)) == Waiting(NO_TENANT)


@pytest.mark.parametrize(("name", "command"), ABOUT_DIRECTORY)
async def test_a_command_waits_for_a_directory_that_is_not_known(
    name: str, command: Command
) -> None:
    """Likewise."""
    assert await carry(desk(name, command, tenant=TENANT)) == Waiting(NO_DIRECTORY)


async def test_a_tenant_is_saved_with_what_changes() -> None:
    """New or known; domains left out change nothing."""
    new = desk("tenant.save", SaveTenant(Tier.BASIC, (Domain("example.com"),), None, None))
    assert (await carried(new)).outcome is not None
    assert new.tenant.saved == [DomainChanges(added=(Domain("example.com"),))]

    known = desk("tenant.save", SaveTenant(Tier.BASIC, None, None, None), tenant=TENANT)
    await carried(known)
    assert known.tenant.saved == [DomainChanges()]


async def test_a_tenant_that_may_not_be_saved_is_not() -> None:
    """Nothing is written for a command that is rejected."""
    on = desk("tenant.save", SaveTenant(Tier.BASIC, (Domain("example.net"),), None, None))
    on.tenant.taken_names = ("example.net",)

    assert codes(await carry(on)) == ["domain.taken"]
    assert on.tenant.saved == []


async def test_a_tenant_is_deleted() -> None:
    """With its own outcome."""
    on = desk("tenant.delete", DeleteTenant(), tenant=TENANT)

    done = await carried(on)

    assert done.outcome is not None
    assert (done.outcome.name, on.tenant.is_deleted) == ("tenant.deleted", True)


@pytest.mark.parametrize(
    ("sync", "force", "is_pending", "is_requested"),
    [
        (False, False, False, False),
        (True, False, True, True),
        (True, True, False, True),
        (False, True, False, False),
    ],
)
async def test_save_and_sync_is_tried_before_it_comes_into_force(
    *, sync: bool, force: bool, is_pending: bool, is_requested: bool
) -> None:
    """A form that is only saved is in force; one that is to be synced first is not, unless forced."""
    command = replace(SAVE, sync=sync, force=force)
    on = desk("directory.save", command, tenant=TENANT, directory=KNOWN)

    done = await carried(on)

    assert on.directories.saved == [(5, is_pending)]
    assert on.runs.requested == ([(Trigger.MANUAL, Mode.APPLY)] if is_requested else [])
    assert [event.name for event in done.also] == (["sync.accepted"] if is_requested else [])
    assert done.outcome is not None
    assert done.outcome.data["state"] == ("pending" if is_pending else "in_force")


async def test_the_first_form_is_revision_one() -> None:
    """Revisions count the saves."""
    on = desk("directory.save", SAVE, tenant=TENANT)

    await carried(on)

    assert on.directories.saved == [(1, False)]


async def test_a_form_that_may_not_be_saved_is_not() -> None:
    """And no run is asked for."""
    command = replace(SAVE, password=None, sync=True)
    on = desk("directory.save", command, tenant=TENANT)

    assert codes(await carry(on)) == ["required"]
    assert (on.directories.saved, on.runs.requested) == ([], [])


async def test_a_directory_is_paused_resumed_and_deleted() -> None:
    """By hand, and said so."""
    for command, name in (
        (PauseDirectory(HQ), "directory.pause"),
        (ResumeDirectory(HQ), "directory.resume"),
    ):
        on = desk(name, command, tenant=TENANT, directory=KNOWN)
        await carried(on)
        assert on.directories.paused == [PAUSED_BY_HAND if "pause" in name else None]

    on = desk(
        "directory.delete", DeleteDirectory(HQ, keep_by_hand=True), tenant=TENANT, directory=KNOWN
    )
    await carried(on)
    assert on.directories.deleted == [True]


async def test_a_request_has_the_outcome_of_its_run() -> None:
    """It is accepted now and answered when the run ends."""
    command = RequestSync(HQ, Trigger.SCHEDULED, Mode.PREVIEW)
    on = desk("sync.request", command, tenant=TENANT, directory=KNOWN)

    done = await carried(on)

    assert done.outcome is None
    assert [event.name for event in done.also] == ["sync.accepted"]
    assert on.runs.requested == [(Trigger.SCHEDULED, Mode.PREVIEW)]


async def test_a_request_without_the_right_is_rejected() -> None:
    """No run is queued for it."""
    command = RequestSync(HQ, Trigger.SCHEDULED, Mode.APPLY)
    basic = replace(TENANT, tier=Tier.BASIC)
    on = desk("sync.request", command, tenant=basic, directory=KNOWN)

    assert codes(await carry(on)) == ["plan.automatic_sync"]
    assert on.runs.requested == []


async def test_only_an_open_run_can_be_cancelled() -> None:
    """One that has ended, or is another tenant's, is unknown."""
    on = desk("sync.cancel", CancelSync(RUN), tenant=TENANT)
    assert await carry(on) == Rejected((NO_OPEN_RUN,))

    on.runs.open_runs.add(RUN)
    assert (await carried(on)).outcome is None
    assert on.runs.cancelled == [RUN]


# --- what people decide ------------------------------------------------------


async def test_a_hold_is_approved_or_discarded_as_it_was_seen() -> None:
    """The version of the command is the version of the hold."""
    on = desk("hold.approve", ApproveHold(HOLD.hold, 2), tenant=TENANT)
    on.holds.known = HOLD
    assert (await carried(on)).outcome is not None
    assert (on.holds.approved, on.holds.discarded) == ([2], [])

    on = desk("hold.discard", DiscardHold(HOLD.hold, 2), tenant=TENANT)
    on.holds.known = HOLD
    assert (await carried(on)).outcome is not None
    assert (on.holds.approved, on.holds.discarded) == ([], [2])


async def test_a_hold_that_is_unknown_or_has_changed_is_not_decided() -> None:
    """No wait: a hold that is not known by now never was."""
    on = desk("hold.approve", ApproveHold(HOLD.hold, 2), tenant=TENANT)
    assert codes(await carry(on)) == ["hold.unknown"]

    on = desk("hold.approve", ApproveHold(HOLD.hold, 1), tenant=TENANT)
    on.holds.known = HOLD
    assert codes(await carry(on)) == ["hold.changed"]
    assert on.holds.approved == []


async def test_a_run_is_undone_if_it_changed_something() -> None:
    """And only then."""
    on = desk("run.undo", UndoRun(RUN), tenant=TENANT)
    assert codes(await carry(on)) == ["run.unknown"]

    on.runs.known = replace(ENDED, is_undone=True)
    assert codes(await carry(on)) == ["run.undone"]
    assert on.runs.undone == []

    on.runs.known = ENDED
    await carried(on)
    assert on.runs.undone == [RUN]


async def test_a_list_with_one_wrong_address_changes_nothing() -> None:
    """Added or removed: all of it or none."""
    on = desk("recipient.add", AddRecipients((JO, NY), adopt=False, protect=False), tenant=TENANT)
    assert codes(await carry(on)) == ["recipient.other_domain"]
    assert on.recipients.by_hand == set()

    on = desk("recipient.remove", RemoveRecipients((JO, NY)), tenant=TENANT)
    on.recipients.by_hand = {JO}
    assert codes(await carry(on)) == ["recipient.not_by_hand"]
    assert on.recipients.by_hand == {JO}


async def test_addresses_are_held_and_let_go_by_hand() -> None:
    """A domain that was taken off meanwhile does not keep its addresses from being removed."""
    on = desk("recipient.add", AddRecipients((JO,), adopt=True, protect=False), tenant=TENANT)
    await carried(on)
    assert on.recipients.by_hand == {JO}

    on = desk("recipient.remove", RemoveRecipients((NY,)), tenant=TENANT)
    on.recipients.by_hand = {NY}
    await carried(on)
    assert on.recipients.by_hand == set()


async def test_the_whole_list_is_told_on_request() -> None:
    """Whoever asks."""
    on = desk("recipients.republish", RepublishRecipients(), tenant=TENANT)

    await carried(on)

    assert on.recipients.republished == 1


# --- tests -------------------------------------------------------------------


async def test_a_stored_directory_is_tested() -> None:
    """Its answer is the test's; the command itself is done with."""
    command = CheckDirectory(HQ, None)
    on = desk("directory.test", command, tenant=TENANT, directory=KNOWN)

    done = await carried(on)

    assert (done.outcome, done.also) == (None, ())
    assert on.directories.tested == [command]


async def test_a_form_that_names_no_directory_is_tested() -> None:
    """Before there is anything to save."""
    command = CheckDirectory(None, Form(FORM, Sealed(b"x"), None))
    on = desk("directory.test", command, tenant=TENANT)

    await carried(on)

    assert on.directories.tested == [command]


async def test_a_form_needs_a_password_of_its_own() -> None:
    """Nothing is stored that could go with it."""
    on = desk("directory.test", CheckDirectory(None, Form(FORM, None, None)), tenant=TENANT)

    settled = await carry(on)

    assert isinstance(settled, Rejected)
    assert [(each.field, each.code) for each in settled.errors] == [("form.password", "required")]
    assert on.directories.tested == []


async def test_an_edited_form_keeps_the_password_for_the_same_servers_only() -> None:
    """Whoever can edit the form could else have the stored password sent to a server of theirs."""
    same = CheckDirectory(HQ, Form(replace(FORM, filter="(mail=*)"), None, None))
    elsewhere = replace(FORM, servers=(Server("ldap.attacker.example"),))
    other = CheckDirectory(HQ, Form(elsewhere, None, None))

    kept = desk("directory.test", same, tenant=TENANT, directory=KNOWN)
    await carried(kept)
    refused = desk("directory.test", other, tenant=TENANT, directory=KNOWN)
    settled = await carry(refused)

    assert kept.directories.tested == [same]
    assert codes(settled) == ["password.again"]
    assert refused.directories.tested == []


async def test_a_form_is_tested_under_the_checks_of_a_save() -> None:
    """What could not be saved is told now, all of it at once."""
    form = replace(
        FORM,
        schedule=Schedule(automatic=True),
        logins=Logins(create=True),
        removals=Removals(canaries=(NY,)),
    )
    tenant = replace(TENANT, tier=Tier.BASIC)
    on = desk("directory.test", CheckDirectory(None, Form(form, None, None)), tenant=tenant)

    settled = await carry(on)

    assert isinstance(settled, Rejected)
    assert [each.field for each in settled.errors] == [
        "form.schedule.automatic",
        "form.logins.create",
        "form.removals.canaries.0",
        "form.password",
    ]


async def test_more_tests_than_may_wait_are_rejected() -> None:
    """Whoever presses that often is told why nothing comes of it."""
    on = desk("directory.test", CheckDirectory(HQ, None), tenant=TENANT, directory=KNOWN)
    on.directories.tests_max = 0

    assert codes(await carry(on)) == ["test.too_many"]


async def test_what_is_stored_is_tested_whatever_the_plan() -> None:
    """A plan that was changed is no reason not to look."""
    form = replace(FORM, schedule=Schedule(automatic=True))
    on = desk(
        "directory.test",
        CheckDirectory(HQ, None),
        tenant=replace(TENANT, tier=Tier.BASIC),
        directory=replace(KNOWN, settings=form),
    )

    await carried(on)

    assert len(on.directories.tested) == 1
