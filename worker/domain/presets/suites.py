"""Mail and groupware suites that bring a schema of their own to OpenLDAP.

Sources: Zimbra's administrator guide ("Managing user accounts") and its Postfix maps as Carbonio ships them
(``ldap-vmm.cf``, ``ldap-vam.cf``); kopano.schema and ``ldap.cfg`` of kopano-core; iRedMail's iredmail.schema and Postfix
maps (``samples/postfix/ldap``); UCS's mail.schema and samba.schema.
"""

from worker.domain.model import Kind
from worker.domain.presets.microsoft import ENTRY_UUID, OBJECT_GUID
from worker.domain.presets.openldap import MAIL, OPENLDAP_DISABLED, SHADOW_EXPIRED
from worker.domain.presets.shape import AddressAttribute, IdAttribute, Marker, Preset


ZIMBRA = Preset(
    name="zimbra",
    title="Zimbra, Carbonio",
    tip="For the LDAP server of Zimbra or Carbonio: accounts, resources and lists of all domains. Locked accounts and those "
    "under maintenance count, pending and closed ones do not. Alias domains are not in each account: enter them as alias "
    "domains with this service.",
    tested_on="OpenLDAP 2.5 with its attributes",
    # its domains are trees of their own (dc=…), which its own mail server searches from the empty base
    is_whole_tree=True,
    needs=("zimbraMailDeliveryAddress",),
    filters=(
        (
            Kind.MAILBOX,
            "(&(|(objectClass=zimbraAccount)(objectClass=zimbraCalendarResource))(zimbraMailDeliveryAddress=*))",
        ),
        (Kind.GROUP, "(|(objectClass=zimbraDistributionList)(objectClass=zimbraGroup))"),
    ),
    addresses=(
        # lists have no delivery address: all of theirs, the first one too, are aliases
        AddressAttribute("zimbraMailDeliveryAddress"),
        AddressAttribute("zimbraMailAlias"),
        AddressAttribute("zimbraOldMailAddress"),  # still delivered to after a rename
        AddressAttribute("zimbraMailCatchAllAddress"),  # "@domain": reported, never a recipient
    ),
    ids=(IdAttribute("zimbraId"),),
    classes=((b"zimbradistributionlist", Kind.GROUP), (b"zimbragroup", Kind.GROUP)),
    disabled=(
        Marker(
            "zimbraAccountStatus",
            frozenset({b"locked", b"lockout", b"maintenance", b"pending", b"closed"}),
        ),
    ),
    # maintenance is left out: mail is queued meanwhile and delivered afterwards
    bounces=(
        Marker("zimbraAccountStatus", frozenset({b"pending", b"closed"})),
        Marker("zimbraMailStatus", frozenset({b"disabled"})),
    ),
)


def _kopano(brand: str, title: str, tip: str, *, tested_on: str) -> Preset:
    """Return the preset of Kopano, or of Zarafa before it was renamed: the schemas differ by the prefix alone."""
    return Preset(
        name=brand,
        title=title,
        tip=tip,
        tested_on=tested_on,
        needs=(f"{brand}-user",),
        filters=(
            (Kind.MAILBOX, f"(&(objectClass={brand}-user)({brand}Account=1)(mail=*))"),
            (
                Kind.GROUP,
                f"(&(|(objectClass={brand}-group)(objectClass={brand}-dynamicgroup))(mail=*))",
            ),
            (Kind.CONTACT, f"(&(objectClass={brand}-contact)(mail=*))"),
        ),
        addresses=(MAIL, AddressAttribute(f"{brand}Aliases")),
        ids=(ENTRY_UUID, OBJECT_GUID),
        classes=(
            (f"{brand}-group".encode("ascii"), Kind.GROUP),
            (f"{brand}-dynamicgroup".encode("ascii"), Kind.GROUP),
            (f"{brand}-contact".encode("ascii"), Kind.CONTACT),
        ),
        # a shared store, a room or equipment: nobody signs in, and it receives mail
        disabled=(Marker(f"{brand}SharedStoreOnly", frozenset({b"1"})), *OPENLDAP_DISABLED),
    )


KOPANO = _kopano(
    "kopano",
    "Kopano",
    "For Kopano on OpenLDAP: users, shared stores, groups and contacts, with kopanoAliases. If Kopano runs on Active "
    "Directory, choose active_directory_no_exchange.",
    tested_on="OpenLDAP 2.5 with its attributes",
)
ZARAFA = _kopano(
    "zarafa",
    "Zarafa",
    "For Zarafa on OpenLDAP: users, shared stores, groups and contacts, with zarafaAliases. If Zarafa runs on Active "
    "Directory, choose active_directory_no_exchange.",
    tested_on="OpenLDAP 2.5 with its attributes",
)

_IREDMAIL_LISTS = (
    "(&(objectClass=mailList)(accountStatus=active)(enabledService=mail)(enabledService=deliver))"
)

IREDMAIL = Preset(
    name="iredmail",
    title="iRedMail with OpenLDAP",
    tip="For iRedMail on OpenLDAP: active users, lists and aliases for which mail delivery is on. Its alias domains are not in "
    "each user: enter them as alias domains with this service.",
    tested_on="OpenLDAP 2.5 with its attributes",
    below="o=domains",
    needs=("mailUser", "enabledService"),
    # positive, as in its own Postfix maps: who is not active and enabled bounces
    filters=(
        (
            Kind.MAILBOX,
            "(&(objectClass=mailUser)(accountStatus=active)(enabledService=mail)(enabledService=deliver))",
        ),
        (Kind.GROUP, _IREDMAIL_LISTS),
        (Kind.GROUP, "(&(objectClass=mailAlias)(accountStatus=active))"),
    ),
    addresses=(MAIL, AddressAttribute("shadowAddress")),
    ids=(ENTRY_UUID,),
    display_names=("cn",),
    classes=((b"maillist", Kind.GROUP), (b"mailalias", Kind.GROUP)),
    bounces=(Marker("domainStatus", frozenset({b"disabled"})),),
)

UCS = Preset(
    name="ucs",
    title="Univention Corporate Server",
    tip="For UCS: addresses come from mailPrimaryAddress and mailAlternativeAddress, as mail holds a contact address there. "
    "Enter port 7636 for LDAPS or 7389 for STARTTLS; on 636 and 389 its Samba may answer.",
    tested_on="OpenLDAP 2.5 with its attributes",
    needs=("univentionMail", "mailPrimaryAddress"),
    filters=(
        (Kind.MAILBOX, "(&(objectClass=univentionMail)(mailPrimaryAddress=*))"),
        (
            Kind.GROUP,
            "(&(|(objectClass=univentionGroup)(objectClass=univentionMailList))(mailPrimaryAddress=*))",
        ),
        (
            Kind.PUBLIC_FOLDER,
            "(&(objectClass=univentionMailSharedFolder)(mailPrimaryAddress=*))",
        ),
    ),
    # mailForwardAddress is where mail goes on to
    addresses=(AddressAttribute("mailPrimaryAddress"), AddressAttribute("mailAlternativeAddress")),
    ids=(ENTRY_UUID,),
    classes=(
        (b"univentiongroup", Kind.GROUP),
        (b"univentionmaillist", Kind.GROUP),
        (b"univentionmailsharedfolder", Kind.PUBLIC_FOLDER),
    ),
    disabled=(SHADOW_EXPIRED, Marker("sambaAcctFlags", letter=b"D")),
)
