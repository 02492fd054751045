"""LDIF (RFC 2849) out and in, and the identifiers that a directory would give an entry."""

import base64
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


Value = str | bytes
Values = Value | Sequence[Value]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search returned; attribute names in lower case, values as bytes in server order."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of an attribute as text; empty when it has none."""
        return tuple(value.decode() for value in self.attributes.get(name.lower(), ()))

    def text(self, name: str) -> str:
        """The only value of an attribute."""
        (value,) = self.texts(name)
        return value


def record(dn: str, attributes: Mapping[str, Values]) -> str:
    """One entry to add; a value that LDIF cannot say plainly goes out in base64."""
    lines = [_line("dn", dn)]
    for name, values in attributes.items():
        many = (values,) if isinstance(values, str | bytes) else values
        lines += [_line(name, value) for value in many]
    return "\n".join(lines) + "\n\n"


def parse(output: str) -> Iterator[Entry]:
    """Entries of ``ldapsearch -LLL -o ldif-wrap=no``; referrals and comments are passed over."""
    for block in output.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines and lines[0].startswith("dn:"):
            yield _entry(lines)


def guid(key: str) -> bytes:
    """A stable objectGUID for a key, in the byte order of AD (``uuid.UUID(bytes_le=...)``)."""
    return uuid.uuid5(uuid.NAMESPACE_URL, key).bytes_le


def entry_uuid(key: str) -> str:
    """A stable entryUUID for a key; slapadd keeps the one that a seed gives."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, key))


def _line(name: str, value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    plain = raw.isascii() and all(0x20 <= byte < 0x7F for byte in raw)
    if plain and raw[:1] not in {b" ", b":", b"<"} and raw[-1:] != b" ":
        return f"{name}: {raw.decode()}"
    return f"{name}:: {base64.b64encode(raw).decode()}"


def _entry(lines: Sequence[str]) -> Entry:
    (_, dn), *rest = map(_pair, lines)
    found: dict[str, tuple[bytes, ...]] = {}
    for name, value in rest:
        found[name] = (*found.get(name, ()), value)
    return Entry(dn.decode(), found)


def _pair(line: str) -> tuple[str, bytes]:
    name, _, value = line.partition(":")
    if value.startswith(":"):
        return name.lower(), base64.b64decode(value[1:].strip())
    return name.lower(), value.removeprefix(" ").encode()
