"""Values of a form made harmless in a line that somebody pastes: into a shell, PowerShell, LDIF, slapd's configuration.

Who fills in the form is not who pastes, so a value must never end its quotes. Sources: POSIX Shell Command Language
section 2.2.2, Microsoft's about_Quoting_Rules, RFC 2849, RFC 4515 section 3, RFC 4514.
"""

import base64
import shlex
import unicodedata


POWERSHELL_QUOTES = "'\u2018\u2019\u201a\u201b"
"""PowerShell takes each of these for a single quote, and a doubled one for the character itself."""
FILTER_SPECIAL = frozenset("*()\\\0")
VISIBLE_ASCII = frozenset(map(chr, range(0x20, 0x7F)))
UNSAFE_START = frozenset(" :<")


def one_line(text: str) -> str:
    """Return a text without what breaks or steers a line; what is dropped cannot be part of a working value."""
    return "".join(
        sign for sign in text if unicodedata.category(sign) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}
    )


def shell(text: str) -> str:
    """Return a word for a POSIX shell; always in quotes if anything in it is more than a letter."""
    return shlex.quote(one_line(text))


def powershell(text: str) -> str:
    """Return a literal string for PowerShell."""
    doubled = "".join(sign * 2 if sign in POWERSHELL_QUOTES else sign for sign in one_line(text))
    return f"'{doubled}'"


def filter_value(text: str) -> str:
    """Return a value for a search filter (RFC 4515 section 3)."""
    return "".join(
        f"\\{ord(sign):02x}" if sign in FILTER_SPECIAL else sign for sign in one_line(text)
    )


def slapd(text: str) -> str:
    """Return a DN as a quoted word for slapd's configuration over LDAP (``cn=config``).

    There a double quote always ends the word and a backslash is one (measured with 2.5.13), unlike in slapd.conf: so a
    quote in a DN takes its other form, in hexadecimal digits (RFC 4514 section 2.4).
    """
    unquoted = one_line(text).replace('\\"', "\\22").replace('"', "\\22")
    return f'"{unquoted}"'


def ldif(attribute: str, value: str) -> str:
    """Return a line of LDIF; what is not plain ASCII is written in base64 (RFC 2849, SAFE-STRING)."""
    plain = one_line(value)
    is_safe = set(plain) <= VISIBLE_ASCII and plain[:1] not in UNSAFE_START and plain[-1:] != " "
    if is_safe:
        return f"{attribute}: {plain}"
    return f"{attribute}:: {base64.b64encode(plain.encode()).decode('ascii')}"
