"""Records that small directories are made of, each with a stable id."""

from uuid import NAMESPACE_URL, uuid5

from tests.servers.ldif import Values, entry_uuid, record


WHOLE = "o=whole"
"""What the empty base stands for: Zimbra's and Domino's entries lie in several trees."""


def unid(key: str) -> str:
    """Domino's universal id: 32 digits, in capitals."""
    return uuid5(NAMESPACE_URL, key).hex.upper()


def unit(dn: str) -> str:
    """A place for entries."""
    return record(dn, {"objectClass": "organizationalUnit"})


def person(dn: str, *classes: str, **more: Values) -> str:
    """Somebody, with a stable entryUUID."""
    name = dn.partition("=")[2].partition(",")[0].replace("\\", "")
    told: dict[str, Values] = {
        "objectClass": ["inetOrgPerson", *classes],
        "cn": name,
        "sn": name,
        "entryUUID": entry_uuid(dn),
        **more,
    }
    return record(dn, told)


def thing(dn: str, *classes: str, **more: Values) -> str:
    """A group, a list, a folder."""
    return record(dn, {"objectClass": classes, "entryUUID": entry_uuid(dn), **more})
