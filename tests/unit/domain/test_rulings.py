"""What may be carried out, and what a customer is told when it may not."""

from dataclasses import replace

import pytest

from worker.domain.commands import FieldError, RequestSync, SaveDirectory, SaveTenant, Sealed
from worker.domain.model import (
    Address,
    DirectoryId,
    DirectorySettings,
    Domain,
    Logins,
    Mode,
    Removals,
    Schedule,
    Security,
    Server,
    Tier,
    Trigger,
    Trust,
)
from worker.domain.rulings import (
    DirectoryRecord,
    DomainChanges,
    TenantRecord,
    directory_errors,
    domain_changes,
    keeps_client_key,
    keeps_password,
    request_errors,
    resume_errors,
    skip_reason,
    tenant_errors,
)


COM, NET = Domain("example.com"), Domain("example.net")
TENANT = TenantRecord(Tier.ENTERPRISE, None, 5, (COM,))
FORM = DirectorySettings("HQ", "openldap", (Server("ldap.example.com"),), "cn=reader")
KNOWN = DirectoryRecord(
    last_revision=2,
    asked_revision=7,
    in_force=1,
    pending=None,
    settings=FORM,
    has_password=True,
    has_client_key=False,
    paused=None,
)
SAVE = SaveDirectory(
    DirectoryId("hq"), FORM, Sealed(b"x"), None, sync=False, force=False, revision=None
)


def told(errors: tuple[FieldError, ...]) -> list[tuple[str, str]]:
    """Field and code; each has a message."""
    assert all(error.message for error in errors)
    return [(error.field, error.code) for error in errors]


def save(*domains: Domain, revision: int | None = None) -> SaveTenant:
    """A tenant.save."""
    return SaveTenant(Tier.BASIC, domains or None, None, revision)


