"""Whether a text is a search filter (RFC 4515) or a distinguished name (RFC 4514), and when two names are the same.

The form and the plan ask the same functions, so that what was accepted can be read.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import NewType


FILTER_MAX_DEPTH = 20
"""Brackets within brackets; servers have bounds of their own, and none that is documented is lower."""

FILTER_MAX_CHARACTERS = 4096
DN_MAX_CHARACTERS = 4096

NormalDn = NewType("NormalDn", tuple[tuple[tuple[str, str], ...], ...])
"""A name's parts from the entry up, each a sorted set of (type, value); equal parts are equal names."""

# An attribute's name or dotted OID, then its options (RFC 4512 sections 1.4 and 2.5).
_TYPE = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)"
_DESCRIPTION = _TYPE + r"(?:;[A-Za-z0-9-]+)*"
_VALUE = r"(?:[^\x00()*\\]|\\[0-9A-Fa-f]{2})*"
_WITH_WILDCARDS = r"(?:[^\x00()\\]|\\[0-9A-Fa-f]{2})*"
_ITEM = re.compile(
    rf"{_DESCRIPTION}[<>~]={_VALUE}"
    rf"|{_DESCRIPTION}(?::dn)?(?::{_TYPE})?:={_VALUE}"
    rf"|(?::dn)?:{_TYPE}:={_VALUE}"
    rf"|{_DESCRIPTION}={_WITH_WILDCARDS}"
)
_SPACE = re.compile(r"[ \t\r\n]*")

_ESCAPED = r"""\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\]"""
_PART = re.compile(
    rf"""[ ]*(?P<type>{_TYPE})[ ]*=[ ]*(?P<value>(?:{_ESCAPED}|[^\x00"+,;<>\\])*)(?P<end>[,+]|\Z)"""
)
_ESCAPE = re.compile(rb"""\\([0-9A-Fa-f]{2}|[ "#+,;<=>\\])""")


_TOO_LONG = f"Enter a filter of at most {FILTER_MAX_CHARACTERS} characters."
_TOO_DEEP = f"Enter a filter with brackets at most {FILTER_MAX_DEPTH} deep."
_NO_BRACKET = "Begin each part of the filter with a bracket, for example (mail=*)."
_NOT_CLOSED = "Close every bracket of the filter, for example (&(objectClass=person)(mail=*))."
_BAD_LIST = "Put exactly one part in brackets after !, and at least one after & and |."
_BAD_ITEM = "Write each part as (attribute=value); in a value, write \\28 for (, \\29 for ), \\2a for * and \\5c for \\."
_MORE_THAN_ONE = (
    "Enter one filter in one pair of brackets; to combine several, write (|(…)(…)) or (&(…)(…))."
)


class _Wrong(Exception):  # noqa: N818 -- carries a sentence for the form out of the recursion, never leaves the module
    """A text is not what it should be."""


def filter_error(text: str) -> str | None:
    """Say what to enter instead of a text that is no filter, or None. Spaces between brackets are let through."""
    if len(text) > FILTER_MAX_CHARACTERS:
        return _TOO_LONG
    try:
        end = _end_of_filter(text, 0, depth=1)
    except _Wrong as wrong:
        return str(wrong)
    if end < len(text):
        return _MORE_THAN_ONE
    return None


def _end_of_filter(text: str, start: int, *, depth: int) -> int:
    """Return where the filter that begins at ``start`` ends."""
    if depth > FILTER_MAX_DEPTH:
        raise _Wrong(_TOO_DEEP)
    if not text.startswith("(", start):
        raise _Wrong(_NO_BRACKET)
    inside = _skip_space(text, start + 1)
    if text[inside : inside + 1] in {"&", "|", "!"}:
        end = _end_of_list(text, inside, depth=depth)
    else:
        end = _end_of_item(text, inside)
    if not text.startswith(")", end):
        raise _Wrong(_NOT_CLOSED)
    return end + 1


