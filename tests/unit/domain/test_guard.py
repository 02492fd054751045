"""Each rule at its limit: exactly at it nothing is held, one more and a person is asked."""

import pytest

from worker.domain.guard import (
    RULES,
    SAMPLE,
    Discarded,
    DomainCount,
    Evidence,
    Replaced,
    Ruling,
    judge,
)
from worker.domain.model import Address, RemovalPolicy, Removals


SAFE = Removals()
NOTHING_REPLACED = Replaced(0, 0)
NOTHING_DISCARDED = Discarded()


def evidence(
    *counts: DomainCount,
    addresses: int = 1_000,
    applied: int | None = 1_000,
    scope_changed: bool = False,
    canaries: tuple[str, ...] = (),
    replaced: Replaced = NOTHING_REPLACED,
    discarded: Discarded = NOTHING_DISCARDED,
    fleet: bool = False,
) -> Evidence:
    """What a run came to, by default nothing to be alarmed about."""
    return Evidence(addresses, applied, counts, scope_changed, canaries, replaced, discarded, fleet)


def of(leaving: int, recipients: int, left: int = 0, domain: str = "example.com") -> DomainCount:
    """The figures of one domain, with the first of those who leave it."""
    sample = tuple(f"p{number}@{domain}" for number in range(min(leaving, SAMPLE)))
    return DomainCount(domain, recipients, leaving, left, sample)


def codes(ruling: Ruling) -> list[str]:
    """Why it is held."""
    return [reason.code for reason in ruling.reasons]


LIMITS = [
    # leaving, recipients, left before: what is held
    pytest.param(of(10, 1_000), [], id="ten of a thousand are few"),
    pytest.param(of(11, 1_000), [], id="eleven of a thousand are no twentieth"),
    pytest.param(of(10, 100), [], id="ten are a tenth, and not more than ten"),
    pytest.param(of(11, 220), [], id="exactly a twentieth"),
    pytest.param(of(11, 219), ["domain_share"], id="more than a twentieth and than ten"),
    pytest.param(of(12, 220), ["domain_share"], id="one more than a twentieth"),
    pytest.param(of(4, 90, left=7), ["domain_share"], id="the week counts together"),
    pytest.param(of(3, 90, left=7), [], id="the week at its limit"),
    pytest.param(of(0, 20, left=90), [], id="nobody leaves now: the week alone holds nothing"),
    pytest.param(of(1, 1), [], id="one of one is not two or more"),
    pytest.param(of(1, 2), [], id="one of two is half, not more"),
    pytest.param(of(2, 3), ["domain_half"], id="two of three are more than half"),
    pytest.param(of(2, 4), [], id="two of four are half"),
    pytest.param(of(3, 5), ["domain_half"], id="three of five"),
    pytest.param(of(1, 1, left=1), ["domain_half"], id="the last two of a week"),
    pytest.param(of(500, 100_000), [], id="five hundred in all"),
    pytest.param(of(501, 100_000), ["total_count"], id="one more in all"),
    pytest.param(of(101, 100_000, left=400), ["total_count"], id="one more within the week"),
]


@pytest.mark.parametrize(("count", "held"), LIMITS)
def test_departures_are_held_beyond_each_limit(count: DomainCount, held: list[str]) -> None:
    """A customer can rely on the figures of the form: these many may leave, not one more."""
    assert codes(judge(evidence(count), SAFE)) == held


def test_the_total_is_that_of_all_domains() -> None:
    """Many domains that each lose few are many all the same, also those that lost before."""
    few = [of(50, 100_000, domain=f"d{number}.example") for number in range(9)]

    assert codes(judge(evidence(*few, of(0, 100_000, left=50)), SAFE)) == []
    assert codes(judge(evidence(*few, of(0, 100_000, left=51)), SAFE)) == ["total_count"]


def test_what_left_before_holds_nothing_when_nobody_leaves_now() -> None:
    """There would be nothing to approve."""
    assert codes(judge(evidence(of(0, 1_000, left=600)), SAFE)) == []


@pytest.mark.parametrize(
    ("addresses", "applied", "held"),
    [
        (500, 1_000, []),
        (499, 1_000, ["half_size"]),
        (0, None, []),
        (0, 0, []),
        (0, 1, ["half_size"]),
    ],
)
def test_a_list_of_less_than_half_is_held(
    addresses: int, applied: int | None, held: list[str]
) -> None:
    """Measured by the last applied run; the first run has nothing to be measured by."""
    assert codes(judge(evidence(addresses=addresses, applied=applied), SAFE)) == held


