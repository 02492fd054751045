"""The form of a directory: every field with its title, quick tip, default, example and check. The one place for them.

Its JSON Schema is what pages show, so the words here are read by people who have never seen LDAP.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from worker.codec.fields import (
    ANY_CASE,
    BLANK_IS_ABSENT,
    BLANKS_ARE_ABSENT,
    AddressText,
    AttributeText,
    BindNameText,
    CertificateNameText,
    CertificateText,
    DnText,
    FilterText,
    FingerprintText,
    Form,
    Id,
    KeyText,
    Line,
    PasswordText,
    PatternText,
    Revision,
    SealedText,
    ServerText,
    shown,
)
from worker.codec.mistakes import FormError, mistake
from worker.domain import commands
from worker.domain.commands import FieldError, SaveDirectory
from worker.domain.model import (
    DirectoryId,
    DirectorySettings,
    Kind,
    LoginRole,
    Logins,
    RemovalPolicy,
    Removals,
    Schedule,
    Security,
    Trust,
)
from worker.domain.presets import OTHER_PRODUCTS, PRESETS


DirectoryType = Literal[
    "active_directory",
    "active_directory_no_exchange",
    "samba_ad",
    "openldap",
    "openldap_local_recipient",
    "389ds",
    "freeipa",
    "zimbra",
    "kopano",
    "zarafa",
    "iredmail",
    "ucs",
    "domino",
    "edirectory",
    "google",
    "synology",
    "custom",
]

_ELSEWHERE = f"For {', '.join(OTHER_PRODUCTS)} choose the type of the directory that its users come from, and enter that server."

SERVERS_MAX_COUNT = 5
LIST_MAX_COUNT = 1_000
GRACE_MAX_HOURS = 720
COUNT_MAX = 1_000_000

CHOICES_OF_KIND: Mapping[str, tuple[str, str]] = {
    Kind.MAILBOX: ("Mailboxes", "People, shared mailboxes, rooms and equipment."),
    Kind.GROUP: ("Groups", "Distribution lists and other groups with an address."),
    Kind.CONTACT: (
        "Contacts",
        "Entries that stand for people elsewhere, with an address of yours.",
    ),
    Kind.PUBLIC_FOLDER: ("Public folders", "Exchange folders that receive mail."),
}

_REMOVALS = Removals()
_SCHEDULE = Schedule()
_LOGINS = Logins()


class TrustForm(Form):
    """What proves that the server is yours: your own CA or a fingerprint; neither means the public CAs."""

    ca_pem: Annotated[
        CertificateText | None,
        BLANK_IS_ABSENT,
        shown(
            "Own certificate authority",
            "If your server's certificate was issued by your own authority, paste that authority's certificate here.",
            group="connection",
            enter="Enter the CA's certificate as PEM text, or leave it out to trust the public authorities.",
            example="-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
        ),
    ] = None
    fingerprint: Annotated[
        FingerprintText | None,
        BLANK_IS_ABSENT,
        shown(
            "Pinned fingerprint",
            "Trust exactly the certificate with this SHA-256 fingerprint, whoever issued it.",
            group="connection",
            enter="Enter sha256: and 64 hexadecimal digits, or leave it out.",
            example="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ] = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.ca_pem is not None and self.fingerprint is not None:
            raise FormError(code="trust.two_ways")
        return self

    def noun(self) -> Trust:
        """Return the domain's own noun."""
        return Trust(self.ca_pem, self.fingerprint)


