from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from tests.contract.examples import SCHEMAS
from worker.codec import decode
from worker.codec.command_forms import FORMS
from worker.codec.directory_forms import DirectoryType
from worker.codec.fields import GROUPS
from worker.codec.payloads import PAYLOADS
from worker.codec.schemas import main, message_schema, schema_files
from worker.domain.commands import Received
from worker.domain.presets import PRESETS


ASYNCAPI: dict[str, Any] = YAML(typ="safe").load((SCHEMAS / "asyncapi.yaml").read_text())


def form_fields() -> list[tuple[str, dict[str, Any]]]:
    """Every field of every inbound form, with where it lies."""
    found = []
    for name in FORMS:
        schema = message_schema(name)
        data = schema["properties"]["data"]
        models = {name: data} | {
            key: each for key, each in schema.get("$defs", {}).items() if "properties" in each
        }
        for model, told in models.items():
            found += [
                (f"{model}.{key}", field) for key, field in told.get("properties", {}).items()
            ]
    return found


def test_the_files_are_what_the_models_make() -> None:
    """Who reads the files reads what the program does; `python -m worker.codec.schemas` writes them."""
    written = {path.name: path.read_bytes() for path in (SCHEMAS / "messages").glob("*.json")}

    assert written == dict(schema_files())


def test_writing_them_takes_out_what_no_message_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message that was dropped leaves no schema behind to be believed."""
    (tmp_path / "gone.v1.schema.json").write_text("{}")

    assert main([str(tmp_path)]) == 0

    assert {path.name for path in tmp_path.iterdir()} == set(schema_files())
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize("name", [*FORMS, *PAYLOADS])
def test_each_schema_is_one(name: str) -> None:
    """A validator of any language must be able to load it."""
    Draft202012Validator.check_schema(message_schema(name))


@pytest.mark.parametrize(("where", "field"), form_fields(), ids=lambda part: str(part)[:40])
def test_each_field_speaks_to_people(where: str, field: dict[str, Any]) -> None:
    """An admin who has never seen LDAP fills in the form by these words."""
    assert {"title", "description", "examples", "x-enter", "x-group", "x-order"} <= field.keys()
    assert field["x-group"] in GROUPS
    assert str(field["description"]).endswith(".")


def test_the_asyncapi_document_names_every_message() -> None:
    """Tools that draw or generate from AsyncAPI see the whole contract."""
    told = ASYNCAPI["components"]["messages"]

    assert {message["name"] for message in told.values()} == {
        f"rollcall.{name}.v1" for name in (*FORMS, *PAYLOADS)
    }
    for message in told.values():
        assert (SCHEMAS / message["payload"]["schema"]["$ref"]).is_file()


def test_the_asyncapi_document_refers_to_what_exists() -> None:
    """A dangling reference makes the whole document useless to a tool."""
    for reference in references(ASYNCAPI):
        assert reference.startswith("./messages/") or resolve(reference) is not None


def references(node: object) -> list[str]:
    """Return every reference below a node."""
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [each for value in node.values() for each in references(value)]
    if isinstance(node, list):
        return [each for value in node for each in references(value)]
    return []


def resolve(reference: str) -> object:
    """Follow a reference within the document; a dangling one raises KeyError."""
    node: Any = ASYNCAPI
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_form_offers_the_types_there_are() -> None:
    """A type that a page offers can be read, and none is hidden."""
    assert set(get_args(DirectoryType)) == set(PRESETS)


FORM_OF_A_DIRECTORY = {
    "connection": "name type servers security trust trust.ca_pem trust.fingerprint certificate_name client_certificate "
    "client_key client_key_sealed bind_name password password_sealed",
    "reading": "search_bases filter address_attributes kinds leave_out",
    "safety": "removals removals.policy removals.max_share removals.min_count removals.max_count removals.grace_hours "
    "removals.canaries",
    "schedule": "schedule schedule.automatic schedule.every_hours",
    "logins": "logins logins.create logins.kinds logins.role logins.deactivate",
    "tell": "notify",
}
"""What an admin can set, by group."""


def test_the_form_has_each_field_in_its_group() -> None:
    """The page is made from the schema: what is missing here, nobody can set."""
    schema = message_schema("directory.save")
    data = schema["properties"]["data"]
    found: dict[str, set[str]] = {}
    for name, field in data["properties"].items():
        found.setdefault(field["x-group"], set()).add(name)
        inner = schema["$defs"].get(str(field.get("$ref", "")).rpartition("/")[2], {})
        for key, each in inner.get("properties", {}).items():
            found.setdefault(each["x-group"], set()).add(f"{name}.{key}")

    assert {group: " ".join(sorted(names)) for group, names in found.items()} == {
        "directory": "directory force revision sync",
        **{group: " ".join(sorted(names.split())) for group, names in FORM_OF_A_DIRECTORY.items()},
    }


def test_each_choice_has_a_title_and_a_tip() -> None:
    """A bare word like starttls tells an admin nothing."""
    schema = message_schema("directory.save")
    for where, field in form_fields():
        if not where.startswith(("directory.save", "TrustForm", "Removals", "Schedule", "Logins")):
            continue
        values = choices(field, schema)
        told = [each["value"] for each in field.get("x-choices", [])]
        assert told == values, where
        assert all(each["title"] and each["tip"] for each in field.get("x-choices", []))


def choices(field: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Return what a field lets one choose from, as text."""
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]]
    if field.get("type") == "array":
        return choices(field["items"], schema)
    return [str(value) for value in field.get("enum", [])]


def test_each_group_has_a_title_and_a_tip() -> None:
    """Pages head each part of the form with it."""
    data = message_schema("directory.save")["properties"]["data"]

    assert list(data["x-group-titles"]) == data["x-groups"]
    assert all(each["title"] and each["tip"] for each in data["x-group-titles"].values())


def test_a_page_can_order_the_form() -> None:
    """Groups and fields come in one order on every page."""
    data = message_schema("directory.save")["properties"]["data"]

    assert data["x-groups"] == list(GROUPS)
    assert [field["x-order"] for field in data["properties"].values()] == list(
        range(1, len(data["properties"]) + 1)
    )
    assert orjson.loads(orjson.dumps(data)) == data


def test_the_schema_takes_an_empty_text_where_the_codec_does() -> None:
    """Who checks a message before sending it must not refuse what would be taken."""
    path = SCHEMAS / "examples" / "valid" / "directory.save-smallest.json"
    example = orjson.loads(path.read_bytes())
    schema = message_schema("directory.save")
    validator = Draft202012Validator(schema)
    forms = {
        field: {**example, "data": {**example["data"], field: ""}}
        for field in schema["properties"]["data"]["properties"]
    } | {
        f"trust.{field}": {**example, "data": {**example["data"], "trust": {field: ""}}}
        for field in ("ca_pem", "fingerprint")
    }

    by_codec = {
        at for at, form in forms.items() if isinstance(decode(orjson.dumps(form)), Received)
    }
    by_schema = {at for at, form in forms.items() if validator.is_valid(form)}

    assert by_schema == by_codec
    assert {"name", "certificate_name", "trust.ca_pem"} <= by_codec
    assert "password" not in by_codec
