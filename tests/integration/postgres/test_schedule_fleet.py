"""Two days of a whole fleet on the test clock, from its times to the outcomes of its runs. `make load` plays a larger one."""

import pytest

from tests.conftest import Servers
from tests.integration.postgres.house import House
from tests.load.fleet import SPAN, fleet_of, found
from tests.load.punctuality import judged
from worker.adapters.rabbitmq.topology import Broker, Topology


DIRECTORIES = 500
SEED = 20_261_125


@pytest.mark.timeout(480)
async def test_a_fleet_is_triggered_when_it_should_be_for_two_days(
    house: House, servers: Servers, amqp_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every customer's hours are kept, whatever happens to replicas meanwhile; nobody twice; never all at once.

    Each trigger comes to one run, those of directories that cannot be reached more and more seldom until they can.
    """
    await found(house, DIRECTORIES)

    async with fleet_of(house, Broker(servers.amqp_url, Topology(amqp_prefix)), seed=SEED) as fleet:
        await fleet.play(SPAN)

        told = await judged(fleet, DIRECTORIES)

    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201 - the figures are what this test is for

    assert told.killed > 10
    assert told.workers_killed > 10
    assert told.faults() == []
