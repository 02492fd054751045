"""Active Directory, with Exchange and without, and Samba's.

Sources: Microsoft's Open Specifications MS-ADTS and MS-DTYP, its AD schema pages, Exchange's RecipientTypeDetails
enumeration; Samba AD DC 4.17 was measured.
"""

from dataclasses import replace
from types import MappingProxyType

from worker.domain.model import Kind
from worker.domain.presets.shape import (
    AddressAttribute,
    IdAttribute,
    IdForm,
    Marker,
    Preset,
    Syntax,
    TypeTable,
)


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
"""RFC 4530."""

# proxyAddresses is indexed and matched without case, so this one filter finds users, groups, contacts and public
# folders, and needs no Exchange schema. Public folders live outside the users' tree, so the base is the domain.
_WITH_SMTP_ADDRESS = "(proxyAddresses=smtp:*)"

ACTIVE_DIRECTORY = Preset(
    name="active_directory",
    title="Active Directory with Exchange",
    tip="For Exchange on your own servers or together with Exchange Online: addresses come from proxyAddresses, also "
    "those of groups, contacts and public folders. Hidden and disabled mailboxes count, as they still receive mail.",
    tested_on="Samba AD 4.17 with Exchange's attributes",
    needs=("proxyAddresses",),
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
    title="Active Directory without Exchange",
    tip="For Active Directory beside another mail server, such as Kerio Connect, MDaemon, Axigen or Kopano: addresses "
    "come from the E-mail field (mail) of users, contacts and groups, and from proxyAddresses where it is filled in.",
    tested_on="Samba AD 4.17",
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

SAMBA_AD = replace(
    ACTIVE_DIRECTORY_NO_EXCHANGE,
    name="samba_ad",
    title="Samba Active Directory",
    # measured on 4.17: a simple bind on plain 389 ends in result 8, "BindSimple: Transport encryption required."
    tip="For a domain of Samba's own. It refuses a sign-in without encryption, so use LDAPS or STARTTLS; its certificate is "
    "usually one it made for itself, so pin its fingerprint or enter its CA.",
)
