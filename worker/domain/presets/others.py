"""Directories of other makers. None of them could be tried: only their schema was, on OpenLDAP.

Sources: HCL's "How the LDAP service forms a value for the mail attribute" and its LDAP schema; HCL Connections' map of
GUIDs; Novell's eDirectory schema reference and its GroupWise MTA pages; Google's "LDAP schema" of Secure LDAP.
"""

from worker.domain.model import Kind
from worker.domain.presets.microsoft import ENTRY_UUID
from worker.domain.presets.openldap import MAIL
from worker.domain.presets.shape import IdAttribute, IdForm, Marker, Preset


DOMINO = Preset(
    name="domino",
    title="HCL Domino, Lotus Notes",
    tip="For Domino's LDAP service: people, groups and mail-in databases, which count as public folders. It shows one address "
    "for each, as Domino forms it: enter an Internet address in every person document, and add further ones by hand.",
    tested_on="OpenLDAP 2.5 with its attributes",
    # groups and mail-in databases often have flat names, outside any O=
    is_whole_tree=True,
    needs=("dominoPerson",),
    filters=(
        (Kind.MAILBOX, "(&(objectClass=dominoPerson)(mail=*))"),
        (Kind.GROUP, "(&(objectClass=dominoGroup)(mail=*))"),
        (Kind.PUBLIC_FOLDER, "(&(objectClass=dominoServerMailInDatabase)(mail=*))"),
    ),
    # who has no Internet address gets ``name%domain@host``, which ``addresses`` takes for no address
    addresses=(MAIL,),
    ids=(IdAttribute("dominoUNID"),),
    display_names=("cn",),
    classes=(
        (b"dominogroup", Kind.GROUP),
        (b"dominoservermailindatabase", Kind.PUBLIC_FOLDER),
    ),
)

EDIRECTORY = Preset(
    name="edirectory",
    title="eDirectory, GroupWise",
    tip="For NetIQ eDirectory, also beneath GroupWise. It shows the preferred address alone, while GroupWise may accept "
    "several forms of it: add by hand what people use besides, also GroupWise's own groups, resources and nicknames.",
    tested_on="OpenLDAP 2.5 with its attributes",
    needs=("loginDisabled",),
    filters=(
        (Kind.MAILBOX, "(&(objectClass=inetOrgPerson)(mail=*))"),
        (Kind.GROUP, "(&(objectClass=groupOfNames)(mail=*))"),
    ),
    addresses=(MAIL,),
    ids=(IdAttribute("GUID", IdForm.OCTETS),),
    display_names=("fullName", "cn"),
    classes=((b"groupofnames", Kind.GROUP),),
    disabled=(Marker("loginDisabled", frozenset({b"true"})),),
)

GOOGLE = Preset(
    name="google",
    title="Google Workspace, Secure LDAP",
    tip="For ldap.google.com with LDAPS. It needs the client certificate and key made for the LDAP client in Google's admin "
    "console. It shows no aliases: add those by hand.",
    filters=(
        (Kind.MAILBOX, "(&(objectClass=inetOrgPerson)(mail=*))"),
        (Kind.GROUP, "(&(objectClass=groupOfNames)(mail=*))"),
    ),
    addresses=(MAIL,),
    ids=(ENTRY_UUID,),
    display_names=("displayName", "cn"),
    classes=((b"groupofnames", Kind.GROUP),),
)
