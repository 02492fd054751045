"""An organisation with Exchange in a real Active Directory: schema, people, accounts that may not sign in, policy.

Standard library only, because the private stack uses it before the project's environment exists.
"""

import re
from collections.abc import Iterator, Mapping

from tests.servers.ldif import Values, record


REALM, DOMAIN = "ad.example.com", "LAB"
BASE = "DC=ad,DC=example,DC=com"
SCHEMA = f"CN=Schema,CN=Configuration,{BASE}"
MAIL, OTHER_MAIL = "ad.example.com", "brand.example"
ADMIN = f"CN=Administrator,CN=Users,{BASE}"
ADMIN_PASSWORD = "adm1n-5ecret"
PASSWORD = "acc0unt-5ecret"
"""Of every account below; with three kinds of characters, as the domain demands."""

PEOPLE, CONTACTS, ADDRESSES = 40, 1150, 1600
"""More contacts than AD puts into one answer (MaxPageSize, 1,000), more addresses on one entry than it puts
into one attribute (MaxValRange, 1,500)."""
SHARED_MAILBOXES, BOARD, SYSTEM_MAILBOXES, GROUPS, PUBLIC_FOLDERS = 5, 2, 3, 3, 2
WITH_ADDRESSES = (
    PEOPLE + CONTACTS + SHARED_MAILBOXES + BOARD + SYSTEM_MAILBOXES + GROUPS + PUBLIC_FOLDERS
)
"""Entries that the preset's filter finds."""
LOCKOUT_THRESHOLD = 5
TEN_YEARS = -3153600000000000
"""Passwords expire, but none of a domain that was made weeks ago and kept."""
UNTIL_UNLOCKED = -(1 << 63)
HALF_AN_HOUR = -18000000000
EXPIRED_IN_2016 = "131000000000000000"

# userAccountControl (MS-ADTS section 2.2.16)
ENABLED, DISABLED, NO_PASSWORD, NEVER_EXPIRES = 512, 2, 32, 65536
# groupType: universal, with and without security (MS-ADTS section 2.2.12)
DISTRIBUTION, SECURITY = 8, 8 - (1 << 31)
# msExchRecipientTypeDetails
(MAILBOX, SHARED, ROOM, CONTACT, REMOTE, FOLDER) = (1, 4, 16, 64, 2147483648, 4096)
(ARBITRATION, MONITORING, DISCOVERY) = (8388608, 549755813888, 536870912)
(MAIL_GROUP, MAIL_SECURITY_GROUP, DYNAMIC_GROUP) = (256, 1024, 2048)

STRING, NUMBER, FLAG = ("2.5.5.12", "64"), ("2.5.5.16", "65"), ("2.5.5.8", "1")
EXCHANGE = "1.2.840.113556.1.4.7000.102"
EXPERIMENT = "1.3.6.1.4.1.4203.666.77"
"""OpenLDAP's space for experiments, for what Microsoft numbers in a place that is not needed here."""
ATTRIBUTES = {
    "mailNickname": ("1.2.840.113556.1.2.447", STRING),
    "targetAddress": (f"{EXCHANGE}.50003", STRING),
    "msExchHideFromAddressLists": (f"{EXCHANGE}.50002", FLAG),
    "msExchRecipientTypeDetails": (f"{EXCHANGE}.50855", NUMBER),
}
CLASSES = {
    "msExchSystemObjectsContainer": (f"{EXPERIMENT}.13", "domainDNS"),
    "publicFolder": (f"{EXPERIMENT}.11", "msExchSystemObjectsContainer"),
    "msExchDynamicDistributionList": (f"{EXPERIMENT}.12", "organizationalUnit"),
}
"""With the class that such an entry lies in."""
ADMINS_ALL_OTHERS_READ = (
    "D:(A;;RPWPCRCCDCLCLORCWOWDSDDTSW;;;DA)(A;;RPWPCRCCDCLCLORCWOWDSDDTSW;;;SY)(A;;RPLCLORC;;;AU)"
)

FOLDERS = f"CN=Microsoft Exchange System Objects,{BASE}"
ACCOUNTS: Mapping[str, Mapping[str, Values]] = {
    "svc-sync": {},
    "svc-blind": {},
    "svc-disabled": {"userAccountControl": str(ENABLED + DISABLED + NEVER_EXPIRES)},
    "svc-expired": {"accountExpires": EXPIRED_IN_2016},
    "svc-old-password": {"userAccountControl": str(ENABLED)},
    "svc-must-change": {"userAccountControl": str(ENABLED), "pwdLastSet": "0"},
    "svc-no-hours": {"logonHours": bytes(21)},
    "svc-elsewhere": {"userWorkstations": "RECEPTION"},
}
"""Service accounts by what is the matter with them; the first two may sign in."""