class RemovalsForm(Form):
    """How departures are treated."""

    policy: Annotated[
        RemovalPolicy,
        shown(
            "Removing addresses",
            "safe: addresses leave after a grace time, and unusual losses wait for you. "
            "review: every removal waits for you. never: nothing is removed.",
            group="safety",
            enter="Enter safe, review or never.",
            example="safe",
            choices={
                RemovalPolicy.SAFE: (
                    "Remove after the grace time",
                    "Addresses leave after a grace time; unusual losses wait for you.",
                ),
                RemovalPolicy.REVIEW: (
                    "Ask me every time",
                    "No address leaves before you have agreed.",
                ),
                RemovalPolicy.NEVER: ("Never remove", "Addresses are only ever added."),
            },
        ),
    ] = _REMOVALS.policy
    max_share: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        shown(
            "Largest share that may leave",
            "If more than this share of a domain's addresses would leave within 7 days, you are asked first.",
            group="safety",
            enter="Enter a share from 0 to 1, for example 0.05 for 5 %.",
            example=0.05,
        ),
    ] = _REMOVALS.max_share
    min_count: Annotated[
        int,
        Field(ge=0, le=COUNT_MAX),
        shown(
            "Never ask below",
            "Up to this many departures the share is not looked at, so that small lists do not ask all the time.",
            group="safety",
            enter="Enter a whole number from 0 to 1,000,000.",
            example=10,
        ),
    ] = _REMOVALS.min_count
    max_count: Annotated[
        int,
        Field(ge=1, le=COUNT_MAX),
        shown(
            "Always ask above",
            "If more than this many addresses would leave within 7 days, you are asked first, whatever their share.",
            group="safety",
            enter="Enter a whole number from 1 to 1,000,000.",
            example=500,
        ),
    ] = _REMOVALS.max_count
    grace_hours: Annotated[
        int,
        Field(ge=0, le=GRACE_MAX_HOURS),
        shown(
            "Grace time in hours",
            "For this long, mail to an address that left is put off instead of refused, so a mistake costs no mail.",
            group="safety",
            enter="Enter whole hours from 0 to 720 (30 days).",
            example=72,
        ),
    ] = int(_REMOVALS.grace / timedelta(hours=1))
    canaries: Annotated[
        tuple[AddressText, ...],
        Field(max_length=LIST_MAX_COUNT),
        shown(
            "Addresses that must always be there",
            "If one of these is not found, something is wrong with the directory and nothing is removed.",
            group="safety",
            enter="Enter mail addresses that never leave, for example ceo@example.com.",
            example=["ceo@example.com"],
        ),
    ] = ()

    def noun(self) -> Removals:
        """Return the domain's own noun."""
        return Removals(
            policy=self.policy,
            max_share=self.max_share,
            min_count=self.min_count,
            max_count=self.max_count,
            grace=timedelta(hours=self.grace_hours),
            canaries=self.canaries,
        )


class ScheduleForm(Form):
    """Automatic syncs."""

    automatic: Annotated[
        bool,
        shown(
            "Sync by itself",
            "New mailboxes appear without anyone pressing a button.",
            group="schedule",
            enter="Enter true or false.",
            example=True,
        ),
    ] = _SCHEDULE.automatic
    every_hours: Annotated[
        Literal[1, 3, 6, 12, 24],
        shown(
            "Every so many hours",
            "How often the directory is read; the exact minute is spread so that not all customers start at once.",
            group="schedule",
            enter="Enter 1, 3, 6, 12 or 24.",
            example=6,
            choices={
                "1": ("Every hour", "For lists that change all day."),
                "3": ("Every 3 hours", "A new mailbox gets its mail the same morning."),
                "6": ("Every 6 hours", "Right for most."),
                "12": ("Twice a day", "For lists that seldom change."),
                "24": ("Once a day", "A new mailbox may wait for a day."),
            },
        ),
    ] = 6

    def noun(self) -> Schedule:
        """Return the domain's own noun."""
        return Schedule(self.automatic, self.every_hours)


class LoginsForm(Form):
    """Quarantine logins made from mailboxes."""

    create: Annotated[
        bool,
        shown(
            "Create logins",
            "People can look into their own quarantine without your making an account for each.",
            group="logins",
            enter="Enter true or false.",
            example=False,
        ),
    ] = _LOGINS.create
    kinds: Annotated[
        tuple[Kind, ...],
        Field(min_length=1, max_length=len(Kind)),
        shown(
            "For whom",
            "Which sorts of entry get a login; usually people's mailboxes only.",
            group="logins",
            enter="Enter one or more of mailbox, group, contact, public_folder.",
            example=["mailbox"],
            choices=CHOICES_OF_KIND,
        ),
    ] = _LOGINS.kinds
    role: Annotated[
        LoginRole,
        shown(
            "Mails to the person",
            "silent: the person gets no mails about the quarantine. normal: the usual reports are sent.",
            group="logins",
            enter="Enter silent or normal.",
            example="silent",
            choices={
                LoginRole.SILENT: ("Silent", "The person gets no mails about the quarantine."),
                LoginRole.NORMAL: ("Normal", "The person gets the usual reports."),
            },
        ),
    ] = _LOGINS.role
    deactivate: Annotated[
        bool,
        shown(
            "End logins with the mailbox",
            "The login ends when the mailbox is disabled or gone.",
            group="logins",
            enter="Enter true or false.",
            example=True,
        ),
    ] = _LOGINS.deactivate

    def noun(self) -> Logins:
        """Return the domain's own noun."""
        return Logins(self.create, self.kinds, self.role, self.deactivate)