def test_a_missing_canary_is_held_though_nobody_leaves() -> None:
    """The customer said that it must always be found."""
    ruling = judge(evidence(canaries=("ceo@example.com", "it@example.com")), SAFE)

    assert codes(ruling) == ["canary_missing"]
    assert ruling.reasons[0].addresses == ("ceo@example.com", "it@example.com")
    assert "ceo@example.com, it@example.com" in ruling.reasons[0].text


def test_a_reason_names_a_bounded_number_of_canaries() -> None:
    """A message has an end."""
    many = tuple(f"c{number}@example.com" for number in range(SAMPLE + 5))

    (reason,) = judge(evidence(canaries=many), SAFE).reasons

    assert len(reason.addresses) == SAMPLE
    assert dict(reason.figures) == {"missing": SAMPLE + 5}


def test_a_changed_scope_is_held_only_if_somebody_leaves() -> None:
    """Another filter may be a slip; if nobody leaves there is nothing to lose."""
    assert codes(judge(evidence(scope_changed=True), SAFE)) == []
    assert codes(judge(evidence(of(1, 1_000), scope_changed=True), SAFE)) == ["scope_changed"]


@pytest.mark.parametrize(
    ("policy", "held"),
    [(RemovalPolicy.SAFE, []), (RemovalPolicy.NEVER, []), (RemovalPolicy.REVIEW, ["review"])],
)
def test_review_holds_the_first_departure(policy: RemovalPolicy, held: list[str]) -> None:
    """Who wants to see each departure sees each; others see those beyond a limit."""
    assert codes(judge(evidence(of(1, 1_000)), Removals(policy=policy))) == held


def test_review_holds_nothing_when_nobody_leaves() -> None:
    """A hold without an address would be a riddle."""
    assert not judge(evidence(), Removals(policy=RemovalPolicy.REVIEW)).is_hold


def test_limits_are_the_customers_own() -> None:
    """All three figures of the form are used."""
    form = Removals(max_share=0.5, min_count=2, max_count=4)

    assert codes(judge(evidence(of(3, 6)), form)) == []
    assert codes(judge(evidence(of(4, 7)), form)) == ["domain_half", "domain_share"]
    assert codes(judge(evidence(of(5, 100)), form)) == ["total_count"]


def test_every_rule_is_asked() -> None:
    """A person sees all that is wrong at once."""
    everything = evidence(
        of(600, 700),
        addresses=1,
        scope_changed=True,
        canaries=(Address("ceo@example.com"),),
        replaced=Replaced(40, 40, ("ada@example.com",)),
        discarded=Discarded(3, ("ada@example.com",)),
        fleet=True,
    )

    ruling = judge(everything, Removals(policy=RemovalPolicy.REVIEW))

    assert codes(ruling) == [rule.code for rule in RULES]
    assert all(reason.text and reason.figures and reason.addresses for reason in ruling.reasons)


def test_a_reason_carries_its_figures_and_a_few_addresses() -> None:
    """A hold can be judged from its event alone."""
    (reason,) = judge(evidence(of(8, 100, left=3)), SAFE).reasons

    assert dict(reason.figures) == {
        "domain": "example.com",
        "gone": 11,
        "of": 103,
        "max_share": 0.05,
    }
    assert reason.addresses == tuple(f"p{number}@example.com" for number in range(8))
    assert "11 of 103" in reason.text


def test_where_nobody_is_removed_departures_are_not_held() -> None:
    """Such a list only grows; a hold for ever over nothing would teach people to ignore holds."""
    never = Removals(policy=RemovalPolicy.NEVER)

    assert not judge(evidence(of(900, 1_000), scope_changed=True), never).is_hold


def test_where_nobody_is_removed_a_list_that_halved_is_still_held() -> None:
    """The admin hears that the directory shows less, whatever becomes of it."""
    halved = evidence(addresses=400, applied=1_000)

    assert codes(judge(halved, Removals(policy=RemovalPolicy.NEVER))) == ["half_size"]


def test_a_reason_names_addresses_of_its_own_domain() -> None:
    """Who looks at one domain is not led astray by another."""
    big, small = of(100, 400, domain="a.example"), of(30, 100, domain="b.example")

    reasons = judge(evidence(big, small), SAFE).reasons

    assert [reason.addresses[0] for reason in reasons] == ["p0@a.example", "p0@b.example"]
    assert {len(reason.addresses) for reason in reasons} == {SAMPLE}


