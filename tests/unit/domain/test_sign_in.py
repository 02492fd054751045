"""When a password may be sent once more: no number of runs may lock a customer's account."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.model import Credentials, DirectorySettings, Secret, Server, TenantId, Trigger
from worker.domain.sign_in import (
    OF_OTHERS,
    UNANSWERED_FOR,
    WINDOW,
    Account,
    Attempt,
    Sent,
    may_be_same,
    may_sign_in,
    sign_in_of,
)


NOW = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=365)
MANUAL, SCHEDULED = Trigger.MANUAL, Trigger.SCHEDULED


def ago(outcome: Sent, **how_long: float) -> Attempt:
    """One attempt, so long ago."""
    return Attempt(NOW - timedelta(**how_long), outcome)


def answer(
    trigger: Trigger, *recent: Attempt, known_refused: bool = False, changed_at: datetime = LONG_AGO
) -> str | None:
    """Why not, or None."""
    wait = may_sign_in(
        trigger, recent, is_known_refused=known_refused, changed_at=changed_at, now=NOW
    )
    return wait.code if wait else None


R, A, P = Sent.REFUSED, Sent.ACCEPTED, Sent.PENDING
TABLE = [
    (MANUAL, [], None),
    (MANUAL, [(R, 1)], None),
    (MANUAL, [(R, 1), (R, 2)], "sign_in.waiting"),
    (MANUAL, [(R, 1), (R, 29)], "sign_in.waiting"),
    (
        MANUAL,
        [(R, 1), (R, 30)],
        "sign_in.waiting",
    ),  # not half an hour apart: the directory counts both
    (MANUAL, [(R, 1), (R, 31)], None),
    (MANUAL, [(R, 29), (R, 58), (R, 87)], "sign_in.waiting"),
    (MANUAL, [(R, 30), (R, 31)], None),
    (MANUAL, [(R, 1), (A, 2), (R, 3)], None),
    (MANUAL, [(A, 1), (R, 2), (R, 3)], None),
    (MANUAL, [(P, 1), (R, 2)], "sign_in.under_way"),
    (MANUAL, [(P, 1), (P, 1)], "sign_in.under_way"),
    (MANUAL, [(P, 3), (P, 4)], "sign_in.waiting"),
    (MANUAL, [(P, 1)], None),
    (SCHEDULED, [], None),
    (SCHEDULED, [(R, 1_000)], None),
    (SCHEDULED, [(R, 1_000), (R, 2_000)], "sign_in.known_refused"),
    (SCHEDULED, [(P, 1_000), (R, 2_000), (R, 3_000)], "sign_in.known_refused"),
    (SCHEDULED, [(R, 1_000), (A, 2_000), (R, 3_000)], None),
    (SCHEDULED, [(A, 1_000), (R, 2_000), (R, 3_000)], None),
]


@pytest.mark.parametrize(("trigger", "recent", "code"), TABLE)
def test_the_table_of_answers(
    trigger: Trigger, recent: list[tuple[Sent, float]], code: str | None
) -> None:
    """Two refusals in half an hour, whoever caused them; two in a row stop what nobody watches; a success resets."""
    assert answer(trigger, *[ago(outcome, minutes=age) for outcome, age in recent]) == code


def test_a_refused_password_is_not_sent_again_by_itself() -> None:
    """A person may try it again: it may have been put right in the directory."""
    assert answer(SCHEDULED, known_refused=True) == "sign_in.known_refused"
    assert answer(MANUAL, known_refused=True) is None


def test_settings_saved_since_may_be_tried_by_themselves() -> None:
    """What was refused before says nothing of a new password."""
    refused = [ago(R, hours=2), ago(R, hours=3)]

    assert answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=1)) is None
    assert answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=2.5)) is None
    assert (
        answer(SCHEDULED, *refused, changed_at=NOW - timedelta(hours=3)) == "sign_in.known_refused"
    )


def test_settings_saved_since_do_not_shorten_the_half_hour() -> None:
    """The directory counts refusals, not forms."""
    refused = [ago(R, minutes=2), ago(R, minutes=3)]

    assert answer(MANUAL, *refused, changed_at=NOW) == "sign_in.waiting"
    assert answer(SCHEDULED, *refused, changed_at=NOW) == "sign_in.waiting"


def test_the_answer_says_until_when() -> None:
    """Until the directory has forgotten: half an hour after the last refusal."""
    recent = [ago(R, minutes=5), ago(R, minutes=12), ago(R, minutes=20)]

    wait = may_sign_in(MANUAL, recent, is_known_refused=False, changed_at=LONG_AGO, now=NOW)

    assert wait is not None
    assert wait.detail == f"{NOW - timedelta(minutes=5) + WINDOW:%Y-%m-%d %H:%M} UTC"


def test_an_attempt_without_an_answer_is_under_way_for_a_bounded_while() -> None:
    """Later its worker has died, and the server may have counted it."""
    under_way = UNANSWERED_FOR - timedelta(seconds=1)
    first = ago(R, minutes=10)

    assert answer(MANUAL, Attempt(NOW - under_way, P), first) == "sign_in.under_way"
    assert answer(MANUAL, Attempt(NOW - UNANSWERED_FOR, P), first) == "sign_in.waiting"


# --- one account, many names -------------------------------------------------

DN = "cn=svc-sync,ou=service,dc=ad,dc=example,dc=com"
SAME = [
    (DN, DN),
    (DN, "svc-sync@ad.example.com"),
    (DN, "lab\\svc-sync"),
    (DN, "svc-sync"),
    (DN, "CN = Svc-Sync , OU=Service,DC=ad,DC=example,DC=com"),
    (DN, "ad.example.com/service/svc-sync"),
    ("svc-sync@ad.example.com", "lab\\svc-sync"),
    ("svc-sync@ad.example.com", "svc-sync@example.com"),
    ("lab\\svc-sync", "ad.example.com\\svc-sync"),
    ("lab\\süd", "sud@ad.example.com"),
    ("uid=jo@example.com,o=x", "jo@example.com"),
    ("cn=svc\\2dsync,dc=x", "svc-sync@x"),
    ("cn=some one+uid=svc-sync,dc=x", "svc-sync@x"),
]
ANOTHER = [
    (DN, "cn=svc-sync,ou=elsewhere,dc=ad,dc=example,dc=com"),
    ("cn=admin,dc=a", "cn=admin,dc=b"),
    ("lab\\svc-sync", "lab\\svc-scan"),
    (DN, "cn=svc-scan,ou=service,dc=ad,dc=example,dc=com"),
]


def account(name: str, *hosts: str) -> Account:
    """An account as a form names it."""
    return Account(name.lower(), frozenset(hosts))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_account_has_many_names(one: str, other: str) -> None:
    """The directory counts it once, however it is typed and whichever server is asked."""
    for first, second in ((one, other), (other, one)):
        assert may_be_same(account(first, "dc1"), account(second, "dc2"))


@pytest.mark.parametrize(("one", "other"), ANOTHER)
def test_names_that_cannot_be_one_account_do_not_count_for_each_other(one: str, other: str) -> None:
    """A wrong password of one must not stop the other's sync."""
    assert not may_be_same(account(one, "dc1"), account(other, "dc1"))


