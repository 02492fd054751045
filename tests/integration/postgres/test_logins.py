"""Quarantine logins through the real statements: who gets one, what becomes of it, and who does not get what it claims."""

import pytest

from tests.integration.postgres.house import HQ, House, row, settings
from tests.integration.postgres.logins import (
    ADA,
    BOB,
    CLEO,
    OTHERS,
    active,
    asking,
    conflicts,
    ended,
    id_of,
    logins,
    person,
    told,
)
from worker.domain.logins import ADDRESSES_MAX_COUNT
from worker.domain.model import Kind, LoginRole, Mode, RemovalPolicy, Removals, Tier
from worker.domain.outcomes import Applied, Unchanged


JO = "jo@example.com"
JO_MARRIED = "jo.married@example.com"
OLD_DAYS = 31 * 24 * 60
"""Minutes after which a name is free."""


async def test_a_mailbox_gets_a_login_to_which_all_its_addresses_lead(house: House) -> None:
    """Who is hired can look into the quarantine from the first day, whichever address a mail was sent to."""
    await house.founded(asking())

    outcome = await house.sync(*person("ada", ADA, "a.lovelace@example.com"), *person("bob", BOB))

    assert isinstance(outcome, Applied)
    assert (outcome.counts.logins.created, outcome.counts.logins.conflicts) == (2, 0)
    assert await logins(house) == {ADA: active(ADA, "a.lovelace@example.com"), BOB: active(BOB)}
    assert await told(house) == [("created", ADA, None), ("created", BOB, None)]
    assert await house.value("SELECT DISTINCT role FROM api.login") == "silent"
    assert (await house.last("sync.completed"))["counts"]["logins"]["created"] == 2


@pytest.mark.parametrize("tier", [Tier.BASIC, Tier.STANDARD])
async def test_a_plan_without_logins_makes_none(house: House, tier: Tier) -> None:
    """What was not bought is not done, whatever the form says."""
    await house.founded(asking())
    await house.save_tenant(tier=tier)

    await house.sync(*person("ada", ADA))

    assert await logins(house) == {}


async def test_a_form_that_does_not_ask_makes_none(house: House) -> None:
    """Nobody is given a login that nobody wanted."""
    await house.founded()

    await house.sync(*person("ada", ADA))

    assert await logins(house) == {}
    assert await house.events("logins.changed") == []


async def test_groups_contacts_and_folders_get_none_unless_asked(house: House) -> None:
    """A list is nobody who could sign in."""
    sorts = [
        each for kind in range(4) for each in person(f"k{kind}", f"k{kind}@example.com", kind=kind)
    ]
    await house.founded(asking())
    await house.sync(*sorts)
    assert set(await logins(house)) == {"k0@example.com"}

    await house.save_directory(asking(kinds=(Kind.MAILBOX, Kind.GROUP)))
    await house.sync_later(*sorts)

    assert set(await logins(house)) == {"k0@example.com", "k1@example.com"}


async def test_a_marriage_renames_the_login_and_keeps_it(house: House) -> None:
    """It is the same person, with the same quarantine, under a new name."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)
    before = await id_of(house, JO)

    outcome = await house.sync_later(*person("jo", JO_MARRIED, JO), *OTHERS)

    assert isinstance(outcome, Applied)
    assert outcome.counts.logins.renamed == 1
    assert await logins(house) == {JO_MARRIED: active(JO_MARRIED, JO)}
    assert await id_of(house, JO_MARRIED) == before
    assert (await told(house))[-1] == ("renamed", JO_MARRIED, JO)


async def test_a_second_address_leads_to_the_same_login(house: House) -> None:
    """Mail to an alias is looked for where one is signed in already."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)

    await house.sync_later(*person("jo", JO, "sales@example.com"), *OTHERS)

    assert await logins(house) == {JO: active(JO, "sales@example.com")}
    assert (await told(house))[-1] == ("changed", JO, None)


