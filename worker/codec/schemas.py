"""Makes the JSON Schemas of all messages from the models: ``python -m worker.codec.schemas DIRECTORY``.

One file per message, draft 2020-12, whole in itself. Pages build the form of a directory from ``directory.save``:
each field has title, description, default, examples, ``x-group`` and ``x-order``.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
from pydantic import BaseModel

from worker.codec.command_forms import FORMS
from worker.codec.envelope import ATTRIBUTE_MAX_CHARACTERS, TYPE_VERSION
from worker.codec.fields import GROUPS, ID_PATTERN
from worker.codec.outbound import SOURCE
from worker.codec.payloads import PAYLOADS


DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ID = {"type": "string", "pattern": ID_PATTERN, "description": "The tenant."}
_ATTRIBUTE = {"type": "string", "minLength": 1, "maxLength": ATTRIBUTE_MAX_CHARACTERS}


def schema_files() -> Mapping[str, bytes]:
    """Return the content of each schema file by its name."""
    return {
        f"{name}.v{TYPE_VERSION}.schema.json": _text(schema) for name, schema in _all_schemas()
    }


def message_schema(name: str) -> dict[str, object]:
    """Return the schema of one message, command or event, by name."""
    return _command(name) if name in FORMS else _event(name)


def _all_schemas() -> Iterator[tuple[str, dict[str, object]]]:
    for name in (*FORMS, *PAYLOADS):
        yield name, message_schema(name)


def _text(schema: Mapping[str, object]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _command(name: str) -> dict[str, object]:
    data = _opened(FORMS[name].model_json_schema(mode="validation"))
    attributes = {"id": _ATTRIBUTE, "source": _ATTRIBUTE, "subject": _ID}
    needs_data = bool(data.get("required"))
    return _envelope(name, data, attributes, needs_data=needs_data)


def _event(name: str) -> dict[str, object]:
    data = _opened(PAYLOADS[name].model_json_schema(mode="serialization"))
    attributes = {
        "id": _ATTRIBUTE,
        "source": {"const": SOURCE},
        "time": {"type": "string", "format": "date-time"},
        "subject": _ID,
    }
    return _envelope(name, data, attributes, needs_data=True)


def _envelope(
    name: str,
    data: dict[str, object],
    attributes: Mapping[str, Mapping[str, object]],
    *,
    needs_data: bool,
) -> dict[str, object]:
    """Put the schema of ``data`` into that of a CloudEvent; a refusal may have no legible tenant."""
    message_type = f"rollcall.{name}.v{TYPE_VERSION}"
    always = ["specversion", "type", *attributes, *(["data"] if needs_data else [])]
    definitions = data.pop("$defs", None)
    schema: dict[str, object] = {
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


def _opened(schema: dict[str, object]) -> dict[str, object]:
    """Number fields and groups for pages, and leave room for members of later versions."""
    definitions = schema.get("$defs")
    inner = definitions.values() if isinstance(definitions, dict) else ()
    for each in (schema, *inner):
        if isinstance(each, dict) and "properties" in each:
            _open(each)
    if "directory" in schema.get("properties", {}) and "servers" in schema.get("properties", {}):
        schema["x-groups"] = list(GROUPS)
    return schema


def _open(model: dict[str, object]) -> None:
    properties = model["properties"]
    if model.get("additionalProperties") is False:
        del model["additionalProperties"]
    if not isinstance(properties, dict):
        return
    for order, field in enumerate(properties.values(), start=1):
        field["x-order"] = order
