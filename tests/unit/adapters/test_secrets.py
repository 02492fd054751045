import base64

import pytest
from hypothesis import given, strategies as st

from worker.adapters.secrets import (
    DIGEST_BYTES,
    KeyFormError,
    SealedVault,
    generate_key,
    public_key,
    seal_for,
)
from worker.domain.commands import Sealed
from worker.domain.failures import RequestFailure
from worker.domain.model import Secret


OLD, NEW = Secret(generate_key()), Secret(generate_key())


@given(st.text())
def test_a_sealed_secret_opens_to_what_it_was(text: str) -> None:
    """The directory is signed in to with the very password that was entered."""
    vault = SealedVault([NEW])

    assert vault.unseal(vault.seal(Secret(text))) == Secret(text)


def test_the_same_secret_sealed_twice_looks_different() -> None:
    """Whoever sees the database cannot tell which customers share a password."""
    vault = SealedVault([NEW])

    assert vault.seal(Secret("correct horse")) != vault.seal(Secret("correct horse"))


def test_a_platform_can_seal_what_only_the_worker_opens() -> None:
    """A password need not pass the broker in clear."""
    sealed = seal_for(public_key(NEW), Secret("correct horse"))

    assert SealedVault([NEW]).unseal(sealed) == Secret("correct horse")


def test_older_keys_still_open_what_they_sealed() -> None:
    """A rotation of keys stops no customer's sync."""
    sealed = SealedVault([OLD]).seal(Secret("correct horse"))
    rotated = SealedVault([NEW, OLD])

    assert rotated.unseal(sealed) == Secret("correct horse")
    assert not rotated.is_current(sealed)
    assert rotated.is_current(rotated.seal(Secret("correct horse")))


@pytest.mark.parametrize(
    "sealed",
    [b"", b"x" * 10, b"x" * 80, SealedVault([OLD]).seal(Secret("a"))],
    ids=["empty", "short", "no_box", "box_of_another_key"],
)
def test_what_no_key_opens_is_a_named_failure(sealed: bytes) -> None:
    """The customer is asked to enter the password again; the worker goes on."""
    with pytest.raises(RequestFailure) as refused:
        SealedVault([NEW]).unseal(Sealed(sealed))

    assert refused.value.code == "settings.unreadable_secret"


def test_equal_values_are_known_by_any_key() -> None:
    """A password refused before a rotation is not sent again after it."""
    before = SealedVault([OLD]).digests(b"correct horse")
    after = SealedVault([NEW, OLD]).digests(b"correct horse")

    assert before[0] in after
    assert after[0] == SealedVault([NEW]).digests(b"correct horse")[0]
    assert {len(digest) for digest in after} == {DIGEST_BYTES}


def test_a_digest_tells_nothing_without_the_key() -> None:
    """Who steals the database cannot try passwords against the digests."""
    value = b"correct horse"

    assert SealedVault([OLD]).digests(value) != SealedVault([NEW]).digests(value)


@pytest.mark.parametrize(
    "key", ["", "not base64!", base64.b64encode(bytes(31)).decode(), "schlüssel"]
)
def test_a_bad_key_is_refused_and_not_repeated(key: str) -> None:
    """A key with a typing error is still most of a key."""
    with pytest.raises(KeyFormError) as refused:
        SealedVault([Secret(key)])

    assert str(refused.value) == ""
    with pytest.raises(KeyFormError):
        SealedVault([])