async def test_a_leave_of_absence_ends_the_login_and_not_the_address(house: House) -> None:
    """A disabled account still receives mail; its owner comes back to the same login."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)
    before = await id_of(house, JO)

    away = await house.sync_later(*person("jo", JO, enabled=False), *OTHERS)

    assert isinstance(away, Applied)
    assert away.counts.logins.deactivated == 1
    assert await logins(house) == {JO: ended("disabled", JO, JO)}
    assert await house.look(JO) == "valid"
    back = await house.sync_later(*person("jo", JO), *OTHERS)
    assert isinstance(back, Applied)
    assert back.counts.logins.reactivated == 1
    assert await logins(house) == {JO: active(JO)}
    assert await id_of(house, JO) == before
    assert [change for change, _, _ in await told(house)] == [
        "created",
        "deactivated",
        "reactivated",
    ]


async def test_a_leaver_s_login_ends_with_the_grace_of_the_address(house: House) -> None:
    """Absent in one run may be a hiccup; absent in two is gone, for the login as for the address."""
    await house.founded(asking())
    await house.sync(*person("jo", JO, "j@example.com"), *OTHERS)
    await house.sync_later(*OTHERS)
    assert await logins(house) == {JO: active(JO, "j@example.com")}

    outcome = await house.sync_later(*OTHERS)

    assert isinstance(outcome, Unchanged)
    assert outcome.counts.logins.deactivated == 1
    assert await house.look(JO) == "grace"
    assert await logins(house) == {JO: ended("gone", JO)}


async def test_who_returns_has_the_same_login(house: House) -> None:
    """Also after the address was removed: it is the same entry."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)
    before = await id_of(house, JO)
    for _ in range(2):
        await house.sync_later(*OTHERS)
    await house.sync_later(*OTHERS, minutes=73 * 60)
    assert await house.look(JO) == "unknown"

    await house.sync_later(*person("jo", JO), *OTHERS)

    assert await logins(house) == {JO: active(JO)}
    assert await id_of(house, JO) == before


async def test_a_new_person_under_an_old_address_does_not_get_the_old_login(house: House) -> None:
    """What lies in the quarantine of somebody who left is not their successor's."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)
    before = await id_of(house, JO)

    await house.sync_later(*person("another jo", JO), *OTHERS)

    assert await logins(house) == {JO: ended("gone", JO)}
    assert await conflicts(house) == {(JO, "name_kept")}
    assert await house.look(JO) == "valid"
    completed = await house.last("sync.completed")
    assert completed["counts"]["logins"]["unmet"][0]["code"] == "name_kept"
    await house.sync_later(*person("another jo", JO), *OTHERS, minutes=29 * 24 * 60)
    assert await logins(house) == {JO: ended("gone", JO)}
    await house.sync_later(*person("another jo", JO), *OTHERS, minutes=24 * 60)
    assert await logins(house) == {JO: active(JO)}
    assert await id_of(house, JO) != before
    assert await conflicts(house) == set()
    assert ("released", JO, None) in await told(house)
    assert (
        await house.value("SELECT state FROM rollcall.login WHERE login_id = $1", before)
        == "released"
    )


async def test_a_released_login_returns_under_a_name_that_is_free(house: House) -> None:
    """Who comes back after their name was given away keeps the login, not the name."""
    await house.founded(asking())
    await house.sync(*person("jo", JO), *OTHERS)
    first = await id_of(house, JO)
    await house.sync_later(*person("another jo", JO), *OTHERS)
    await house.sync_later(*person("another jo", JO), *OTHERS, minutes=OLD_DAYS)

    await house.sync_later(*person("another jo", JO), *person("jo", JO_MARRIED), *OTHERS)

    assert set(await logins(house)) == {JO, JO_MARRIED}
    assert await id_of(house, JO_MARRIED) == first


async def test_a_shared_mailbox_gets_no_login(house: House) -> None:
    """Its account is disabled by design: nobody signs in as the sales department."""
    await house.founded(asking())

    await house.sync(*person("sales", "sales@example.com", enabled=False), *person("ada", ADA))

    assert set(await logins(house)) == {ADA}
    assert await house.look("sales@example.com") == "valid"


async def test_merged_mailboxes_lead_to_the_one_that_stays(house: House) -> None:
    """The address of the mailbox that was dissolved belongs to the other now."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)

    await house.sync_later(*person("ada", ADA, BOB), *OTHERS)

    assert await logins(house) == {ADA: active(ADA, BOB), BOB: ended("gone", BOB)}
    assert await conflicts(house) == set()