def account(name: str) -> str:
    """The DN of one of ACCOUNTS."""
    return f"CN={name},OU=Service,{BASE}"


def upn(name: str) -> str:
    """The same as an admin would rather type it."""
    return f"{name}@{REALM}"


def logon(name: str) -> str:
    """The same as Windows shows it."""
    return f"{DOMAIN}\\{name}"


def schema() -> list[str]:
    """What Exchange's setup adds, as far as a reader meets it: steps, each of which names what those before it made."""
    attributes = "".join(
        _change(
            f"CN={_common_name(name)},{SCHEMA}",
            objectClass="attributeSchema",
            cn=_common_name(name),
            lDAPDisplayName=name,
            attributeID=number,
            attributeSyntax=syntax[0],
            oMSyntax=syntax[1],
            isSingleValued="TRUE",
        )
        for name, (number, syntax) in ATTRIBUTES.items()
    )
    classes = [
        _change(
            f"CN={_common_name(name)},{SCHEMA}",
            objectClass="classSchema",
            cn=_common_name(name),
            lDAPDisplayName=name,
            governsID=number,
            subClassOf="top",
            objectClassCategory="1",
            auxiliaryClass="mailRecipient",
            possSuperiors=place,
            defaultSecurityDescriptor=ADMINS_ALL_OTHERS_READ,
        )
        for name, (number, place) in CLASSES.items()
    ]
    everybody = "".join(f"mayContain: {name}\n" for name in ATTRIBUTES)
    on_recipients = (
        f"dn: CN=Mail-Recipient,{SCHEMA}\nchangetype: modify\nadd: mayContain\n{everybody}\n"
    )
    return [attributes, on_recipients, *classes]


def policy() -> str:
    """Passwords that expire, and accounts that are locked until an administrator unlocks them."""
    values = {
        "lockoutThreshold": LOCKOUT_THRESHOLD,
        "lockOutObservationWindow": HALF_AN_HOUR,
        "lockoutDuration": UNTIL_UNLOCKED,
        "maxPwdAge": TEN_YEARS,
    }
    changes = "-\n".join(f"replace: {name}\n{name}: {value}\n" for name, value in values.items())
    return f"dn: {BASE}\nchangetype: modify\n{changes}\n"


def seed() -> str:
    """Everything below the base."""
    units = ("People", "Service", "Groups", "Contacts", "Board", "Left")
    return "".join(
        [
            *(record(f"OU={name},{BASE}", {"objectClass": "organizationalUnit"}) for name in units),
            record(FOLDERS, {"objectClass": "msExchSystemObjectsContainer"}),
            *(new_account(name, **more) for name, more in ACCOUNTS.items()),
            *map(_person, range(PEOPLE)),
            *map(_contact, range(CONTACTS)),
            *_not_people(),
            *_groups(),
            *_folders(),
        ]
    )


def denied() -> list[tuple[str, str]]:
    """Who may not see what."""
    return [(f"OU=Board,{BASE}", account("svc-blind"))]


def person(number: int) -> str:
    """The DN of a person."""
    return f"CN=Person {number:02d},OU=People,{BASE}"


def new_account(name: str, called: str = "", /, **more: Values) -> str:
    """A service account that may sign in with PASSWORD unless ``more`` says otherwise; its entry may be called otherwise."""
    return record(
        account(called or name),
        {
            "objectClass": "user",
            "sAMAccountName": name,
            "userPrincipalName": upn(name),
            "userAccountControl": str(ENABLED + NEVER_EXPIRES),
            # with its quotation marks (MS-ADTS section 3.1.1.3.1.5)
            "unicodePwd": f'"{PASSWORD}"'.encode("utf-16-le"),
            **more,
        },
    )


def mailbox(dn: str, local: str) -> str:
    """A person with a mailbox."""
    return _user(dn, MAILBOX, local)


