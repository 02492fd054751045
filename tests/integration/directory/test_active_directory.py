"""What no OpenLDAP can show: a real domain controller, by the preset that customers with Exchange choose."""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest

from tests.integration.directory.conftest import (
    LOOPBACK,
    Reading,
    RecordingConnector,
)
from tests.proofs.telling import reads_well, said
from tests.servers import ad_domain
from tests.servers.ad_domain import (
    ADDRESSES,
    BASE,
    BOARD,
    CONTACTS,
    GROUPS,
    LOCKOUT_THRESHOLD,
    MAIL,
    OTHER_MAIL,
    PASSWORD,
    PEOPLE,
    PUBLIC_FOLDERS,
    SHARED_MAILBOXES,
    SYSTEM_MAILBOXES,
    WITH_ADDRESSES,
    upn,
)
from tests.servers.ldif import record
from tests.servers.samba import Samba
from worker.adapters.directory.account import moment
from worker.adapters.directory.reader import LdapReader
from worker.domain.failures import StageState
from worker.domain.model import (
    Credentials,
    DirectorySettings,
    Kind,
    Secret,
    Security,
    Server,
    Trust,
)
from worker.domain.normalise import Normaliser
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.preview import Preview, Recipient
from worker.flows.diagnose import Asked, DiagnosePorts, Diagnosis, diagnose


# whoever comes first may have to make the domain
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def form(samba: Samba, own_ca: Trust) -> DirectorySettings:
    """The form as an admin fills it in: what has a default is left alone."""
    return DirectorySettings(
        name="Head office",
        type="active_directory",
        servers=(Server("127.0.0.1", samba.ldaps_port),),
        bind_name=upn("svc-sync"),
        trust=own_ca,
    )


def plan_of(form: DirectorySettings, *, password: str = PASSWORD, page_size: int = 500) -> ReadPlan:
    """Return what is read for a form."""
    limits = replace(LOOPBACK, page_size=page_size)
    return make_plan(form, Credentials(Secret(password)), limits)


async def doctor(form: DirectorySettings, password: str = PASSWORD) -> Diagnosis:
    """Have the doctor look, who knows the tenant's two domains."""
    asked = Asked(form, Credentials(Secret(password)), (MAIL, OTHER_MAIL), most=None)
    diagnosis = await diagnose(asked, ports=DiagnosePorts(LdapReader(), LOOPBACK))
    reads_well(diagnosis.finding, diagnosis.finding.code, words=said(diagnosis.detail))
    return diagnosis


def proved(given: str, code: str) -> object:
    """Return a case that brings this finding about."""
    return pytest.param(given, code, marks=pytest.mark.proves(code))


async def previewed(form: DirectorySettings) -> Preview:
    """What would be valid; all of it."""
    diagnosis = await doctor(form)
    assert diagnosis.preview is not None, diagnosis.detail
    return diagnosis.preview


async def recipients(form: DirectorySettings) -> dict[str, Recipient]:
    """The same by address."""
    return {each.address: each for each in (await previewed(form)).recipients}


async def names(form: DirectorySettings) -> set[str]:
    """The DNs of all entries with an address."""
    return set(await Reading(plan_of(form)).names())


async def rows_of(form: DirectorySettings, word: str) -> list[tuple[str, UUID]]:
    """Address and entry of the rows that the store would take, of addresses with a word in them."""
    plan = plan_of(form)
    normaliser = Normaliser(plan, (MAIL, OTHER_MAIL))
    rows = normaliser.page(await Reading(plan).entries()).rows.decode()
    pairs = [line.split("\t")[:2] for line in rows.splitlines()]
    return [(address, UUID(entry)) for address, entry in pairs if word in address]


# --- what is read ------------------------------------------------------------


async def test_recipients_of_every_kind_are_found(form: DirectorySettings) -> None:
    """One search finds people, groups, contacts and the folders that lie elsewhere in the domain."""
    preview = await previewed(form)

    kinds = Counter(each.kind for each in preview.recipients if each.primary)
    assert kinds == {
        Kind.MAILBOX: PEOPLE + SHARED_MAILBOXES + BOARD,
        Kind.GROUP: GROUPS,
        Kind.CONTACT: CONTACTS,
        Kind.PUBLIC_FOLDER: PUBLIC_FOLDERS,
    }
    assert preview.entries == WITH_ADDRESSES
    assert preview.ignored["system"].count == SYSTEM_MAILBOXES


