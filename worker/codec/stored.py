"""Commands and settings as they lie in the database: JSON of the domain's own nouns, secrets only sealed.

Written and read by the same program, so unknown members are passed over and new ones have defaults: two
releases can run at once.
"""

import base64
import re
from collections.abc import Mapping
from datetime import timedelta

import orjson
from pydantic import TypeAdapter

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
from worker.domain.failures import RequestFailure
from worker.domain.model import DirectoryId, DirectorySettings, Secret, Server
from worker.domain.why import Why


_KEY_IN_CLEAR = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY")
"""The form refuses one wherever it does not belong; what got past it is still not stored."""

_SETTINGS = TypeAdapter(DirectorySettings)
_WHY = TypeAdapter(Why)
_OBJECT: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])
_REVISION: TypeAdapter[int | None] = TypeAdapter(int | None)
_PLAIN: Mapping[str, TypeAdapter[Command]] = {
    "tenant.save": TypeAdapter(SaveTenant),
    "tenant.delete": TypeAdapter(DeleteTenant),
    "directory.delete": TypeAdapter(DeleteDirectory),
    "directory.pause": TypeAdapter(PauseDirectory),
    "directory.resume": TypeAdapter(ResumeDirectory),
    "sync.request": TypeAdapter(RequestSync),
    "sync.cancel": TypeAdapter(CancelSync),
    "hold.approve": TypeAdapter(ApproveHold),
    "hold.discard": TypeAdapter(DiscardHold),
    "run.undo": TypeAdapter(UndoRun),
    "recipient.add": TypeAdapter(AddRecipients),
    "recipient.remove": TypeAdapter(RemoveRecipients),
    "recipients.republish": TypeAdapter(RepublishRecipients),
}


def encode_command(command: Command) -> bytes:
    """Return a command's stored form. Raises RequestFailure ``settings.unsealed_secret`` if a secret is in clear."""
    form = command.form if isinstance(command, CheckDirectory) else command
    if isinstance(form, SaveDirectory | Form) and _holds_clear_secret(form):
        raise RequestFailure(code="settings.unsealed_secret")
    stored = orjson.dumps(command, default=_plain)
    if _KEY_IN_CLEAR.search(stored):
        raise RequestFailure(code="settings.unsealed_secret")
    return stored


def decode_command(name: str, stored: bytes) -> Command:
    """Return the command stored under a name. Raises RequestFailure ``settings.unreadable``."""
    try:
        if name == "directory.save":
            return _save_directory(stored)
        if name == "directory.test":
            return _check_directory(stored)
        return _PLAIN[name].validate_json(stored)
    except (KeyError, TypeError, ValueError) as exc:
        raise RequestFailure(code="settings.unreadable", detail=name) from exc


def dump_settings(settings: DirectorySettings) -> bytes:
    """Return the stored form of one revision; it holds no secret."""
    return orjson.dumps(settings, default=_plain)


def load_settings(stored: bytes) -> DirectorySettings:
    """Return the settings of one stored revision. Raises RequestFailure ``settings.unreadable``."""
    try:
        return _SETTINGS.validate_json(stored)
    except ValueError as exc:
        raise RequestFailure(code="settings.unreadable") from exc


def load_or_blank(stored: bytes) -> tuple[DirectorySettings, str | None]:
    """Return the settings of one stored revision; of those that cannot be read, blank ones and the code that says so.

    What another release saved must fail its own run only, and be replaced by a save.
    """
    try:
        return load_settings(stored), None
    except RequestFailure as failure:
        blank = DirectorySettings(name="", type="", servers=(Server(""),), bind_name="")
        return blank, failure.code


def load_why(stored: bytes) -> Why:
    """Return what ``api.why`` told of an address."""
    return _WHY.validate_json(stored)


def _holds_clear_secret(form: SaveDirectory | Form) -> bool:
    return isinstance(form.password, Secret) or isinstance(form.client_key, Secret)


def _plain(value: object) -> object:
    """Return what orjson writes for the values it does not know. A ``Secret`` is none of them, on purpose."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)


def _save_directory(stored: bytes) -> SaveDirectory:
    """Read a command with parts that are not plain JSON: settings, and secrets in their sealed boxes."""
    raw = _OBJECT.validate_json(stored)
    return SaveDirectory(
        directory=DirectoryId(str(raw["directory"])),
        settings=_SETTINGS.validate_python(raw["settings"]),
        password=_sealed(raw["password"]),
        client_key=_sealed(raw["client_key"]),
        sync=raw["sync"] is True,
        force=raw["force"] is True,
        revision=_REVISION.validate_python(raw["revision"]),
    )


def _check_directory(stored: bytes) -> CheckDirectory:
    raw = _OBJECT.validate_json(stored)
    directory, form = raw["directory"], raw["form"]
    return CheckDirectory(
        None if directory is None else DirectoryId(str(directory)),
        None if form is None else _form(_OBJECT.validate_python(form)),
    )


def _form(raw: dict[str, object]) -> Form:
    return Form(
        settings=_SETTINGS.validate_python(raw["settings"]),
        password=_sealed(raw["password"]),
        client_key=_sealed(raw["client_key"]),
    )


def _sealed(text: object) -> Sealed | None:
    return None if text is None else Sealed(base64.b64decode(str(text), validate=True))
