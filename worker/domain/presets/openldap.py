"""OpenLDAP and 389 Directory Server with the schemas that come with them, and what is built on these alone.

Sources: RFC 2798 (inetOrgPerson), RFC 4530 (entryUUID), slapo-ppolicy(5), shadow(5), OpenLDAP's misc.schema, 389-DS's
50ns-mail.ldif; Red Hat's Identity Management guide for FreeIPA; Synology's manual of LDAP Server.
"""

from dataclasses import replace

from worker.domain.model import Kind
from worker.domain.presets.microsoft import ENTRY_UUID
from worker.domain.presets.shape import AddressAttribute, IdAttribute, Marker, Preset


MAIL = AddressAttribute("mail")

GROUP_CLASSES = (
    (b"groupofnames", Kind.GROUP),
    (b"groupofuniquenames", Kind.GROUP),
    (b"mailgroup", Kind.GROUP),
)
SHADOW_EXPIRED = Marker("shadowExpire", frozenset({b"1"}))
"""The second of January 1970 (shadow(5) counts days), by custom "disabled"."""
OPENLDAP_DISABLED = (
    # "locked until an administrator unlocks" (slapo-ppolicy(5)); any other time is a lock that passes
    Marker("pwdAccountLockedTime", frozenset({b"000001010000z"})),
    SHADOW_EXPIRED,
)
ACCOUNT_LOCK = Marker("nsAccountLock", frozenset({b"true"}))
"""389-DS and FreeIPA."""

_PEOPLE = "(&(objectClass=inetOrgPerson)(mail=*))"
_GROUPS = "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=mailGroup))(mail=*))"

OPENLDAP = Preset(
    name="openldap",
    title="OpenLDAP",
    tip="For OpenLDAP whose people have the class inetOrgPerson: every value of mail counts, of people and of groups that "
    "have one. If addresses are kept in mailLocalAddress, choose openldap_local_recipient.",
    tested_on="OpenLDAP 2.5",
    needs=("inetOrgPerson",),
    filters=((Kind.MAILBOX, _PEOPLE), (Kind.GROUP, _GROUPS)),
    addresses=(MAIL,),
    ids=(ENTRY_UUID,),
    classes=GROUP_CLASSES,
    disabled=OPENLDAP_DISABLED,
)

_LOCAL_RECIPIENTS = "(&(objectClass=inetLocalMailRecipient)(mailLocalAddress=*))"

OPENLDAP_LOCAL_RECIPIENT = Preset(
    name="openldap_local_recipient",
    title="OpenLDAP with mailLocalAddress",
    # the reason against nisMailAlias stands in decisions/0027
    tip="For OpenLDAP whose mail server routes by mailLocalAddress (class inetLocalMailRecipient), as with sendmail and "
    "Axigen. Aliases of the class nisMailAlias are not read, as they carry no domain: add them by hand.",
    tested_on="OpenLDAP 2.5",
    needs=("inetLocalMailRecipient",),
    filters=((Kind.MAILBOX, _LOCAL_RECIPIENTS), (Kind.GROUP, _LOCAL_RECIPIENTS)),
    # mailRoutingAddress is where mail goes on to, not what it is sent to
    addresses=(MAIL, AddressAttribute("mailLocalAddress")),
    ids=(ENTRY_UUID,),
    display_names=("cn",),
    classes=GROUP_CLASSES,
    disabled=OPENLDAP_DISABLED,
)

IPA_LIFE_CYCLE = (
    "cn=deleted users,cn=accounts,cn=provisioning",
    "cn=staged users,cn=accounts,cn=provisioning",
)
"""Where FreeIPA keeps preserved people and those yet to come, with their mail (Red Hat IdM, "user life cycle")."""

DS389 = Preset(
    name="389ds",
    title="389 Directory Server",
    # measured on 2.3: nsSizeLimit is one of each page, and its default of 2,000 more than a page
    tip="For 389 Directory Server and Red Hat Directory Server. With more than some thousand entries the account needs a limit "
    "lifted (nsLookThroughLimit -1), else the server stops at 5,000 and nothing can be synced.",
    tested_on="389 Directory Server 2.3",
    # FreeIPA can be read by this type too
    unread=IPA_LIFE_CYCLE,
    needs=("mailRecipient",),
    filters=(
        (Kind.MAILBOX, "(&(|(objectClass=inetOrgPerson)(objectClass=mailRecipient))(mail=*))"),
        (Kind.GROUP, "(&(objectClass=mailGroup)(mail=*))"),
    ),
    addresses=(
        MAIL,
        AddressAttribute("mailAlternateAddress"),
        AddressAttribute("mailEquivalentAddress"),
    ),
    # every entry has the first; the second came with a plugin of 1.4.4, and entries older than it have none
    ids=(IdAttribute("nsUniqueId"), ENTRY_UUID),
    classes=GROUP_CLASSES,
    disabled=(ACCOUNT_LOCK,),
)

FREEIPA = Preset(
    name="freeipa",
    title="FreeIPA, Red Hat Identity Management",
    tip="For FreeIPA and Red Hat IdM: people under cn=users,cn=accounts. Staged and deleted ones stay out, also when the "
    "whole suffix is searched. Groups carry no address there.",
    # the server itself could not be tried: the tree is its own, the server OpenLDAP
    tested_on="OpenLDAP 2.5 with its attributes",
    below="cn=users,cn=accounts",
    unread=IPA_LIFE_CYCLE,
    needs=("ipaUniqueID",),
    filters=((Kind.MAILBOX, _PEOPLE),),
    addresses=(MAIL,),
    ids=(IdAttribute("ipaUniqueID"), ENTRY_UUID),
    disabled=(ACCOUNT_LOCK,),
)

SYNOLOGY = replace(
    OPENLDAP,
    name="synology",
    title="Synology LDAP Server",
    tip="For the LDAP Server package of a Synology NAS: people only, as its groups have no addresses. An ordinary user is "
    "enough to sign in with, for example uid=sync,cn=users,dc=ldap,dc=example,dc=com.",
    tested_on="",
    filters=((Kind.MAILBOX, _PEOPLE),),
    disabled=(SHADOW_EXPIRED,),
)
