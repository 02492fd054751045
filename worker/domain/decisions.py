"""Decides whether what a person decided can still be carried out: holds, runs to undo, addresses by hand.

Pure: what is known comes in as records, what is wrong goes out as one message per field.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from worker.domain.commands import FieldError
from worker.domain.model import Address, DirectoryId, Domain, HoldId, Mode, RunId, RunState


ADDRESSES_NAMED_COUNT = 100
"""Of thousands of wrong addresses so many are named: enough to see what is wrong."""

NO_HOLD = FieldError("hold", "hold.unknown", "This tenant has no such hold.")
NO_RUN = FieldError("run", "run.unknown", "This tenant has no such run.")

ENDED_TEXT: Mapping[str, str] = {
    "approved": "Somebody has approved this hold already.",
    "resolved": "This hold has ended by itself: the directory no longer shows what it was about.",
    "deleted": "The directory of this hold was deleted.",
    "undone": "This hold has ended: the run behind it was undone.",
}


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A hold as it is stored."""

    hold: HoldId
    directory: DirectoryId
    version: int
    ended_how: str | None
    """None while it is open."""
    discarded_version: int | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it is stored, with what an undo wants to know."""

    run: RunId
    directory: DirectoryId
    state: RunState
    mode: Mode
    is_undone: bool
    is_directory_deleted: bool


def hold_errors(version: int, hold: HoldRecord, *, discards: bool) -> tuple[FieldError, ...]:
    """Say why a hold cannot be decided so: of two who decide at once, the second hears of the first."""
    if hold.ended_how is not None:
        return (FieldError("hold", "hold.ended", ENDED_TEXT[hold.ended_how]),)
    if version != hold.version:
        text = (
            f"The set of addresses has changed: it is version {hold.version} now. Look at it again."
        )
        return (FieldError("version", "hold.changed", text),)
    if discards and hold.discarded_version == version:
        return (FieldError("hold", "hold.discarded", "Somebody has discarded this hold already."),)
    return ()


def undo_errors(run: RunRecord) -> tuple[FieldError, ...]:
    """Say why a run cannot be undone."""
    if run.is_undone:
        return (FieldError("run", "run.undone", "Somebody has undone this run already."),)
    if run.is_directory_deleted:
        text = "The directory of this run was deleted. Add the addresses by hand (recipient.add)."
        return (FieldError("run", "run.directory_deleted", text),)
    if run.state in {RunState.QUEUED, RunState.RUNNING}:
        return (FieldError("run", "run.not_ended", "This run has not ended: cancel it instead."),)
    if run.mode is Mode.PREVIEW or run.state not in {RunState.COMPLETED, RunState.HELD}:
        return (FieldError("run", "run.changed_nothing", "This run changed nothing."),)
    return ()


def other_domain_errors(
    addresses: Sequence[Address], domains: Collection[Domain]
) -> tuple[FieldError, ...]:
    """Name the addresses that are in none of the tenant's domains; none of the list is added then."""
    ours = {domain.name for domain in domains}
    return address_errors(
        addresses,
        [place for place, each in enumerate(addresses) if each.rpartition("@")[2] not in ours],
        code="recipient.other_domain",
        text="{address} is in none of this tenant's domains.",
    )


def not_by_hand_errors(
    addresses: Sequence[Address], unknown: Collection[Address]
) -> tuple[FieldError, ...]:
    """Name the addresses that nobody holds by hand; none of the list is removed then."""
    return address_errors(
        addresses,
        [place for place, each in enumerate(addresses) if each in unknown],
        code="recipient.not_by_hand",
        text="{address} is not held by hand. If a directory shows it, leave it out there (leave_out).",
    )


def address_errors(
    addresses: Sequence[Address], places: Sequence[int], *, code: str, text: str
) -> tuple[FieldError, ...]:
    """One message an address, up to a hundred of them; the last says how many more there are."""
    named = tuple(
        FieldError(f"addresses.{place}", code, text.format(address=addresses[place]))
        for place in places[:ADDRESSES_NAMED_COUNT]
    )
    more = len(places) - len(named)
    if not more:
        return named
    return (*named, FieldError("addresses", code, f"The same is wrong with {more} more."))