async def test_an_address_that_two_mailboxes_show_stays_with_the_first(house: House) -> None:
    """Neither steals it, and the admin is told of both."""
    shared = "team@example.com"
    await house.founded(asking())
    await house.sync(*person("ada", ADA, shared), *person("bob", BOB), *OTHERS)

    await house.sync_later(*person("ada", ADA, shared), *person("bob", BOB, shared), *OTHERS)

    assert await logins(house) == {ADA: active(ADA, shared), BOB: active(BOB)}
    assert await conflicts(house) == {(shared, "address_in_use")}


async def test_an_address_that_two_show_from_the_start_leads_to_neither(house: House) -> None:
    """There is no first, and no guessing."""
    shared = "team@example.com"
    await house.founded(asking())

    await house.sync(*person("ada", ADA, shared), *person("bob", BOB, shared))

    assert await logins(house) == {ADA: active(ADA), BOB: active(BOB)}
    assert await conflicts(house) == {(shared, "address_shared")}
    found = await house.fetch("SELECT entry FROM api.login_conflict")
    assert len(found) == 2
    await house.sync_later(*person("ada", ADA, shared), *person("bob", BOB))
    assert await logins(house) == {ADA: active(ADA, shared), BOB: active(BOB)}
    assert await conflicts(house) == set()


async def test_two_mailboxes_with_one_primary_address_get_no_login(house: House) -> None:
    """A user name for two people is a way into each other's mail."""
    await house.founded(asking())

    await house.sync(*person("jo", JO), *person("other jo", JO))

    assert await logins(house) == {}
    assert await conflicts(house) == {(JO, "address_shared")}


async def test_a_claim_that_is_not_met_names_the_mailboxes_that_meet(house: House) -> None:
    """An admin looks for people, not for the ids of entries."""
    await house.founded(asking())
    info = "info@example.com"
    ada = [
        row(ADA, "ada", name="Ada Lovelace"),
        row(info, "ada", is_primary=False, name="Ada Lovelace"),
    ]
    await house.sync(*ada, *OTHERS)
    bob = [row(BOB, "bob", name="Bob Stone"), row(info, "bob", is_primary=False, name="Bob Stone")]

    nameless = row(info, "dana")
    outcome = await house.sync_later(*ada, *bob, nameless, *OTHERS)

    assert isinstance(outcome, Applied)
    met = sorted(
        ("Ada Lovelace (ada@example.com)", "Bob Stone (bob@example.com)", str(nameless.entry))
    )
    [claim] = outcome.counts.logins.unmet
    assert (claim.address, claim.code) == (info, "address_in_use")
    assert sorted(claim.mailboxes) == met
    found = await house.fetch("SELECT mailboxes FROM api.login_conflict")
    assert [sorted(each["mailboxes"]) for each in found] == [met, met]


async def test_a_name_in_use_is_told_with_who_uses_it(house: House) -> None:
    """Whose login it is may show the address no more."""
    await house.founded(asking())
    await house.sync(
        row(ADA, "ada", name="Ada Lovelace"), row(BOB, "bob", name="Bob Stone"), *OTHERS
    )

    await house.sync_later(
        row(BOB, "ada", name="Ada Lovelace"), row(ADA, "bob", name="Bob Stone"), *OTHERS
    )

    found = await house.fetch("SELECT address, mailboxes FROM api.login_conflict ORDER BY address")
    both = {"Ada Lovelace (ada@example.com)", "Bob Stone (bob@example.com)"}
    assert [(each["address"], set(each["mailboxes"])) for each in found] == [
        (ADA, both),
        (BOB, both),
    ]


