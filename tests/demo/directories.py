"""What the customer runs: two directories, three ways in, and what its administrator does to them meanwhile."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import ad_domain
from tests.servers.certs import Authority
from tests.servers.ldif import record
from tests.servers.slapd import Slapd, Tree
from tests.stack import seed


DOMAINS = (
    {"name": seed.AD_DOMAIN, "delimiter": "+"},
    {"name": seed.AD_OTHER_DOMAIN},
    {"name": "corp.example", "alias_of": seed.AD_DOMAIN},
    {"name": seed.PLAIN_DOMAIN},
    {"name": ad_domain.MAIL},
    {"name": ad_domain.OTHER_MAIL},
)
SCANNER = f"cn=scanner,ou=Service,{seed.AD_BASE}"
PEOPLE, LISTS, ARCHIVE = (f"ou={name},{seed.PLAIN_BASE}" for name in ("People", "Lists", "Archive"))
AD_PEOPLE, OSLO = f"ou=People,{seed.AD_BASE}", f"ou=Oslo,{seed.AD_BASE}"
REORGANISED = range(10, 30)
CLOSED = range(12, 26)


def lab(directory: Path, *, mark: Mapping[str, str]) -> Slapd:
    """A server of its own with the stack's two trees, so that nobody else's are changed."""
    scanner = {"objectClass": ["person", "simpleSecurityObject"], "sn": "scanner"}
    account = record(SCANNER, {**scanner, "userPassword": secrets.token_hex(12)})
    seeds = {
        seed.AD_BASE: seed.active_directory() + account,
        seed.PLAIN_BASE: seed.plain(),
    }
    trees = [
        Tree(
            base=base,
            seed=people,
            lines=["security simple_bind=128"],  # as AD can: no password that was not sent over TLS
            admin_password=secrets.token_hex(12),
            reader_password=secrets.token_hex(12),
        )
        for base, people in seeds.items()
    ]
    certificate = Authority.create(directory / "tls").issue("directory")
    return Slapd(directory, trees, certificate=certificate, environment=dict(mark))


@dataclass(frozen=True, slots=True)
class Source:
    """One directory as the customer enters it in the platform's form."""

    directory: str
    name: str
    form: Mapping[str, Any] = field(repr=False)

    @property
    def save(self) -> dict[str, Any]:
        """The data of ``directory.save``: Save & Sync."""
        return {"directory": self.directory, "name": self.name, **self.form, "sync": True}


def sources(slapd: Slapd) -> tuple[Source, Source, Source]:
    """First the AD-flavoured one over LDAPS, then OpenLDAP over STARTTLS, then one with a wrong password."""
    ad, plain = slapd.trees
    assert slapd.certificate is not None
    trust = {"trust": {"ca_pem": slapd.certificate.ca.read_text(encoding="utf-8")}}
    exchange = {
        "type": "active_directory",
        "servers": [f"localhost:{slapd.ldaps_port}"],
        "security": "ldaps",
        "search_bases": [ad.base],
        **trust,
    }
    account = {"bind_name": ad.reader, "password": ad.reader_password}
    head_office = Source("head-office", "Exchange, LDAPS", {**exchange, **account})
    workshop = {
        "type": "openldap",
        "servers": [f"localhost:{slapd.port}"],
        "security": "starttls",
        "search_bases": [PEOPLE, LISTS],
        "bind_name": plain.reader,
        "password": plain.reader_password,
        **trust,
    }
    wrong = {"bind_name": SCANNER, "password": secrets.token_hex(12)}
    return (
        head_office,
        Source("workshop", "OpenLDAP, STARTTLS", workshop),
        Source("old-office", "a wrong password", {**exchange, **wrong}),
    )


def active_directory(said: Mapping[str, str]) -> Source | None:
    """The stack's Samba, as its environment says; None where it cannot run. Nothing of it is changed here."""
    if "STACK_AD_LDAPS_URI" not in said:
        return None
    form = {
        "type": "active_directory",
        "servers": [said["STACK_AD_LDAPS_URI"]],  # pasted as it stands: the scheme is understood
        "trust": {"ca_pem": Path(said["STACK_AD_CA"]).read_text(encoding="utf-8")},
        "bind_name": said["STACK_AD_BIND_NAME"],
        "password": said["STACK_AD_PASSWORD"],
    }
    return Source("branch", "Active Directory", form)


