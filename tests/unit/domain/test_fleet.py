"""How many at once are too many: at the limit nothing is held, one more and the operator is asked."""

import pytest

from worker.domain.events import FleetFigures
from worker.domain.fleet import FleetLimits, is_alarming


def figures(directories: int, failing: int, shrinking: int, customers: int) -> FleetFigures:
    """What was counted."""
    return FleetFigures(3600, directories, failing, shrinking, customers)


@pytest.mark.parametrize(
    ("counted", "alarming"),
    [
        pytest.param(figures(5, 5, 0, 5), True, id="five of five customers fail"),
        pytest.param(figures(5, 0, 5, 5), True, id="five of five shrink"),
        pytest.param(figures(24, 3, 2, 5), True, id="together they are more than a fifth"),
        pytest.param(figures(25, 3, 2, 5), False, id="exactly a fifth"),
        pytest.param(figures(40, 40, 0, 4), False, id="all directories of four customers"),
        pytest.param(figures(0, 0, 0, 0), False, id="nothing ran"),
        pytest.param(figures(1_000, 150, 49, 199), False, id="many, and few among more"),
    ],
)
def test_many_customers_and_a_large_share_alarm(counted: FleetFigures, *, alarming: bool) -> None:
    """Both must be so: few customers may have a reason of their own, a small share is every day's life."""
    assert is_alarming(counted, FleetLimits()) is alarming


def test_the_limits_are_the_operators_own() -> None:
    """Both figures of the settings are used."""
    counted = figures(10, 2, 0, 2)

    assert not is_alarming(counted, FleetLimits())
    assert is_alarming(counted, FleetLimits(customers=2, share=0.1))
    assert not is_alarming(counted, FleetLimits(customers=2, share=0.2))