async def test_a_login_made_by_hand_is_left_alone_and_reported(house: House) -> None:
    """What people made themselves is theirs."""
    await house.founded(asking())
    await house.pool.execute(
        """INSERT INTO rollcall.login (login_id, tenant_id, directory_id, username, role, state, since)
           SELECT gen_random_uuid(), tenant_id, 0, $1, 'normal', 'active', now() FROM rollcall.tenant""",
        JO,
    )

    await house.sync(*person("jo", JO), *person("ada", ADA))

    assert set(await logins(house)) == {ADA}
    assert set(await logins(house, None)) == {JO}
    assert await conflicts(house) == {(JO, "name_by_hand")}


async def test_a_name_is_taken_by_nobody_while_its_login_is_in_use(house: House) -> None:
    """The directory says that the name is somebody else's now; the login that has it says otherwise for one more run."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)

    await house.sync_later(*person("ada", BOB), *person("bob", ADA), *OTHERS)

    assert set(await logins(house)) == {ADA, BOB}
    assert await conflicts(house) == {(ADA, "name_in_use"), (BOB, "name_in_use")}


async def test_without_a_primary_address_the_first_is_the_name_and_stays_it(house: House) -> None:
    """The primary may lie in a domain of somebody else; the name must not move with every new alias."""
    await house.founded(asking())
    await house.sync(row(BOB, "x", is_primary=False), row(CLEO, "x", is_primary=False), *OTHERS)
    assert set(await logins(house)) == {BOB}

    await house.sync_later(
        *(row(each, "x", is_primary=False) for each in (ADA, BOB, CLEO)), *OTHERS
    )

    assert await logins(house) == {BOB: active(BOB, ADA, CLEO)}


async def test_where_the_primary_is_a_guess_the_name_stays_while_it_is_shown(house: House) -> None:
    """OpenLDAP's mail has values in no order: a new alias that sorts first must not rename anybody."""
    await house.founded(asking(type="openldap"))
    await house.sync(*person("bob", BOB), *OTHERS)

    await house.sync_later(*person("bob", ADA, BOB), *OTHERS)
    assert await logins(house) == {BOB: active(BOB, ADA)}
    await house.sync_later(*person("bob", ADA), *OTHERS)

    assert await logins(house) == {ADA: active(ADA, BOB)}


async def test_the_role_follows_the_form(house: House) -> None:
    """Who is to be mailed by the quarantine is decided in one place, for all."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA))

    await house.save_directory(asking(role=LoginRole.NORMAL))
    outcome = await house.sync_later(*person("ada", ADA))

    assert isinstance(outcome, Applied)
    assert await house.value("SELECT role FROM api.login") == "normal"
    assert await told(house) == [("created", ADA, None), ("changed", ADA, None)]


@pytest.mark.parametrize(
    "form",
    [asking(deactivate=False), asking(Removals(policy=RemovalPolicy.NEVER))],
    ids=["told so", "nobody is removed"],
)
async def test_nobody_loses_a_login_where_the_form_says_so(house: House, form: object) -> None:
    """Some want to end logins themselves."""
    await house.founded(form)  # type: ignore[arg-type]
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)

    for _ in range(3):
        await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    assert {each.state for each in (await logins(house)).values()} == {"active"}


async def test_a_lost_plan_leaves_logins_as_they_are_until_it_is_back(house: House) -> None:
    """A downgrade by mistake must not cost anybody a login; what changed meanwhile is caught up with."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *person("bob", BOB), *OTHERS)
    await house.save_tenant(tier=Tier.STANDARD)
    now = [*person("ada", ADA, enabled=False), *person("bob", BOB), *person("cleo", CLEO), *OTHERS]

    await house.sync_later(*now)
    assert await logins(house) == {ADA: active(ADA), BOB: active(BOB)}
    await house.save_tenant(tier=Tier.ENTERPRISE)
    await house.sync_later(*now)

    assert await logins(house) == {
        ADA: ended("disabled", ADA, ADA),
        BOB: active(BOB),
        CLEO: active(CLEO),
    }