BY_DN = "cn=sync service,ou=service,dc=ad,dc=example,dc=com"
IN_DOUBT = [
    (BY_DN, "svc-sync@ad.example.com"),
    (BY_DN, "lab\\svc-sync"),
    (BY_DN, "svc-sync"),
    ("sync.service@example.com", "svc-sync@ad.example.com"),
    ("<guid=81f4be83-0c5a-4c04-9d3c-3f6e2a1a7b11>", "<sid=s-1-5-21-1-2-3-1103>"),
    ("s-1-5-21-1-2-3-1103", "lab\\svc-sync"),
    ("sync service", "svc-sync@ad.example.com"),
]


@pytest.mark.parametrize(("one", "other"), IN_DOUBT)
def test_names_that_only_the_directory_can_tell_apart_are_one_account_on_a_common_host(
    one: str, other: str
) -> None:
    """In Active Directory an entry is often called by the person's full name, and an account by what it never shows."""
    asked = account(one, "dc1", "dc2")

    assert may_be_same(asked, account(other, "dc2", "dc3"))
    assert not may_be_same(asked, account(other, "ldap.elsewhere.example"))


def attempts(*told: tuple[str, Sent, float]) -> list[Attempt]:
    """Attempts by name, what became of each, and how many minutes ago."""
    return [Attempt(NOW - timedelta(minutes=age), sent, name) for name, sent, age in told]


