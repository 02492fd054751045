"""After a restore from an older backup: orders begin again, lists are told whole, and nobody is called unknown."""

import hashlib
from typing import Any

import pytest

from tests.integration.postgres.house import HQ, House, people, row
from worker.adapters.postgres.restored import Restored, begin_again
from worker.domain.commands import DeleteTenant, RepublishRecipients
from worker.domain.failures import StoreFailure
from worker.domain.model import Domain


ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
ALL = people(10)
NOBODY = f"sha256:{hashlib.sha256(b'').hexdigest()}"


async def restored(house: House, *, seconds: int = 1) -> Restored:
    """Run the command, some time after what happened before."""
    house.clock.forward(seconds=seconds)
    return await begin_again(house.pool, house.clock, tell=lambda _: None)


def placed(events: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """Name, epoch and sequence of the events that have a place."""
    return [
        (
            event["type"].removeprefix("rollcall.").removesuffix(".v1"),
            event["data"]["epoch"],
            event["data"]["sequence"],
        )
        for event in events
        if "sequence" in event["data"]
    ]


async def test_every_living_tenant_is_told_whole_under_a_new_epoch(house: House) -> None:
    """Receivers know a later state than we do; they must take ours for the newer one all the same."""
    await house.founded()
    await house.sync(ADA, BOB)
    await house.save_tenant("example.net", tenant="small")
    await house.save_tenant("example.org", tenant="gone")
    await house.send(DeleteTenant(), tenant="gone")
    await house.forget_events()

    done = await restored(house)

    assert (done.tenants, done.recipients, done.domains_by_hand) == (2, 2, 0)
    told = await house.events()
    assert placed(told) == [("recipients.snapshot", done.epoch, 1)] * 2
    first, second = [event["data"] for event in told]
    assert [each["address"] for each in first["recipients"]] == [ADA, BOB]
    assert (first["true_for"], first["causes"], second["count"], second["checksum"]) == (
        0,
        [],
        0,
        NOBODY,
    )


async def test_what_follows_goes_on_in_the_new_order(house: House) -> None:
    """The first sync after it is told like any other."""
    await house.founded()
    await house.sync(ADA)
    done = await restored(house)
    await house.forget_events()

    await house.sync_later(ADA, EVE)

    assert placed(await house.events()) == [
        ("sync.completed", done.epoch, 2),
        ("recipients.changed", done.epoch, 3),
    ]


async def test_nobody_is_unknown_until_each_directory_was_read_again(house: House) -> None:
    """Who joined since the backup is missing from the list, and must not be refused for it."""
    await house.founded()
    await house.save_directory(directory="branch")
    await house.sync_later(ADA)
    await house.sync_later(BOB, directory="branch")
    assert await house.look(EVE) == "unknown"

    await restored(house)

    assert (await house.look(EVE), await house.look(ADA)) == ("not_authoritative", "valid")
    await house.sync_later(ADA, EVE)
    assert (await house.look(EVE), await house.look("zoe@example.com")) == (
        "valid",
        "not_authoritative",
    )
    await house.sync_later(BOB, directory="branch")
    assert await house.look("zoe@example.com") == "unknown"


async def test_a_run_that_began_to_read_before_it_does_not_count(house: House) -> None:
    """What it read was compared here, but who joined while it was under way may be nowhere."""
    await house.founded()
    await house.sync_later(ADA)
    read_at = house.clock.forward(minutes=1)
    await restored(house)
    await house.request()
    run = await house.claim()

    await house.conclude(run, house.snapshot(run, [row(ADA)], read_at=read_at))

    assert await house.look(EVE) == "not_authoritative"


async def test_neither_approval_nor_undo_brings_an_old_reading_back(house: House) -> None:
    """What was read before the backup says nothing about who joined after it."""
    await house.founded()
    await house.sync_later(*ALL)
    await house.sync_later(*ALL[:2])
    assert await house.look(EVE) == "unknown"
    hold, run = await house.hold(), await house.last_run()
    await restored(house)

    await house.approve(hold)
    approved = await house.look(EVE)
    await house.undo(run)

    assert await house.rejections() == []
    assert (approved, await house.look(EVE)) == ("not_authoritative", "not_authoritative")


async def test_a_domain_by_hand_waits_for_its_people_s_word(house: House) -> None:
    """Who was added by hand since the backup is lost here: only people can say that the list is whole again."""
    by_hand = Domain("example.com", by_hand=True)
    await house.save_tenant(by_hand, "example.net")
    assert await house.look(EVE) == "unknown"
    house.clock.forward(minutes=1)

    done = await restored(house)

    assert done.domains_by_hand == 1
    assert await house.look(EVE) == "not_authoritative"
    house.clock.forward(minutes=1)
    await house.save_tenant()
    assert await house.look(EVE) == "not_authoritative"
    await house.save_tenant(by_hand, "example.net")
    assert await house.look(EVE) == "unknown"
    assert await house.look("eve@example.net") == "not_authoritative"


async def test_digests_are_forgotten(house: House) -> None:
    """The next run compares with what is stored, not with what it remembers."""
    await house.founded()
    await house.sync(ADA)

    await restored(house)

    assert (
        await house.value("SELECT count(*) FROM rollcall.directory WHERE digest IS NOT NULL") == 0
    )


async def test_restored_twice_from_one_backup_the_epochs_differ(house: House) -> None:
    """The time between the two is lost, and receivers have heard of it."""
    await house.founded()
    await house.sync(ADA)
    lost = await restored(house)
    # the same backup once more: nothing of the first time is left
    await house.pool.execute("TRUNCATE rollcall.restore, rollcall.outbox")
    await house.pool.execute("UPDATE rollcall.tenant SET epoch = 1, sequence = 5")

    again = await restored(house)

    assert again.epoch > lost.epoch > 1


async def test_cut_short_it_is_run_again_from_the_start(house: House) -> None:
    """A receiver that took the first epoch takes the second."""
    for number in range(3):
        await house.save_tenant(f"d{number}.example", tenant=f"t{number}")
    await house.forget_events()

    def cut(tenants: int) -> None:
        if tenants == 2:
            raise StoreFailure("store.unavailable")

    with pytest.raises(StoreFailure):
        await begin_again(house.pool, house.clock, tell=cut)
    first = await house.events()
    done = await begin_again(house.pool, house.clock, tell=lambda _: None)

    assert len(first) == 2
    assert done.tenants == 3
    assert {event["data"]["epoch"] for event in first} == {done.epoch - 1}
    assert [each["epoch"] for each in await house.fetch("SELECT epoch FROM rollcall.tenant")] == [
        done.epoch
    ] * 3


async def test_leases_of_the_backup_stop_nothing(house: House) -> None:
    """Their workers may be long gone; whoever starts now claims at once."""
    await house.founded()
    await house.request()
    await house.claim()
    assert await house.outbox.lead()

    await restored(house)
    await house.worker("worker-2").sweep()

    assert [run.lease.directory for run in await house.worker("worker-2").claim(5)] == [HQ]
    assert (
        await house.value("SELECT count(*) FROM rollcall.service_lease WHERE expires_at > now()")
        == 0
    )


async def test_what_waited_in_the_backup_goes_out_before_the_snapshot(house: House) -> None:
    """Receivers drop what they have seen of it, and get what was never sent."""
    await house.founded()
    await house.sync(ADA)
    before = placed(await house.events())

    done = await restored(house)

    assert placed(await house.events()) == [*before, ("recipients.snapshot", done.epoch, 1)]


async def test_a_stored_command_of_the_backup_is_carried_out(house: House) -> None:
    """Its effect is lost with the rest, so it is asked for still."""
    await house.founded()
    await house.sync(ADA)
    await house.store(house.received(RepublishRecipients()))

    done = await restored(house)
    await house.carry()

    assert placed(await house.events())[-1] == ("recipients.snapshot", done.epoch, 2)


async def test_a_tenant_that_the_backup_does_not_know_begins_after_the_restore(
    house: House,
) -> None:
    """Receivers know it, under an epoch that nobody here remembers."""
    await house.save_tenant("example.net", tenant="other")
    done = await restored(house)
    await house.forget_events()

    await house.founded()

    assert placed(await house.events())[:2] == [
        ("tenant.saved", done.epoch, 1),
        ("recipients.snapshot", done.epoch, 2),
    ]


async def test_a_tenant_made_anew_is_told_whole(house: House) -> None:
    """Receivers know the addresses of the one before, and must forget them."""
    await house.founded()
    await house.sync(ADA)
    await house.send(DeleteTenant())
    await house.forget_events()

    command = await house.save_tenant("example.com")

    assert placed(await house.events()) == [("tenant.saved", 2, 1), ("recipients.snapshot", 2, 2)]
    told = await house.last("recipients.snapshot")
    assert (told["causes"], told["count"], told["parts"]) == ([command], 0, 1)
    assert (told["recipients"], told["checksum"], told["true_for"]) == ([], NOBODY, 1)


async def test_a_tenant_that_was_never_there_is_told_without_a_list(house: House) -> None:
    """There is nothing to forget."""
    await house.save_tenant("example.com")
    await house.save_tenant("example.com", "example.net")

    assert await house.events("recipients.snapshot") == []
