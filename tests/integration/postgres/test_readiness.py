"""How far a list can be trusted, as runs and people leave it; and what is advised in results."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.integration.postgres.house import TENANT, House, people, row, rows, settings
from worker.adapters.postgres.reports import PostgresReports
from worker.domain.advice import COMPLETE_RUNS
from worker.domain.commands import PauseDirectory
from worker.domain.findings import finding
from worker.domain.model import DirectoryId, Domain, Mode, Schedule, Security, Tier
from worker.domain.outcomes import Failed


CATCH_ALL = Domain("example.com", catch_all=True)
AUTOMATIC = settings(schedule=Schedule(automatic=True, every_hours=24))
LISTED = people(40)
A_DAY = 24 * 60


async def founded(house: House, domain: Domain = CATCH_ALL) -> None:
    """A tenant with catch-all and a directory that is synced by itself."""
    await house.save_tenant(domain)
    await house.save_directory(AUTOMATIC)


async def grown_up(house: House, *listed: str) -> None:
    """As many complete runs as it takes, a day apart."""
    for _ in range(COMPLETE_RUNS):
        await house.sync_later(*(listed or LISTED), minutes=A_DAY)


async def fails(house: House) -> None:
    """One run that fails."""
    await house.request()
    await house.runs.end(await house.claim(), Failed(finding("reach.refused")))


async def told(house: House) -> list[tuple[str, str | None]]:
    """What the last outcome recommends."""
    advice = (await house.last("sync.completed"))["advice"]
    return [(each["code"], each["domain"]) for each in advice]


async def ready(house: House) -> dict[str, Any]:
    """The one readiness of the last outcome."""
    (found,) = (await house.last("sync.completed"))["readiness"]
    return dict(found)


async def test_catch_all_is_advised_against_once_the_list_can_be_trusted(house: House) -> None:
    """Not before, though the first run was complete too."""
    await founded(house)
    seen = []
    for _ in range(COMPLETE_RUNS + 1):
        await house.sync_later(*LISTED, minutes=A_DAY)
        seen.append(await told(house))

    assert seen == [[]] * (COMPLETE_RUNS - 1) + [[("catch_all_on", "example.com")]] * 2
    assert (await ready(house))["kinds"] == {"mailbox": 40}
    advice = await house.value("SELECT advice ->> 0 FROM api.run ORDER BY finished_at DESC LIMIT 1")
    assert "40 addresses (40 mailboxes)" in advice


async def test_without_catch_all_nothing_is_stated(house: House) -> None:
    """There is nothing to be ready for."""
    await founded(house, Domain("example.com"))
    await grown_up(house)

    assert (await house.last("sync.completed"))["readiness"] == []
    assert await told(house) == []


async def test_a_failure_a_hold_and_an_undo_each_begin_the_row_anew(house: House) -> None:
    """Several in a row means in a row."""
    await founded(house)
    await grown_up(house)
    row_of = "SELECT complete_runs FROM api.readiness"
    rows = [await house.value(row_of)]

    await fails(house)
    rows.append(await house.value(row_of))
    await grown_up(house)
    await house.sync_later(*LISTED[:5])
    rows.append(await house.value(row_of))
    await house.sync_later(*LISTED)
    rows.append(await house.value(row_of))
    await house.undo()
    rows.append(await house.value(row_of))

    assert rows == [COMPLETE_RUNS, 0, 0, 1, 0]


async def test_the_list_is_stable_since_much_of_it_changed(house: House) -> None:
    """A few come and go every day; a whole department at once is another list."""
    await founded(house)
    await house.sync(*LISTED)
    first = house.clock.at
    await house.sync_later(*LISTED, *people(46)[40:], minutes=A_DAY)
    few = await ready(house)
    await house.sync_later(*people(80), minutes=A_DAY)
    many = await ready(house)

    assert few["stable_since"] == f"{first:%Y-%m-%dT%H:%M:%SZ}"
    assert many["stable_since"] == f"{house.clock.at:%Y-%m-%dT%H:%M:%SZ}"
    await house.add(*(f"hand{place}@example.com" for place in range(30)))
    stable_since = await house.value("SELECT stable_since FROM api.readiness")
    assert stable_since == house.clock.at


async def test_every_directory_in_force_has_a_say(house: House) -> None:
    """One that was read once, or is paused, makes the whole list doubtful."""
    await founded(house)
    await grown_up(house)
    await house.save_directory(AUTOMATIC, directory="lab")
    await house.sync_later("lab@example.com", directory="lab", minutes=A_DAY)
    young = await ready(house)
    for _ in range(COMPLETE_RUNS):
        await house.sync_later("lab@example.com", directory="lab", minutes=A_DAY)
    both = await told(house)
    await house.send(PauseDirectory(DirectoryId("lab")))
    await house.sync_later(*LISTED)

    assert (young["complete_runs"], young["addresses"]) == (1, 41)
    assert both == [("catch_all_on", "example.com")]
    assert ((await ready(house))["automatic"], await told(house)) == (False, [])


async def test_a_plan_without_automatic_sync_does_not_keep_a_list_true(house: House) -> None:
    """Known in the very run that notices it."""
    await founded(house)
    await grown_up(house)
    await house.save_tenant(tier=Tier.BASIC)

    await house.sync_later(*LISTED)

    assert await told(house) == []


async def test_kinds_are_counted_as_they_are_now(house: House) -> None:
    """After arrivals, departures by decision, and when a mailbox becomes a group."""
    await founded(house)
    await house.sync("ada@example.com", row("all@example.com", kind=1))
    first = (await ready(house))["kinds"]
    await house.add("hand@example.com")
    await house.sync_later("ada@example.com", row("all@example.com", kind=1))
    by_hand = (await ready(house))["kinds"]
    await house.sync_later(row("ada@example.com", kind=2), row("all@example.com", kind=1))
    turned = (await ready(house))["kinds"]
    (line,) = await PostgresReports(house.pool).readiness(TENANT)

    assert first == {"mailbox": 1, "group": 1}
    assert by_hand == {"mailbox": 2, "group": 1}
    assert turned == {"mailbox": 1, "group": 1, "contact": 1}
    assert (line.kinds, line.addresses, line.catch_all) == (turned, 3, True)


async def test_an_alias_domain_is_as_ready_as_its_target(house: House) -> None:
    """It holds nothing itself."""
    alias = Domain("example.net", catch_all=True, alias_of="example.com")
    await house.save_tenant(Domain("example.com"), alias)
    await house.save_directory(AUTOMATIC)
    await grown_up(house)

    assert await told(house) == [("catch_all_on", "example.net")]
    assert ((await ready(house))["addresses"], (await ready(house))["kinds"]) == (
        40,
        {"mailbox": 40},
    )


async def test_a_preview_advises_what_the_form_says(house: House) -> None:
    """Before anything is applied; what many runs show it cannot know."""
    await house.save_tenant(CATCH_ALL)
    await house.save_directory(replace(AUTOMATIC, security=Security.NONE))

    await house.sync(*LISTED, mode=Mode.PREVIEW)

    previewed = await house.last("sync.previewed")
    assert [each["code"] for each in previewed["advice"]] == ["plain_ldap"]
    assert previewed["readiness"] == []


async def test_a_result_tells_what_expires_and_of_an_account_that_may_do_everything(
    house: House,
) -> None:
    """As the run saw it: who reads results need not follow warnings as well."""
    await house.save_tenant(CATCH_ALL)
    await house.save_directory(replace(AUTOMATIC, bind_name="cn=admin,dc=example,dc=com"))
    await house.request()
    run, soon = await house.claim(), house.clock.at + timedelta(days=10)
    snapshot = house.snapshot(run, rows(*LISTED), certificate_until=soon, password_until=soon)

    await house.conclude(run, snapshot)

    completed = await house.last("sync.completed")
    codes = [each["code"] for each in completed["advice"]]
    assert codes == ["certificate_expiring", "password_expiring", "mighty_account"]
    assert all(f"{soon:%Y-%m-%d}" in each["text"] for each in completed["advice"][:2])