# --- behind the platform's back -----------------------------------------------


@dataclass(frozen=True, slots=True)
class Deed:
    """Something the administrator does with ldapmodify."""

    told: str
    ldif: str


def everyday() -> Sequence[Deed]:
    """What happens in any week: people come, marry, move and leave."""
    corp, brand = seed.AD_DOMAIN, seed.AD_OTHER_DOMAIN
    return (
        Deed(
            "Ingrid Solberg joins the head office, with two addresses",
            change(
                f"cn=Ingrid Solberg,{AD_PEOPLE}",
                "add",
                "objectClass: user",
                "objectCategory: person",
                *("sn: Solberg", "displayName: Ingrid Solberg", "sAMAccountName: ingrid"),
                "msExchRecipientTypeDetails: 1",
                f"proxyAddresses: SMTP:ingrid@{corp}",
                f"proxyAddresses: smtp:ingrid@{brand}",
            ),
        ),
        Deed(
            "Ada Lindqvist is now Ada Brandt: new name, new address, the old one stays",
            change(
                f"cn=Ada Lindqvist,{AD_PEOPLE}",
                "modrdn",
                "newrdn: cn=Ada Brandt",
                "deleteoldrdn: 1",
            )
            + change(
                f"cn=Ada Brandt,{AD_PEOPLE}",
                "modify",
                *("replace: displayName", "displayName: Ada Brandt", "-"),
                *("delete: proxyAddresses", f"proxyAddresses: SMTP:user000@{corp}", "-"),
                *("add: proxyAddresses", f"proxyAddresses: SMTP:ada.brandt@{corp}"),
                *(f"proxyAddresses: smtp:user000@{corp}", "-"),
            ),
        ),
        Deed(
            "Hanako Lindqvist moves to the Oslo office: another OU, the same person",
            change(OSLO, "add", "objectClass: organizationalUnit")
            + moved(f"cn=Hanako Lindqvist,{AD_PEOPLE}", OSLO),
        ),
        Deed(
            "Dmitri Lindqvist leaves: deleted", change(f"cn=Dmitri Lindqvist,{AD_PEOPLE}", "delete")
        ),
        Deed("Emil Aas joins the workshop", member("emil", "Emil Aas")),
    )


def reorganised() -> Sequence[Deed]:
    """A tidy-up that takes most of the workshop out of what is read."""
    names = [f"uid=member{number:03d},{PEOPLE}" for number in REORGANISED]
    return (
        Deed(
            f"{len(names)} people of the workshop are moved to an OU that is not read",
            change(ARCHIVE, "add", "objectClass: organizationalUnit")
            + "".join(moved(name, ARCHIVE) for name in names),
        ),
        Deed("Tiril Moe joins the workshop meanwhile", member("tiril", "Tiril Moe")),
    )


def put_back() -> Sequence[Deed]:
    """The mistake is noticed."""
    names = [f"uid=member{number:03d},{ARCHIVE}" for number in REORGANISED]
    return (Deed("they are moved back", "".join(moved(name, PEOPLE) for name in names)),)


def closed() -> Sequence[Deed]:
    """A part of the workshop is closed; its people are deleted."""
    names = [f"uid=member{number:03d},{PEOPLE}" for number in CLOSED]
    return (
        Deed(
            f"{len(names)} people of the workshop are deleted: the branch is closed",
            "".join(change(name, "delete") for name in names),
        ),
    )


def member(uid: str, name: str) -> str:
    """LDIF that adds a person to the workshop."""
    return change(
        f"uid={uid},{PEOPLE}",
        "add",
        "objectClass: inetOrgPerson",
        *(f"cn: {name}", f"sn: {name.split(' ')[1]}", f"displayName: {name}"),
        f"mail: {uid}@{seed.PLAIN_DOMAIN}",
    )


def moved(dn: str, under: str) -> str:
    """LDIF that moves an entry."""
    rdn = dn.partition(",")[0]
    return change(dn, "modrdn", f"newrdn: {rdn}", "deleteoldrdn: 1", f"newsuperior: {under}")


def change(dn: str, kind: str, *lines: str) -> str:
    """One LDIF change record (RFC 2849)."""
    return "\n".join([f"dn: {dn}", f"changetype: {kind}", *lines]) + "\n\n"
