"""The people of the stack's two directories: small, always the same, with the oddities of real ones."""

from collections.abc import Iterator, Mapping

from tests.servers.ldif import Values, entry_uuid, guid, record


AD_BASE = "dc=corp,dc=example,dc=com"
AD_DOMAIN = "corp.example.com"
AD_OTHER_DOMAIN = "brand.example.net"
PLAIN_BASE = "dc=example,dc=org"
PLAIN_DOMAIN = "example.org"
FIRST = ["Ada", "Björn", "Chloé", "Dmitri", "Élise", "Fatma", "Göran", "Hanako", "Łukasz", "María"]
LAST = ["Lindqvist", "Brown", "Çelik", "Dvořák", "Fuchs", "García", "Huß", "Jørgensen", "Okafor"]
PLAIN_NAMES = ["Greta Holm", "Ivan Petrov", "Joana Sá", "Kofi Mensah", "Lena Vogt", "Milan Novák"]

# msExchRecipientTypeDetails
MAILBOX, SHARED, ROOM, CONTACT, PUBLIC_FOLDER = 1, 4, 16, 64, 4096
DISTRIBUTION_GROUP, SECURITY_GROUP, DYNAMIC_GROUP = 256, 1024, 2048
# 64 bits wide: a remote mailbox, and one of Exchange's own that takes no mail of people
REMOTE_MAILBOX, MONITORING = 2147483648, 549755813888
ENABLED, DISABLED = 512, 514
FOLDERS = "cn=Microsoft Exchange System Objects"


def active_directory(*, people: int = 90) -> str:
    """An Active Directory with Exchange: mailboxes, shared ones, rooms, groups, contacts, folders."""
    return "".join(
        [
            *_units(AD_BASE, "People", "Shared", "Groups", "Contacts"),
            record(f"{FOLDERS},{AD_BASE}", {"objectClass": "msExchSystemObjectsContainer"}),
            *(_person(number) for number in range(people)),
            *_shared(),
            *_groups(),
            *_others(),
        ]
    )


def plain(*, people: int = 30) -> str:
    """An OpenLDAP as a small organisation has it: mail on people, a few lists, aliases by hand."""
    return "".join(
        [
            *_units(PLAIN_BASE, "People", "Lists"),
            *(_member(number) for number in range(people)),
            record(
                f"cn=Board,ou=Lists,{PLAIN_BASE}",
                {
                    "objectClass": ["groupOfNames", "mailGroup"],
                    "member": [
                        f"uid=member{number:03d},ou=People,{PLAIN_BASE}" for number in (0, 1)
                    ],
                    "mail": f"board@{PLAIN_DOMAIN}",
                    "entryUUID": entry_uuid("board"),
                },
            ),
        ]
    )


def _units(base: str, *names: str) -> Iterator[str]:
    for name in names:
        yield record(f"ou={name},{base}", {"objectClass": "organizationalUnit"})


def _recipient(dn: str, kind: str, details: int, **attributes: Values) -> str:
    return record(
        dn,
        {
            "objectClass": kind,
            "objectGUID": guid(dn),
            "entryUUID": entry_uuid(dn),
            "msExchRecipientTypeDetails": str(details),
            **attributes,
        },
    )


