"""Filter, distinguished name, domain, address, pattern: checks whose rules the domain owns; here they meet the form.

What was accepted here is what a plan can read and what addresses are compared with: the same functions decide.
"""

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
_LOOKS_LIKE_DN = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9-]*|[0-9.]+)\s*=")


def dn(value: object) -> str:
    """Return a distinguished name (RFC 4514); spaces and line breaks around its parts are forgiven."""
    name = text(_unwrapped(_on_one_line(value)))
    if message := dn_error(name):
        raise FormError(code="dn.syntax", message=message)
    return tidy_dn(name)


def _unwrapped(value: object) -> object:
    """Take off what a name is shown in: quotation marks, and the ``dn:`` of LDIF (RFC 2849)."""
    if not isinstance(value, str):
        return value
    return _SHOWN_IN.sub(r"\g<name>", value.strip())


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
