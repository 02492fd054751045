"""The one rule of what an address is."""

import pytest
from hypothesis import given, strategies as st

from worker.domain.addresses import display_domain, normal_address, normal_domain


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Jo@Example.COM", "jo@example.com"),
        ("  jo@example.com\u00a0", "jo@example.com"),
        ("o'brien+tag{1}@example.com", "o'brien+tag{1}@example.com"),
        ("100%@example.com", "100%@example.com"),
        ("jo@BÜRO.example", "jo@xn--bro-hoa.example"),
        ("jo@XN--BRO-HOA.example", "jo@xn--bro-hoa.example"),
        ("jo@büro。example", "jo@xn--bro-hoa.example"),
        ("JOSÉ@example.com", "josé@example.com"),
        ("jose\u0301@example.com", "josé@example.com"),
        ("ΑΣ@example.com", "ας@example.com"),
        ("é" * 32 + "@example.com", "é" * 32 + "@example.com"),
        ("j" * 64 + "@example.com", "j" * 64 + "@example.com"),
    ],
)
def test_an_address_has_one_normal_form(text: str, address: str) -> None:
    """However a directory spells an address, mail to it finds it."""
    assert normal_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jo",
        "@example.com",
        "jo@",
        "jo@example",
        "jo@example.com.",
        "jo@ example.com",
        "jo @example.com",
        "jo@1.2.3.4",
        "jo@[192.0.2.1]",
        "jo@-example.com",
        "jo@exa_mple.com",
        "jo@xn--zzzzzz.example",
        "jo@" + "b" * 64 + ".example",
        "jo@" + "a." * 130 + "example",
        "jo@" + "ü" * 300 + ".example",
        "j" * 65 + "@example.com",
        "é" * 33 + "@example.com",
        "j" * 64 + "@" + "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + "." + "d" * 8 + ".example",
        ".jo@example.com",
        "jo.@example.com",
        "j..o@example.com",
        '"jo"@example.com',
        '"j o"@example.com',
        "Jo Doe <jo@example.com>",
        "mailto:jo@example.com",
        "jo@example.com; ada@example.com",
        "jo,ada@example.com",
        "jo%notes@example.com",
        "jo/staff/acme@example.com",
        "jo\u200bdoe@example.com",
        "jo\u0085doe@example.com",
        "\u0301jo@example.com",
        "jo\x00@example.com",
        "\ud800jo@example.com",
        "jo@\ud800.example",
        "j" * 5000 + "@example.com",
    ],
)
def test_what_is_no_address_is_not_guessed(text: str) -> None:
    """A value that might mean an address is shown to the admin; a wrong guess would accept mail for nobody."""
    assert normal_address(text) is None


@given(
    st.text(max_size=40),
    st.sampled_from(["example.com", "BÜRO.example", "faß.example", "ex.ample"]),
)
def test_a_normal_address_is_its_own_normal_form(local: str, domain: str) -> None:
    """What is stored is found again by the same rule."""
    address = normal_address(f"{local}@{domain}")

    assert address is None or normal_address(address) == address


@given(st.text(max_size=60))
def test_a_normal_domain_is_its_own_normal_form(text: str) -> None:
    """A tenant's domain and the domain of an address meet only if both have one form."""
    domain = normal_domain(text)

    assert domain is None or (normal_domain(domain) == domain and domain.isascii())


def test_a_domain_is_shown_as_people_write_it() -> None:
    """An admin reads büro.example, not xn--bro-hoa.example."""
    assert display_domain("xn--bro-hoa.example") == "büro.example"
    assert display_domain("not..a.domain") == "not..a.domain"