def _recipient(dn: str, kind: str, details: int, local: str, **more: Values) -> str:
    aliases = more.pop("aliases", ())
    return record(
        dn,
        {
            "objectClass": kind,
            "displayName": dn.partition(",")[0].removeprefix("CN="),
            "msExchRecipientTypeDetails": str(details),
            "mailNickname": local,
            "proxyAddresses": [f"SMTP:{local}@{MAIL}", *aliases],
            **more,
        },
    )


def _user(dn: str, details: int, local: str, *, disabled: bool = False, **more: Values) -> str:
    # nobody signs in as them, and no password need be hashed
    control = ENABLED + NO_PASSWORD + (DISABLED if disabled else 0)
    login = re.sub("[^a-z0-9.]", "", local)[:20]
    told = {"sAMAccountName": login, "userAccountControl": str(control), **more}
    return _recipient(dn, "user", details, local, **told)


def _person(number: int) -> str:
    login = f"person{number:02d}"
    aliases = [f"smtp:{login}@{OTHER_MAIL}"] if number % 2 else []
    aliases += [f"X500:/o=Lab/cn={login}", f"SIP:{login}@{MAIL}"] if number % 5 == 0 else []
    # every tenth has left, and keeps the mailbox for a while
    return _user(
        person(number),
        REMOTE if number % 4 == 3 else MAILBOX,
        login,
        disabled=number % 10 == 9,
        aliases=aliases,
        mail=f"{login}@{MAIL}",
        userPrincipalName=upn(login),
    )


def _contact(number: int) -> str:
    local = f"contact{number:04d}"
    return _recipient(f"CN={local},OU=Contacts,{BASE}", "contact", CONTACT, local)


def _not_people() -> Iterator[str]:
    """Mailboxes whose accounts are disabled by design, Exchange's own, and two that not everybody may see."""
    for name, details in (("Info", SHARED), ("Sales", SHARED), ("Room 1", ROOM), ("Room 2", ROOM)):
        local = name.lower().replace(" ", "")
        yield _user(f"CN={name},OU=People,{BASE}", details, local, disabled=True)
    for name, details in (
        ("HealthMailbox7f3a9c0", MONITORING),
        ("SystemMailbox{1f05a927-3be2-4fb9-aa03-b59fe3b56f4c}", ARBITRATION),
        ("DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}", DISCOVERY),
    ):
        yield _user(f"CN={name},CN=Users,{BASE}", details, name.lower(), disabled=True)
    for name in ("Chair", "Treasurer"):
        yield _user(f"CN={name},OU=Board,{BASE}", MAILBOX, name.lower())
    many = [f"smtp:order{number:04d}@{MAIL}" for number in range(ADDRESSES - 1)]
    yield _user(f"CN=Orders,OU=People,{BASE}", SHARED, "orders", disabled=True, aliases=many)
    yield record(
        f"CN=No Mail,OU=People,{BASE}", {"objectClass": "user", "sAMAccountName": "nomail"}
    )


def _groups() -> Iterator[str]:
    members = [person(number) for number in range(PEOPLE)]
    for name, group_type, details in (
        ("All Staff", DISTRIBUTION, MAIL_GROUP),
        ("Engineering", SECURITY, MAIL_SECURITY_GROUP),
    ):
        local = name.lower().replace(" ", ".")
        told: dict[str, Values] = {
            "sAMAccountName": name,
            "groupType": str(group_type),
            "member": members,
        }
        yield _recipient(f"CN={name},OU=Groups,{BASE}", "group", details, local, **told)
    dynamic = f"CN=Everyone in Oslo,OU=Groups,{BASE}"
    yield _recipient(dynamic, "msExchDynamicDistributionList", DYNAMIC_GROUP, "oslo")
    yield record(
        f"CN=VPN Users,OU=Groups,{BASE}",
        {"objectClass": "group", "sAMAccountName": "VPN Users", "groupType": str(SECURITY)},
    )


def _folders() -> Iterator[str]:
    for name in ("Invoices", "Applications"):
        yield _recipient(f"CN={name},{FOLDERS}", "publicFolder", FOLDER, name.lower())


def _change(dn: str, **attributes: Values) -> str:
    whole = record(dn, attributes)
    first, _, rest = whole.partition("\n")
    return f"{first}\nchangetype: add\n{rest}"


def _common_name(name: str) -> str:
    """As the schema names its entries: ``msExchRecipientTypeDetails`` is ms-Exch-Recipient-Type-Details."""
    return "-".join(re.findall("^[a-z]+|[A-Z][a-z]+", name))
