"""The way out of the list and back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from worker.domain.model import Address, Change, RemovalPolicy
from worker.domain.reconcile import APART, PRESENT, Reading, Standing, Step, reconcile


T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(hours=72)
ADA = Address("ada@example.org")
SECOND = timedelta(seconds=1)


def reading(
    at: datetime = T0, *, policy: RemovalPolicy = RemovalPolicy.SAFE, is_held: bool = False
) -> Reading:
    """One complete run that took a second."""
    return Reading(read_at=at, now=at + SECOND, policy=policy, grace=GRACE, is_held=is_held)


def step(
    was: Standing | None, *, wanted: bool, elsewhere: Step | None = None, run: Reading | None = None
) -> tuple[Standing, Change | None]:
    """Take one address through one run."""
    after, changes = reconcile(
        {ADA: was} if was else {},
        {ADA} if wanted else set(),
        {ADA: elsewhere} if elsewhere else {},
        run or reading(),
    )
    return after[ADA], changes.get(ADA)


MISSING = Standing(Step.MISSING, left_at=T0)
IN_GRACE = Standing(Step.GRACE, left_at=T0, grace_until=T0 + GRACE)
REMOVED = Standing(Step.REMOVED, left_at=T0, grace_until=T0 + GRACE)


def test_an_address_leaves_step_by_step_and_returns() -> None:
    """Nobody's mail is refused because of one bad reading, and who comes back is back at once."""
    runs = [
        T0,
        T0 + timedelta(minutes=10),
        T0 + APART,
        T0 + timedelta(hours=24),
        T0 + APART + GRACE + SECOND,
    ]
    standing, told = PRESENT, []

    for at in runs:
        standing, change = step(standing, wanted=False, run=reading(at))
        told.append((standing.step, change))

    assert told == [
        (Step.MISSING, Change.MISSING),
        (Step.MISSING, None),
        (Step.GRACE, Change.GRACE),
        (Step.GRACE, None),
        (Step.REMOVED, Change.REMOVED),
    ]
    assert step(standing, wanted=True) == (PRESENT, Change.RETURNED)


def test_a_new_address_is_added_and_a_known_one_yields_nothing() -> None:
    """An unchanged directory says nothing."""
    assert step(None, wanted=True) == (PRESENT, Change.ADDED)
    assert step(PRESENT, wanted=True) == (PRESENT, None)


@pytest.mark.parametrize("was", [MISSING, IN_GRACE, REMOVED])
def test_who_comes_back_at_any_step_is_present_and_returned(was: Standing) -> None:
    """A directory that was wrong for a while leaves no trace in the list."""
    assert step(was, wanted=True) == (PRESENT, Change.RETURNED)


def test_grace_ends_by_a_run_that_began_after_it_not_by_the_clock() -> None:
    """As long as nobody has looked again, the address is known."""
    assert step(IN_GRACE, wanted=False, run=reading(T0 + GRACE - SECOND))[0] == IN_GRACE
    assert step(IN_GRACE, wanted=False, run=reading(T0 + GRACE))[0].step is Step.REMOVED


def test_grace_is_counted_from_the_run_that_began_it() -> None:
    """The customer has the whole time, however late the second run came."""
    late = T0 + timedelta(days=9)

    standing, _ = step(MISSING, wanted=False, run=reading(late))

    assert standing == Standing(Step.GRACE, left_at=T0, grace_until=late + SECOND + GRACE)


@pytest.mark.parametrize("was", [MISSING, IN_GRACE])
def test_never_stops_at_missing(was: Standing) -> None:
    """A customer who wants nothing removed loses nothing."""
    late = T0 + timedelta(days=30)

    assert step(was, wanted=False, run=reading(late, policy=RemovalPolicy.NEVER)) == (was, None)
    assert (
        step(PRESENT, wanted=False, run=reading(late, policy=RemovalPolicy.NEVER))[0].step
        is Step.MISSING
    )


@pytest.mark.parametrize("was", [MISSING, IN_GRACE])
def test_under_a_hold_nobody_goes_on_unapproved(was: Standing) -> None:
    """A person decides about what looks like a mistake."""
    late = T0 + timedelta(days=30)

    assert step(was, wanted=False, run=reading(late, is_held=True)) == (was, None)


