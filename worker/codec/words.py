"""Filter, distinguished name, domain, address, pattern: checks of the words that the domain gives a meaning to."""

import re
import unicodedata

import idna

from worker.codec.checks import text
from worker.codec.mistakes import FormError
from worker.domain.model import Address


_PATTERN = re.compile(r"\A[^\s@\"(),:;<>\[\\\]]+(?:@[^\s@\"(),:;<>\[\\\]]+)?\Z")
_LOOKS_LIKE_DN = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=")
_DN = re.compile(
    r"\A(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)\s*=(?:[^\\,+]|\\.)*"
    r"(?:[,+]\s*(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)\s*=(?:[^\\,+]|\\.)*)*\Z"
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\\\]]{1,64}")

DOMAIN_MAX_CHARACTERS = 253
FILTER_MAX_DEPTH = 32


def dn(value: object) -> str:
    """Return a distinguished name (RFC 4514), as entered."""
    name = text(value)
    if not _DN.match(name):
        raise FormError(code="dn.syntax")
    return name


def bind_name(value: object) -> str:
    r"""Return a DN, a UPN or ``DOMAIN\user``; only what looks like a DN must be one."""
    name = text(value)
    return dn(name) if _LOOKS_LIKE_DN.match(name) else name


def search_filter(value: object) -> str:
    """Return an LDAP filter (RFC 4515) whose brackets are whole; brackets around it are forgiven."""
    entered = text(value)
    whole = entered if entered.startswith("(") else f"({entered})"
    depth = 0
    for place, sign in enumerate(whole):
        depth += (sign == "(") - (sign == ")")
        ends_early = depth == 0 and place < len(whole) - 1
        if depth < 0 or depth > FILTER_MAX_DEPTH or ends_early:
            raise FormError(code="filter.syntax")
    if depth or "=" not in whole:
        raise FormError(code="filter.syntax")
    return whole


def domain(value: object) -> str:
    """Return a mail domain as lower-case A-labels; a leading ``@`` and a trailing dot are forgiven."""
    name = text(value).removeprefix("@").removesuffix(".")
    try:
        ascii_name = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as exc:
        raise FormError(code="domain.syntax") from exc
    labels = ascii_name.split(".")
    if len(ascii_name) > DOMAIN_MAX_CHARACTERS:
        raise FormError(code="domain.syntax")
    is_name = all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()
    if not is_name or "." not in ascii_name:
        raise FormError(code="domain.syntax")
    return ascii_name


def address(value: object) -> Address:
    """Return a normal address: local part in NFC lower case, domain as lower-case A-labels."""
    local, at, rest = text(value).rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        raise FormError(code="address.syntax")
    try:
        return Address(f"{unicodedata.normalize('NFC', local).lower()}@{domain(rest)}")
    except FormError as exc:
        raise FormError(code="address.syntax") from exc


def pattern(value: object) -> str:
    """Return an address or a pattern with ``*``, lower case; one that takes out everything is refused."""
    entered = text(value).lower()
    if not _PATTERN.match(entered):
        raise FormError(code="pattern.syntax")
    if not entered.replace("*", "").replace("@", "").replace(".", ""):
        raise FormError(code="pattern.everything")
    return entered
