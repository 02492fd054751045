"""What the directories hold, by ldapsearch and rules written here again: nothing of the program's own is used."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.demo.directories import DOMAINS, LISTS, PEOPLE, Source
from tests.servers.client import LdapSearch
from tests.servers.ldif import Entry
from tests.servers.slapd import Slapd


# Numbers of msExchRecipientTypeDetails that Exchange gives to mailboxes of its own
EXCHANGE_OWN = {"8192", "16384", "8388608", "536870912", "68719476736", "549755813888"}
LOCAL_PART = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x1f]+")
OURS = {domain["name"] for domain in DOMAINS}
EVERY = ("*", "entryUUID")


def addresses(slapd: Slapd) -> Mapping[str, frozenset[str]]:
    """The addresses each directory shows to the account that syncs use."""
    ad, plain = slapd.trees
    exchange = slapd.search(ad.base, attributes=EVERY, as_=(ad.reader, ad.reader_password))
    people = [
        entry
        for base in (PEOPLE, LISTS)
        for entry in slapd.search(base, attributes=EVERY, as_=(plain.reader, plain.reader_password))
    ]
    return {
        "head-office": cleaned(value for entry in exchange for value in smtp_values(entry)),
        "workshop": cleaned(value for entry in people for value in entry.texts("mail")),
    }


def of_active_directory(source: Source, said: Mapping[str, str]) -> frozenset[str]:
    """The same of the stack's Samba, asked over the network."""
    answer = LdapSearch(
        uri=said["STACK_AD_LDAPS_URI"],
        bind_dn=source.form["bind_name"],
        password=source.form["password"],
        ca=Path(said["STACK_AD_CA"]),
    )(said["STACK_AD_BASE"], "(proxyAddresses=smtp:*)")
    return cleaned(value for entry in answer.entries for value in smtp_values(entry))


def smtp_values(entry: Entry) -> list[str]:
    """What an Exchange entry says of SMTP addresses; nothing if it is one of Exchange's own."""
    if EXCHANGE_OWN.intersection(entry.texts("msExchRecipientTypeDetails")):
        return []
    typed = (value.strip().partition(":") for value in entry.texts("proxyAddresses"))
    return [address for prefix, _, address in typed if prefix.lower() == "smtp"]


def cleaned(values: Iterable[str]) -> frozenset[str]:
    """Trim, lower, compose; keep what is an address in one of the customer's domains."""
    normal = (unicodedata.normalize("NFC", value.strip().lower()) for value in values)
    parts = (value.rpartition("@") for value in normal)
    return frozenset(
        f"{local}@{domain}"
        for local, _, domain in parts
        if domain in OURS and LOCAL_PART.fullmatch(local)
    )