@pytest.mark.parametrize("mode", list(Mode))
async def test_each_result_says_that_the_plan_has_no_logins_any_more(
    house: House, mode: Mode
) -> None:
    """Runs go on and look well, while a leaver's login stays active: nobody would find out."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS, mode=mode)
    before = await advised(house, mode)
    await house.save_tenant(tier=Tier.STANDARD)

    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS, mode=mode)
    lost = await advised(house, mode)
    await house.save_tenant(tier=Tier.ENTERPRISE)
    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS, mode=mode)

    assert (before, lost) == ([], ["logins_paused"])
    assert await advised(house, mode) == []


async def test_a_held_result_says_it_too(house: House) -> None:
    """Who decides about those who leave has to know that their logins do not."""
    listed = [each for n in range(40) for each in person(f"p{n}", f"p{n}@example.com")]
    await house.founded(asking())
    await house.sync(*listed)
    await house.save_tenant(tier=Tier.STANDARD)

    await house.sync_later(*listed[:10])

    held = await house.last("sync.held")
    assert [each["code"] for each in held["advice"]] == ["logins_paused"]


async def test_a_reseller_that_bought_less_takes_logins_from_its_customers_and_they_are_told(
    house: House,
) -> None:
    """They did nothing, and see it in their next result."""
    await house.save_tenant("reseller.example", tenant="reseller", tier=Tier.RESELLER)
    await house.save_tenant("example.com", tier=Tier.STANDARD, reseller="reseller")
    await house.save_directory(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    before = await advised(house, Mode.APPLY)

    await house.save_tenant(tenant="reseller", tier=Tier.STANDARD)
    await house.sync_later(*person("ada", ADA), *OTHERS)

    assert (before, await advised(house, Mode.APPLY)) == ([], ["logins_paused"])


async def advised(house: House, mode: Mode) -> list[str]:
    """What the last result recommends."""
    result = await house.last(f"sync.{'completed' if mode is Mode.APPLY else 'previewed'}")
    return [each["code"] for each in result["advice"]]


@pytest.mark.parametrize(
    ("before", "after", "made"),
    [(Tier.ENTERPRISE, Tier.STANDARD, False), (Tier.STANDARD, Tier.ENTERPRISE, True)],
    ids=["lost", "gained"],
)
async def test_the_plan_that_counts_is_the_one_at_the_end_of_the_run(
    house: House,
    before: Tier,
    after: Tier,
    made: bool,  # noqa: FBT001 - the table's column
) -> None:
    """A run may take half an hour, and the plan may change in that time."""
    await house.founded(asking())
    await house.save_tenant(tier=before)
    await house.request()
    run = await house.claim()
    await house.save_tenant(tier=after)

    await house.conclude(run, house.snapshot(run, person("ada", ADA)))

    assert await logins(house) == ({ADA: active(ADA)} if made else {})


async def test_switched_off_logins_stay_as_they_are(house: House) -> None:
    """Switching off means: look after them yourselves."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.save_directory(settings())

    await house.sync_later(*person("ada", ADA, enabled=False), *OTHERS)

    assert await logins(house) == {ADA: active(ADA)}


