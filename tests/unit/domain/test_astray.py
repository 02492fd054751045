import pytest

from worker.domain.astray import is_certain, seen_of
from worker.domain.failures import BaseAsked
from worker.domain.server import RootDse, ServerType


ROOT = RootDse(contexts=("dc=example,dc=org",))
OPENLDAP = frozenset({ServerType.OPENLDAP})
MICROSOFT = frozenset({ServerType.ACTIVE_DIRECTORY})


def asked(base: str, matched: str = "", root: RootDse = ROOT) -> BaseAsked:
    """A base that the server says is not there."""
    return BaseAsked(root, base, matched)


@pytest.mark.parametrize(
    ("told", "types", "expected"),
    [
        (asked("ou=Gone,dc=example,dc=org", "dc=example,dc=org"), OPENLDAP, True),
        (asked("ou=Hidden,dc=example,dc=org"), OPENLDAP, False),
        (asked("ou=Gone,dc=example,dc=org", "dc=example,dc=org"), MICROSOFT, False),
        (asked("dc=exmaple,dc=org"), MICROSOFT, True),
        (asked("dc=exmaple,dc=org", root=RootDse()), MICROSOFT, False),
        (asked("ou=Gone,dc=example,dc=org"), frozenset({ServerType.DS389}), True),
        (asked("ou=Gone,dc=example,dc=org"), frozenset(ServerType), False),
        (asked("ou=Gone,dc=example,dc=org", "dc=other"), OPENLDAP, False),
        (None, frozenset({ServerType.DS389}), False),
    ],
    ids=[
        "OpenLDAP names what is there",
        "OpenLDAP hides",
        "Active Directory hides the end alone",
        "elsewhere",
        "no trees named",
        "389-DS hides nothing",
        "no server known",
        "nonsense",
        "not asked",
    ],
)
def test_rights_are_spoken_of_only_where_they_may_be_the_cause(
    told: BaseAsked | None, types: frozenset[ServerType], *, expected: bool
) -> None:
    """Who mistyped the base need not look through access rules."""
    assert is_certain(told, types) is expected


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            asked("OU=Peple, ou=Oslo, dc=Example,dc=org", "ou=oslo,dc=example,dc=org"),
            "the server has ou=Oslo,dc=Example,dc=org, and shows no OU=Peple in it",
        ),
        (asked("dc=exmaple,dc=org"), "the server's entries are in dc=example,dc=org"),
        (
            asked("ou=x,dc=a,dc=b", "dc=b", RootDse(contexts=("dc=c,dc=b", "o=firm"))),
            "the server has dc=b, and shows no dc=a in it; the server's entries are in dc=c,dc=b and o=firm",
        ),
        (asked("ou=x", "\x1b[2J", RootDse(contexts=("dc=\x1b[2J",))), ""),
        (
            asked("ou=x+cn=y\\,z,dc=b", "dc=b"),
            "the server has dc=b, and shows no ou=x+cn=y\\,z in it",
        ),
    ],
)
def test_what_there_is_instead_is_told(told: BaseAsked, said: str) -> None:
    """In the words of the form; a server may write anything."""
    assert seen_of(told).startswith(said)
