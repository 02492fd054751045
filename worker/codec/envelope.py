"""The CloudEvents 1.0 envelope, structured JSON mode, and the bounds that hold before anything is parsed.

Source: CloudEvents 1.0.2 sections 3.1 (attributes) and JSON event format 3.
"""

import re
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, Field

from worker.codec import checks
from worker.codec.fields import Form, Id
from worker.codec.mistakes import mistake
from worker.domain.commands import FieldError


MESSAGE_MAX_BYTES = 256 * 1024
DEPTH_MAX = 32
ATTRIBUTE_MAX_CHARACTERS = 256
TYPE_VERSION = 1
"""The version of every message type there is so far."""

TYPE = re.compile(r"\Arollcall\.(?P<name>[a-z_]+\.[a-z_]+)\.v(?P<version>[0-9]{1,9})\Z")

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A JSON string, or what is left of an unfinished one; possessive, so no text makes it go back."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _no_key(value: str) -> str:
    checks.refuse_key(value)
    return value


_Attribute = Annotated[
    str,
    Field(
        min_length=1,
        max_length=ATTRIBUTE_MAX_CHARACTERS,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        json_schema_extra={"x-enter": "Enter 1 to 256 printable characters."},
    ),
    AfterValidator(_no_key),
]


class CloudEvent(Form):
    """The attributes we rely on; extensions are passed over. ``data`` is checked by the command's own form."""

    specversion: Annotated[
        Literal["1.0"], Field(json_schema_extra={"x-enter": 'Enter the text "1.0".'})
    ]
    id: _Attribute
    source: _Attribute
    type: _Attribute
    subject: Annotated[
        Id,
        Field(
            description="The tenant.",
            json_schema_extra={
                "x-enter": "Enter the tenant: 1 to 64 letters, digits, _ or -.",
            },
        ),
    ]
    datacontenttype: Annotated[
        Literal["application/json"],
        Field(json_schema_extra={"x-enter": "Enter application/json, or leave it out."}),
    ] = "application/json"


def parse(body: bytes) -> dict[str, object] | FieldError:
    """Return the JSON object in a body within bounds, or the one thing that is wrong with the whole."""
    if len(body) > MESSAGE_MAX_BYTES:
        return mistake("", "message.too_large")
    if _is_deeper_than(body, DEPTH_MAX):
        return mistake("", "message.too_deep")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return mistake("", "message.not_json")
    if not isinstance(parsed, dict):
        return mistake("", "message.not_an_object")
    return parsed


def _is_deeper_than(body: bytes, depth_max: int) -> bool:
    """Count brackets outside strings, in one pass and without recursion."""
    if body.count(b"[") + body.count(b"{") <= depth_max:
        return False
    depth = 0
    for sign in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        depth += 1 if sign in b"[{" else -1
        if depth > depth_max:
            return True
    return False


def printable(text: str) -> str:
    """Return at most an attribute's length of a text, without control characters (Postgres takes no NUL)."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text)[:ATTRIBUTE_MAX_CHARACTERS]