async def test_the_filter_looks_up_an_address_and_a_name_by_an_index(house: House) -> None:
    """It asks for each mail that is held back, of all customers."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"), *OTHERS)

    found = await house.fetch(
        "SELECT username FROM api.login_address WHERE tenant = 'acme' AND address = 'a@example.com'"
    )

    assert [each["username"] for each in found] == [ADA]
    async with house.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        for asked, index in (
            ("login_address WHERE tenant = 'acme' AND address = 'a'", "login_address_pkey"),
            ("login WHERE tenant = 'acme' AND username = 'a'", "login_username"),
        ):
            plan = await connection.fetch(f"EXPLAIN SELECT * FROM api.{asked}")  # noqa: S608 - as above
            assert any(index in line[0] for line in plan)


async def test_a_run_without_logins_needs_nothing_of_theirs(house: House) -> None:
    """Most customers have none, and pay nothing for those who do: not even their temporary tables are made."""
    await house.founded()
    await house.sync(*person("ada", ADA), *OTHERS)
    await house.sync_later(*OTHERS)

    made = "SELECT count(*) FROM pg_class WHERE relname IN ('login_entry', 'ending') AND relpersistence = 't'"

    assert await house.value(made) == 0
    for table in ("login", "login_address", "login_conflict", "login_history"):
        assert await house.whole(table) == []


async def test_an_equal_run_writes_no_login(house: House) -> None:
    """A night without news costs nothing."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"), *OTHERS)
    before = [await house.whole(each) for each in ("login", "login_address", "login_history")]

    outcome = await house.sync_later(*person("ada", ADA, "a@example.com"), *OTHERS)

    assert isinstance(outcome, Unchanged)
    assert [
        await house.whole(each) for each in ("login", "login_address", "login_history")
    ] == before


async def test_looking_at_all_anew_writes_nothing_that_is_equal(house: House) -> None:
    """After a decision by hand every login is looked at, and none written."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA, "a@example.com"), *OTHERS)
    before = [await house.whole(each) for each in ("login", "login_address", "login_history")]
    await house.add("by.hand@example.com")

    outcome = await house.sync_later(*person("ada", ADA, "a@example.com"), *OTHERS)

    assert isinstance(outcome, Applied)
    assert [
        await house.whole(each) for each in ("login", "login_address", "login_history")
    ] == before


async def test_a_preview_counts_logins_and_makes_none(house: House) -> None:
    """What would be is told, and nothing is."""
    await house.founded(asking())
    await house.sync(*person("ada", ADA), *OTHERS)

    await house.sync_later(
        *person("ada", ADA, enabled=False), *person("bob", BOB), *OTHERS, mode=Mode.PREVIEW
    )

    counts = (await house.last("sync.previewed"))["counts"]["logins"]
    assert (counts["created"], counts["deactivated"]) == (1, 1)
    assert await logins(house) == {ADA: active(ADA)}
    assert await house.value("SELECT count(*) FROM rollcall.login_history") == 21


async def test_very_many_addresses_are_cut_and_reported(house: House) -> None:
    """A line of an event stays below what a message may be."""
    many = [f"x{number:04}@example.com" for number in range(ADDRESSES_MAX_COUNT + 20)]
    await house.founded(asking())

    await house.sync(*person("ada", ADA, *many))

    (login,) = (await logins(house)).values()
    assert login.username == ADA
    assert len(login.addresses) == ADDRESSES_MAX_COUNT
    assert ADA in login.addresses
    assert await conflicts(house) == {(ADA, "too_many_addresses")}


async def test_many_changes_are_told_in_parts(house: House) -> None:
    """Each part is a message of its own, and they follow one another in the order."""
    crowd = [
        each
        for number in range(700)
        for each in person(
            f"m{number}", f"m{number:04}@example.com", f"{'x' * 60}{number:04}@example.com"
        )
    ]
    await house.founded(asking())

    await house.sync(*crowd)

    parts = await house.events("logins.changed")
    assert len(parts) > 1
    assert [each["data"]["part"] for each in parts] == list(range(1, len(parts) + 1))
    assert {each["data"]["parts"] for each in parts} == {len(parts)}
    names = [change["username"] for part in parts for change in part["data"]["changes"]]
    assert len(names) == len(set(names)) == 700


async def test_two_directories_do_not_take_each_other_s_logins(house: House) -> None:
    """The same address in two directories is one person's twice, or two people's: who had it first keeps it."""
    await house.founded(asking())
    await house.save_directory(asking(), directory="branch")
    await house.sync(*person("ada", ADA))

    await house.sync(*person("another", ADA), *person("bob", BOB), directory="branch")

    assert await logins(house) == {ADA: active(ADA)}
    assert await logins(house, "branch") == {BOB: active(BOB)}
    assert await conflicts(house) == {(ADA, "name_in_use")}
    assert HQ != "branch"
