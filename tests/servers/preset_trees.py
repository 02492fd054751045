"""Small directories as different products fill them: who gets mail there, who does not, and odd values.

Standard library only. Each uses the product's own names of attributes and classes (``schemas``).
"""

from pathlib import Path

from tests.servers import suite_trees
from tests.servers.ldif import Values, entry_uuid, guid, record
from tests.servers.preset_records import WHOLE, person, thing, unid
from tests.servers.slapd import Tree


SCHEMAS = sorted((Path(__file__).resolve().parent / "schemas").glob("*.schema"))


# --- Domino, beside Zimbra in one naming context -------------------------------


def _domino() -> str:
    firm = f"o=Firm,{WHOLE}"

    def someone(name: str, mail: str) -> str:
        return person(f"cn={name},{firm}", "dominoPerson", mail=mail, dominoUNID=unid(name))

    return "".join(
        [
            record(firm, {"objectClass": "organization"}),
            someone("Ada Lovelace", "Ada.Lovelace@domino.test"),
            someone("No Address", "No_Address%Firm@domino.test"),
            someone("Old Form", "Old Form/Firm@domino.test"),
            someone("Gone Elsewhere", "gone@elsewhere.example"),
            # flat names, outside the organisation
            thing(
                f"cn=Sales,{WHOLE}",
                "dominoGroup",
                cn="Sales",
                mail="sales@domino.test",
                dominoUNID=unid("Sales"),
            ),
            thing(f"cn=Deny Access,{WHOLE}", "dominoGroup", cn="Deny Access"),
            thing(
                f"cn=Orders,{WHOLE}",
                "dominoServerMailInDatabase",
                cn="Orders",
                mail="orders@domino.test",
                dominoUNID=unid("Orders"),
            ),
        ]
    )


# --- FreeIPA -------------------------------------------------------------------


def _freeipa() -> str:
    base = "dc=freeipa"
    places = ("accounts", "users,cn=accounts", "provisioning", "accounts,cn=provisioning")
    ended = ("staged users", "deleted users")
    provisioning = f"cn=accounts,cn=provisioning,{base}"

    def user(local: str, place: str = f"cn=users,cn=accounts,{base}", **more: Values) -> str:
        told: dict[str, Values] = {
            "mail": f"{local}@freeipa.test",
            "displayName": local.title(),
            "ipaUniqueID": entry_uuid(f"ipa {local}"),
            **more,
        }
        return person(f"uid={local},{place}", "ipaObject", **told)

    return "".join(
        [
            *(record(f"cn={place},{base}", {"objectClass": "nsContainer"}) for place in places),
            *(
                record(f"cn={name},{provisioning}", {"objectClass": "nsContainer"})
                for name in ended
            ),
            user("ada", mail=["ada@freeipa.test", "lovelace@freeipa.test"], nsAccountLock="FALSE"),
            user("locked", nsAccountLock="TRUE"),
            # as long as no plugin has filled it in
            user("fresh", ipaUniqueID="autogenerate"),
            user("staged", f"cn=staged users,{provisioning}"),
            user("deleted", f"cn=deleted users,{provisioning}"),
        ]
    )


# --- eDirectory ----------------------------------------------------------------


def _edirectory() -> str:
    def user(local: str, disabled: str = "FALSE", **more: Values) -> str:
        told: dict[str, Values] = {
            "mail": f"{local}@edirectory.test",
            "fullName": local.title(),
            "GUID": guid(local),
            "loginDisabled": disabled,
            **more,
        }
        return person(f"cn={local},o=edirectory", "ndsLoginProperties", **told)

    group: dict[str, Values] = {"cn": "staff", "member": "cn=ada,o=edirectory"}
    return "".join(
        [
            user("ada", mail=["ada@edirectory.test", "a.lovelace@edirectory.test"]),
            user("disabled", "TRUE"),
            thing(
                "cn=staff,o=edirectory",
                "groupOfNames",
                "ndsMailbox",
                mail="staff@edirectory.test",
                GUID=guid("staff"),
                **group,
            ),
            thing("cn=silent,o=edirectory", "groupOfNames", **{**group, "cn": "silent"}),
        ]
    )


# --- OpenLDAP alone ------------------------------------------------------------


def _openldap() -> str:
    base = "dc=openldap"
    members: dict[str, Values] = {"member": f"uid=ada,{base}"}
    return "".join(
        [
            person(f"uid=ada,{base}", mail=["lovelace@openldap.test", "Ada@OpenLDAP.test "]),
            person(
                f"uid=expired,{base}",
                "shadowAccount",
                uid="expired",
                shadowExpire="1",
                mail="expired@openldap.test",
            ),
            person(
                f"uid=later,{base}",
                "shadowAccount",
                uid="later",
                shadowExpire="99999",
                mail="later@openldap.test",
            ),
            person(
                f"uid=odd,{base}",
                mail=["Odd <odd@openldap.test>", "a@openldap.test; b@openldap.test"],
            ),
            person(f"uid=nomail,{base}"),
            thing(
                f"cn=staff,{base}",
                "groupOfNames",
                "mailGroup",
                cn="staff",
                mail="staff@openldap.test",
                **members,
            ),
            thing(f"cn=silent,{base}", "groupOfNames", cn="silent", **members),
        ]
    )


def _local_recipient() -> str:
    base = "dc=local"

    def routed(local: str, *addresses: str, **more: Values) -> str:
        told: dict[str, Values] = {"mailLocalAddress": addresses, **more}
        return person(f"uid={local},{base}", "inetLocalMailRecipient", **told)

    return "".join(
        [
            routed(
                "ada",
                "a.lovelace@local.test",
                "ada@local.test",
                mail="ada@local.test",
                mailRoutingAddress="ada@inner.local.test",
                mailHost="inner.local.test",
            ),
            routed("bob", "bob@local.test", "b@local.test"),
            person(f"uid=notrouted,{base}", mail="notrouted@local.test"),
            thing(
                f"cn=staff,{base}",
                "groupOfNames",
                "inetLocalMailRecipient",
                cn="staff",
                member=f"uid=ada,{base}",
                mailLocalAddress="staff@local.test",
            ),
            thing(f"cn=office,{base}", "nisMailAlias", cn="office", rfc822MailMember="ada"),
        ]
    )


TREES = {
    "zimbra": Tree(base=WHOLE, seed=suite_trees.zimbra() + _domino()),
    "openldap": Tree(base="dc=openldap", seed=_openldap()),
    "openldap_local_recipient": Tree(base="dc=local", seed=_local_recipient()),
    "freeipa": Tree(base="dc=freeipa", seed=_freeipa()),
    "kopano": Tree(base="dc=kopano", seed=suite_trees.kopano("kopano")),
    "zarafa": Tree(base="dc=zarafa", seed=suite_trees.kopano("zarafa")),
    "iredmail": Tree(base="dc=iredmail", seed=suite_trees.iredmail()),
    "ucs": Tree(base="dc=ucs", seed=suite_trees.ucs()),
    "edirectory": Tree(base="o=edirectory", seed=_edirectory()),
}
"""By preset; Domino's is in Zimbra's."""
TREES["domino"] = TREES["zimbra"]
