"""Small directories as mail suites on OpenLDAP fill them: Zimbra, Kopano, Zarafa, iRedMail, UCS.

Standard library only. Each uses the product's own names of attributes and classes (``schemas``).
"""

from tests.servers.ldif import Values, entry_uuid, record
from tests.servers.preset_records import WHOLE, person, thing, unit


# --- Zimbra --------------------------------------------------------------------

_ZIMBRA = f"dc=zimbra,{WHOLE}"


def _zimbra_account(local: str, status: str = "active", **more: Values) -> str:
    told: dict[str, Values] = {
        "mail": f"{local}@zimbra.test",
        "displayName": local.title(),
        "zimbraId": entry_uuid(local),
        "zimbraAccountStatus": status,
        "zimbraMailStatus": "enabled",
        "zimbraMailDeliveryAddress": f"{local}@zimbra.test",
        **more,
    }
    return person(f"uid={local},ou=people,{_ZIMBRA}", "zimbraAccount", **told)


def zimbra() -> str:
    """Accounts in every state, a resource, lists of both sorts."""
    return "".join(
        [
            record(
                _ZIMBRA,
                {
                    "objectClass": ["organization", "dcObject", "zimbraDomain"],
                    "o": "zimbra.test",
                    "dc": "zimbra",
                },
            ),
            unit(f"ou=people,{_ZIMBRA}"),
            _zimbra_account(
                "ada",
                zimbraMailAlias=["Lovelace@Zimbra.test", "countess@zimbra.test"],
                zimbraOldMailAddress="byron@zimbra.test",
                mail=["ada@zimbra.test", "lovelace@zimbra.test"],
            ),
            _zimbra_account("hidden", zimbraHideInGal="TRUE"),
            _zimbra_account("locked", "locked"),
            _zimbra_account("lockout", "lockout"),
            _zimbra_account("maintained", "maintenance"),
            _zimbra_account("pending", "pending"),
            _zimbra_account("closed", "closed"),
            _zimbra_account("switchedoff", zimbraMailStatus="disabled"),
            _zimbra_account("anything", zimbraMailCatchAllAddress="@zimbra.test"),
            _zimbra_account("room", objectClass=["inetOrgPerson", "zimbraCalendarResource"]),
            thing(
                f"uid=crew,ou=people,{_ZIMBRA}",
                "zimbraDistributionList",
                uid="crew",
                displayName="Crew",
                zimbraId=entry_uuid("crew"),
                zimbraMailStatus="enabled",
                mail=["crew@zimbra.test", "team@zimbra.test"],
                zimbraMailAlias=["crew@zimbra.test", "team@zimbra.test"],
            ),
            thing(
                f"cn=everyone,{_ZIMBRA}",
                "zimbraGroup",
                cn="everyone",
                zimbraId=entry_uuid("everyone"),
                zimbraMailAlias="everyone@zimbra.test",
            ),
            thing(
                f"uid=lovelace,ou=people,{_ZIMBRA}",
                "zimbraAlias",
                uid="lovelace",
                zimbraAliasTargetId=entry_uuid("ada"),
            ),
        ]
    )


# --- Kopano and Zarafa ---------------------------------------------------------


def kopano(brand: str) -> str:
    """Users, a shared store, groups, a contact; Zarafa's differ by the prefix of their names."""
    base, at = f"dc={brand}", f"@{brand}.test"

    def user(local: str, **more: Values) -> str:
        told = {f"{brand}Account": "1", "mail": f"{local}{at}", **more}
        return person(f"uid={local},{base}", f"{brand}-user", **told)

    aliases = {f"{brand}Aliases": [f"A.Lovelace{at}", "ada@elsewhere.example"]}
    return "".join(
        [
            user("ada", **aliases, **{f"{brand}Hidden": "1"}),
            user("nomail", **{f"{brand}Account": "0"}),
            user(
                "room",
                **{f"{brand}SharedStoreOnly": "1", f"{brand}ResourceType": "Room"},
            ),
            user(
                "expired",
                objectClass=["inetOrgPerson", "shadowAccount", f"{brand}-user"],
                uid="expired",
                shadowExpire="1",
            ),
            thing(
                f"cn=staff,{base}",
                "posixGroup",
                f"{brand}-group",
                cn="staff",
                gidNumber="100",
                mail=f"staff{at}",
                **{f"{brand}Aliases": f"all{at}"},
            ),
            thing(
                f"cn=silent,{base}", "posixGroup", f"{brand}-group", cn="silent", gidNumber="101"
            ),
            thing(f"cn=oslo,{base}", f"{brand}-dynamicgroup", cn="oslo", mail=f"oslo{at}"),
            person(
                f"cn=Partner,{base}",
                f"{brand}-contact",
                mail="partner@elsewhere.example",
                **{f"{brand}Aliases": f"partner{at}"},
            ),
        ]
    )


