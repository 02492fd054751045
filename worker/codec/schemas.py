"""Makes the JSON Schemas of all messages from the models: ``python -m worker.codec.schemas [DIRECTORY]``.

One file per message, draft 2020-12, whole in itself. Pages build the form of a directory from ``directory.save``:
each field has title, description, default, examples, ``x-group``, ``x-order``, what to enter instead of a wrong
value (``x-enter``) and, where there is a choice, title and tip of each value (``x-choices``).
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from worker.codec.command_forms import FORMS
from worker.codec.envelope import ATTRIBUTE_MAX_CHARACTERS, TYPE_VERSION
from worker.codec.fields import GROUP_TITLES, GROUPS, ID_PATTERN
from worker.codec.outbound import SOURCE
from worker.codec.payloads import OF_NO_TENANT, PAYLOADS


DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFAULT_DIRECTORY = Path("schemas/messages")

JsonSchema = dict[str, Any]
"""As pydantic makes it."""

_ID: JsonSchema = {"type": "string", "pattern": ID_PATTERN, "description": "The tenant."}
_ATTRIBUTE: JsonSchema = {"type": "string", "minLength": 1, "maxLength": ATTRIBUTE_MAX_CHARACTERS}


def schema_files() -> Mapping[str, bytes]:
    """Return the content of each schema file by its name."""
    return {f"{name}.v{TYPE_VERSION}.schema.json": _text(schema) for name, schema in _all_schemas()}


def message_schema(name: str) -> JsonSchema:
    """Return the schema of one message, command or event, by name."""
    return _command(name) if name in FORMS else _event(name)


def _all_schemas() -> Iterator[tuple[str, JsonSchema]]:
    for name in (*FORMS, *PAYLOADS):
        yield name, message_schema(name)


def _text(schema: Mapping[str, object]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _command(name: str) -> JsonSchema:
    data = _forgiving(_opened(FORMS[name].model_json_schema(mode="validation")))
    for form in _forms_of_directories(name, data):
        form["x-groups"] = list(GROUPS)
        form["x-group-titles"] = {
            group: {"title": title, "tip": tip} for group, (title, tip) in GROUP_TITLES.items()
        }
    attributes: JsonSchema = {"id": _ATTRIBUTE, "source": _ATTRIBUTE, "subject": _ID}
    needs_data = bool(data.get("required") or data.get("anyOf"))
    return _envelope(name, data, attributes, needs_data=needs_data)


def _forms_of_directories(name: str, data: JsonSchema) -> list[JsonSchema]:
    """Return what a page may show as the form of a directory."""
    if name == "directory.save":
        return [data]
    return [data["$defs"]["DirectoryForm"]] if name == "directory.test" else []


def _event(name: str) -> JsonSchema:
    data = _opened(PAYLOADS[name].model_json_schema(mode="serialization"))
    attributes: JsonSchema = {
        "id": _ATTRIBUTE,
        "source": {"const": SOURCE},
        "time": {"type": "string", "format": "date-time"},
    }
    if name not in OF_NO_TENANT:
        attributes["subject"] = _ID
    return _envelope(name, data, attributes, needs_data=True)


def _envelope(
    name: str,
    data: JsonSchema,
    attributes: JsonSchema,
    *,
    needs_data: bool,
) -> JsonSchema:
    """Put the schema of ``data`` into that of a CloudEvent; a refusal may have no legible tenant."""
    message_type = f"rollcall.{name}.v{TYPE_VERSION}"
    always = ["specversion", "type", *attributes, *(["data"] if needs_data else [])]
    definitions = data.pop("$defs", None)
    schema: JsonSchema = {
        "$schema": DIALECT,
        "$id": f"urn:rollcall:message:{name}.v{TYPE_VERSION}",
        "title": message_type,
        "description": data.pop("description", ""),
        "type": "object",
        "required": [key for key in always if (name, key) != ("command.rejected", "subject")],
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": message_type},
            **attributes,
            "datacontenttype": {"const": "application/json"},
            "traceparent": {"type": "string"},
            "data": data,
        },
    }
    return schema if definitions is None else schema | {"$defs": definitions}


def _opened(schema: JsonSchema) -> JsonSchema:
    """Number fields for pages, and leave room for members of later versions."""
    for model in (schema, *schema.get("$defs", {}).values()):
        model.pop("additionalProperties", None)
        for order, field in enumerate(model.get("properties", {}).values(), start=1):
            field["x-order"] = order
    return schema


def _forgiving(schema: JsonSchema) -> JsonSchema:
    """Let an empty text stand for a field left out wherever null may: so the codec reads it."""
    for model in (schema, *schema.get("$defs", {}).values()):
        for field in model.get("properties", {}).values():
            ways = field.get("anyOf", [])
            if {"type": "null"} in ways:
                _let_empty(ways)
    return schema


def _let_empty(ways: list[JsonSchema]) -> None:
    for way in ways:
        # an empty password is a fault of its own, and an id has a pattern
        if way.get("format") != "password" and "pattern" not in way and way.get("minLength") == 1:
            del way["minLength"]


def write(directory: Path) -> int:
    """Write all schema files into a directory, and take out those of no message; returns how many there are."""
    files = schema_files()
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("*.schema.json"):
        if stale.name not in files:
            stale.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return len(files)


def main(arguments: Sequence[str]) -> int:
    """Write the schemas to the directory named, by default where the project keeps them."""
    directory = Path(arguments[0]) if arguments else DEFAULT_DIRECTORY
    count = write(directory)
    sys.stdout.write(f"{count} schemas in {directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
