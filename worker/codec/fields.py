"""The kinds of field that forms are made of, and the words that pages show beside each."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo

from worker.codec import checks, words
from worker.domain.commands import Sealed
from worker.domain.model import Address, Secret, Server


Group = Literal[
    "tenant", "directory", "connection", "reading", "safety", "schedule", "logins", "tell"
]
GROUPS: tuple[str, ...] = get_args(Group)
"""The groups of the form, in the order pages show them."""

GROUP_TITLES: Mapping[str, tuple[str, str]] = {
    "tenant": ("Customer", "Plan and mail domains."),
    "directory": ("Directory", "Which directory is meant, and what saving it does."),
    "connection": ("Connection", "How your directory server is reached and signed in to."),
    "reading": (
        "What to read",
        "Which entries and addresses count. Left blank, the type of directory decides, which is right for most.",
    ),
    "safety": ("Safety", "What must be asked first before an address is taken off the list."),
    "schedule": ("Schedule", "Automatic syncs (plans Standard, Enterprise and Reseller)."),
    "logins": ("Quarantine logins", "Logins made from mailboxes (plans Enterprise and Reseller)."),
    "tell": ("Tell", "Who gets a mail when something needs a person."),
}
"""Title and quick tip of each group."""

Choices = Mapping[str, tuple[str, str] | tuple[str, str, str]]
"""Value to its title, its quick tip and (of types of directory) on what it was tried, in the order pages show them."""

NAME_MAX_CHARACTERS = 200
REVISION_MAX = 2**63 - 1
"""The largest Postgres bigint."""

ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"


class Form(BaseModel):
    """What every inbound model shares: JSON types as they are, unknown fields passed over, nothing changed later."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


def shown(  # noqa: PLR0913 -- all that a page shows of a field
    title: str,
    tip: str,
    *,
    group: Group,
    enter: str,
    example: object,
    choices: Choices | None = None,
) -> FieldInfo:
    """Describe a field to people: its title, a quick tip, what to enter, an example, and what can be chosen."""
    extra: dict[str, JsonValue] = {"x-group": group, "x-enter": enter}
    if choices is not None:
        extra["x-choices"] = [
            {"value": str(value), **dict(zip(("title", "tip", "verified"), told, strict=False))}
            for value, told in choices.items()
        ]
    field: FieldInfo = Field(
        title=title, description=tip, examples=[example], json_schema_extra=extra
    )
    return field


def _blank_to_none(value: object) -> object:
    """Pages send an empty text for a field left out."""
    return None if isinstance(value, str) and not value.strip() else value


BLANK_IS_ABSENT = BeforeValidator(_blank_to_none)


def _as_written(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


ANY_CASE = BeforeValidator(_as_written)
"""Of a word out of a few: its case and the spaces around it say nothing."""


def _without_blanks(value: object) -> object:
    if not isinstance(value, list):
        return value
    filled = [
        place for place, each in enumerate(value, start=1) if _blank_to_none(each) is not None
    ]
    # those before a filled line keep their place, by which a mistake is told
    return tuple(value[: max(filled, default=0)])


BLANKS_ARE_ABSENT = BeforeValidator(_without_blanks)
"""Pages send the empty lines at the end of a list that nobody filled in."""


def _json_text(maximum: int = checks.TEXT_MAX_CHARACTERS, **more: str | bool) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": 1, "maxLength": maximum, **more})


def _line(value: object) -> str:
    return checks.text(value, max_characters=NAME_MAX_CHARACTERS)


Id = Annotated[str, Field(pattern=ID_PATTERN, min_length=1, max_length=64)]
Revision = Annotated[int, Field(ge=0, le=REVISION_MAX)]
RunRef = UUID
HoldRef = UUID
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Of a hold's set; the largest Postgres integer."""

Line = Annotated[str, PlainValidator(_line), _json_text(NAME_MAX_CHARACTERS)]
ServerText = Annotated[Server, PlainValidator(checks.server), _json_text()]
CertificateNameText = Annotated[str, PlainValidator(checks.certificate_name), _json_text()]
FingerprintText = Annotated[str, PlainValidator(checks.fingerprint), _json_text()]
CertificateText = Annotated[
    str, PlainValidator(checks.certificate), _json_text(checks.PEM_MAX_CHARACTERS)
]
KeyText = Annotated[
    Secret,
    PlainValidator(checks.private_key),
    _json_text(checks.PEM_MAX_CHARACTERS, writeOnly=True),
]
PasswordText = Annotated[
    Secret,
    PlainValidator(checks.password),
    _json_text(checks.SECRET_MAX_CHARACTERS, writeOnly=True, format="password"),
]
SealedText = Annotated[
    Sealed,
    PlainValidator(checks.sealed),
    _json_text(checks.SEALED_MAX_CHARACTERS, writeOnly=True, contentEncoding="base64"),
]
AttributeText = Annotated[str, PlainValidator(checks.attribute), _json_text()]
DnText = Annotated[str, PlainValidator(words.dn), _json_text()]
BindNameText = Annotated[str, PlainValidator(words.bind_name), _json_text()]
FilterText = Annotated[str, PlainValidator(words.search_filter), _json_text()]
PatternText = Annotated[str, PlainValidator(words.pattern), _json_text()]
AddressText = Annotated[Address, PlainValidator(words.address), _json_text()]
DomainText = Annotated[str, PlainValidator(words.domain), _json_text()]
