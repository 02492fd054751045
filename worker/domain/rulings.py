"""Decides whether a command may be carried out: revisions, plans, domains taken, the password rule.

Pure: what is known comes in as records, what is wrong goes out as one message per field.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from worker.domain.commands import (
    CheckDirectory,
    FieldError,
    Form,
    RequestSync,
    SaveDirectory,
    SaveTenant,
)
from worker.domain.model import DirectoryId, DirectorySettings, Domain, Tier, Trigger
from worker.domain.plans import Right, allows, effective, lacking


RIGHT_FOR = {Trigger.MANUAL: Right.MANUAL_SYNC, Trigger.SCHEDULED: Right.AUTOMATIC_SYNC}
"""What a run needs, when it is asked for, when it starts and when it ends."""

FIELD_OF = {Right.AUTOMATIC_SYNC: "schedule.automatic", Right.LOGINS: "logins.create"}
"""The field of the form that asks for a right."""
PASSWORD_REQUIRED = FieldError("password", "required", "Enter the password of the bind account.")

PASSWORD_AGAIN = FieldError(
    "password",
    "password.again",
    "Enter the password again: servers, security or trust were changed.",
)

KEY_REQUIRED = FieldError(
    "client_key",
    "required",
    "Enter the private key of the client certificate; none is stored that may go with it.",
)


DELETED_MEANWHILE = FieldError(
    "directory",
    "directory.deleted",
    "The directory or its tenant was deleted before it was tested.",
)


OPEN_TESTS_MAX = 50
"""Of one tenant. What waits longer than five minutes is not carried out anyway."""

TOO_MANY_TESTS = FieldError(
    "",
    "test.too_many",
    f"{OPEN_TESTS_MAX} tests of this customer wait for their answers already. Try again when some are there: each is within five minutes.",
)


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant as it is stored."""

    tier: Tier
    reseller: str | None
    revision: int | None
    domains: tuple[Domain, ...]
    reseller_tier: Tier | None = None
    """The plan of its reseller; None if it has none, or one that is no tenant here."""

    @property
    def plan(self) -> Tier:
        """The plan that its rights are judged by."""
        return effective(self.tier, self.reseller_tier)


@dataclass(frozen=True, slots=True)
class DirectoryRecord:
    """A directory as it is stored: the settings are those of its newest revision."""

    last_revision: int
    """Ours, counting the saves."""
    asked_revision: int | None
    """The platform's, of the last save that carried one."""
    in_force: int | None
    pending: int | None
    settings: DirectorySettings
    has_password: bool
    has_client_key: bool
    paused: str | None

    @property
    def request_revision(self) -> int | None:
        """The revision that a manual request reads: the pending one if there is one."""
        return self.pending if self.pending is not None else self.in_force


@dataclass(frozen=True, slots=True)
class DomainChanges:
    """What a tenant.save does to the tenant's domains."""

    added: tuple[Domain, ...] = ()
    changed: tuple[Domain, ...] = ()
    taken_off: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.taken_off)


def tenant_errors(
    command: SaveTenant, known: TenantRecord | None, taken: Collection[str]
) -> tuple[FieldError, ...]:
    """Say why a tenant.save cannot be carried out: stale, without domains, or with one that another tenant has."""
    if is_stale(command.revision, known.revision if known else None):
        return (stale("revision", command.revision),)
    if known is None and command.domains is None:
        return (FieldError("domains", "required", "A new tenant needs at least one mail domain."),)
    wanted = command.domains or ()
    errors = [
        FieldError(
            f"domains.{place}.name",
            "domain.taken",
            f"Another tenant has {domain.name}. Take it off there first.",
        )
        for place, domain in enumerate(wanted)
        if domain.name in taken
    ]
    names = {domain.name for domain in wanted if domain.alias_of is None}
    errors += [
        FieldError(
            f"domains.{place}.alias_of",
            "domain.no_target",
            f"{domain.alias_of} is not one of this tenant's own domains; name one that is, and is no alias itself.",
        )
        for place, domain in enumerate(wanted)
        if domain.alias_of is not None and domain.alias_of not in names
    ]
    return tuple(errors)


def domain_changes(known: Collection[Domain], wanted: Collection[Domain] | None) -> DomainChanges:
    """Compare a tenant's domains with what is asked; None asks for no change."""
    if wanted is None:
        return DomainChanges()
    before = {domain.name: domain for domain in known}
    after = {domain.name: domain for domain in wanted}
    return DomainChanges(
        added=tuple(domain for name, domain in after.items() if name not in before),
        changed=tuple(
            domain for name, domain in after.items() if name in before and before[name] != domain
        ),
        taken_off=tuple(name for name in before if name not in after),
    )


def directory_errors(
    command: SaveDirectory, known: DirectoryRecord | None, tenant: TenantRecord
) -> tuple[FieldError, ...]:
    """Say why a directory.save cannot be carried out, all faults at once."""
    if is_stale(command.revision, known.asked_revision if known else None):
        return (stale("revision", command.revision),)
    return (
        *plan_errors(command.settings, tenant.plan, known.settings if known else None),
        *canary_errors(command.settings, tenant.domains),
        *secret_errors(command, known),
        *key_errors(command, known),
    )


def check_errors(
    command: CheckDirectory, known: DirectoryRecord | None, tenant: TenantRecord
) -> tuple[FieldError, ...]:
    """Say why a form cannot be tested: for the reasons why it could not be saved. What is stored can be."""
    if command.form is None:
        return ()
    wrong = directory_errors(as_saved(command.form, command.directory), known, tenant)
    return tuple(replace(error, field=f"form.{error.field}") for error in wrong)


