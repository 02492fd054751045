"""Plans, entries and rows for the tests of the domain."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from worker.domain.model import Credentials, DirectorySettings, Kind, Limits, Server
from worker.domain.normalise import Chunk, Normaliser
from worker.domain.plan import ReadPlan, make_plan


GUID = bytes.fromhex("00112233445566778899aabbccddeeff")
DN = "CN=Ada Lovelace,OU=Staff,DC=example,DC=org"


class Row(NamedTuple):
    """One line as Postgres reads it."""

    address: str
    entry_id: str
    kind: Kind
    is_primary: bool
    is_enabled: bool
    name: str | None


def settings_of(directory_type: str = "active_directory", **changes: object) -> DirectorySettings:
    """Settings that need nothing but a type."""
    values: dict[str, object] = {
        "name": "hq",
        "type": directory_type,
        "servers": (Server("dc1.example.org"),),
        "bind_name": "sync@example.org",
    }
    return DirectorySettings(**{**values, **changes})  # type: ignore[arg-type]  # mypy cannot see into a mapping


def plan_of(directory_type: str = "active_directory", **changes: object) -> ReadPlan:
    """A plan made from such settings."""
    return make_plan(settings_of(directory_type, **changes), Credentials(), Limits())


def normaliser_of(
    directory_type: str = "active_directory",
    domains: Iterable[str] = ("example.org",),
    **changes: object,
) -> Normaliser:
    """A normaliser for one tenant with these domains."""
    return Normaliser(plan_of(directory_type, **changes), tuple(domains))


def values_of(**attributes: str | bytes | Sequence[str | bytes]) -> dict[str, list[bytes]]:
    """Attributes as the reader gives them."""
    return {
        name: [_octets(value) for value in ([given] if isinstance(given, str | bytes) else given)]
        for name, given in attributes.items()
    }


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def user(
    *addresses: str | bytes, **more: str | bytes | Sequence[str | bytes]
) -> dict[str, list[bytes]]:
    """An Exchange user with these proxyAddresses."""
    return values_of(
        proxyAddresses=addresses, objectGUID=GUID, objectClass=["top", "user"]
    ) | values_of(**more)


def rows_of(chunk: Chunk) -> list[Row]:
    """Read rows as the manual says COPY does (text format: tabs between, backslash escapes)."""
    assert not chunk.rows or chunk.rows.endswith(b"\n")
    lines = chunk.rows.split(b"\n")[:-1]
    assert len(lines) == chunk.row_count
    return [_row(line) for line in lines]


def _row(line: bytes) -> Row:
    address, entry_id, kind, primary, enabled, name = line.decode().split("\t")
    return Row(
        address,
        entry_id,
        tuple(Kind)[int(kind)],
        _flag(primary),
        _flag(enabled),
        None if name == "\\N" else _unescape(name),
    )


def _flag(text: str) -> bool:
    return {"t": True, "f": False}[text]


def _unescape(text: str) -> str:
    assert "\r" not in text
    parts = text.split("\\\\")
    named = {"\\t": "\t", "\\n": "\n", "\\r": "\r"}
    for escape, sign in named.items():
        parts = [part.replace(escape, sign) for part in parts]
    assert not any("\\" in part for part in parts)
    return "\\".join(parts)


def read(normaliser: Normaliser, *entries: Mapping[str, Sequence[bytes]]) -> list[Row]:
    """Read one page of entries that all have the same DN."""
    return rows_of(normaliser.page([(DN, entry) for entry in entries]))
