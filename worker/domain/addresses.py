"""A text to a normal address or domain, or to nothing. The one rule for directories, forms, canaries and look-ups.

Normal is: local part in NFC and lower case, domain as lower-case A-labels. Nothing is guessed: ``Jo <jo@x>``,
``mailto:jo@x`` and ``a@x; b@x`` are no addresses. Only dot-atoms are accepted as local parts (RFC 5321 section
4.1.2, with RFC 6531 section 3.3): the SMTP side takes no quoted ones.
"""

import re
import unicodedata

import idna
from email_validator import EmailNotValidError, validate_email

from worker.domain.model import Address


LOCAL_MAX_BYTES = 64
"""RFC 5321 section 4.5.3.1.1, in octets."""

DOMAIN_MAX_BYTES = 253
"""RFC 1035 section 2.3.4 allows 255 octets on the wire, which is 253 in text."""

ADDRESS_MAX_BYTES = 254
"""RFC 5321 section 4.5.3.1.3: a path is 256 octets with its two brackets."""

TEXT_MAX_CHARACTERS = 1024
"""Longer texts are no address whatever is made of them; a bound on the work a hostile one can cause."""

ATEXT = r"a-z0-9!#$&'*+=?^_`{|}~\-"
"""What a normal local part is made of besides dots, as a regular expression's set: RFC 5322 atext in lower case,
without ``/`` and ``%``, which stand for something else in a directory (see ``_is_route``)."""

_LOCAL = re.compile(rf"[{ATEXT}/%\u0080-\U0010ffff]+(?:\.[{ATEXT}/%\u0080-\U0010ffff]+)*")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def normal_address(text: str) -> Address | None:
    """Return the normal form of an address, or None. White space around it is let go, also a no-break space."""
    if len(text) > TEXT_MAX_CHARACTERS:
        return None
    local, at, name = text.strip().rpartition("@")
    domain = normal_domain(name) if at else None
    normal = normal_local(local) if domain else None
    if domain is None or normal is None:
        return None
    address = Address(f"{normal}@{domain}")
    return address if len(address.encode()) <= ADDRESS_MAX_BYTES else None


def normal_local(text: str) -> str | None:
    """Return the normal form of what stands before the ``@``, or None."""
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    if not _LOCAL.fullmatch(local) or _is_route(local):
        return None
    if local.isascii():
        return local if len(local) <= LOCAL_MAX_BYTES else None
    return local if _is_safe(local) else None


def _is_route(local: str) -> bool:
    """Whether a local part is Domino's fallback for people without an Internet address: a name and its domain.

    HCL documents ``name%domain@host`` and hierarchical names with ``/``. Both characters are legal, so a lone
    ``100%`` stays.
    """
    return "/" in local or re.search(r".%.", local) is not None


def _is_safe(local: str) -> bool:
    """Whether characters beyond ASCII are ones that a name may hold: no controls, no unassigned, no surrogates."""
    octets = local.encode("utf-8", "replace")
    if len(octets) > LOCAL_MAX_BYTES:
        return False
    try:
        found = validate_email(
            f"{local}@a.example", check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError:
        return False
    return found.local_part == local


def normal_domain(text: str) -> str | None:
    """Return a mail domain of at least two labels as lower-case A-labels (RFC 5890, UTS 46), or None."""
    name = text.lower()
    if not name.isascii() or "xn--" in name:
        name = _a_labels(text) or ""
    labels = name.split(".")
    if len(name) > DOMAIN_MAX_BYTES or len(labels) == 1 or labels[-1].isdigit():
        return None
    return name if all(map(_LABEL.fullmatch, labels)) else None


def _a_labels(name: str) -> str | None:
    if len(name) > DOMAIN_MAX_BYTES:
        return None
    try:
        # decoding what was encoded proves that an A-label which came in as text means something
        return idna.encode(idna.decode(idna.encode(name, uts46=True))).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return None


def display_domain(name: str) -> str:
    """Return a normal domain as people write it, in U-labels."""
    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name
