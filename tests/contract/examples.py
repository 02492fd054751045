"""The example messages that integrators read, as test cases."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES = SCHEMAS / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """One file: the bytes of a message, how it comes in, and (if invalid) which mistakes it holds."""

    name: str
    body: bytes
    expect: tuple[tuple[str, str], ...] = ()
    reply_to: str | None = None
    correlation_id: str | None = None


def valid_examples() -> list[Example]:
    """Every valid message, commands and events."""
    return [
        Example(path.stem, path.read_bytes())
        for path in sorted((EXAMPLES / "valid").glob("*.json"))
    ]


def invalid_examples() -> list[Example]:
    """Every message that must be refused."""
    return [_invalid(path) for path in sorted((EXAMPLES / "invalid").glob("*.json"))]


def _invalid(path: Path) -> Example:
    told = orjson.loads(path.read_bytes())
    return Example(
        path.stem,
        _body(told),
        tuple((each["field"], each["code"]) for each in told["expect"]),
        told.get("reply_to"),
        told.get("correlation_id"),
    )


def _body(told: dict[str, Any]) -> bytes:
    """Bytes that are no JSON object are told as text, long ones by what repeats."""
    if "message" in told:
        return orjson.dumps(told["message"])
    if "repeat" in told:
        return str(told["repeat"]["text"]).encode() * int(told["repeat"]["count"])
    return str(told["body"]).encode()
