import asyncio

import pytest

from tests.fakes.calendar import MemorySchedule
from tests.fakes.jumping import jumping
from tests.fakes.notebook import Notebook
from tests.fakes.relay import Broker, message
from worker.domain.failures import BrokerFailure, StoreFailure
from worker.flows.schedule import (
    ARRANGE_S,
    AWAY_S,
    BITE_COUNT,
    CHECK_COUNT,
    IDLE_S,
    UNROUTABLE,
    SchedulePorts,
    schedule,
    turn,
)


def ports(calendar: MemorySchedule, broker: Broker) -> SchedulePorts:
    """All a scheduler needs."""
    return SchedulePorts(calendar, broker, Notebook())


@jumping
async def test_what_is_due_is_published_once_and_forgotten() -> None:
    """One trigger each, no more."""
    calendar, broker = MemorySchedule(due=[message(1), message(2)]), Broker()

    assert not await turn(ports(calendar, broker))
    assert not await turn(ports(calendar, broker))

    assert (sorted(broker.published), calendar.waiting) == ([1, 2], [])


@jumping
async def test_a_trigger_that_is_not_confirmed_stays_and_the_others_go() -> None:
    """A broker that hiccups costs nobody a sync."""
    calendar, broker = MemorySchedule(due=[message(1), message(2), message(3)]), Broker(refuses={2})

    with pytest.raises(BrokerFailure):
        await turn(ports(calendar, broker))

    assert [each.number for each in calendar.waiting] == [2]


@jumping
async def test_a_trigger_that_no_queue_took_is_kept() -> None:
    """Before the first worker has made its queues a trigger would vanish in the exchange."""
    calendar, broker = MemorySchedule(due=[message(1)]), Broker(unbound={1})

    with pytest.raises(BrokerFailure) as failure:
        await turn(ports(calendar, broker))

    assert failure.value.code == UNROUTABLE
    assert [each.number for each in calendar.waiting] == [1]


@jumping
async def test_a_broker_that_never_answers_is_given_up_in_time() -> None:
    """What was confirmed by then is forgotten; the rest is taken again later."""
    calendar, broker = MemorySchedule(due=[message(1), message(2)]), Broker(hangs_at={2})

    with pytest.raises(BrokerFailure) as failure:
        await turn(ports(calendar, broker))

    assert failure.value.code == "broker.slow"
    assert [each.number for each in calendar.waiting] == [2]


@jumping
async def test_while_the_broker_is_away_times_still_come() -> None:
    """What was due meanwhile is triggered when it is back: the decision does not wait for the publishing."""
    calendar, broker = MemorySchedule(due=[message(1)]), Broker(refuses={1, 2})
    needed = ports(calendar, broker)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        loop = group.create_task(schedule(needed))
        await asyncio.sleep(AWAY_S)
        calendar.due.append(message(2))
        await asyncio.sleep(2 * AWAY_S)
        waiting = [each.number for each in calendar.waiting]
        broker.refuses.clear()
        await calendar.emptied.wait()
        loop.cancel()

    assert waiting == [1, 2]
    assert sorted(broker.published) == [1, 2]


@jumping
async def test_a_full_bite_is_followed_at_once() -> None:
    """Ten thousand after an outage are not taken 200 a second."""
    calendar, broker = MemorySchedule(due=[message(n) for n in range(3 * BITE_COUNT)]), Broker()
    loop, needed = asyncio.get_running_loop(), ports(calendar, broker)
    began = loop.time()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(schedule(needed))
        await calendar.emptied.wait()
        task.cancel()

    assert loop.time() - began < 1
    assert len(set(broker.published)) == len(broker.published) == 3 * BITE_COUNT


@jumping
async def test_a_store_that_is_away_is_waited_for() -> None:
    """It is no reason to exit."""
    calendar = MemorySchedule(due=[message(1)], faults=[StoreFailure("store.unavailable")])
    needed = ports(calendar, Broker())

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(schedule(needed))
        await calendar.emptied.wait()
        task.cancel()

    assert isinstance(needed.telemetry, Notebook)
    assert [keys["code"] for keys in needed.telemetry.said("schedule_waits")] == [
        "store.unavailable"
    ]
    assert needed.telemetry.counts["triggers"] == 1


@jumping
async def test_tenants_of_a_reseller_are_looked_at_again_a_bite_at_a_time() -> None:
    """Thousands of them take a few turns, one after the other without a pause."""
    calendar = MemorySchedule(unchecked=3 * CHECK_COUNT + 1)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(schedule(ports(calendar, Broker())))
        await asyncio.sleep(IDLE_S / 2)
        task.cancel()

    assert calendar.unchecked == 0
    assert calendar.looked == 4


@jumping
async def test_directories_without_a_time_get_one_at_the_start() -> None:
    """After an upgrade nobody has to save each form again; more than a bite of them takes a few turns."""
    calendar = MemorySchedule(unarranged=2 * BITE_COUNT + 1)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(schedule(ports(calendar, Broker())))
        await asyncio.sleep(ARRANGE_S / 2)
        task.cancel()

    assert calendar.unarranged == 0
