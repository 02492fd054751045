"""What the undo of a run does to one address: the whole table."""

import pytest

from worker.domain.model import Change
from worker.domain.reconcile import Standing, Step
from worker.domain.undo import TAKEN, UNTOUCHED, Fate, fate


PRESENT = Standing()
TOOK = sorted(TAKEN)
GAVE = [Change.ADDED, Change.RETURNED]
ON_THE_WAY = [Standing(Step.MISSING), Standing(Step.GRACE), Standing(Step.REMOVED)]


@pytest.mark.parametrize("change", TOOK)
@pytest.mark.parametrize("standing", ON_THE_WAY, ids=lambda each: each.step)
def test_what_the_run_took_is_given_back_however_far_it_went(
    change: Change, standing: Standing
) -> None:
    """Also when later runs took it further: they followed the one that is undone."""
    assert fate(change, standing, None) is Fate.GIVEN_BACK


@pytest.mark.parametrize("change", TOOK)
def test_what_came_back_was_taken_away_or_is_forgotten_stays_so(change: Change) -> None:
    """Later runs and people have the last word."""
    decided = Standing(Step.GRACE, is_decided=True)

    assert fate(change, PRESENT, None) is Fate.CAME_BACK
    assert fate(change, decided, None) is Fate.DECIDED
    assert fate(change, None, None) is Fate.FORGOTTEN


@pytest.mark.parametrize("change", GAVE)
@pytest.mark.parametrize("elsewhere", [None, Step.GRACE, Step.REMOVED])
def test_what_the_run_gave_is_let_go(change: Change, elsewhere: Step | None) -> None:
    """Unless something else holds it, it is on its way out from now on."""
    assert fate(change, PRESENT, elsewhere) is Fate.LEAVING


@pytest.mark.parametrize("change", GAVE)
def test_what_another_source_holds_or_left_already_stays_so(change: Change) -> None:
    """There is nothing to let go."""
    assert fate(change, PRESENT, Step.PRESENT) is Fate.HELD_ELSEWHERE
    assert fate(change, PRESENT, Step.MISSING) is Fate.HELD_ELSEWHERE
    assert fate(change, Standing(Step.MISSING), None) is Fate.LEFT_SINCE
    assert fate(change, None, Step.PRESENT) is Fate.LEFT_SINCE


def test_every_reason_to_leave_an_address_alone_has_words() -> None:
    """The person is told why."""
    assert UNTOUCHED.keys() == set(Fate) - {Fate.GIVEN_BACK, Fate.LEAVING}
    assert all(text.endswith(".") for text in UNTOUCHED.values())
