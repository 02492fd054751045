"""What a person decides about a tenant's list: holds, runs to undo, addresses by hand."""

from typing import Annotated

from pydantic import Field, model_validator

from worker.codec.fields import AddressText, Form, HoldRef, RunRef, Version, shown
from worker.codec.mistakes import FormError
from worker.domain.commands import (
    AddRecipients,
    ApproveHold,
    DiscardHold,
    RemoveRecipients,
    RepublishRecipients,
    UndoRun,
)
from worker.domain.model import HoldId, RunId


ADDRESSES_MAX_COUNT = 10_000
"""More do not fit into a message of 256 KiB anyway."""


class HoldDecision(Form):
    """Which hold, and which version of its set of addresses the person saw."""

    hold: Annotated[
        HoldRef,
        shown(
            "Hold",
            "The hold, as named in sync.held.",
            group="directory",
            enter="Enter the hold's id as it stands in sync.held.",
            example="0190a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        ),
    ]
    version: Annotated[
        Version,
        shown(
            "Version",
            "The version of the list of addresses you saw; another one is refused, so that nothing unseen leaves.",
            group="directory",
            enter="Enter the version that stands beside the hold's id.",
            example=2,
        ),
    ]


class HoldApprove(HoldDecision):
    """``hold.approve``: those still absent enter grace."""

    def command(self) -> ApproveHold:
        """Return the command of the domain."""
        return ApproveHold(HoldId(self.hold), self.version)


class HoldDiscard(HoldDecision):
    """``hold.discard``: nothing leaves, and nobody is told again until the set changes."""

    def command(self) -> DiscardHold:
        """Return the command of the domain."""
        return DiscardHold(HoldId(self.hold), self.version)


class RunUndo(Form):
    """``run.undo``: what the run took is given back; what it gave leaves through guard and grace."""

    run: Annotated[
        RunRef,
        shown(
            "Run",
            "The run to undo, as named in its outcome.",
            group="directory",
            enter="Enter the run's id as it stands in its outcome.",
            example="01912d3a-5f0e-7cc1-9d5a-0b6f3f1f3c11",
        ),
    ]

    def command(self) -> UndoRun:
        """Return the command of the domain."""
        return UndoRun(RunId(self.run))


AddressList = Annotated[
    tuple[AddressText, ...],
    Field(min_length=1, max_length=ADDRESSES_MAX_COUNT),
    shown(
        "Addresses",
        "Mail addresses in your domains, at most 10,000 in one message.",
        group="tenant",
        enter="Enter 1 to 10,000 mail addresses, for example it@example.com.",
        example=["it@example.com"],
    ),
]


class RecipientAdd(Form):
    """``recipient.add``: these addresses are valid whatever the directories say."""

    addresses: AddressList
    adopt: Annotated[
        bool,
        shown(
            "Let directories take over",
            "The first directory that shows an address takes it over; from then on it leaves when the directory drops it.",
            group="tenant",
            enter="Enter true or false.",
            example=True,
        ),
    ] = False
    protect: Annotated[
        bool,
        shown(
            "Protect",
            "No sync ever removes or takes over this address; only a person does.",
            group="tenant",
            enter="Enter true or false.",
            example=False,
        ),
    ] = False

    @model_validator(mode="after")
    def _one_way(self) -> "RecipientAdd":
        if self.adopt and self.protect:
            raise FormError(code="recipient.two_ways")
        return self

    def command(self) -> AddRecipients:
        """Return the command of the domain."""
        return AddRecipients(self.addresses, self.adopt, self.protect)


class RecipientRemove(Form):
    """``recipient.remove``: ends the source by hand; what a directory holds it goes on holding."""

    addresses: AddressList

    def command(self) -> RemoveRecipients:
        """Return the command of the domain."""
        return RemoveRecipients(self.addresses)


class RecipientsRepublish(Form):
    """``recipients.republish``: carries nothing; the subject names the tenant."""

    def command(self) -> RepublishRecipients:
        """Return the command of the domain."""
        return RepublishRecipients()