# --- tenants -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "known", "is_refused"),
    [
        (None, TENANT, False),
        (4, TENANT, True),
        (5, TENANT, False),
        (6, TENANT, False),
        (1, replace(TENANT, revision=None), False),
    ],
)
def test_only_an_older_revision_is_stale(
    revision: int | None,
    known: TenantRecord,
    is_refused: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A late or replayed message does no harm; who sends no revisions is never late."""
    assert (told(tenant_errors(save(COM, revision=revision), known, ())) != []) is is_refused


def test_a_new_tenant_needs_a_domain() -> None:
    """Without one nothing could become a recipient."""
    assert told(tenant_errors(save(), None, ())) == [("domains", "required")]
    assert told(tenant_errors(save(COM), None, ())) == []
    assert told(tenant_errors(save(), TENANT, ())) == []


def test_every_domain_that_is_taken_is_named() -> None:
    """All at once, each in its place."""
    errors = tenant_errors(
        save(COM, NET, Domain("example.org")), TENANT, {"example.net", "example.org"}
    )

    assert told(errors) == [("domains.1.name", "domain.taken"), ("domains.2.name", "domain.taken")]


def test_an_alias_needs_a_target_that_is_no_alias() -> None:
    """Else a look-up would go round in circles."""
    alias = Domain("example.net", alias_of="example.com")

    assert told(tenant_errors(save(COM, alias), TENANT, ())) == []
    assert told(tenant_errors(save(alias), TENANT, ())) == [
        ("domains.0.alias_of", "domain.no_target")
    ]
    chain = (COM, alias, Domain("example.org", alias_of="example.net"))
    assert told(tenant_errors(save(*chain), TENANT, ())) == [
        ("domains.2.alias_of", "domain.no_target")
    ]


def test_domains_are_compared_by_name() -> None:
    """Added, changed and taken off are three things; what is equal is none."""
    catching = replace(NET, catch_all=True)

    changes = domain_changes((COM, NET), (catching, Domain("example.org")))

    assert changes == DomainChanges((Domain("example.org"),), (catching,), ("example.com",))
    assert changes
    assert not domain_changes((COM,), (COM,))
    assert not domain_changes((COM,), None)


# --- directories -------------------------------------------------------------


def test_a_form_that_is_in_order_is_saved() -> None:
    """A new one, and one that is known."""
    assert directory_errors(SAVE, None, TENANT) == ()
    assert directory_errors(SAVE, KNOWN, TENANT) == ()


def test_an_older_form_is_stale() -> None:
    """And nothing else is told of it."""
    late = replace(SAVE, revision=6, password=None, settings=replace(FORM, servers=()))

    assert told(directory_errors(late, KNOWN, TENANT)) == [("revision", "stale")]
    assert directory_errors(replace(SAVE, revision=7), KNOWN, TENANT) == ()


@pytest.mark.parametrize(
    ("tier", "fields"),
    [
        (Tier.BASIC, ["schedule.automatic", "logins.create"]),
        (Tier.STANDARD, ["logins.create"]),
        (Tier.ENTERPRISE, []),
        (Tier.RESELLER, []),
    ],
)
def test_each_plan_has_its_rights(tier: Tier, fields: list[str]) -> None:
    """Basic: by hand; Standard: by itself; Enterprise and Reseller: logins too."""
    form = replace(FORM, schedule=Schedule(automatic=True), logins=Logins(create=True))

    errors = directory_errors(replace(SAVE, settings=form), None, replace(TENANT, tier=tier))

    assert [error.field for error in errors] == fields


def test_what_the_stored_form_has_already_is_no_new_wish() -> None:
    """Who lost a right can change a password, and the settings wait for the day it is back."""
    form = replace(FORM, schedule=Schedule(automatic=True, every_hours=3))
    stored = replace(KNOWN, settings=replace(FORM, schedule=Schedule(automatic=True)))
    more = replace(form, logins=Logins(create=True))
    basic = replace(TENANT, tier=Tier.BASIC)

    assert directory_errors(replace(SAVE, settings=form), stored, basic) == ()
    assert told(directory_errors(replace(SAVE, settings=more), stored, basic)) == [
        ("logins.create", "plan.quarantine_logins")
    ]


def test_a_form_is_judged_by_the_resellers_plan_if_that_is_higher() -> None:
    """A tenant takes its reseller's right."""
    form = replace(FORM, schedule=Schedule(automatic=True), logins=Logins(create=True))
    resold = replace(TENANT, tier=Tier.BASIC, reseller="acme", reseller_tier=Tier.RESELLER)

    assert directory_errors(replace(SAVE, settings=form), None, resold) == ()


def test_only_a_plan_with_automatic_sync_lets_a_schedule_go_on() -> None:
    """A resume that could do nothing would be a promise."""
    automatic = replace(KNOWN, settings=replace(FORM, schedule=Schedule(automatic=True)))

    assert told(resume_errors(Tier.BASIC, automatic)) == [("directory", "plan.automatic_sync")]
    assert resume_errors(Tier.STANDARD, automatic) == ()
    assert resume_errors(Tier.BASIC, KNOWN) == ()


def test_a_canary_must_be_in_a_domain_of_the_tenant() -> None:
    """No run could ever find another, and each would be held."""
    names = (Address("ceo@example.com"), Address("ceo@example.net"))
    form = replace(FORM, removals=Removals(canaries=names))

    errors = directory_errors(replace(SAVE, settings=form), None, TENANT)

    assert told(errors) == [("removals.canaries.1", "canary.other_domain")]


def test_all_faults_are_told_at_once() -> None:
    """A person mends a form in one go."""
    form = replace(
        FORM,
        schedule=Schedule(automatic=True),
        removals=Removals(canaries=(Address("a@b.example"),)),
    )
    command = replace(SAVE, settings=form, password=None)

    errors = directory_errors(command, None, replace(TENANT, tier=Tier.BASIC))

    assert [code for _, code in told(errors)] == [
        "plan.automatic_sync",
        "canary.other_domain",
        "required",
    ]


# --- secrets -----------------------------------------------------------------


LEFT_OUT = replace(SAVE, password=None)


def test_a_new_directory_needs_a_secret() -> None:
    """A password, or the key of a client certificate."""
    assert told(directory_errors(LEFT_OUT, None, TENANT)) == [("password", "required")]
    assert directory_errors(replace(LEFT_OUT, client_key=Sealed(b"k")), None, TENANT) == ()
    without = replace(KNOWN, has_password=False)
    assert told(directory_errors(LEFT_OUT, without, TENANT)) == [("password", "required")]


def test_a_password_left_out_is_kept_for_the_same_place() -> None:
    """Nobody types it again to change a filter."""
    command = replace(LEFT_OUT, settings=replace(FORM, filter="(mail=*)", name="Renamed"))

    assert directory_errors(command, KNOWN, TENANT) == ()
    assert keeps_password(command, KNOWN)
    assert not keeps_password(SAVE, KNOWN)


@pytest.mark.parametrize(
    "moved",
    [
        replace(FORM, servers=(Server("evil.example"),)),
        replace(FORM, servers=(*FORM.servers, Server("evil.example"))),
        replace(FORM, servers=(Server("ldap.example.com", 1389),)),
        replace(FORM, security=Security.NONE),
        replace(FORM, trust=Trust(ca_pem="another")),
        replace(FORM, trust=Trust(fingerprint="00")),
        replace(FORM, certificate_name="evil.example"),
    ],
)
def test_a_password_is_never_kept_for_another_place(moved: DirectorySettings) -> None:
    """Whoever can edit the form could send the old one to a server of theirs."""
    command = replace(LEFT_OUT, settings=moved)

    assert told(directory_errors(command, KNOWN, TENANT)) == [("password", "password.again")]
    assert not keeps_password(command, KNOWN)
    assert not keeps_password(replace(command, client_key=Sealed(b"k")), KNOWN)


@pytest.mark.parametrize(
    "known",
    [
        None,
        KNOWN,
        replace(
            KNOWN,
            settings=replace(FORM, client_certificate="pem", servers=(Server("other.example"),)),
            has_client_key=True,
        ),
    ],
)
def test_a_client_certificate_wants_its_key(known: DirectoryRecord | None) -> None:
    """Without it no run could ever begin, and the form would be the last to say so."""
    command = replace(SAVE, settings=replace(FORM, client_certificate="pem"))

    assert told(directory_errors(command, known, TENANT)) == [("client_key", "required")]
    assert directory_errors(replace(command, client_key=Sealed(b"k")), known, TENANT) == ()


def test_who_signs_in_by_certificate_is_not_asked_for_a_password() -> None:
    """There never was one: moved elsewhere, it is the key that has to be entered again."""
    form = replace(FORM, client_certificate="pem")
    known = replace(KNOWN, settings=form, has_password=False, has_client_key=True)
    moved = replace(LEFT_OUT, settings=replace(form, servers=(Server("other.example"),)))
    bare = replace(moved, settings=replace(moved.settings, client_certificate=None))

    assert told(directory_errors(moved, known, TENANT)) == [("client_key", "required")]
    assert told(directory_errors(bare, known, TENANT)) == [("password", "password.again")]


def test_a_client_key_stays_with_its_certificate() -> None:
    """A key is of no use, and no business, elsewhere."""
    form = replace(FORM, client_certificate="pem")
    known = replace(KNOWN, settings=form, has_password=False, has_client_key=True)
    command = replace(LEFT_OUT, settings=form)

    assert keeps_client_key(command, known)
    assert directory_errors(command, known, TENANT) == ()
    assert not keeps_client_key(replace(command, client_key=Sealed(b"k")), known)
    other = replace(command, settings=replace(form, client_certificate=None))
    assert not keeps_client_key(other, known)
    assert told(directory_errors(other, known, TENANT)) == [("password", "required")]


# --- requests ----------------------------------------------------------------


def request(trigger: Trigger) -> RequestSync:
    """A sync.request."""
    return RequestSync(DirectoryId("hq"), trigger, Mode.APPLY)


def test_a_person_may_always_ask() -> None:
    """In every plan, pending or not."""
    assert request_errors(request(Trigger.MANUAL), Tier.BASIC, replace(KNOWN, in_force=None)) == ()


def test_a_schedule_needs_its_plan_and_settings_that_were_tried() -> None:
    """What was never tried by a person does not run by night."""
    scheduled = request(Trigger.SCHEDULED)

    assert told(request_errors(scheduled, Tier.BASIC, KNOWN)) == [
        ("trigger", "plan.automatic_sync")
    ]
    untried = replace(KNOWN, in_force=None, pending=1)
    assert told(request_errors(scheduled, Tier.STANDARD, untried)) == [
        ("directory", "directory.pending")
    ]
    assert request_errors(scheduled, Tier.STANDARD, KNOWN) == ()


def test_a_manual_request_reads_the_pending_settings() -> None:
    """What the person sees is what is tried."""
    assert KNOWN.request_revision == 1
    assert replace(KNOWN, pending=2).request_revision == 2


@pytest.mark.parametrize(
    ("trigger", "tier", "paused", "deleted", "reason"),
    [
        (Trigger.MANUAL, Tier.BASIC, "paused by hand", False, None),
        (Trigger.MANUAL, Tier.BASIC, None, True, "deleted"),
        (Trigger.SCHEDULED, Tier.STANDARD, None, False, None),
        (Trigger.SCHEDULED, Tier.STANDARD, "paused by hand", False, "paused"),
        (Trigger.SCHEDULED, Tier.BASIC, "paused by hand", False, "plan"),
        (Trigger.SCHEDULED, Tier.STANDARD, None, True, "deleted"),
    ],
)
def test_a_run_is_skipped_for_the_first_reason(
    trigger: Trigger,
    tier: Tier,
    paused: str | None,
    deleted: bool,  # noqa: FBT001 - a column of the table
    reason: str | None,
) -> None:
    """A right is checked again when a run starts; a person is never stopped by a pause."""
    assert skip_reason(trigger, tier=tier, paused=paused, deleted=deleted) == reason
