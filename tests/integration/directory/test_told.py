"""What is wrong with settings, sign-ins or addresses, from the stored directory to the event that tells the customer."""

from dataclasses import replace

import pytest

from tests.integration.directory.test_account_safety import run
from tests.integration.postgres.house import House
from tests.proofs.telling import heard
from tests.servers.slapd import READER_PASSWORD
from worker.domain.failures import Finding
from worker.domain.model import DirectorySettings, Kind, Trigger


pytestmark = pytest.mark.integration

OURS, NOT_OURS = "hq.test", "elsewhere.test"


async def told(
    house: House,
    form: DirectorySettings,
    *,
    domain: str = OURS,
    password: str = READER_PASSWORD,
    spoiled: str = "",
    presses: int = 1,
    then: Trigger = Trigger.MANUAL,
) -> Finding:
    """Save a directory, spoil what is stored, sync so often; gives what the last event tells, read with care."""
    await house.save_tenant(domain)
    await house.save_directory(form, password=password)
    if spoiled:
        await house.pool.execute(spoiled)
    for number in range(presses):
        await house.request(trigger=then if number == presses - 1 else Trigger.MANUAL)
        await run(house)
    return heard((await house.last("sync.failed"))["finding"])


SPOILED = {
    "settings.unreadable_secret": "UPDATE rollcall.directory_revision SET password_sealed = 'sealed for a key we lost'",
    "settings.no_password": "UPDATE rollcall.directory_revision SET password_sealed = NULL",
    "settings.unreadable": """UPDATE rollcall.directory_revision SET settings = '{"name": 1}'""",
    "settings.unknown_type": """UPDATE rollcall.directory_revision SET settings = jsonb_set(settings, '{type}', '"of tomorrow"')""",
}


@pytest.mark.parametrize(
    ("code", "spoiled"),
    [pytest.param(*each, marks=pytest.mark.proves(each[0])) for each in SPOILED.items()],
)
async def test_what_is_stored_cannot_be_used(
    house: House, form: DirectorySettings, code: str, spoiled: str
) -> None:
    """A lost key, a backup of a bad moment, another release: told, and nothing is dialled."""
    finding = await told(house, form, spoiled=spoiled)

    assert finding.code == code
    assert {each.state.value for each in finding.stages} <= {"failed", "not_tried"}


async def test_a_form_saved_over_what_cannot_be_read(house: House, form: DirectorySettings) -> None:
    """What the finding tells to do works."""
    assert (await told(house, form, spoiled=SPOILED["settings.unreadable"])).code == (
        "settings.unreadable"
    )

    await house.save_directory(form, password=READER_PASSWORD)
    await house.request()
    await run(house)

    assert (await house.last("sync.completed"))["counts"]["entries"] == 40


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        pytest.param(code, changed, marks=pytest.mark.proves(code))
        for code, changed in (
            ("settings.no_filter", {"type": "custom", "address_attributes": ("mail",)}),
            ("settings.no_address_attributes", {"type": "custom", "filter": "(mail=*)"}),
            ("settings.no_such_kind", {"kinds": (Kind.PUBLIC_FOLDER,)}),
        )
    ],
)
async def test_a_form_that_asks_for_what_there_is_not(
    house: House, form: DirectorySettings, code: str, changed: dict[str, object]
) -> None:
    """The form says so at once; what an older program saved is told by its next run."""
    assert (await told(house, replace(form, **changed))).code == code  # type: ignore[arg-type]


@pytest.mark.proves("addresses.other_domains")
async def test_addresses_in_other_domains_only(house: House, form: DirectorySettings) -> None:
    """The usual slip is a domain that was forgotten; the finding names those that were met."""
    finding = await told(house, form, domain=NOT_OURS)

    assert finding.code == "addresses.other_domains"
    assert f"{OURS} (40)" in finding.seen


@pytest.mark.proves("addresses.none_valid")
async def test_entries_without_an_address(house: House, form: DirectorySettings) -> None:
    """Another attribute than the one with addresses."""
    wrong = replace(form, address_attributes=("sn",), filter="(mail=*)")

    assert (await told(house, wrong)).code == "addresses.none_valid"


@pytest.mark.proves("sign_in.wrong_password")
async def test_a_wrong_password(house: House, form: DirectorySettings) -> None:
    """Told at once, and not tried again by itself."""
    finding = await told(house, form, password="wrong")

    assert finding.code == "sign_in.wrong_password"


@pytest.mark.proves("sign_in.waiting")
async def test_a_third_press_is_told_until_when(house: House, form: DirectorySettings) -> None:
    """A person may wait; a riddle is no answer."""
    finding = await told(house, form, password="wrong", presses=3)

    assert finding.code == "sign_in.waiting"
    assert " UTC" in finding.headline
    assert " UTC" in finding.fix


@pytest.mark.proves("sign_in.known_refused")
async def test_a_refused_password_and_the_schedule(house: House, form: DirectorySettings) -> None:
    """Nothing automatic sends it again."""
    finding = await told(house, form, password="wrong", presses=2, then=Trigger.SCHEDULED)

    assert finding.code == "sign_in.known_refused"
