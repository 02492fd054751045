"""What a server says of itself, read as text."""

from time import perf_counter

import pytest

from worker.domain.server import PAGED_RESULTS, WHO_AM_I, RootDse, schema_names


@pytest.mark.parametrize(
    ("definition", "names"),
    [
        (b"( 2.5.4.3 NAME 'cn' )", ["cn"]),
        (b"( 0.9.2342 NAME ( 'mail' 'rfc822Mailbox' ) EQUALITY x )", ["mail", "rfc822mailbox"]),
        (b"( 1.2 NAME  (  'a'  'B' )  DESC 'NAME ''c''' )", ["a", "b"]),
        (b"( 1.2 NAME('kopano-user') )", ["kopano-user"]),
        (b"( 1.2 DESC 'without' )", []),
        (b"\xff NAME 'caf\xe9'", ["caf\ufffd"]),
        (b"", []),
    ],
)
def test_names_are_read_from_definitions(definition: bytes, names: list[str]) -> None:
    """RFC 4512 section 4.1: one name in quotes, or several in brackets, in whatever case."""
    assert list(schema_names([definition])) == names


@pytest.mark.parametrize(
    "part", [b"NAME(", b"NAME (' ", b" NAME", b"NAME  ", b"(NAME '", b"' NAME("]
)
@pytest.mark.timeout(5)
def test_a_definition_of_megabytes_is_read_in_no_time(part: bytes) -> None:
    """A server that never closes a bracket held the whole worker for hours, with all tenants' syncs."""
    began = perf_counter()
    list(schema_names([(part * 800_000)[:4_000_000]]))

    assert perf_counter() - began < 1


def test_a_server_that_lists_no_controls_may_page() -> None:
    """Some list nothing; only one that leaves paging out of its list cannot."""
    assert RootDse().can_page
    assert RootDse(controls=frozenset({PAGED_RESULTS})).can_page
    assert not RootDse(controls=frozenset({"1.2"})).can_page


def test_who_am_i_is_asked_where_it_is_offered() -> None:
    """Samba's Active Directory has none."""
    assert RootDse(extensions=frozenset({WHO_AM_I})).tells_who_we_are
    assert not RootDse().tells_who_we_are