class DirectoryForm(Form):
    """Everything that says how one directory is reached and read."""

    name: Annotated[
        Line | None,
        BLANK_IS_ABSENT,
        shown(
            "Name",
            "What you call this directory, for example the office it belongs to.",
            group="connection",
            enter="Enter a name of at most 200 characters, or leave it out.",
            example="Head office",
        ),
    ] = None
    type: Annotated[
        DirectoryType,
        shown(
            "Type of directory",
            "What kind of server it is. With Microsoft Exchange choose active_directory; "
            f"the type brings the right filter and attributes with it. {_ELSEWHERE}",
            group="connection",
            enter=f"Enter one of {', '.join(PRESETS)}.",
            example="active_directory",
            choices={
                preset.name: (preset.title, preset.tip, preset.verified)
                for preset in PRESETS.values()
            },
        ),
    ]
    servers: Annotated[
        tuple[ServerText, ...],
        Field(min_length=1, max_length=SERVERS_MAX_COUNT),
        shown(
            "Servers",
            "The directory's servers, the preferred one first; the next is tried when one cannot be reached. "
            "Without a port, 636 is used for LDAPS and 389 otherwise.",
            group="connection",
            enter="Enter one to five servers as host or host:port, for example dc1.example.com:636.",
            example=["dc1.example.com:636", "dc2.example.com"],
        ),
    ]
    security: Annotated[
        Security,
        ANY_CASE,
        shown(
            "Encryption",
            "ldaps encrypts from the start and is right for most. starttls starts plain and then encrypts. "
            "none sends the password and all addresses readable to anyone on the way.",
            group="connection",
            enter="Enter ldaps, starttls or none.",
            example="ldaps",
            choices={
                Security.LDAPS: (
                    "LDAPS",
                    "Encrypted from the start, port 636. Right for most.",
                ),
                Security.STARTTLS: (
                    "STARTTLS",
                    "Begins plain on port 389 and is encrypted before the password is sent.",
                ),
                Security.NONE: (
                    "No encryption",
                    "The password and all addresses cross the Internet readable to anyone on the way.",
                ),
            },
        ),
    ] = Security.LDAPS
    trust: Annotated[
        TrustForm,
        shown(
            "Trust",
            "How the server proves that it is yours. Left out, it needs a certificate from a public authority.",
            group="connection",
            enter="Enter either ca_pem or fingerprint, or leave it out.",
            example={},
        ),
    ] = TrustForm()
    certificate_name: Annotated[
        CertificateNameText | None,
        BLANK_IS_ABSENT,
        shown(
            "Name in the certificate",
            "Only if the certificate carries another name than the server's host name above.",
            group="connection",
            enter="Enter the host name that the certificate carries, or leave it out.",
            example="dc1.corp.example.com",
        ),
    ] = None
    client_certificate: Annotated[
        CertificateText | None,
        BLANK_IS_ABSENT,
        shown(
            "Client certificate",
            "Only if your server wants a certificate from those who connect.",
            group="connection",
            enter="Enter the certificate as PEM text, or leave it out.",
            example="-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
        ),
    ] = None
    client_key: Annotated[
        KeyText | None,
        BLANK_IS_ABSENT,
        shown(
            "Client key",
            "The private key of the client certificate, without a passphrase. It is stored sealed and never shown again.",
            group="connection",
            enter="Enter the private key as PEM text, or leave it out to keep the one stored.",
            example="-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n",
        ),
    ] = None
    client_key_sealed: Annotated[
        SealedText | None,
        BLANK_IS_ABSENT,
        shown(
            "Client key, sealed",
            "The private key, already sealed with the worker's public key (base64 of a libsodium sealed box).",
            group="connection",
            enter="Enter the sealed box in base64, or leave it out.",
            example="BASE64…",
        ),
    ] = None
    bind_name: Annotated[
        BindNameText,
        shown(
            "Account to sign in with",
            "A directory account that may read everyone who gets mail; it needs no other rights. "
            "Its DN, its user@domain name or DOMAIN\\user.",
            group="connection",
            enter="Enter the account's name, for example CN=sync,DC=example,DC=com or sync@example.com.",
            example="CN=sync,DC=example,DC=com",
        ),
    ]
    password: Annotated[
        PasswordText | None,
        shown(
            "Password",
            "That account's password. It is stored sealed and never shown again; "
            "leave it out to keep the one stored.",
            group="connection",
            enter="Enter the account's password, at most 1024 characters, or leave it out to keep the one stored.",
            example="…",
        ),
    ] = None
    password_sealed: Annotated[
        SealedText | None,
        BLANK_IS_ABSENT,
        shown(
            "Password, sealed",
            "The password, already sealed with the worker's public key (base64 of a libsodium sealed box).",
            group="connection",
            enter="Enter the sealed box in base64, or leave it out.",
            example="BASE64…",
        ),
    ] = None
    search_bases: Annotated[
        tuple[DnText, ...],
        Field(max_length=LIST_MAX_COUNT),
        BLANKS_ARE_ABSENT,
        shown(
            "Where to search",
            "The parts of the directory to read. Left out, the server is asked where its entries begin.",
            group="reading",
            enter="Enter distinguished names, for example DC=example,DC=com, or leave it out.",
            example=["DC=example,DC=com"],
        ),
    ] = ()
    filter: Annotated[
        FilterText | None,
        BLANK_IS_ABSENT,
        shown(
            "Filter",
            "Which entries to read, as an LDAP filter. Left out, the type's own is used, which is right for most.",
            group="reading",
            enter="Enter an LDAP filter in brackets, for example (mail=*), or leave it out.",
            example="(mail=*)",
        ),
    ] = None
    address_attributes: Annotated[
        Annotated[tuple[AttributeText, ...], Field(min_length=1, max_length=50)] | None,
        shown(
            "Attributes with addresses",
            "Where an entry keeps its mail addresses. Left out, the type's own are used, which is right for most.",
            group="reading",
            enter="Enter names of attributes, for example mail, or leave it out.",
            example=["mail", "proxyAddresses"],
        ),
    ] = None
    kinds: Annotated[
        tuple[Kind, ...],
        Field(min_length=1, max_length=len(Kind)),
        shown(
            "What to include",
            "Which sorts of entry count as recipients. What the type of directory does not have is passed over.",
            group="reading",
            enter="Enter one or more of mailbox, group, contact, public_folder.",
            example=["mailbox", "group", "contact", "public_folder"],
            choices=CHOICES_OF_KIND,
        ),
    ] = tuple(Kind)
    leave_out: Annotated[
        tuple[PatternText, ...],
        Field(max_length=LIST_MAX_COUNT),
        shown(
            "Leave out",
            "Addresses that shall not become valid recipients; * stands for anything.",
            group="reading",
            enter="Enter addresses, or patterns with *, for example *@internal.example.com.",
            example=["*@internal.example.com"],
        ),
    ] = ()
    removals: Annotated[
        RemovalsForm,
        shown(
            "Removals",
            "What happens to addresses that are no longer in the directory. The defaults protect you from mistakes.",
            group="safety",
            enter="Enter policy and limits, or leave it out.",
            example={"policy": "safe", "grace_hours": 72, "canaries": ["ceo@example.com"]},
        ),
    ] = RemovalsForm()
    schedule: Annotated[
        ScheduleForm,
        shown(
            "Schedule",
            "Whether and how often the directory is read by itself (plans Standard, Enterprise and Reseller).",
            group="schedule",
            enter="Enter automatic and every_hours, or leave it out.",
            example={"automatic": True, "every_hours": 6},
        ),
    ] = ScheduleForm()
    logins: Annotated[
        LoginsForm,
        shown(
            "Quarantine logins",
            "Whether people get a login to their quarantine by themselves (plans Enterprise and Reseller).",
            group="logins",
            enter="Enter create, kinds, role and deactivate, or leave it out.",
            example={"create": True, "kinds": ["mailbox"], "role": "silent", "deactivate": True},
        ),
    ] = LoginsForm()
    notify: Annotated[
        tuple[AddressText, ...],
        Field(max_length=100),
        shown(
            "Who is told",
            "These addresses get a mail when a sync fails, waits for you, or a certificate or password is about to expire.",
            group="tell",
            enter="Enter mail addresses, for example it@example.com.",
            example=["it@example.com"],
        ),
    ] = ()

    def settings(self, *, name: str) -> DirectorySettings:
        """Return the settings without their secrets; ``name`` stands in for a name left out."""
        return DirectorySettings(
            name=self.name or name,
            type=self.type,
            servers=tuple(dict.fromkeys(self.servers)),
            bind_name=self.bind_name,
            security=self.security,
            trust=self.trust.noun(),
            certificate_name=self.certificate_name,
            client_certificate=self.client_certificate,
            search_bases=self.search_bases,
            filter=self.filter,
            address_attributes=self.address_attributes,
            kinds=tuple(dict.fromkeys(self.kinds)),
            leave_out=self.leave_out,
            removals=self.removals.noun(),
            schedule=self.schedule.noun(),
            logins=self.logins.noun(),
            notify=self.notify,
        )

    def as_entered(self, *, name: str) -> commands.Form:
        """Return settings and secrets; ``name`` stands in for a name left out."""
        return commands.Form(
            settings=self.settings(name=name),
            password=self.password or self.password_sealed,
            client_key=self.client_key or self.client_key_sealed,
        )


