"""Filters and distinguished names."""

import re

import pytest
from hypothesis import given, strategies as st

from worker.domain.syntax import (
    DN_MAX_CHARACTERS,
    FILTER_MAX_CHARACTERS,
    FILTER_MAX_DEPTH,
    dn_error,
    dn_key,
    filter_error,
    normal_dn,
    outermost,
    tidy_dn,
)


@pytest.mark.parametrize(
    "text",
    [
        "(mail=*)",
        "(proxyAddresses=smtp:*)",
        "(&(objectCategory=person)(mail=*))",
        "(&(|(objectClass=groupOfNames)(objectClass=mailGroup))(mail=*))",
        "(!(mail=*))",
        "(cn=Ada*Love*ace)",
        "(cn=)",
        "(cn=L\\2aW \\28Berlin\\29)",
        "(cn=Łukasz)",
        "(age>=21)",
        "(age<=21)",
        "(cn~=ada)",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(cn:dn:=ada)",
        "(cn:caseExactMatch:=Ada)",
        "(:dn:2.4.6.8.10:=Ada)",
        "(:caseExactMatch:=Ada)",
        "(2.5.4.3=ada)",
        "(mail;lang-de=*)",
        "( & (mail=*) (cn=*) )",
        "(&\n  (mail=*)\n  (cn=*)\n)",
        "(" * 0 + "(!" * (FILTER_MAX_DEPTH - 1) + "(a=b)" + ")" * (FILTER_MAX_DEPTH - 1),
    ],
)
def test_a_filter_is_taken(text: str) -> None:
    """What a server understands the form must not refuse."""
    assert filter_error(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mail=*",
        "(mail=*",
        "(mail=*))",
        "(mail)",
        "()",
        "(&)",
        "(!)",
        "(!(a=b)(c=d))",
        "(mail=*)(cn=*)",
        "(&(mail=*)cn=*)",
        "(cn=a(b)",
        "(cn=a)b)",
        "(cn=\\zz)",
        "(cn=\\2)",
        "(cn=a\x00b)",
        "(=x)",
        "(c n=x)",
        "(cn>=a*)",
        "(!" * FILTER_MAX_DEPTH + "(a=b)" + ")" * FILTER_MAX_DEPTH,
        "(cn=" + "a" * FILTER_MAX_CHARACTERS + ")",
    ],
)
def test_what_is_no_filter_is_refused_with_what_to_enter(text: str) -> None:
    """A slip in a filter is told at the form, in words, not by a run that fails at night."""
    assert (filter_error(text) or "").endswith(".")


_items = st.builds(
    "({}={})".format,
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00()*\\"), max_size=8),
)
_filters = st.recursive(
    _items,
    lambda inner: (
        st.builds(
            "({}{})".format,
            st.sampled_from("&|"),
            st.lists(inner, min_size=1, max_size=3).map("".join),
        )
        | st.builds("(!{})".format, inner)
    ),
    max_leaves=8,
)


@given(_filters, st.data())
def test_a_filter_is_refused_when_a_bracket_is_lost(text: str, data: st.DataObject) -> None:
    """Whole filters are taken and those with a bracket too few are not, whatever they are made of."""
    brackets = [place for place, sign in enumerate(text) if sign in "()"]
    lost = data.draw(st.sampled_from(brackets))

    assert filter_error(text) is None
    assert filter_error(text[:lost] + text[lost + 1 :]) is not None


@given(st.text("()&|!=*\\a2 ", max_size=60))
def test_any_text_is_answered(text: str) -> None:
    """A form never crashes over what somebody typed."""
    error = filter_error(text)

    assert error is None or error.endswith(".")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DC=Example,DC=org", "dc=example, dc=ORG"),
        ("CN=Ada  Lovelace,DC=x", "cn=ada lovelace,dc=x"),
        ("CN=Lovelace\\, Ada,DC=x", "CN=Lovelace\\2c Ada,DC=x"),
        ("CN=J\\C3\\B6rg,DC=x", "CN=Jörg,DC=x"),
        ("CN=Jo\u0308rg,DC=x", "CN=Jörg,DC=x"),
        ("CN=Ada+SN=L,DC=x", "SN=L+CN=Ada,DC=x"),
        ("CN = Ada , DC = x", "CN=Ada,DC=x"),
        ("CN=C\\# team,DC=x", "CN=C# team,DC=x"),
    ],
)
def test_two_spellings_are_one_name(one: str, other: str) -> None:
    """The same entry keeps its identity, and the same base is not read twice."""
    assert normal_dn(one) == normal_dn(other) is not None
    assert dn_key(one) == dn_key(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "DC=x,",
        ",DC=x",
        "DC",
        "=x",
        "DC=x;DC=y",
        'CN="Ada",DC=x',
        "CN=a\\",
        "CN=\x00",
        "D C=x",
        "CN=" + "a" * DN_MAX_CHARACTERS,
    ],
)
def test_what_is_no_name_is_refused_with_what_to_enter(text: str) -> None:
    """A slip in a search base is told at the form."""
    assert (dn_error(text) or "").endswith(".")


def test_a_name_is_taken() -> None:
    """Names as directories give them pass the form."""
    assert dn_error("OU=Staff \\+ Guests,2.5.4.11=x,DC=example,DC=org") is None


def test_a_name_that_is_none_still_has_a_key() -> None:
    """A server's odd DN must not end a run."""
    assert dn_key("Ada Lovelace") == dn_key("ADA LOVELACE") != dn_key("Ada")


def test_octets_that_are_no_text_make_a_name_of_their_own() -> None:
    """Two entries with unreadable names are two."""
    assert normal_dn("CN=\\ff,DC=x") != normal_dn("CN=\\fe,DC=x") is not None


def test_a_base_inside_another_is_not_read_twice() -> None:
    """Reading an entry twice would double the work and the counts."""
    bases = ("OU=Staff,DC=x", "DC=X", "dc=x", "DC=y", "OU=Guests, OU=Staff, DC=x", "not a name")

    assert outermost(bases) == ("DC=X", "DC=y", "not a name")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["cn", "OU", "2.5.4.3"]),
            st.text(st.sampled_from('ab ,+\\"=é'), min_size=1, max_size=6),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_tidy_name_is_the_same_name(parts: list[tuple[str, str]]) -> None:
    """Tidying must never lead to another entry."""
    name = " , ".join(f"{kind} = {escaped(value)}" for kind, value in parts)

    tidy = tidy_dn(name)

    assert normal_dn(tidy) == normal_dn(name) is not None
    assert tidy == ",".join(f"{kind}={escaped(value)}" for kind, value in parts)


def escaped(value: str) -> str:
    """Write a value as RFC 4514 section 2.4 wants it."""
    inner = re.sub(r'([\\,+"=])', r"\\\1", value)
    if inner.startswith(" "):
        inner = "\\" + inner
    if inner.endswith(" ") and len(value) > 1:
        inner = inner[:-1] + "\\ "
    return inner


@pytest.mark.parametrize("text", ["", "no name", "cn=a,,dc=b", "cn=a;b"])
def test_what_is_no_name_is_not_tidied(text: str) -> None:
    """It is told to its author as it was written."""
    assert tidy_dn(text) == text
