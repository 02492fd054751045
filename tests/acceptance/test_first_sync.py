"""What a first sync makes of a directory, against what ``ldapsearch`` says of it."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.harness.platform import Platform
from tests.harness.store import Store
from tests.harness.worker import Worker
from tests.servers.client import LdapSearch
from tests.servers.ldif import Entry


# Written again from the rules and not from the program, so that a mistake there is not made twice.
EXCHANGE_OWN = {"8192", "16384", "8388608", "536870912", "68719476736", "549755813888"}
LOCAL_PART = re.compile(r"[^\s@\"(),:;<>\[\]\\/\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Case:
    """One tree of the stack and how it is to be read."""

    tenant: str
    kind: str
    type: str
    security: str
    domains: tuple[str, ...]
    values: Callable[[Entry], Iterable[str]]


def exchange_values(entry: Entry) -> list[str]:
    """What an Exchange entry says of SMTP addresses."""
    if entry.texts("msExchRecipientTypeDetails") and (
        entry.text("msExchRecipientTypeDetails") in EXCHANGE_OWN
    ):
        return []
    typed = (value.strip().partition(":") for value in entry.texts("proxyAddresses"))
    return [rest for prefix, _, rest in typed if prefix.lower() == "smtp"]


def plain_values(entry: Entry) -> tuple[str, ...]:
    """What a person's or a list's entry says."""
    return entry.texts("mail")


AD = Case(
    "first-ad",
    "AD",
    "active_directory",
    "ldaps",
    ("corp.example.com", "brand.example.net"),
    exchange_values,
)
PLAIN = Case("first-plain", "PLAIN", "openldap", "starttls", ("example.org",), plain_values)


def cleaned(values: Iterable[str], domains: Iterable[str]) -> set[str]:
    """Trim, lower, compose; keep what is an address in one of these domains."""
    kept = set()
    for value in values:
        local, at, domain = unicodedata.normalize("NFC", value.strip().lower()).rpartition("@")
        if at and domain in domains and LOCAL_PART.fullmatch(local):
            kept.add(f"{local}@{domain}")
    return kept


def reader(servers: Servers, case: Case) -> LdapSearch:
    """A client that is not ours, with the same account and the same encryption."""
    uri = servers["STACK_LDAPS_URI" if case.security == "ldaps" else "STACK_LDAP_URI"]
    return LdapSearch(
        uri=uri,
        bind_dn=servers[f"STACK_LDAP_{case.kind}_BIND_DN"],
        password=servers[f"STACK_LDAP_{case.kind}_PASSWORD"],
        ca=Path(servers["STACK_LDAP_CA"]),
        starttls=case.security == "starttls",
    )


def form(servers: Servers, case: Case) -> dict[str, object]:
    """The form for the same."""
    asked = reader(servers, case)
    return {
        "directory": "hq",
        "type": case.type,
        "servers": [asked.uri.partition("//")[2]],
        "security": case.security,
        "trust": {"ca_pem": Path(servers["STACK_LDAP_CA"]).read_text(encoding="utf-8")},
        "bind_name": asked.bind_dn,
        "password": asked.password,
        "search_bases": [servers[f"STACK_LDAP_{case.kind}_BASE"]],
        "sync": True,
    }


@pytest.mark.parametrize("case", [AD, PLAIN], ids=["ad-ldaps", "plain-starttls"])
async def test_the_first_sync_equals_what_ldapsearch_says(
    case: Case, servers: Servers, platform: Platform, store: Store, house: Worker
) -> None:
    """Every address the directory shows takes mail afterwards, and not one more."""
    answer = reader(servers, case)(servers[f"STACK_LDAP_{case.kind}_BASE"])
    shown = cleaned(
        (value for entry in answer.entries for value in case.values(entry)), case.domains
    )
    domains = [{"name": name} for name in case.domains]
    await platform.send("tenant.save", case.tenant, {"plan": "basic", "domains": domains})

    cause = await platform.send("directory.save", case.tenant, form(servers, case))
    ending = await platform.ending(cause)

    assert shown
    assert (ending.name, ending.data["verdict"]) == ("sync.completed", "apply")
    assert ending.data["counts"]["added"] == ending.data["counts"]["addresses"] == len(shown)
    assert await store.recipients(case.tenant) == dict.fromkeys(shown, "valid")
    assert await store.history(case.tenant) == dict.fromkeys(((a, "added") for a in shown), 1)
    await platform.event("recipients.changed", where=lambda seen: seen.tenant == case.tenant)
    assert set(platform.changes(case.tenant)) == {(address, "added") for address in shown}