def _person(number: int) -> str:
    first, last = FIRST[number % len(FIRST)], LAST[number // len(FIRST) % len(LAST)]
    login = f"user{number:03d}"
    aliases = [f"smtp:{login}@{AD_OTHER_DOMAIN}"] if number % 2 else []
    aliases += [f"smtp:{login.upper()}.Alias@{AD_DOMAIN}"] if number % 5 == 0 else []
    aliases += [f"X500:/o=Corp/ou=Exchange/cn=Recipients/cn={login}"] if number % 7 == 0 else []
    aliases += [f"SIP:{login}@{AD_DOMAIN}"] if number % 3 == 0 else []
    remote = number % 10 == 9
    return _recipient(
        f"cn={first} {last},ou=People,{AD_BASE}",
        "user",
        REMOTE_MAILBOX if remote else MAILBOX,
        objectCategory="person",
        sn=last,
        givenName=first,
        displayName=f"{first} {last}",
        sAMAccountName=login,
        userPrincipalName=f"{login}@{AD_DOMAIN}",
        userAccountControl=str(ENABLED),
        mail=f"{login}@{AD_DOMAIN}",
        proxyAddresses=[f"SMTP:{login}@{AD_DOMAIN}", *aliases],
        **_target(f"{login}@corp.mail.onmicrosoft.com" if remote else ""),
    )


def _target(address: str) -> Mapping[str, Values]:
    return {"targetAddress": f"SMTP:{address}"} if address else {}


def _shared() -> Iterator[str]:
    """Mailboxes whose accounts are disabled by design, and one that is not for people's mail."""
    for name, details in (
        ("info", SHARED),
        ("sales", SHARED),
        ("Room 101", ROOM),
        ("HealthMailbox7f3a", MONITORING),
    ):
        login = name.replace(" ", "").lower()
        yield _recipient(
            f"cn={name},ou=Shared,{AD_BASE}",
            "user",
            details,
            objectCategory="person",
            sn=name,
            displayName=name,
            sAMAccountName=login,
            userAccountControl=str(DISABLED),
            mail=f"{login}@{AD_DOMAIN}",
            proxyAddresses=[f"SMTP:{login}@{AD_DOMAIN}"],
        )


def _groups() -> Iterator[str]:
    for name, kind, details in (
        ("All Staff", "group", DISTRIBUTION_GROUP),
        ("Engineering", "group", SECURITY_GROUP),
        ("Everyone in Oslo", "msExchDynamicDistributionList", DYNAMIC_GROUP),
    ):
        local = name.replace(" ", ".").lower()
        yield _recipient(
            f"cn={name},ou=Groups,{AD_BASE}",
            kind,
            details,
            objectCategory="group",
            displayName=name,
            mail=f"{local}@{AD_DOMAIN}",
            proxyAddresses=[f"SMTP:{local}@{AD_DOMAIN}"],
        )
    # no address: a group for permissions only
    yield record(
        f"cn=VPN Users,ou=Groups,{AD_BASE}",
        {"objectClass": "group", "objectGUID": guid("vpn"), "entryUUID": entry_uuid("vpn")},
    )


def _others() -> Iterator[str]:
    """A contact whose own address is elsewhere, a mail-enabled folder, values that are no address."""
    yield _recipient(
        f"cn=Print Shop,ou=Contacts,{AD_BASE}",
        "contact",
        CONTACT,
        objectCategory="person",
        sn="Print Shop",
        displayName="Print Shop",
        mail="orders@printshop.example",
        targetAddress="SMTP:orders@printshop.example",
        proxyAddresses=["SMTP:orders@printshop.example", f"smtp:print@{AD_DOMAIN}"],
    )
    yield _recipient(
        f"cn=Invoices,{FOLDERS},{AD_BASE}",
        "publicFolder",
        PUBLIC_FOLDER,
        displayName="Invoices",
        mail=f"invoices@{AD_DOMAIN}",
        proxyAddresses=[f"SMTP:invoices@{AD_DOMAIN}", f"smtp:bills@{AD_DOMAIN}"],
    )
    yield _recipient(
        f"cn=Olga Odd,ou=People,{AD_BASE}",
        "user",
        MAILBOX,
        objectCategory="person",
        sn="Odd",
        displayName="Olga Odd ",
        sAMAccountName="olga",
        userAccountControl=str(ENABLED),
        mail=f"olga@{AD_DOMAIN}",
        proxyAddresses=[
            f"SMTP:Olga.Odd@{AD_DOMAIN} ",
            "smtp:not an address",
            f"smtp:jörg@{AD_DOMAIN}",
            "smtp:olga@elsewhere.example",
        ],
    )


def _member(number: int) -> str:
    name = PLAIN_NAMES[number % len(PLAIN_NAMES)]
    uid = f"member{number:03d}"
    second = [f"{uid}.alias@{PLAIN_DOMAIN}"] if number % 4 == 0 else []
    return record(
        f"uid={uid},ou=People,{PLAIN_BASE}",
        {
            "objectClass": ["inetOrgPerson", "inetLocalMailRecipient"],
            "entryUUID": entry_uuid(f"plain {uid}"),
            "cn": name,
            "sn": name.split(" ")[1],
            "displayName": name,
            "mail": [f"{uid}@{PLAIN_DOMAIN}", *second],
            "mailLocalAddress": f"{uid}@{PLAIN_DOMAIN}",
        },
    )
