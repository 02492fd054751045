import pytest
from hypothesis import given, strategies as st

from tests.servers.scripted_ldap import message, octets, tlv
from worker.adapters.directory.questions import Question, Questions
from worker.adapters.directory.wire import BIND_RESPONSE, SEARCH_DONE, WireResult
from worker.domain.failures import Unfinished


BIND, SEARCH, UNBIND, ABANDON = 0x60, 0x63, 0x42, 0x50


def request(number: int, operation: int = SEARCH, size: int = 10) -> bytes:
    """Return a request as far as it is looked at."""
    return message(number, tlv(operation, octets(b"x" * size)))


def asked(*requests: bytes) -> Questions:
    """Return what is open after these."""
    questions = Questions()
    for each in requests:
        questions.feed(each)
    return questions


@given(st.data())
def test_however_a_request_is_cut_it_is_the_same_question(data: st.DataObject) -> None:
    """Libldap writes what the socket takes."""
    number = data.draw(st.integers(1, 2**31 - 1))
    stream = request(1, BIND, size=300) + request(number, size=data.draw(st.integers(0, 70_000)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))

    questions = asked(*(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)))

    assert questions.open == Question(number, SEARCH_DONE)


def test_its_answer_closes_a_question() -> None:
    """And the next may be asked."""
    questions = asked(request(4))

    questions.check([WireResult(4, SEARCH_DONE, 0, entries=3)], is_listing=False)

    assert questions.open is None


def test_what_has_no_answer_opens_nothing() -> None:
    """Unbind and abandon (RFC 4511 sections 4.3 and 4.11)."""
    assert asked(request(4, UNBIND), request(5, ABANDON)).open is None


@pytest.mark.parametrize(
    ("operation", "results", "is_listing"),
    [
        (SEARCH, [WireResult(5, SEARCH_DONE, 0)], False),
        (SEARCH, [WireResult(4, BIND_RESPONSE, 0)], False),
        (SEARCH, [WireResult(4, SEARCH_DONE, 0), WireResult(4, SEARCH_DONE, 0)], False),
        (SEARCH, [WireResult(4, SEARCH_DONE, 0)], True),
        (BIND, [WireResult(4, BIND_RESPONSE, 0, entries=1)], False),
        (BIND, [WireResult(4, BIND_RESPONSE, 0, references=1)], False),
        (BIND, [], True),
        (UNBIND, [], True),
        (UNBIND, [WireResult(4, SEARCH_DONE, 0)], False),
    ],
)
def test_an_answer_to_anything_else_is_refused(
    operation: int,
    results: list[WireResult],
    is_listing: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Another number, another kind, one too many, one to nothing."""
    with pytest.raises(Unfinished) as caught:
        asked(request(4, operation)).check(results, is_listing=is_listing)

    assert caught.value.code == "read.unasked"
