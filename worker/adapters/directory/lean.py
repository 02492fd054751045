"""bonsai for a process that only reads: plain result objects, and no settings from outside.

Private details of bonsai 1.5.5 are used here and nowhere else; ``prepare`` proves them on the
running version and refuses any other.
"""

import os
from functools import cache

import bonsai
import bonsai.ldapentry
import bonsai.ldapvaluelist


TESTED = "1.5.5"
NAME = ""
"""The key under which a lean entry keeps its DN: no attribute has an empty name (RFC 4512 section 2.5)."""


class UntriedLibraryError(RuntimeError):
    """This version of bonsai may look different inside."""


def lean_entry(name: str, connection: object) -> dict[str, object]:  # noqa: ARG001 -- bonsai's calling convention
    """Return what bonsai fills with attributes, instead of its own LDAPEntry.

    LDAPEntry parses each DN by a regular expression that refuses legal ones (``cn=C# team``) and
    so loses the whole page; with LDAPValueList's bookkeeping that is two thirds of bonsai's time.
    """
    return {NAME: name}


@cache
def prepare() -> None:
    """Make bonsai lean, and deaf to ldap.conf, ldaprc and LDAP* variables. Once per process.

    A SIZELIMIT or DEREF in such a file would silently change what a search returns. libldap looks
    at LDAPNOINIT (ldap.conf(5)) when it is first used, so this comes before any connection.
    Raises UntriedLibraryError on a version of bonsai this was not tried on.
    """
    if bonsai.__version__ != TESTED:
        raise UntriedLibraryError(bonsai.__version__)
    os.putenv("LDAPNOINIT", "1")
    values = bonsai.ldapvaluelist.LDAPValueList
    for name in [
        name for name in vars(values) if name in vars(list) and callable(vars(list)[name])
    ]:
        if name not in {"__new__", "__doc__"}:
            delattr(values, name)  # what is left behaves as the list it inherits from
    # bonsai looks it up by name at the first entry, and calls it
    bonsai.ldapentry.LDAPEntry = lean_entry  # type: ignore[assignment,misc]  # a function in place of a class
    if values(("a", "a")) != ["a", "a"]:
        raise UntriedLibraryError(bonsai.__version__)