async def test_the_prefix_tells_primary_addresses_from_others(form: DirectorySettings) -> None:
    """Its case carries a meaning that the server's own matching ignores; other types are no mail."""
    found = await recipients(form)

    assert found[f"person05@{MAIL}"].primary
    assert not found[f"person05@{OTHER_MAIL}"].primary
    assert [each for each in found if "person10" in each] == [f"person10@{MAIL}"]


async def test_a_disabled_account_keeps_its_mail(form: DirectorySettings) -> None:
    """Shared and room mailboxes are disabled by design, and who has left may still get mail."""
    found = await recipients(form)

    disabled = {each.address for each in found.values() if not each.enabled and each.primary}
    left = {f"person{number:02d}@{MAIL}" for number in range(9, PEOPLE, 10)}
    shared = {f"{name}@{MAIL}" for name in ("info", "sales", "room1", "room2", "orders")}
    assert disabled == left | shared


async def test_kinds_that_are_not_wanted_are_left_out(form: DirectorySettings) -> None:
    """One filter finds all of them, so they are told apart here."""
    preview = await previewed(replace(form, kinds=(Kind.GROUP, Kind.PUBLIC_FOLDER)))

    assert preview.by_kind == {"group": GROUPS, "public_folder": PUBLIC_FOLDERS}


async def test_without_exchange_the_mail_attribute_is_read(form: DirectorySettings) -> None:
    """The object category is a DN here, which AD takes by its short name."""
    found = await recipients(replace(form, type="active_directory_no_exchange"))

    assert {f"person{number:02d}@{MAIL}" for number in range(PEOPLE)} <= set(found)


@pytest.mark.parametrize("type_", ["active_directory_no_exchange", "samba_ad"])
async def test_without_exchange_groups_contacts_and_hand_written_addresses_are_read_too(
    form: DirectorySettings, samba: Samba, type_: str
) -> None:
    """An admin without Exchange writes into the E-mail field, and by hand into proxyAddresses."""
    clerk, press, agency = (f"CN={name},OU=Left,{BASE}" for name in ("Clerk", "Press", "Agency"))
    samba.add(
        record(
            clerk,
            {
                "objectClass": "user",
                "sAMAccountName": "clerk",
                "userAccountControl": "546",  # disabled, and no password is asked of it
                "mail": f"Clerk@{MAIL}",
                "proxyAddresses": [f"counter@{MAIL}", f"SIP:clerk@{MAIL}"],
                "otherMailbox": f"desk@{MAIL}",
            },
        ),
        record(
            press,
            {"objectClass": "group", "sAMAccountName": "Press", "mail": f"press@{MAIL}"},
        ),
        record(agency, {"objectClass": "contact", "mail": "agency@elsewhere.example"}),
    )
    try:
        preview = await previewed(replace(form, type=type_, search_bases=(f"OU=Left,{BASE}",)))
    finally:
        samba.delete(clerk, press, agency)

    assert {
        (each.address, each.kind, each.primary, each.enabled) for each in preview.recipients
    } == {
        (f"clerk@{MAIL}", Kind.MAILBOX, True, False),
        (f"counter@{MAIL}", Kind.MAILBOX, False, False),
        (f"desk@{MAIL}", Kind.MAILBOX, False, False),
        (f"press@{MAIL}", Kind.GROUP, True, True),
    }
    assert preview.entries == 3
    assert {reason: each.count for reason, each in preview.ignored.items()} == {
        "other_type": 1,
        "other_domain": 1,
    }


async def test_a_blank_base_is_the_domain(form: DirectorySettings) -> None:
    """The root DSE names it; public folders lie outside the users' tree."""
    reading = Reading(plan_of(form))

    await reading.entries()

    assert reading.proof is not None
    assert reading.proof.bases == (BASE,)


