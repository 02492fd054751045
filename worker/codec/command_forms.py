"""What the other commands carry, the table of all names, and what their fields may not say together."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict

from worker.codec.decision_forms import (
    HoldApprove,
    HoldDiscard,
    RecipientAdd,
    RecipientRemove,
    RecipientsRepublish,
    RunUndo,
)
from worker.codec.directory_forms import DirectoryForm, DirectorySave
from worker.codec.fields import Form, Id, RunRef, shown
from worker.codec.tenant_forms import TenantDelete, TenantSave
from worker.domain.commands import (
    CancelSync,
    CheckDirectory,
    DeleteDirectory,
    PauseDirectory,
    RequestSync,
    ResumeDirectory,
)
from worker.domain.model import DirectoryId, Mode, RunId, Trigger


DirectoryRef = Annotated[
    Id,
    shown(
        "Directory",
        "The platform's name of the directory, unique within the customer.",
        group="directory",
        enter="Enter 1 to 64 letters, digits, _ or -, for example hq.",
        example="hq",
    ),
]


class DirectoryTest(Form):
    """``directory.test``: the doctor looks at a stored directory, or at a form before it is saved."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["directory"]}, {"required": ["form"]}]}
    )

    directory: Annotated[
        Id | None,
        shown(
            "Directory",
            "The stored directory to test. Beside a form it says which directory the form was edited for: "
            "its password may then be left out while servers, security and trust stay the same.",
            group="directory",
            enter="Enter the platform's name of a stored directory, or leave it out.",
            example="hq",
        ),
    ] = None
    form: Annotated[
        DirectoryForm | None,
        shown(
            "Form",
            "The settings to test, as directory.save takes them. Left out, the stored ones are tested.",
            group="directory",
            enter="Enter the fields of the form, or leave it out to test a stored directory.",
            example={
                "type": "active_directory",
                "servers": ["dc1.example.com"],
                "bind_name": "sync@example.com",
                "password": "…",
            },
        ),
    ] = None

    def command(self) -> CheckDirectory:
        """Return the command of the domain."""
        directory = None if self.directory is None else DirectoryId(self.directory)
        form = None if self.form is None else self.form.as_entered(name=self.directory or "")
        return CheckDirectory(directory, form)


class DirectoryDelete(Form):
    """``directory.delete``: its addresses leave by grace, or are kept by hand."""

    directory: DirectoryRef
    recipients: Annotated[
        Literal["leave", "keep_by_hand"],
        shown(
            "Its addresses",
            "leave: they leave after the grace time. keep_by_hand: they stay valid until someone removes them.",
            group="directory",
            enter="Enter leave or keep_by_hand.",
            example="leave",
        ),
    ] = "leave"

    def command(self) -> DeleteDirectory:
        """Return the command of the domain."""
        return DeleteDirectory(DirectoryId(self.directory), self.recipients == "keep_by_hand")


class DirectoryPause(Form):
    """``directory.pause``: no scheduled runs until it is resumed."""

    directory: DirectoryRef

    def command(self) -> PauseDirectory:
        """Return the command of the domain."""
        return PauseDirectory(DirectoryId(self.directory))


class DirectoryResume(Form):
    """``directory.resume``: scheduled runs go on."""

    directory: DirectoryRef

    def command(self) -> ResumeDirectory:
        """Return the command of the domain."""
        return ResumeDirectory(DirectoryId(self.directory))


class SyncRequest(Form):
    """``sync.request``: read a directory now, and apply what was found or only show it."""

    directory: DirectoryRef
    trigger: Annotated[
        Trigger,
        shown(
            "Who asks",
            "manual: a person waits for the answer. scheduled: nobody does.",
            group="directory",
            enter="Enter manual or scheduled.",
            example="manual",
        ),
    ] = Trigger.MANUAL
    mode: Annotated[
        Mode,
        shown(
            "Apply or preview",
            "apply: the list is changed. preview: it is only shown what would change.",
            group="directory",
            enter="Enter apply or preview.",
            example="apply",
        ),
    ] = Mode.APPLY

    def command(self) -> RequestSync:
        """Return the command of the domain."""
        return RequestSync(DirectoryId(self.directory), self.trigger, self.mode)


class SyncCancel(Form):
    """``sync.cancel``: end a run that has not ended."""

    run: Annotated[
        RunRef,
        shown(
            "Run",
            "The run to end, as named in sync.accepted.",
            group="directory",
            enter="Enter the run's id as it stands in sync.accepted.",
            example="01912d3a-5f0e-7cc1-9d5a-0b6f3f1f3c11",
        ),
    ]

    def command(self) -> CancelSync:
        """Return the command of the domain."""
        return CancelSync(RunId(self.run))


FORMS: Mapping[
    str,
    type[
        TenantSave
        | TenantDelete
        | DirectorySave
        | DirectoryTest
        | DirectoryDelete
        | DirectoryPause
        | DirectoryResume
        | SyncRequest
        | SyncCancel
        | HoldApprove
        | HoldDiscard
        | RunUndo
        | RecipientAdd
        | RecipientRemove
        | RecipientsRepublish
    ],
] = {
    "tenant.save": TenantSave,
    "tenant.delete": TenantDelete,
    "directory.save": DirectorySave,
    "directory.test": DirectoryTest,
    "directory.delete": DirectoryDelete,
    "directory.pause": DirectoryPause,
    "directory.resume": DirectoryResume,
    "sync.request": SyncRequest,
    "sync.cancel": SyncCancel,
    "hold.approve": HoldApprove,
    "hold.discard": HoldDiscard,
    "run.undo": RunUndo,
    "recipient.add": RecipientAdd,
    "recipient.remove": RecipientRemove,
    "recipients.republish": RecipientsRepublish,
}
"""The commands carried out, by name."""