# --- iRedMail ------------------------------------------------------------------


def iredmail() -> str:
    """Users and lists of one domain, some without delivery."""
    base = "domainName=iredmail.test,o=domains,dc=iredmail"
    delivered = ["mail", "deliver", "imap"]

    def user(local: str, place: str = f"ou=Users,{base}", **more: Values) -> str:
        told: dict[str, Values] = {
            "mail": f"{local}@iredmail.test",
            "accountStatus": "active",
            "enabledService": delivered,
            **more,
        }
        return person(f"mail={local}@iredmail.test,{place}", "mailUser", **told)

    def list_of(local: str, class_: str, **more: Values) -> str:
        address = f"{local}@iredmail.test"
        return thing(f"mail={address},ou=Groups,{base}", class_, mail=address, cn=local, **more)

    return "".join(
        [
            record("o=domains,dc=iredmail", {"objectClass": "organization"}),
            record(base, {"objectClass": "mailDomain", "accountStatus": "active"}),
            unit(f"ou=Users,{base}"),
            unit(f"ou=Groups,{base}"),
            user("ada", shadowAddress=["Countess@iredmail.test"]),
            user("disabled", accountStatus="disabled"),
            user("nodelivery", enabledService=["mail", "imap"]),
            user("nomail", enabledService=["deliver", "imap"]),
            user("offline", domainStatus="disabled"),
            user("anything", shadowAddress="@iredmail.test"),
            list_of("team", "mailList", accountStatus="active", enabledService=delivered),
            list_of("closed", "mailList", accountStatus="active", enabledService="mail"),
            list_of("info", "mailAlias", accountStatus="active"),
            list_of("old", "mailAlias", accountStatus="disabled"),
            user("outside", place="dc=iredmail"),
        ]
    )


# --- Univention Corporate Server -----------------------------------------------


def ucs() -> str:
    """Users with a contact address besides, a group, a list, a shared folder."""

    def user(local: str, flags: str = "[U          ]", **more: Values) -> str:
        told: dict[str, Values] = {
            "uid": local,
            "mailPrimaryAddress": f"{local}@ucs.test",
            "sambaAcctFlags": flags,
            **more,
        }
        return person(f"uid={local},dc=ucs", "univentionMail", "sambaSamAccount", **told)

    return "".join(
        [
            user(
                "ada",
                mail=["private@elsewhere.example", "contact@ucs.test"],
                mailAlternativeAddress=["lovelace@ucs.test", "info@ucs.test"],
                mailForwardAddress="forward@ucs.test",
            ),
            user("bob", mailAlternativeAddress="info@ucs.test"),
            user("disabled", "[UD         ]"),
            user(
                "expired",
                objectClass=["inetOrgPerson", "univentionMail", "shadowAccount"],
                sambaAcctFlags=(),
                shadowExpire="1",
            ),
            user("contactonly", mailPrimaryAddress=(), mail="contactonly@ucs.test"),
            thing(
                "cn=staff,dc=ucs",
                "posixGroup",
                "univentionGroup",
                cn="staff",
                gidNumber="5000",
                mailPrimaryAddress="staff@ucs.test",
            ),
            thing(
                "cn=news,dc=ucs",
                "univentionMailList",
                cn="news",
                mailPrimaryAddress="news@ucs.test",
            ),
            thing(
                "cn=invoices,dc=ucs",
                "applicationProcess",
                "univentionMailSharedFolder",
                cn="invoices",
                mailPrimaryAddress="invoices@ucs.test",
            ),
        ]
    )