class DirectorySave(DirectoryForm):
    """``directory.save``: one revision of the form; ``sync`` makes it Save & Sync."""

    directory: Annotated[
        Id,
        shown(
            "Directory",
            "The platform's name of the directory, unique within the customer.",
            group="directory",
            enter="Enter 1 to 64 letters, digits, _ or -, for example hq.",
            example="hq",
        ),
    ]
    sync: Annotated[
        bool,
        shown(
            "Sync at once",
            "Save & Sync: the new settings are tried at once and come into force when they have worked.",
            group="directory",
            enter="Enter true or false.",
            example=True,
        ),
    ] = False
    force: Annotated[
        bool,
        shown(
            "In force at once",
            "The new settings come into force without having worked once.",
            group="directory",
            enter="Enter true or false.",
            example=False,
        ),
    ] = False
    revision: Annotated[
        Revision | None,
        shown(
            "Revision",
            "A number that grows with every save; an older one than the last is refused.",
            group="directory",
            enter="Enter a whole number that grows with every save, or leave it out.",
            example=3,
        ),
    ] = None

    def command(self) -> SaveDirectory:
        """Return the command of the domain."""
        entered = self.as_entered(name=self.directory)
        return SaveDirectory(
            directory=DirectoryId(self.directory),
            settings=entered.settings,
            password=entered.password,
            client_key=entered.client_key,
            sync=self.sync,
            force=self.force,
            revision=self.revision,
        )