def _end_of_list(text: str, operator: int, *, depth: int) -> int:
    count = 0
    end = _skip_space(text, operator + 1)
    while text.startswith("(", end):
        end = _skip_space(text, _end_of_filter(text, end, depth=depth + 1))
        count += 1
    if not count or (text[operator] == "!" and count > 1):
        raise _Wrong(_BAD_LIST)
    return end


def _end_of_item(text: str, start: int) -> int:
    item = _ITEM.match(text, start)
    if item is None:
        raise _Wrong(_BAD_ITEM)
    return item.end()


def _skip_space(text: str, start: int) -> int:
    # libldap passes over it too, and filters are pasted from pages that break the line
    space = _SPACE.match(text, start)
    return space.end() if space else start


def dn_error(text: str) -> str | None:
    """Say what to enter instead of a text that is no distinguished name, or None."""
    if len(text) > DN_MAX_CHARACTERS:
        return f"Enter a name of at most {DN_MAX_CHARACTERS} characters."
    if normal_dn(text) is None:
        return "Enter a distinguished name, for example OU=Staff,DC=example,DC=com; write \\, for a comma in a value."
    return None


def normal_dn(text: str) -> NormalDn | None:
    """Return the form in which equal names are equal, or None if the text is no name or the empty one.

    Types and values are compared without case and with spaces as one (caseIgnoreMatch, RFC 4518): right for all
    naming attributes that directories use; where a server minds case, two names are at worst taken for one.
    """
    names: list[tuple[tuple[str, str], ...]] = []
    pairs: list[tuple[str, str]] = []
    position = 0
    while part := _PART.match(text, position):
        pairs.append((part["type"].lower(), _normal_value(part["value"])))
        position = part.end()
        if part["end"] != "+":
            names.append(tuple(sorted(pairs)))
            pairs = []
        if not part["end"]:
            return NormalDn(tuple(names))
    return None


def tidy_dn(text: str) -> str:
    """Return a name without the spaces around its types and values (RFC 4514 has none); what is no name, as it is.

    Servers take them or not as they please, so they are not sent. A space that is escaped belongs to its value.
    """
    parts: list[str] = []
    position = 0
    while part := _PART.match(text, position):
        parts.append(f"{part['type']}={_without_spaces(part['value'])}{part['end']}")
        position = part.end()
        if not part["end"]:
            return "".join(parts)
    return text


def bare_login(bind_name: str) -> str:
    r"""Return ``jo`` of ``DOMAIN\jo`` and ``jo@domain``."""
    return bind_name.rpartition("\\")[2].partition("@")[0]


def split_dn(text: str) -> tuple[str, ...]:
    """Return a name's parts from the entry up, each as it is written; nothing of what is no name."""
    parts: list[str] = []
    begin = position = 0
    while part := _PART.match(text, position):
        position = part.end()
        if part["end"] != "+":
            parts.append(text[begin : part.start("end")].strip(" "))
            begin = position
        if not part["end"]:
            return tuple(parts)
    return ()


def _without_spaces(value: str) -> str:
    bare = value.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return f"{bare} " if backslashes % 2 and len(value) > len(bare) else bare


def dn_key(text: str) -> str:
    """Return one ASCII text for all spellings of a name; what is no name stands for itself, without case."""
    return json.dumps(normal_dn(text) or text.casefold())


def _normal_value(value: str) -> str:
    octets = _ESCAPE.sub(_unescape, value.encode("utf-8", "surrogatepass"))
    text = unicodedata.normalize("NFKC", octets.decode("utf-8", "backslashreplace")).casefold()
    return " ".join(text.split())


def _unescape(escape: re.Match[bytes]) -> bytes:
    body = escape[1]
    return body if len(body) == 1 else bytes.fromhex(body.decode("ascii"))


def outermost(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that lie in no other, in order, each once; what is no name is kept as it is."""
    normal = {name: normal_dn(name) or name for name in names}
    known = set(normal.values())
    kept: dict[object, str] = {}
    for name, dn in normal.items():
        if not any(dn[above:] in known for above in range(1, len(dn))) or isinstance(dn, str):
            kept.setdefault(dn, name)
    return tuple(kept.values())
