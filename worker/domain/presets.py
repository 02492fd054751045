"""What each flavour of directory is like, as data: what to ask for, and how to read what comes back.

A new flavour is a new ``Preset`` in ``PRESETS`` and nothing else. Filters stay positive and simple: a negated
attribute that the server does not know, or the account may not read, matches nothing and still ends in success
(RFC 4511 section 4.5.1.7, "Undefined"), so what is unwanted is sorted out here and not by the server.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from worker.domain.model import Kind


class Syntax(enum.Enum):
    """How an attribute writes an address."""

    PLAIN = "plain"
    """``jo@example.com``, as in ``mail`` (RFC 4524 section 2.16)."""
    PREFIXED = "prefixed"
    """``SMTP:`` the primary address, ``smtp:`` another one, any other type no mail address: Exchange's proxyAddresses."""
    PREFIX_OPTIONAL = "prefix_optional"
    """The same where people write into it by hand: a value without a type is an address too."""


@dataclass(frozen=True, slots=True)
class AddressAttribute:
    """An attribute that holds addresses."""

    name: str
    syntax: Syntax = Syntax.PLAIN


class IdForm(enum.Enum):
    """How an attribute writes an entry's stable id."""

    GUID = "guid"
    """16 bytes, the first three fields little-endian (MS-DTYP section 2.3.4.2)."""
    HEX = "hex"
    """32 hexadecimal digits as text, hyphens anywhere: UUIDs (RFC 4530) and 389-DS's four groups of eight."""


@dataclass(frozen=True, slots=True)
class IdAttribute:
    """An attribute that names an entry for good, whatever becomes of its DN."""

    name: str
    form: IdForm = IdForm.HEX


@dataclass(frozen=True, slots=True)
class Marker:
    """An attribute that says something by one of some values (lower case), or by one bit of a decimal number."""

    attribute: str
    values: frozenset[bytes] = frozenset()
    bit: int = 0

    def is_set_by(self, value: bytes) -> bool:
        """Whether this value says it; what cannot be read does not."""
        if not self.bit:
            return value.lower() in self.values
        try:
            return bool(int(value) & self.bit)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class TypeTable:
    """An attribute whose decimal number says what an entry is; a number in none of the sets says nothing."""

    attribute: str
    kinds: Mapping[int, Kind]
    system: frozenset[int]
    """Mailboxes that the mail system made for itself."""
    no_mail: frozenset[int]
    """Entries without a mailbox or address of their own."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One flavour of directory. Attribute names ignore case, as the server does (RFC 4512 section 2.5)."""

    name: str
    filters: tuple[tuple[Kind, str], ...] = ()
    """The filter that finds each kind; those wanted are ORed. Empty: the settings must bring one."""
    addresses: tuple[AddressAttribute, ...] = ()
    """In order of rank: the first that names a primary address decides. Empty: the settings must bring some."""
    ids: tuple[IdAttribute, ...] = ()
    """Tried in order; an entry with none of them is known by its DN."""
    display_names: tuple[str, ...] = ("displayName", "cn")
    classes: tuple[tuple[bytes, Kind], ...] = ()
    """Object classes (lower case) that tell a kind, the most telling first; else an entry is a mailbox."""
    types: TypeTable | None = None
    """Knows more than the classes, where an entry has it."""
    disabled: tuple[Marker, ...] = ()
    """Any of these ends the login. The address lives on: shared and room mailboxes are disabled by design."""
    bounces: tuple[Marker, ...] = ()
    """Any of these means that the directory's own mail server refuses mail for the entry."""
    system_names: tuple[str, ...] = ()
    """Expressions (lower case) for how the name or local part of a system mailbox begins, where no type tells."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Return every attribute to ask for, each once. Asking for one the server does not know is harmless."""
        names = [
            *(address.name for address in self.addresses),
            *(entry_id.name for entry_id in self.ids),
            *self.display_names,
            *(("objectClass",) if self.classes else ()),
            *((self.types.attribute,) if self.types else ()),
            *(marker.attribute for marker in (*self.disabled, *self.bounces)),
        ]
        return tuple({name.lower(): name for name in reversed(names)}.values())[::-1]


# --- Active Directory and Exchange -------------------------------------------

EXCHANGE_TYPES = TypeTable(
    attribute="msExchRecipientTypeDetails",
    kinds=MappingProxyType(
        {
            1: Kind.MAILBOX,
            2: Kind.MAILBOX,  # linked: its account is disabled by design
            4: Kind.MAILBOX,  # shared: likewise
            8: Kind.MAILBOX,  # legacy
            16: Kind.MAILBOX,  # room
            32: Kind.MAILBOX,  # equipment
            64: Kind.CONTACT,
            128: Kind.MAILBOX,  # mail user: the mailbox lives elsewhere, often in the cloud
            256: Kind.GROUP,
            512: Kind.GROUP,
            1024: Kind.GROUP,
            2048: Kind.GROUP,  # dynamic
            4096: Kind.PUBLIC_FOLDER,
            32768: Kind.CONTACT,  # of another forest
            268435456: Kind.GROUP,  # room list: seldom mailed to, but what has an address can be
            2147483648: Kind.MAILBOX,  # remote: hybrid with Exchange Online, as the next three
            8589934592: Kind.MAILBOX,
            17179869184: Kind.MAILBOX,
            34359738368: Kind.MAILBOX,
            137438953472: Kind.MAILBOX,  # team
            274877906944: Kind.MAILBOX,
            2199023255552: Kind.MAILBOX,  # linked room
            8796093022208: Kind.GROUP,  # remote group mailbox
            17592186044416: Kind.MAILBOX,  # scheduling
            35184372088832: Kind.MAILBOX,  # guest
        }
    ),
    system=frozenset(
        {
            8192,  # system attendant
            16384,  # system mailbox
            8388608,  # arbitration
            536870912,  # discovery
            68719476736,  # public-folder mailbox: it holds the folders, each of which is an entry of its own
            549755813888,  # monitoring
            4398046511104,  # audit log
            70368744177664,  # auxiliary audit log
            140737488355328,  # supervisory review
        }
    ),
    no_mail=frozenset({65536, 131072, 262144, 524288}),  # plain user, contact, groups
)
"""``msExchRecipientTypeDetails`` (Exchange 2007 and later): one 64-bit number an entry, as Microsoft's
RecipientTypeDetails enumeration lists them. An entry made before has none; one not listed counts as a recipient."""

