"""A made-up company's directory as LDIF, flavoured like Active Directory with Exchange.

The same count gives the same bytes. Per entry 1 primary address and 1.5 others on average; 5 % groups, 1 % disabled
accounts, X500 and SIP values, upper-case domains, trailing blanks, a second ``SMTP:`` now and then, UTF-8 names.
"""

import uuid
from collections.abc import Iterator
from random import Random

from tests.servers import ldif


DOMAIN = "big.example"
DOMAINS = (DOMAIN, *(f"alias{number}.{DOMAIN}" for number in range(3)))
"""Those of the tenant: every mail address of the directory is in one of them."""

FIRST = ("Anna", "Björn", "Chloé", "Dmitri", "Élise", "Fatma", "Hanako", "Łukasz", "Олег", "李")
LAST = (
    "Ångström",
    "Brown",
    "Çelik",
    "Dvořák",
    "Fuchs",
    "García",
    "Huß",
    "Jørgensen",
    "王",
    "Smith",
)
FURTHER = (0, 1, 1, 2, 2, 3)
"""How many further addresses an entry may have: 1.5 on average."""

GROUP_SHARE, DISABLED_SHARE = 0.05, 0.01
X500_SHARE, SIP_SHARE = 0.10, 0.20
UPPER_CASE_SHARE, BLANK_SHARE, SECOND_PRIMARY_SHARE = 0.03, 0.02, 0.01

MAILBOX, DISTRIBUTION_GROUP = "1", "256"  # msExchRecipientTypeDetails
ENABLED, DISABLED = "512", "514"  # userAccountControl


def company(count: int, base: str) -> Iterator[str]:
    """Give the records of ``count`` entries that receive mail, and of the unit that holds them."""
    chance = Random(count)  # noqa: S311 - a seed makes the same company again; nothing is secret here
    people = f"ou=People,{base}"
    yield ldif.record(people, {"objectClass": "organizationalUnit"})
    for number in range(count):
        yield _entry(chance, number, people)


def _entry(chance: Random, number: int, people: str) -> str:
    is_group = chance.random() < GROUP_SHARE
    login = f"{'group' if is_group else 'user'}{number:07d}"
    last = chance.choice(LAST)
    told: dict[str, ldif.Values] = {
        "objectClass": "group" if is_group else "user",
        "sAMAccountName": login,
        "objectGUID": chance.randbytes(16),
        "entryUUID": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "displayName": f"{chance.choice(FIRST)} {last} {number}",
        "mail": f"{login}@{DOMAIN}",
        "proxyAddresses": list(_values(chance, login)),
        "msExchRecipientTypeDetails": DISTRIBUTION_GROUP if is_group else MAILBOX,
    }
    if not is_group:
        told["sn"] = last
        told["userAccountControl"] = DISABLED if chance.random() < DISABLED_SHARE else ENABLED
    return ldif.record(f"cn={login},{people}", told)


def _values(chance: Random, login: str) -> Iterator[str]:
    yield f"SMTP:{login}@{DOMAIN}"
    for number in range(chance.choice(FURTHER)):
        yield _further(chance.random(), f"{login}.{number}@alias{number}.{DOMAIN}")
    if chance.random() < X500_SHARE:
        yield f"X500:/o=Corp/ou=Exchange/cn=Recipients/cn={login}"
    if chance.random() < SIP_SHARE:
        yield f"SIP:{login}@{DOMAIN}"


def _further(luck: float, address: str) -> str:
    """Write a further address plainly, or as people's tools sometimes leave it."""
    if luck < UPPER_CASE_SHARE:
        return f"smtp:{address.upper()}"
    if luck < UPPER_CASE_SHARE + BLANK_SHARE:
        return f"smtp:{address} "
    return f"SMTP:{address}" if luck > 1 - SECOND_PRIMARY_SHARE else f"smtp:{address}"