def contradictions(raw: Mapping[str, object]) -> tuple[FieldError, ...]:
    """Find fields of a directory's form that each may stand alone but not together.

    Reads what was sent, not the model: a model with a wrong field is never made, and every fault is to be
    reported at once.
    """
    given = {key for key, value in raw.items() if not _is_left_out(key, value)}
    custom = raw.get("type") == "custom"
    found: dict[tuple[str, str], bool] = {
        ("password_sealed", "secret.two_ways"): {"password", "password_sealed"} <= given,
        ("client_key_sealed", "secret.two_ways"): {"client_key", "client_key_sealed"} <= given,
        ("client_certificate", "key.without_certificate"): "client_certificate" not in given
        and bool(given & {"client_key", "client_key_sealed"}),
        ("filter", "filter.missing"): custom and "filter" not in given,
        ("address_attributes", "attributes.missing"): custom and "address_attributes" not in given,
    }
    wrong = tuple(mistake(field, code) for (field, code), is_wrong in found.items() if is_wrong)
    return (*_schemes(raw), *_kinds(raw), *wrong)


def _is_left_out(field: str, value: object) -> bool:
    """Whether a field counts as not sent: pages send an empty text; of a password it is a fault of its own."""
    return value is None or (isinstance(value, str) and not value.strip() and field != "password")


def _schemes(raw: Mapping[str, object]) -> Iterator[FieldError]:
    """Find servers written ldaps:// where another encryption is chosen: the password would go out readable."""
    servers = raw.get("servers")
    security = raw.get("security")
    written = security.strip().lower() if isinstance(security, str) else security
    is_encrypted_later = written in (Security.STARTTLS, Security.NONE)
    if not is_encrypted_later or not isinstance(servers, list):
        return
    for place, server in enumerate(servers[:SERVERS_MAX_COUNT]):
        if isinstance(server, str) and server.strip().lower().startswith("ldaps://"):
            yield mistake(f"servers.{place}", "server.scheme")


def _kinds(raw: Mapping[str, object]) -> Iterator[FieldError]:
    """Find kinds of which the type has none. Some of them are enough: pages tick them all, whatever the type.

    With a filter of one's own the type's are not asked for. Settings are not looked at again once stored.
    """
    preset, kinds = PRESETS.get(str(raw.get("type"))), raw.get("kinds")
    if preset is None or not preset.filters or not _is_left_out("filter", raw.get("filter")):
        return
    if not isinstance(kinds, list) or not kinds or not all(each in tuple(Kind) for each in kinds):
        return
    there_are = dict.fromkeys(kind for kind, _ in preset.filters)
    if not there_are.keys() & set(kinds):
        message = (
            f"Enter {' or '.join(there_are)} as well: the type {preset.name} has no other kinds. "
            "Or enter a filter of your own."
        )
        yield FieldError("kinds", "kinds.none_of_type", message)