def test_under_a_hold_who_is_newly_absent_becomes_missing() -> None:
    """Missing is still valid, and the second look counts from the first."""
    assert step(PRESENT, wanted=False, run=reading(is_held=True)) == (MISSING, Change.MISSING)


def test_under_a_hold_the_approved_go_on() -> None:
    """What a person let happen is not asked for again."""
    approved = Standing(Step.MISSING, left_at=T0, is_approved=True)

    assert step(approved, wanted=False, run=reading(T0 + APART, is_held=True))[1] is Change.GRACE


def test_who_was_taken_away_by_hand_is_left_to_the_clock() -> None:
    """A run does not speed up or undo a decision by its silence."""
    decided = Standing(Step.GRACE, left_at=T0, grace_until=T0, is_decided=True)

    assert step(decided, wanted=False, run=reading(T0 + GRACE)) == (decided, None)


def test_the_removed_stay_removed() -> None:
    """Nothing is told twice."""
    assert step(REMOVED, wanted=False, run=reading(T0 + timedelta(days=9))) == (REMOVED, None)


@pytest.mark.parametrize("elsewhere", [Step.PRESENT, Step.MISSING])
@pytest.mark.parametrize(
    ("was", "wanted"),
    [(None, True), (PRESENT, False), (MISSING, False), (IN_GRACE, False), (REMOVED, True)],
)
def test_what_another_source_holds_yields_no_change(
    was: Standing | None,
    elsewhere: Step,
    wanted: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """An address lives while one source holds it."""
    late = reading(T0 + GRACE)

    standing, change = step(was, wanted=wanted, elsewhere=elsewhere, run=late)

    assert change is None
    assert standing == step(was, wanted=wanted, run=late)[0]


def test_grace_with_another_source_is_not_cut_short() -> None:
    """The last source's grace decides when an address is removed."""
    assert step(IN_GRACE, wanted=False, elsewhere=Step.GRACE, run=reading(T0 + GRACE))[1] is None
    assert (
        step(IN_GRACE, wanted=False, elsewhere=Step.REMOVED, run=reading(T0 + GRACE))[1]
        is Change.REMOVED
    )


@pytest.mark.parametrize("elsewhere", [Step.GRACE, Step.REMOVED])
def test_an_address_new_here_that_left_another_source_returns(elsewhere: Step) -> None:
    """For the tenant it was known before."""
    assert step(None, wanted=True, elsewhere=elsewhere)[1] is Change.RETURNED


_STANDINGS = st.builds(
    Standing,
    st.sampled_from(Step),
    st.just(T0) | st.just(T0 - GRACE),
    st.just(T0) | st.just(T0 + GRACE),
    st.booleans(),
    st.booleans(),
)
_ADDRESSES = st.sampled_from([Address(f"{name}@example.org") for name in "abcd"])
_READINGS = st.builds(
    reading,
    st.sampled_from([T0, T0 + APART, T0 + 2 * GRACE]),
    policy=st.sampled_from(RemovalPolicy),
    is_held=st.booleans(),
)


@given(
    st.dictionaries(_ADDRESSES, _STANDINGS),
    st.sets(_ADDRESSES),
    st.dictionaries(_ADDRESSES, st.sampled_from(Step)),
    _READINGS,
)
def test_whatever_comes_what_is_wanted_is_present_and_nobody_skips_a_step(
    known: dict[Address, Standing],
    wanted: set[Address],
    elsewhere: dict[Address, Step],
    run: Reading,
) -> None:
    """No history and no order of events loses mail."""
    order = list(Step)

    after, changes = reconcile(known, wanted, elsewhere, run)

    assert set(after) == set(known) | wanted
    assert all(after[address] == PRESENT for address in wanted)
    for address in set(known) - wanted:
        assert 0 <= order.index(after[address].step) - order.index(known[address].step) <= 1
    for address, change in changes.items():
        assert after[address].step != (known[address].step if address in known else None)
        assert (change in {Change.ADDED, Change.RETURNED}) is (address in wanted)
