"""What each flavour of directory is like, as data: what to ask for, and how to read what comes back.

A new flavour is a new ``Preset`` in ``PRESETS`` and nothing else. Filters stay positive and simple: a negated
attribute that the server does not know, or the account may not read, matches nothing and still ends in success
(RFC 4511 section 4.5.1.7, "Undefined"), so what is unwanted is sorted out here and not by the server.
"""

from collections.abc import Mapping
from types import MappingProxyType

from worker.domain.presets.microsoft import (
    ACTIVE_DIRECTORY,
    ACTIVE_DIRECTORY_NO_EXCHANGE,
    AD_CLASSES,
    AD_DISABLED,
    ENTRY_UUID,
    EXCHANGE_SYSTEM_NAMES,
    EXCHANGE_TYPES,
    OBJECT_GUID,
    SAMBA_AD,
)
from worker.domain.presets.openldap import (
    ACCOUNT_LOCK,
    DS389,
    FREEIPA,
    GROUP_CLASSES,
    OPENLDAP,
    OPENLDAP_DISABLED,
    OPENLDAP_LOCAL_RECIPIENT,
    SYNOLOGY,
)
from worker.domain.presets.others import DOMINO, EDIRECTORY, GOOGLE
from worker.domain.presets.shape import (
    AddressAttribute,
    IdAttribute,
    IdForm,
    Marker,
    Preset,
    Syntax,
    TypeTable,
)
from worker.domain.presets.suites import IREDMAIL, KOPANO, UCS, ZARAFA, ZIMBRA


__all__ = [
    "ACTIVE_DIRECTORY",
    "OTHER_PRODUCTS",
    "PRESETS",
    "AddressAttribute",
    "IdAttribute",
    "IdForm",
    "Marker",
    "Preset",
    "Syntax",
    "TypeTable",
    "address_attribute",
]

CUSTOM = Preset(
    name="custom",
    title="Custom",
    tip="For every other LDAP server: enter the filter that finds those who get mail, and the attributes that hold their "
    "addresses.",
    tested_on="OpenLDAP 2.5",
    ids=(OBJECT_GUID, ENTRY_UUID, IdAttribute("nsUniqueId"), IdAttribute("ipaUniqueID")),
    classes=(*AD_CLASSES, *GROUP_CLASSES),
    types=EXCHANGE_TYPES,
    disabled=(AD_DISABLED, *OPENLDAP_DISABLED, ACCOUNT_LOCK),
    system_names=EXCHANGE_SYSTEM_NAMES,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            ACTIVE_DIRECTORY,
            ACTIVE_DIRECTORY_NO_EXCHANGE,
            SAMBA_AD,
            OPENLDAP,
            OPENLDAP_LOCAL_RECIPIENT,
            DS389,
            FREEIPA,
            ZIMBRA,
            KOPANO,
            ZARAFA,
            IREDMAIL,
            UCS,
            DOMINO,
            EDIRECTORY,
            GOOGLE,
            SYNOLOGY,
            CUSTOM,
        )
    }
)
"""By name, in the order in which pages offer them."""

OTHER_PRODUCTS: Mapping[str, str] = MappingProxyType(
    {
        "Axigen": "It reads its users from OpenLDAP or Active Directory: choose openldap_local_recipient or "
        "active_directory_no_exchange, and enter that server.",
        "Kerio Connect": "Its own LDAP server publishes contact folders only: choose the type of the directory that its users "
        "come from, and enter that server.",
        "MDaemon": "Choose the type of the directory that its accounts come from or are published to, usually "
        "active_directory_no_exchange, and enter that server.",
    }
)
"""Mail servers without a directory that could be read: what to choose instead."""

PREFIXED_BY_NAME = frozenset({"proxyaddresses"})
"""Attributes (lower case) whose values carry a type wherever they are found."""


def address_attribute(preset: Preset, name: str) -> AddressAttribute:
    """Return how an attribute named in the settings writes addresses: as in the preset, else by its name."""
    for known in preset.addresses:
        if known.name.lower() == name.lower():
            return known
    is_prefixed = name.lower() in PREFIXED_BY_NAME
    return AddressAttribute(name, Syntax.PREFIXED if is_prefixed else Syntax.PLAIN)
