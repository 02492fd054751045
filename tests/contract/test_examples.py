import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.contract.examples import Example, invalid_examples, valid_examples
from worker.codec import decode
from worker.codec.command_forms import FORMS
from worker.codec.mistakes import MISTAKES
from worker.codec.payloads import PAYLOADS
from worker.codec.schemas import message_schema
from worker.domain.commands import Received, Refused


VALID = valid_examples()
INVALID = invalid_examples()


def message_name(example: Example) -> str:
    """Return the name within the type."""
    return str(orjson.loads(example.body)["type"]).removeprefix("rollcall.").removesuffix(".v1")


@pytest.mark.parametrize("example", VALID, ids=lambda example: example.name)
def test_a_valid_example_is_valid_by_its_own_schema(example: Example) -> None:
    """Integrators check what they send and receive with these very files."""
    schema = message_schema(message_name(example))

    Draft202012Validator(schema, format_checker=FormatChecker()).validate(
        orjson.loads(example.body)
    )


@pytest.mark.parametrize(
    "example", [each for each in VALID if message_name(each) in FORMS], ids=lambda each: each.name
)
def test_a_valid_command_is_taken(example: Example) -> None:
    """What the contract shows as right must work as it stands."""
    taken = decode(example.body)

    assert isinstance(taken, Received)
    assert taken.envelope.name == message_name(example)


@pytest.mark.parametrize(
    "example",
    [each for each in VALID if message_name(each) in PAYLOADS],
    ids=lambda each: each.name,
)
def test_a_valid_event_holds_nothing_undeclared(example: Example) -> None:
    """Receivers can rely on the models being the whole of what is sent."""
    PAYLOADS[message_name(example)].model_validate_json(
        orjson.dumps(orjson.loads(example.body)["data"])
    )


@pytest.mark.parametrize("example", INVALID, ids=lambda example: example.name)
def test_an_invalid_example_is_refused_for_what_it_says(example: Example) -> None:
    """A customer is told every mistake at once, each at its field, each by a code that stays."""
    refused = decode(
        example.body,
        reply_to=example.reply_to,
        correlation_id=example.correlation_id,
        reply_prefixes=["platform."],
    )

    assert isinstance(refused, Refused)
    assert [(error.field, error.code) for error in refused.errors] == list(example.expect)
    assert all(error.message for error in refused.errors)


def test_every_message_has_an_example() -> None:
    """A message without an example is one that nobody can write by looking."""
    assert {message_name(example) for example in VALID} == FORMS.keys() | PAYLOADS.keys()


def test_every_mistake_has_an_example() -> None:
    """A code that no message brings about would be a promise never tried."""
    assert {code for example in INVALID for _, code in example.expect} == set(MISTAKES)