def answer_among(own: list[Attempt], others: list[Attempt]) -> str | None:
    """Why not, or None, when other names may be the same account."""
    wait = may_sign_in(
        MANUAL, own, others=others, is_known_refused=False, changed_at=LONG_AGO, now=NOW
    )
    return wait.code if wait else None


def test_refusals_under_all_names_add_up() -> None:
    """Three spellings with two guesses each would lock what locks at three."""
    assert answer_among([], attempts(("b", R, 1), ("c", R, 2))) == "sign_in.waiting"
    assert answer_among(attempts(("a", R, 1)), attempts(("b", R, 29))) == "sign_in.waiting"
    assert answer_among(attempts(("a", R, 1)), attempts(("b", R, 31))) is None
    assert answer_among([], attempts(("b", P, 1), ("c", R, 2))) == "sign_in.under_way"


def test_the_wait_is_counted_from_the_last_refusal_under_any_name() -> None:
    """That is when the directory begins to forget."""
    others = attempts(("b", R, 3))

    wait = may_sign_in(
        MANUAL,
        attempts(("a", R, 5)),
        others=others,
        is_known_refused=False,
        changed_at=LONG_AGO,
        now=NOW,
    )

    assert wait is not None
    assert wait.detail == f"{others[0].at + WINDOW:%Y-%m-%d %H:%M} UTC"


def test_a_success_under_one_name_does_not_forgive_another() -> None:
    """They may be two accounts after all; a success forgives what is surely its own."""
    refused = attempts(("b", R, 2), ("b", R, 3))

    assert answer_among(attempts(("a", A, 1)), refused) == "sign_in.waiting"
    assert answer_among(attempts(("a", A, 1), ("a", R, 2), ("a", R, 3)), []) is None
    assert answer_among([], attempts(("b", A, 1), ("b", R, 2), ("b", R, 3))) is None


def test_what_was_mistyped_in_a_form_stops_no_schedule() -> None:
    """Who tries out a new form must not stop what works; but the half hour is the directory's."""
    tried = [Attempt(NOW - timedelta(hours=age), R, "a", is_trial=True) for age in (2, 3)]
    just_now = [Attempt(NOW - timedelta(minutes=age), R, "a", is_trial=True) for age in (2, 3)]

    assert answer(SCHEDULED, *tried) is None
    assert answer(SCHEDULED, *just_now) == "sign_in.waiting"
    assert answer(SCHEDULED, *tried, ago(R, hours=4), ago(R, hours=5)) == "sign_in.known_refused"


def test_a_form_that_was_let_in_is_a_success_like_another() -> None:
    """The account is in order again."""
    tried = Attempt(NOW - timedelta(hours=1), A, "a", is_trial=True)

    assert answer(SCHEDULED, tried, ago(R, hours=2), ago(R, hours=3)) is None


def test_what_is_about_to_be_sent_is_told_without_the_secret() -> None:
    """Names and hosts are compared without case; the secret is shown to nobody."""
    settings = DirectorySettings(
        "HQ", "openldap", (Server("DC1.Example.com."), Server("dc2.example.com", 389)), "CN=Sync"
    )

    wanted = sign_in_of(
        TenantId("acme"),
        settings,
        Credentials(Secret("correct-horse")),
        trigger=MANUAL,
        changed_at=NOW,
    )

    assert wanted.account == account("cn=sync", "dc1.example.com", "dc2.example.com")
    assert "correct-horse" not in repr(wanted)


def test_a_wait_tells_whether_this_very_name_was_refused() -> None:
    """Nobody is accused of a password that was never sent."""
    now = NOW
    mine, theirs = (Attempt(now - timedelta(minutes=1), R, name) for name in ("jo@x", "cn=jo,dc=x"))
    earlier = replace(theirs, at=now - timedelta(minutes=2))

    def figure(recent: list[Attempt], others: list[Attempt]) -> str | None:
        wait = may_sign_in(
            MANUAL, recent, is_known_refused=False, changed_at=LONG_AGO, now=now, others=others
        )
        return wait.figure if wait else None

    assert figure([], [theirs, earlier]) == OF_OTHERS
    assert figure([mine], [earlier]) == ""