def as_saved(form: Form, directory: DirectoryId | None) -> SaveDirectory:
    """Return the save that a form would be."""
    return SaveDirectory(
        directory=directory or DirectoryId(""),
        settings=form.settings,
        password=form.password,
        client_key=form.client_key,
        sync=False,
        force=False,
        revision=None,
    )


def canary_errors(
    settings: DirectorySettings, domains: Collection[Domain]
) -> tuple[FieldError, ...]:
    """Name the canaries that no run could ever find, because their domain is not the tenant's."""
    ours = {domain.name for domain in domains}
    return tuple(
        FieldError(
            f"removals.canaries.{place}",
            "canary.other_domain",
            f"{canary} is in none of this tenant's domains; name an address that must always be found.",
        )
        for place, canary in enumerate(settings.removals.canaries)
        if canary.rpartition("@")[2] not in ours
    )


def plan_errors(
    settings: DirectorySettings, tier: Tier, kept: DirectorySettings | None
) -> tuple[FieldError, ...]:
    """Name the plans that have what is asked for and this plan has not.

    What the stored form has already (``kept``) is no new wish: whoever lost a right must still be able to
    change a password without giving up the settings that a higher plan brings back to life.
    """
    asked = wishes(settings) - (wishes(kept) if kept else frozenset())
    return tuple(
        lacking(right, field)
        for right, field in FIELD_OF.items()
        if right in asked and not allows(tier, right)
    )


def wishes(settings: DirectorySettings) -> frozenset[Right]:
    """Return the rights that a form makes use of."""
    used = {
        Right.AUTOMATIC_SYNC: settings.schedule.automatic,
        Right.LOGINS: settings.logins.create,
    }
    return frozenset(right for right, is_used in used.items() if is_used)


def secret_errors(command: SaveDirectory, known: DirectoryRecord | None) -> tuple[FieldError, ...]:
    """Hold to the password rule.

    A secret may be left out only while servers, security and trust stay the same: else whoever can edit the
    form could send the old password to a server of theirs.
    """
    if command.password is not None or command.client_key is not None:
        return ()
    if known is None or not (known.has_password or known.has_client_key):
        return (PASSWORD_REQUIRED,)
    if not goes_to_the_same_place(command.settings, known.settings):
        # whose key alone signs in is asked for that, by key_errors
        is_by_key = command.settings.client_certificate is not None and not known.has_password
        return () if is_by_key else (PASSWORD_AGAIN,)
    if not (keeps_password(command, known) or keeps_client_key(command, known)):
        return (PASSWORD_REQUIRED,)
    return ()


def key_errors(command: SaveDirectory, known: DirectoryRecord | None) -> tuple[FieldError, ...]:
    """Want the key of a client certificate: given, or the one stored with the same certificate for the same servers."""
    if command.settings.client_certificate is None or command.client_key is not None:
        return ()
    return () if known is not None and keeps_client_key(command, known) else (KEY_REQUIRED,)


def keeps_password(command: SaveDirectory, known: DirectoryRecord) -> bool:
    """Whether the stored password goes on to the new revision."""
    return (
        command.password is None
        and known.has_password
        and goes_to_the_same_place(command.settings, known.settings)
    )


def keeps_client_key(command: SaveDirectory, known: DirectoryRecord) -> bool:
    """Whether the stored key of the client certificate goes on: only with the certificate it belongs to."""
    return (
        command.client_key is None
        and known.has_client_key
        and command.settings.client_certificate == known.settings.client_certificate
        and goes_to_the_same_place(command.settings, known.settings)
    )


def goes_to_the_same_place(new: DirectorySettings, old: DirectorySettings) -> bool:
    """Whether a secret kept from the old settings would be sent to the same servers in the same way."""
    return (new.servers, new.security, new.trust, new.certificate_name) == (
        old.servers,
        old.security,
        old.trust,
        old.certificate_name,
    )


def request_errors(
    command: RequestSync, tier: Tier, known: DirectoryRecord
) -> tuple[FieldError, ...]:
    """Say why a run may not be asked for."""
    right = RIGHT_FOR[command.trigger]
    if not allows(tier, right):
        return (lacking(right, "trigger"),)
    if command.trigger is Trigger.SCHEDULED and known.in_force is None:
        text = "The settings have not come into force yet: sync once by hand (Save & Sync) first."
        return (FieldError("directory", "directory.pending", text),)
    return ()


def resume_errors(tier: Tier, known: DirectoryRecord) -> tuple[FieldError, ...]:
    """Say why scheduled runs cannot go on: what the plan stopped, no person lets go on."""
    if Right.AUTOMATIC_SYNC not in wishes(known.settings) or allows(tier, Right.AUTOMATIC_SYNC):
        return ()
    return (lacking(Right.AUTOMATIC_SYNC, "directory"),)


def is_stale(revision: int | None, last: int | None) -> bool:
    """Whether a save is older than what is stored, and must do no harm."""
    return revision is not None and last is not None and revision < last


def stale(field: str, revision: int | None) -> FieldError:
    """The answer to a late or replayed save."""
    return FieldError(field, "stale", f"Revision {revision} is older than what is stored.")


def skip_reason(trigger: Trigger, *, tier: Tier, paused: str | None, deleted: bool) -> str | None:
    """Why a claimed run must not start, or None. A manual run goes on while the schedule is paused."""
    if deleted:
        return "deleted"
    if not allows(tier, RIGHT_FOR[trigger]):
        return "plan"
    return "paused" if trigger is Trigger.SCHEDULED and paused is not None else None
