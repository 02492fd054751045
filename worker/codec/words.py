"""Filter, distinguished name, domain, address, pattern: checks whose rules the domain owns; here they meet the form.

What was accepted here is what a plan can read and what addresses are compared with: the same functions decide.
"""

import base64
import re

from worker.codec.checks import text
from worker.codec.mistakes import FormError
from worker.domain.addresses import normal_address, normal_domain
from worker.domain.model import Address
from worker.domain.syntax import dn_error, filter_error, tidy_dn


_PATTERN = re.compile(r"\A[^\s@\"(),:;<>\[\\\]]+(?:@[^\s@\"(),:;<>\[\\\]]+)?\Z")
_BROKEN_LINE = re.compile(r"[ \t]*[\r\n\t]+[ \t]*")
_AROUND_SEPARATOR = re.compile(r" *([\\@]) *")
"""No account's name begins or ends with a space, and no domain's."""
_SHOWN_IN = re.compile(r'\A(?:dn:\s*)?("?)(?P<name>.*)\1\Z', re.DOTALL | re.IGNORECASE)
_ENCODED = re.compile(r"\Adn::\s*(?P<octets>[A-Za-z0-9+/=\s]*)\Z", re.IGNORECASE)
_SECOND_NAME = re.compile(
    r"[^\s,+;\\][ \t]*[\r\n]\s*(?:dn::?|(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=)", re.IGNORECASE
)
"""A line that begins with a part of its own, after one that does not end in the sign before a further part."""
_ONE_NAME = "Enter each distinguished name by itself, not several in one field."
_LOOKS_LIKE_DN = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=")


def dn(value: object) -> str:
    """Return a distinguished name (RFC 4514); spaces and line breaks around its parts are forgiven."""
    if isinstance(value, str) and _are_several(value.strip()):
        raise FormError(code="dn.syntax", message=_ONE_NAME)
    name = text(_unwrapped(_on_one_line(value)))
    if message := dn_error(name):
        raise FormError(code="dn.syntax", message=message)
    return tidy_dn(name)


def _are_several(value: str) -> bool:
    return not _ENCODED.match(value) and _SECOND_NAME.search(value) is not None


def _unwrapped(value: object) -> object:
    """Take off what a name is shown in: quotation marks, and the ``dn:`` or, before base64, ``dn::`` of LDIF (RFC 2849)."""
    if not isinstance(value, str):
        return value
    if encoded := _ENCODED.match(value.strip()):
        return _decoded("".join(encoded["octets"].split()))
    return _SHOWN_IN.sub(r"\g<name>", value.strip())


def _decoded(octets: str) -> str:
    try:
        return base64.b64decode(octets, validate=True).decode()
    except ValueError as exc:  # no base64, or no UTF-8 in it
        raise FormError(code="dn.syntax") from exc


def _on_one_line(value: object) -> object:
    return _BROKEN_LINE.sub(" ", value) if isinstance(value, str) else value


def bind_name(value: object) -> str:
    r"""Return a DN, a UPN or ``DOMAIN\user``; only what looks like a DN must be one."""
    name = _unwrapped(value)
    if isinstance(name, str) and _LOOKS_LIKE_DN.match(name.strip()):
        return dn(name)
    return _AROUND_SEPARATOR.sub(r"\1", text(name))


def search_filter(value: object) -> str:
    """Return an LDAP filter (RFC 4515); the brackets around it may have been left out, and lines be broken."""
    entered = text(_on_one_line(value))
    whole = entered if entered.startswith("(") else f"({entered})"
    if message := filter_error(whole):
        raise FormError(code="filter.syntax", message=message)
    return whole


def domain(value: object) -> str:
    """Return a mail domain as lower-case A-labels; a leading ``@`` and a trailing dot are forgiven."""
    normal = normal_domain(text(value).removeprefix("@").removesuffix("."))
    if normal is None:
        raise FormError(code="domain.syntax")
    return normal


def address(value: object) -> Address:
    """Return a normal address; a trailing dot is forgiven."""
    normal = normal_address(text(value).removesuffix("."))
    if normal is None:
        raise FormError(code="address.syntax")
    return normal


def pattern(value: object) -> str:
    """Return an address or a pattern with ``*``, lower case; one that takes out everything is refused."""
    entered = text(value).lower()
    if not _PATTERN.match(entered):
        raise FormError(code="pattern.syntax")
    if not re.sub(r"[*@.]", "", entered):
        raise FormError(code="pattern.everything")
    return entered