@pytest.mark.parametrize("page_size", [1000, 500, WITH_ADDRESSES // 2, WITH_ADDRESSES])
async def test_more_than_one_answer_holds_is_read_whole(
    form: DirectorySettings, samba: Samba, page_size: int
) -> None:
    """AD gives a thousand at most; also when the last page is full, everybody is there once."""
    reading = Reading(plan_of(form, page_size=page_size))

    found = await reading.names()

    expected = [entry.dn for entry in samba.search(BASE, "(proxyAddresses=smtp:*)", "cn")]
    assert sorted(found) == sorted(expected)
    assert reading.proof is not None
    assert reading.proof.entries == WITH_ADDRESSES


async def test_an_entry_of_many_addresses_keeps_them_all(form: DirectorySettings) -> None:
    """An order system with an address for each customer."""
    found = await recipients(form)

    assert sum(each.name == "Orders" for each in found.values()) == ADDRESSES


async def test_an_entry_is_the_same_after_a_rename_and_a_move(
    form: DirectorySettings, samba: Samba
) -> None:
    """Marriage and a new office change the DN and the address, never who it is."""
    before, after = f"CN=Ada Single,OU=People,{BASE}", f"CN=Ada Wed,OU=Left,{BASE}"
    samba.add(ad_domain.mailbox(before, "ada.single"))
    ((_, identity),) = await rows_of(form, "ada.")

    samba.rename(before, "CN=Ada Wed", under=f"OU=Left,{BASE}")
    samba.set(after, proxyAddresses=[f"SMTP:ada.wed@{MAIL}", f"smtp:ada.single@{MAIL}"])
    found = await rows_of(form, "ada.")

    (entry,) = samba.search(after, "(objectClass=*)", "objectGUID", scope="base")
    samba.delete(after)
    assert identity == UUID(bytes_le=entry.attributes["objectguid"][0])
    assert set(found) == {(f"ada.wed@{MAIL}", identity), (f"ada.single@{MAIL}", identity)}


async def test_the_deleted_are_gone(form: DirectorySettings, samba: Samba) -> None:
    """AD keeps a tombstone with the same id, which an ordinary account is not shown."""
    name = f"CN=Short Stay,OU=People,{BASE}"
    samba.add(ad_domain.mailbox(name, "short.stay"))
    with_them = await names(form)

    samba.delete(name)

    assert with_them - await names(form) == {name}


async def test_references_are_counted_and_not_followed(form: DirectorySettings) -> None:
    """A domain's root always refers to its configuration; whoever follows dials where a server says."""
    connector = RecordingConnector()
    reading = Reading(plan_of(form), reader=LdapReader(connector=connector))

    await reading.entries()

    assert reading.proof is not None
    assert reading.proof.references == 1
    assert connector.dialled == [("127.0.0.1", form.servers[0].port)]


async def test_a_reader_that_may_not_see_all_is_told_success(form: DirectorySettings) -> None:
    """A server hides and says nothing: only the guard can know that the board has not left."""
    whole = await previewed(form)

    less = await doctor(replace(form, bind_name=upn("svc-blind")))

    assert less.finding.code == "ok"
    assert less.preview is not None
    assert whole.entries - less.preview.entries == BOARD


@pytest.mark.parametrize(
    ("base", "code"),
    [
        proved(f"OU=Gone,{BASE}", "base.not_found"),
        ("DC=other,DC=example", "base.not_found"),  # Microsoft's refers there instead: result 10
        proved("ad.example.com", "base.bad_name"),
    ],
)
async def test_a_base_that_is_wrong_is_told(form: DirectorySettings, base: str, code: str) -> None:
    """Everyone would have left."""
    assert (await doctor(replace(form, search_bases=(base,)))).finding.code == code


# --- signing in --------------------------------------------------------------


@pytest.mark.parametrize(
    "bind_name", [upn("svc-sync"), "LAB\\svc-sync", ad_domain.account("svc-sync")]
)
@pytest.mark.proves("ok")
async def test_the_account_may_be_named_in_three_ways(
    form: DirectorySettings, bind_name: str
) -> None:
    """Admins know their accounts by any of them."""
    assert (await doctor(replace(form, bind_name=bind_name))).finding.code == "ok"


async def test_the_domain_tells_when_our_password_expires(
    form: DirectorySettings, samba: Samba
) -> None:
    """By whichever name the account signs in; and nothing where it never expires."""
    name = ad_domain.account("svc-sync")
    (entry,) = samba.search(name, "(objectClass=*)", "userAccountControl", "pwdLastSet")
    control, was_set = entry.texts("userAccountControl")[0], entry.texts("pwdLastSet")[0]
    names = (upn("svc-sync"), ad_domain.logon("svc-sync"), name)
    never = await proved_by(form)

    samba.set(name, userAccountControl=str(ad_domain.ENABLED))
    try:
        told = [await proved_by(replace(form, bind_name=each)) for each in names]
    finally:
        samba.set(name, userAccountControl=control)

    expected = moment(str(int(was_set) - ad_domain.TEN_YEARS).encode())
    assert never is None
    assert expected is not None
    assert told == [expected] * 3


async def proved_by(form: DirectorySettings) -> datetime | None:
    """Until when the password is valid, as a whole read proves."""
    reading = Reading(plan_of(form))
    await reading.names()
    assert reading.proof is not None
    return reading.proof.password_until


async def test_starttls_signs_in_on_the_plain_port(form: DirectorySettings, samba: Samba) -> None:
    """Where only 389 is open."""
    server = Server("127.0.0.1", samba.port)
    diagnosis = await doctor(replace(form, servers=(server,), security=Security.STARTTLS))

    assert diagnosis.finding.code == "ok"


@pytest.mark.parametrize(
    ("account", "code"),
    [
        proved("svc-disabled", "sign_in.disabled"),
        proved("svc-expired", "sign_in.expired"),
        proved("svc-old-password", "sign_in.password_expired"),
        proved("svc-must-change", "sign_in.must_change"),
        proved("svc-no-hours", "sign_in.logon_hours"),
        proved("svc-elsewhere", "sign_in.workstation"),
    ],
)
async def test_an_account_that_may_not_sign_in_is_told_why(
    form: DirectorySettings, account: str, code: str
) -> None:
    """Each is mended at another place; the password is right."""
    diagnosis = await doctor(replace(form, bind_name=upn(account)))

    assert diagnosis.finding.code == code
    assert diagnosis.refused_sign_ins == 1
    assert diagnosis.finding.stages[-1].state is StageState.NOT_TRIED


@pytest.mark.parametrize(
    "bind_name", [upn("svc-sync"), upn("svc-disabled"), upn("nobody.here"), "svc-sync"]
)
@pytest.mark.proves("sign_in.wrong_password")
async def test_a_wrong_password_masks_all_else(form: DirectorySettings, bind_name: str) -> None:
    """No stranger learns which accounts there are. Microsoft's says 525 for an unknown name, Samba 52e."""
    diagnosis = await doctor(replace(form, bind_name=bind_name), "wrong")

    assert diagnosis.finding.code == "sign_in.wrong_password"
    assert any("DOMAIN\\user" in check for check in diagnosis.finding.checks)


@pytest.mark.proves("sign_in.locked")
async def test_a_locked_account_is_told_even_with_the_right_password(
    form: DirectorySettings, samba: Samba
) -> None:
    """The lock comes from elsewhere, most often: a program with the old password."""
    samba.add(ad_domain.new_account("svc-locked"))
    locked = replace(form, bind_name=upn("svc-locked"))
    codes = [(await doctor(locked, "wrong")).finding.code for _ in range(LOCKOUT_THRESHOLD)]

    codes.append((await doctor(locked)).finding.code)

    assert codes == ["sign_in.wrong_password"] * LOCKOUT_THRESHOLD + ["sign_in.locked"]


@pytest.mark.proves("sign_in.needs_tls")
async def test_a_password_in_clear_is_not_looked_at(form: DirectorySettings, samba: Samba) -> None:
    """The server wants it encrypted; the account is not to blame, and nothing counts against it."""
    samba.add(ad_domain.new_account("svc-clear"))
    plain = replace(
        form,
        servers=(Server("127.0.0.1", samba.port),),
        security=Security.NONE,
        bind_name=upn("svc-clear"),
    )

    diagnosis = await doctor(plain, "wrong")

    assert diagnosis.finding.code == "sign_in.needs_tls"
    assert diagnosis.refused_sign_ins == 0
    assert samba.number(ad_domain.account("svc-clear"), "badPwdCount") == 0
