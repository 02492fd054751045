from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from tests.servers.scripted_ldap import SEARCH, done, entry, parse, parts, reference
from worker.adapters.directory.asking import MESSAGES, QUESTION, parsed
from worker.adapters.directory.session import ROOT_ATTRIBUTES
from worker.domain.failures import Unfinished


ROOT = entry(1, "", {"namingContexts": ["dc=x", "dc=y"], "vendorName": ["x" * 200]})
ANSWER = ROOT + done(1, cookie=None)


def test_the_question_is_the_search_it_should_be() -> None:
    """Read by the tests' own reader of LDAP: the rootDSE as an entry, and the attributes by name."""
    ((_, body),) = parts(QUESTION)

    asked = parse(body)

    assert (asked.operation, asked.base, asked.scope) == (SEARCH, "", 0)
    assert asked.attributes == ROOT_ATTRIBUTES


def test_an_answer_is_read() -> None:
    """The values of each attribute, as they came."""
    said, is_whole = parsed(ANSWER)

    assert is_whole
    assert said == {"namingContexts": [b"dc=x", b"dc=y"], "vendorName": [b"x" * 200]}


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_half_an_answer_is_none(cut: int) -> None:
    """It comes in pieces, and is not taken before its end."""
    assert parsed(ANSWER[:cut]) == (None, False)


def test_a_server_that_tells_strangers_nothing_has_answered() -> None:
    """It is LDAP all the same."""
    assert parsed(done(1, cookie=None)) == (None, True)


def test_messages_without_end_are_an_end() -> None:
    """Who sends and sends is not listened to."""
    assert parsed(reference(1, "ldap://x") * MESSAGES * 2) == (None, True)


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, len(ANSWER)))
def test_whatever_comes_is_read_or_refused(noise: bytes, at: int) -> None:
    """A stranger may send anything."""
    for answer in (noise, ANSWER[:at] + noise, ANSWER[:at] + noise + ANSWER[at + len(noise) :]):
        with suppress(Unfinished):
            parsed(answer)