def test_trouble_of_the_fleet_holds_the_first_departure() -> None:
    """When many customers shrink at once, the one who loses a single address is no exception."""
    assert codes(judge(evidence(of(1, 1_000), fleet=True), SAFE)) == ["fleet"]
    assert codes(judge(evidence(of(0, 1_000, left=3), fleet=True), SAFE)) == []
    assert (
        codes(judge(evidence(of(1, 1_000), fleet=True), Removals(policy=RemovalPolicy.NEVER))) == []
    )


def test_who_lingers_in_grace_counts_for_no_limit_and_is_held_with_all() -> None:
    """A limit is about a week; what holds every removal holds the late ones, too."""
    late = DomainCount("example.com", 100, 0, 0, ("old@example.com",), lingering=60)

    assert codes(judge(evidence(late), SAFE)) == []
    assert codes(judge(evidence(late, fleet=True), SAFE)) == ["fleet"]
    assert codes(judge(evidence(late, scope_changed=True), SAFE)) == ["scope_changed"]
    (reason,) = judge(evidence(late), Removals(policy=RemovalPolicy.REVIEW)).reasons
    assert (reason.code, dict(reason.figures)) == ("review", {"leaving": 60})


@pytest.mark.parametrize(
    ("held", "missing", "is_held"),
    [
        (0, 0, False),
        (1_000, 10, False),
        (1_000, 50, False),
        (1_000, 51, True),
        (200, 10, False),
        (200, 11, True),
        (8, 4, False),
        (8, 5, True),
    ],
)
def test_a_directory_saved_again_has_to_show_what_the_deleted_one_held(
    held: int, missing: int, *, is_held: bool
) -> None:
    """Measured like a domain: a few may have left meanwhile, more is a slip in the new form."""
    ruling = judge(evidence(replaced=Replaced(held, missing), applied=None), SAFE)

    assert codes(ruling) == (["replaced"] if is_held else [])


REVIEW = Removals(policy=RemovalPolicy.REVIEW)
KEPT = "disabled, is of a kind that gets no login, or is another one than the login was made for."


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (
            DomainCount("example.com", 40, 1, 0),
            "1 address would leave, and removals are set to be reviewed.",
        ),
        (
            DomainCount("example.com", 40, 2, 0),
            "2 addresses would leave, and removals are set to be reviewed.",
        ),
        (
            DomainCount("example.com", 40, 1, 0, logins=1),
            (
                "1 quarantine login would end, and removals are set to be reviewed. "
                f"The address of that login stays: its mailbox is {KEPT}"
            ),
        ),
        (
            DomainCount("example.com", 40, 3, 0, logins=2),
            (
                "1 address would leave and 2 quarantine logins would end, and removals are set to be reviewed. "
                f"The addresses of those logins stay: each one's mailbox is {KEPT}"
            ),
        ),
    ],
)
def test_a_reason_says_whether_addresses_leave_or_logins_end(
    counted: DomainCount, said: str
) -> None:
    """Whoever reads of a disabled account must not believe that its mail stops."""
    (reason,) = judge(evidence(counted), REVIEW).reasons

    assert reason.text == said


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (DomainCount("example.com", 20, 20, 0), "be gone"),
        (DomainCount("example.com", 20, 20, 0, logins=20), "lose the quarantine login"),
        (
            DomainCount("example.com", 20, 20, 0, logins=5),
            "be gone or lose the quarantine login",
        ),
        (
            DomainCount("example.com", 19, 19, 1, logins=19),
            "be gone or lose the quarantine login",
        ),
    ],
)
def test_a_share_says_whether_addresses_leave_or_logins_end(
    counted: DomainCount, said: str
) -> None:
    """The figures count both, so the words name both."""
    texts = {each.code: each.text for each in judge(evidence(counted), SAFE).reasons}

    assert texts["domain_half"].startswith(
        f"20 of 20 addresses of example.com would {said}: more than half."
    )
    assert f"would {said} within 7 days" in texts["domain_share"]


def test_one_login_is_told_as_one() -> None:
    """A sentence about a single person reads like one."""
    counted = DomainCount("example.com", 2, 2, 0, logins=1)

    texts = {each.code: each.text for each in judge(evidence(counted), SAFE).reasons}

    assert texts["domain_half"].endswith(
        "Counted with them: 1 who would only lose its quarantine login and keeps its address, "
        f"since its mailbox is {KEPT}"
    )
