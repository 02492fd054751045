"""One delivery's bytes to one command, or to everything that is wrong with it. Of a refusal no value is kept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
from pydantic import ValidationError

from worker.codec.command_forms import FORMS
from worker.codec.directory_forms import contradictions
from worker.codec.envelope import TYPE, TYPE_VERSION, CloudEvent, parse, printable
from worker.codec.mistakes import field_errors, mistake
from worker.domain.commands import Command, Envelope, FieldError, Received, Refused
from worker.domain.model import TenantId


OWN_PREFIX = "rollcall."
"""Queues of ours: an answer sent there would come in as a command."""

SHORT_MAX_BYTES = 255
"""An AMQP 0-9-1 short string."""

_TRACEPARENT = re.compile(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
"""W3C Trace Context section 3.2; one that is not so is to be ignored (section 4.3)."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Where the outcome goes besides the events exchange, as far as that is allowed."""

    reply_to: str | None
    correlation_id: str | None
    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """The envelope: whole, or what could be read of it and what is wrong."""

    event: CloudEvent | None
    readable: Mapping[str, str]
    errors: tuple[FieldError, ...]


def decode(
    body: bytes,
    *,
    reply_to: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    reply_prefixes: Sequence[str] = (),
) -> Received | Refused:
    """Check one message whole. Never raises: whatever is wrong comes back as ``Refused``, all of it at once.

    Bounds (256 KiB, 32 levels) are checked before anything is parsed. ``reply_to`` is kept only if it starts
    with one of ``reply_prefixes`` and not with ``rollcall.``; a ``traceparent`` that is none is dropped.
    """
    answer = _answer(reply_to, correlation_id, reply_prefixes)
    raw = parse(body)
    if isinstance(raw, FieldError):
        return _refused(body, (*answer.errors, raw), answer=answer)
    head, meaning = _head(raw), _meaning(raw.get("type"), raw.get("data"))
    if isinstance(meaning, tuple):
        errors = (*answer.errors, *head.errors, *meaning)
        return _refused(body, errors, answer=answer, readable=head.readable)
    if head.event is None or answer.errors:
        errors = (*answer.errors, *head.errors)
        return _refused(body, errors, answer=answer, readable=head.readable)
    envelope = Envelope(
        source=head.event.source,
        id=head.event.id,
        tenant=TenantId(head.event.subject),
        name=head.readable["name"],
        reply_to=answer.reply_to,
        correlation_id=answer.correlation_id,
        traceparent=_trace(traceparent) or _trace(raw.get("traceparent")),
    )
    return Received(envelope, meaning, canonical(raw))


def canonical(raw: Mapping[str, object]) -> bytes:
    """Return the bytes that tell a repeat from a reuse of an id: type, subject and data as sent, keys sorted."""
    told = {key: raw.get(key) for key in ("type", "subject", "data")}
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _refused(
    body: bytes,
    errors: tuple[FieldError, ...],
    *,
    answer: _Answer,
    readable: Mapping[str, str] = {},
) -> Refused:
    tenant = readable.get("subject")
    return Refused(
        errors=errors,
        size=len(body),
        body=body,
        source=readable.get("source"),
        id=readable.get("id"),
        tenant=None if tenant is None else TenantId(tenant),
        name=readable.get("name"),
        reply_to=answer.reply_to,
        correlation_id=answer.correlation_id,
    )


def _answer(reply_to: str | None, correlation_id: str | None, prefixes: Sequence[str]) -> _Answer:
    may_reply = reply_to is not None and _is_allowed(reply_to, prefixes)
    may_correlate = correlation_id is not None and _is_short(correlation_id)
    errors = []
    if reply_to and not may_reply:
        errors.append(mistake("reply_to", "reply_to.not_allowed"))
    if correlation_id and not may_correlate:
        errors.append(mistake("correlation_id", "correlation_id.not_allowed"))
    return _Answer(
        reply_to if may_reply else None,
        correlation_id if may_correlate else None,
        tuple(errors),
    )


def _is_allowed(queue: str, prefixes: Sequence[str]) -> bool:
    starts_as_allowed = any(prefix and queue.startswith(prefix) for prefix in prefixes)
    return starts_as_allowed and not queue.startswith(OWN_PREFIX) and _is_short(queue)


def _is_short(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text.encode()) <= SHORT_MAX_BYTES


def _trace(parent: object) -> str | None:
    return parent if isinstance(parent, str) and _TRACEPARENT.match(parent) else None


def _head(raw: Mapping[str, object]) -> _Head:
    """Check the envelope; each attribute that is right in itself stays readable when another is not."""
    attributes = {key: raw[key] for key in CloudEvent.model_fields if raw.get(key) is not None}
    try:
        event = CloudEvent.model_validate(attributes)
        errors: tuple[FieldError, ...] = ()
    except ValidationError as exc:
        event = None
        errors = field_errors(exc, CloudEvent)
    wrong = {error.field for error in errors}
    readable = {
        key: value
        for key, value in attributes.items()
        if key not in wrong and isinstance(value, str)
    }
    if "type" in readable:
        readable["name"] = _name(readable["type"])
    return _Head(event, readable, errors)


def _name(message_type: str) -> str:
    found = TYPE.match(message_type)
    return found["name"] if found else printable(message_type)


def _meaning(message_type: object, data: object) -> Command | tuple[FieldError, ...]:
    """Return the command, or all that is wrong with its type or data (nothing, if the envelope tells of it)."""
    if not isinstance(message_type, str):
        return ()
    found = TYPE.match(message_type)
    if found is None or found["name"] not in FORMS:
        return (mistake("type", "type.unknown"),)
    if found["version"] != str(TYPE_VERSION):
        return (mistake("type", "type.unknown_version"),)
    return read_form(found["name"], {} if data is None else data)


def read_form(name: str, data: object) -> Command | tuple[FieldError, ...]:
    """Check the ``data`` of one command by name, as the command line does too."""
    if not isinstance(data, dict):
        return (mistake("data", "value.wrong_type"),)
    form = FORMS[name]
    wrong = _contradictions(name, data)
    try:
        # Read as JSON text: only there do strict models take a list for a tuple and a text for an enum.
        command = form.model_validate_json(orjson.dumps(_without_nulls(data))).command()
    except ValidationError as exc:
        return (*field_errors(exc, form), *wrong)
    return wrong or command


def _contradictions(name: str, data: dict[str, object]) -> tuple[FieldError, ...]:
    """Return what may not stand together, or not be left out together."""
    if name == "directory.save":
        return contradictions(data)
    if name != "directory.test":
        return ()
    form = data.get("form")
    if form is None and data.get("directory") is None:
        return (mistake("form", "test.of_nothing"),)
    if not isinstance(form, dict):
        return ()
    return tuple(replace(each, field=f"form.{each.field}") for each in contradictions(form))


def _without_nulls(value: object) -> object:
    """Return the same value without members that are null: null means left out. As deep as ``DEPTH_MAX``."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
