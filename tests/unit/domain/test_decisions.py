"""Whether a person's decision can still be carried out: of two at once, one hears of the other."""

from dataclasses import replace
from uuid import UUID

import pytest

from worker.domain.commands import FieldError
from worker.domain.decisions import (
    ADDRESSES_NAMED_COUNT,
    ENDED_TEXT,
    HoldRecord,
    RunRecord,
    hold_errors,
    not_by_hand_errors,
    other_domain_errors,
    undo_errors,
)
from worker.domain.model import Address, DirectoryId, Domain, HoldId, Mode, RunId, RunState


HOLD = HoldRecord(
    HoldId(UUID(int=1)), DirectoryId("hq"), version=2, ended_how=None, discarded_version=None
)
RUN = RunRecord(
    RunId(UUID(int=2)),
    DirectoryId("hq"),
    RunState.COMPLETED,
    Mode.APPLY,
    is_undone=False,
    is_directory_deleted=False,
)


def codes(errors: tuple[FieldError, ...]) -> list[tuple[str, str]]:
    """Field and code of each."""
    return [(error.field, error.code) for error in errors]


@pytest.mark.parametrize("discards", [False, True])
def test_a_hold_as_it_was_seen_can_be_decided(*, discards: bool) -> None:
    """The version is the one that the person saw."""
    assert hold_errors(2, HOLD, discards=discards) == ()


@pytest.mark.parametrize("version", [1, 3])
def test_a_hold_of_another_version_cannot(version: int) -> None:
    """The message names the version of now."""
    (error,) = hold_errors(version, HOLD, discards=False)

    assert (error.field, error.code) == ("version", "hold.changed")
    assert "version 2" in error.message


@pytest.mark.parametrize("how", ENDED_TEXT)
def test_a_hold_that_has_ended_says_how(how: str) -> None:
    """Whoever comes second knows what the first did."""
    (error,) = hold_errors(2, replace(HOLD, ended_how=how), discards=False)

    assert (error.code, error.message) == ("hold.ended", ENDED_TEXT[how])


def test_a_discarded_hold_can_be_approved_and_not_discarded_again() -> None:
    """A no may become a yes; a second no is the first."""
    discarded = replace(HOLD, discarded_version=2)

    assert hold_errors(2, discarded, discards=False) == ()
    assert codes(hold_errors(2, discarded, discards=True)) == [("hold", "hold.discarded")]
    assert hold_errors(3, replace(discarded, version=3), discards=True) == ()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RUN, []),
        (replace(RUN, state=RunState.HELD), []),
        (replace(RUN, is_undone=True), ["run.undone"]),
        (replace(RUN, is_directory_deleted=True), ["run.directory_deleted"]),
        (replace(RUN, state=RunState.QUEUED), ["run.not_ended"]),
        (replace(RUN, state=RunState.RUNNING), ["run.not_ended"]),
        (replace(RUN, state=RunState.FAILED), ["run.changed_nothing"]),
        (replace(RUN, state=RunState.CANCELLED), ["run.changed_nothing"]),
        (replace(RUN, state=RunState.PREVIEWED, mode=Mode.PREVIEW), ["run.changed_nothing"]),
    ],
)
def test_only_a_run_that_changed_something_can_be_undone_once(
    run: RunRecord, expected: list[str]
) -> None:
    """Each other answer says what it is instead."""
    assert [error.code for error in undo_errors(run)] == expected


def test_addresses_of_other_domains_are_named_by_their_place() -> None:
    """In a list of thousands the one line that is wrong is found."""
    listed = [Address("jo@example.com"), Address("jo@example.net"), Address("al@example.com")]

    assert codes(other_domain_errors(listed, [Domain("example.com")])) == [
        ("addresses.1", "recipient.other_domain")
    ]


def test_of_many_wrong_addresses_a_bounded_number_is_named() -> None:
    """A message has an end, and says how much it leaves out."""
    listed = [Address(f"p{number}@example.net") for number in range(ADDRESSES_NAMED_COUNT + 5)]

    errors = not_by_hand_errors(listed, set(listed))

    assert len(errors) == ADDRESSES_NAMED_COUNT + 1
    assert errors[-1].field == "addresses"
    assert "5 more" in errors[-1].message
