"""Every way in which a command can be wrong in form: a stable code and what to enter instead.

The one table that answers, examples and documentation are made from. A message never repeats what was
entered: it may hold a secret.
"""

from collections.abc import Iterator, Mapping
from typing import TypeGuard, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from worker.domain.commands import FieldError


MISTAKES: Mapping[str, str] = {
    # the message as a whole
    "message.too_large": "Send at most 256 KiB in one message.",
    "message.too_deep": "Nest objects and lists at most 32 deep.",
    "message.not_json": "Send one JSON object in UTF-8 (a CloudEvent in structured mode).",
    "message.not_an_object": "Send one JSON object in UTF-8 (a CloudEvent in structured mode).",
    # the envelope
    "type.unknown": "Enter a command this service knows, as rollcall.<name>.v1.",
    "type.unknown_version": "Enter version 1 of this command, as rollcall.<name>.v1.",
    "reply_to.not_allowed": "Enter a reply queue whose name starts with a prefix the operator allows.",
    "correlation_id.not_allowed": "Enter a correlation id of at most 255 printable characters.",
    # any field
    "value.missing": "Enter a value.",
    "value.wrong_type": "Enter a value of the right type.",
    "value.too_few": "Enter more values.",
    "value.too_many": "Enter fewer values.",
    "value.too_short": "Enter a longer text.",
    "value.too_long": "Enter a shorter text.",
    "value.out_of_range": "Enter a number within the bounds.",
    "value.not_allowed": "Enter one of the values allowed.",
    "value.control_character": "Enter it on one line, without line breaks, tabs and other signs that cannot be seen.",
    "value.blank": "Enter a text, or leave the whole entry out.",
    # the connection
    "server.syntax": "Enter a host name or an IP address, if need be with a port, for example dc1.example.com:636.",
    "server.port": "Enter a port from 1 to 65535 after the colon, for example dc1.example.com:636.",
    "server.scheme": "Choose ldaps as encryption, or leave out ldaps:// before the server: it means that the connection is encrypted from the start.",
    "fingerprint.syntax": "Enter the SHA-256 fingerprint of the server's certificate: sha256: and 64 hexadecimal digits.",
    "trust.two_ways": "Enter either your own CA or a fingerprint, not both.",
    "certificate.not_pem": "Enter the certificate as PEM text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
    "key.not_pem": "Enter the private key as PEM text, from -----BEGIN PRIVATE KEY----- to its END line.",
    "key.encrypted": "Enter the private key without a passphrase; it is sealed before it is stored.",
    "key.misplaced": "Enter a private key in the field client_key alone: only there it is sealed before it is stored. Take it out of this field.",
    "key.without_certificate": "Enter the client certificate that belongs to the key as well.",
    "password.empty": "Enter the password of the bind account; a sign-in with an empty password proves nothing.",
    "secret.two_ways": "Enter the secret either in clear or sealed, not both.",
    "secret.not_sealed": "Enter the sealed secret in base64, as sealed with the worker's public key.",
    "test.of_nothing": "Enter directory, the name of a stored directory, or form, the settings to test.",
    # what to read
    "dn.syntax": "Enter a distinguished name, for example DC=example,DC=com.",
    "filter.syntax": "Enter an LDAP filter in brackets, for example (mail=*).",
    "filter.missing": "Enter a filter: a custom directory has no filter of its own.",
    "attributes.missing": "Enter the attributes that hold addresses: a custom directory has none of its own.",
    "kinds.none_of_type": "Enter a kind that the type of directory has, or a filter of your own.",
    "attribute.syntax": "Enter the name of an LDAP attribute, for example mail or proxyAddresses.",
    "pattern.syntax": "Enter an address, or a pattern with *, for example *@internal.example.com.",
    "pattern.everything": "Enter a pattern that leaves something in, for example *@internal.example.com.",
    "address.syntax": "Enter a mail address, for example it@example.com.",
    # recipients by hand
    "recipient.two_ways": "Enter either adopt or protect, not both: what directories take over is not protected.",
    # domains
    "domain.syntax": "Enter a mail domain, for example example.com.",
    "domain.twice": "Enter each domain once.",
    "domain.alias_unknown": "Enter as alias_of one of the domains in the same list.",
    "domain.alias_chain": "Enter as alias_of a domain that is no alias itself.",
}
"""Code to the sentence that says what to enter instead."""

ERRORS_MAX_COUNT = 100
"""Mistakes reported of one message at most: enough for any form, a bound for a hostile one."""

_CODES: Mapping[str, str] = {
    "missing": "value.missing",
    "too_short": "value.too_few",
    "too_long": "value.too_many",
    "string_too_short": "value.too_short",
    "string_too_long": "value.too_long",
    "greater_than": "value.out_of_range",
    "greater_than_equal": "value.out_of_range",
    "less_than": "value.out_of_range",
    "less_than_equal": "value.out_of_range",
    "finite_number": "value.out_of_range",
    "enum": "value.not_allowed",
    "literal_error": "value.not_allowed",
    "string_pattern_mismatch": "value.not_allowed",
    "uuid_parsing": "value.not_allowed",
}
"""pydantic's error types to ours; every other type means a value of the wrong type."""


class FormError(ValueError):
    """A value is wrong in a way the table names; ``message`` says it more exactly, where that is known."""

    def __init__(self, *, code: str, message: str | None = None) -> None:
        super().__init__(message or MISTAKES[code])
        self.code = code
        self.message = message


def mistake(field: str, code: str) -> FieldError:
    """Return the table's sentence for a code, at a field."""
    return FieldError(field, code, MISTAKES[code])


def field_errors(error: ValidationError, model: type[BaseModel]) -> tuple[FieldError, ...]:
    """Translate everything pydantic found wrong with one message, each fault in our words."""
    found = error.errors(include_url=False, include_input=False)
    paths = [each["loc"] for each in found]
    lists = {path[:-1] for path in paths if path and isinstance(path[-1], int)}
    # pydantic counts only the good values of a list: one with a single bad value it also calls too short.
    true = [each for each in found if each["type"] != "too_short" or each["loc"] not in lists]
    return tuple(_field_error(each, model) for each in true[:ERRORS_MAX_COUNT])


def _field_error(error: ErrorDetails, model: type[BaseModel]) -> FieldError:
    field = ".".join(str(part) for part in error["loc"])
    ours = error.get("ctx", {}).get("error")
    if isinstance(ours, FormError) and ours.message is not None:
        return FieldError(field, ours.code, ours.message)
    code = (
        ours.code if isinstance(ours, FormError) else _CODES.get(error["type"], "value.wrong_type")
    )
    # what is wrong with an invisible sign nobody sees: there the table's own sentence helps more
    is_hinted = code.startswith("value.") and code != "value.control_character"
    hint = _hint(error["loc"], model) if is_hinted else ""
    return FieldError(field, code, hint or MISTAKES[code])


def _hint(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return what the innermost field on the path says one should enter; it is written beside the field."""
    hint = ""
    for field in _fields_on(path, model):
        extra = field.json_schema_extra
        hint = str(extra.get("x-enter", "")) if isinstance(extra, dict) else hint
    return hint


def _fields_on(path: tuple[int | str, ...], model: type[BaseModel]) -> Iterator[FieldInfo]:
    inner: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int):
            continue
        if inner is None or part not in inner.model_fields:
            return
        field = inner.model_fields[part]
        yield field
        inner = _model_in(field.annotation)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that a field holds, also inside an optional, a tuple or an annotation."""
    if _is_model(annotation):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