EXCHANGE_SYSTEM_NAMES = (
    "healthmailbox[0-9a-f]{7}",  # hexadecimal digits must follow: a real healthmailbox.team@ may exist
    "systemmailbox\\{",
    "federatedemail\\.[0-9a-f]{8}-",
    "migration\\.[0-9a-f]{8}-",
    "discoverysearchmailbox\\{",
)
"""Names that Exchange's setup gives to mailboxes of its own."""

AD_CLASSES = (
    (b"publicfolder", Kind.PUBLIC_FOLDER),
    (b"group", Kind.GROUP),
    (b"msexchdynamicdistributionlist", Kind.GROUP),
    (b"contact", Kind.CONTACT),
)
AD_DISABLED = Marker("userAccountControl", bit=2)
"""ADS_UF_ACCOUNTDISABLE (MS-ADTS section 2.2.16)."""

OBJECT_GUID = IdAttribute("objectGUID", IdForm.GUID)
ENTRY_UUID = IdAttribute("entryUUID")

# proxyAddresses is indexed and matched without case, so this one filter finds users, groups, contacts and public
# folders, and needs no Exchange schema. Public folders live outside the users' tree, so the base is the domain.
_WITH_SMTP_ADDRESS = "(proxyAddresses=smtp:*)"

ACTIVE_DIRECTORY = Preset(
    name="active_directory",
    filters=tuple((kind, _WITH_SMTP_ADDRESS) for kind in Kind),
    addresses=(AddressAttribute("proxyAddresses", Syntax.PREFIXED),),  # mail is free text in AD
    ids=(OBJECT_GUID, ENTRY_UUID),
    display_names=("displayName",),
    classes=AD_CLASSES,
    types=EXCHANGE_TYPES,
    disabled=(AD_DISABLED,),
    system_names=EXCHANGE_SYSTEM_NAMES,
)

_AD_PERSON = "(&(objectCategory=person)(mail=*))"  # users and contacts, no computers

ACTIVE_DIRECTORY_NO_EXCHANGE = Preset(
    name="active_directory_no_exchange",
    filters=(
        (Kind.MAILBOX, _AD_PERSON),
        (Kind.CONTACT, _AD_PERSON),
        (Kind.GROUP, "(&(objectCategory=group)(mail=*))"),
    ),
    addresses=(
        AddressAttribute("mail"),
        AddressAttribute("proxyAddresses", Syntax.PREFIX_OPTIONAL),
        AddressAttribute("otherMailbox"),
    ),
    ids=(OBJECT_GUID, ENTRY_UUID),
    display_names=("displayName",),
    classes=AD_CLASSES,
    disabled=(AD_DISABLED,),
    system_names=EXCHANGE_SYSTEM_NAMES,
)

# --- OpenLDAP and others ------------------------------------------------------

GROUP_CLASSES = (
    (b"groupofnames", Kind.GROUP),
    (b"groupofuniquenames", Kind.GROUP),
    (b"mailgroup", Kind.GROUP),
)
OPENLDAP_DISABLED = (
    # "locked until an administrator unlocks" (slapo-ppolicy(5)); any other time is a lock that passes
    Marker("pwdAccountLockedTime", frozenset({b"000001010000z"})),
    Marker("shadowExpire", frozenset({b"1"})),  # the second of January 1970, by custom "disabled"
)

OPENLDAP = Preset(
    name="openldap",
    filters=(
        (Kind.MAILBOX, "(&(objectClass=inetOrgPerson)(mail=*))"),
        (
            Kind.GROUP,
            "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=mailGroup))(mail=*))",
        ),
    ),
    addresses=(AddressAttribute("mail"),),
    ids=(ENTRY_UUID,),
    classes=GROUP_CLASSES,
    disabled=OPENLDAP_DISABLED,
)

CUSTOM = Preset(
    name="custom",
    ids=(OBJECT_GUID, ENTRY_UUID, IdAttribute("nsUniqueId"), IdAttribute("ipaUniqueID")),
    classes=(*AD_CLASSES, *GROUP_CLASSES),
    types=EXCHANGE_TYPES,
    disabled=(AD_DISABLED, *OPENLDAP_DISABLED, Marker("nsAccountLock", frozenset({b"true"}))),
    system_names=EXCHANGE_SYSTEM_NAMES,
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (ACTIVE_DIRECTORY, ACTIVE_DIRECTORY_NO_EXCHANGE, OPENLDAP, CUSTOM)
    }
)

PREFIXED_BY_NAME = frozenset({"proxyaddresses"})
"""Attributes (lower case) whose values carry a type wherever they are found."""


def address_attribute(preset: Preset, name: str) -> AddressAttribute:
    """Return how an attribute named in the settings writes addresses: as in the preset, else by its name."""
    for known in preset.addresses:
        if known.name.lower() == name.lower():
            return known
    is_prefixed = name.lower() in PREFIXED_BY_NAME
    return AddressAttribute(name, Syntax.PREFIXED if is_prefixed else Syntax.PLAIN)
