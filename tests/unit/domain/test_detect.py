"""What a server says of itself to what it is, what to enter for it, and whether the type chosen fits."""

import pytest

from worker.domain.detect import (
    ACTIVE_DIRECTORY_OID,
    FITS,
    FUNCTIONALITY,
    NAMES,
    SCHEMA_NAMES,
    detect,
    misfit,
)
from worker.domain.presets import PRESETS, AddressAttribute, Preset
from worker.domain.server import Detected, RootDse, ServerType


AD = RootDse(
    "DC=corp,DC=example",
    ("DC=corp,DC=example", "CN=Configuration,DC=corp,DC=example"),
    capabilities=frozenset({ACTIVE_DIRECTORY_OID, "1.2.840.113556.1.4.1670"}),
    functionality="7",
)
SAMBA = RootDse(
    "DC=corp,DC=example",
    capabilities=frozenset({ACTIVE_DIRECTORY_OID}),
    vendor_name="Samba Team (https://www.samba.org)",
    vendor_version="4.17.12-Debian",
    functionality="4",
)
OPENLDAP = RootDse(
    contexts=("dc=corp,dc=example",), object_classes=frozenset({"top", "OpenLDAProotDSE"})
)
DS389 = RootDse(
    contexts=("dc=corp,dc=example", "o=ipaca"),
    vendor_name="389 Project",
    vendor_version="389-Directory/2.3.1 B2023.024.0000",
)
FREEIPA = RootDse(
    "dc=corp,dc=example",
    vendor_name="389 Project",
    extensions=frozenset({"2.16.840.1.113730.3.8.10.1"}),
)
EDIRECTORY = RootDse(
    contexts=("o=corp",),
    vendor_name="NetIQ Corporation",
    vendor_version="LDAP Agent for NetIQ eDirectory 9.2 (40201.11)",
)
DOMINO = RootDse(contexts=("o=corp",), vendor_name="Lotus Software", vendor_version="Release 9.0")
GOOGLE = RootDse(mechanisms=frozenset({"EXTERNAL", "PLAIN"}))

CORE = frozenset({"mail", "inetorgperson"})
"""What every LDAP schema has of what is asked for."""
AD_CORE = CORE | {"proxyaddresses", "othermailbox"}
EXCHANGE = AD_CORE | {"msexchrecipienttypedetails"}


def known(*names: str) -> frozenset[str]:
    """A plain schema with some names more."""
    return CORE | {name.lower() for name in names}


def chosen(name: str, detected: Detected) -> str:
    """What is said of a choice; empty: nothing speaks against it."""
    return misfit(PRESETS[name], detected) or ""


# --- which server it is -------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "server"),
    [
        (AD, ServerType.ACTIVE_DIRECTORY),
        (SAMBA, ServerType.SAMBA_AD),
        (OPENLDAP, ServerType.OPENLDAP),
        (DS389, ServerType.DS389),
        (FREEIPA, ServerType.FREEIPA),
        (EDIRECTORY, ServerType.EDIRECTORY),
        (
            RootDse(extensions=frozenset({"2.16.840.1.113719.1.27.100.13"})),
            ServerType.EDIRECTORY,
        ),
        (DOMINO, ServerType.DOMINO),
        (GOOGLE, ServerType.GOOGLE),
        (RootDse(), ServerType.UNKNOWN),
        (RootDse(vendor_name="Acme"), ServerType.UNKNOWN),
    ],
)
def test_servers_are_told_apart_by_what_they_say(root: RootDse, server: ServerType) -> None:
    """An admin seldom knows the product's name; the server does."""
    assert detect(root).server is server


@pytest.mark.parametrize(
    ("names", "server", "best"),
    [
        (("zimbraMailDeliveryAddress",), ServerType.ZIMBRA, "zimbra"),
        (("univentionMail", "mailPrimaryAddress"), ServerType.UCS, "ucs"),
        (("mailUser", "enabledService"), ServerType.IREDMAIL, "iredmail"),
        (("kopano-user",), ServerType.OPENLDAP, "kopano"),
        (("zarafa-user",), ServerType.OPENLDAP, "zarafa"),
        ((), ServerType.OPENLDAP, "openldap"),
    ],
)
def test_what_is_built_on_openldap_shows_by_its_schema(
    names: tuple[str, ...], server: ServerType, best: str
) -> None:
    """They all answer as OpenLDAP."""
    found = detect(OPENLDAP, known(*names))

    assert (found.server, found.types[0]) == (server, best)
    assert found.types[-1] == "openldap"


@pytest.mark.parametrize(
    ("names", "types"),
    [
        ((), ("openldap", "openldap_local_recipient")),
        (("kopano-user",), ("kopano", "openldap", "openldap_local_recipient")),
    ],
)
def test_a_class_that_every_openldap_may_have_comes_after_mail(
    names: tuple[str, ...], types: tuple[str, ...]
) -> None:
    """Where it is loaded and hardly used, the first type proposed would lose recipients."""
    found = detect(OPENLDAP, known("inetLocalMailRecipient", "mailLocalAddress", *names))

    assert found.types == types


def test_a_suite_that_also_loads_the_usual_schemas_is_still_that_suite() -> None:
    """Debian's misc.schema knows mailLocalAddress, whoever loads it."""
    found = detect(OPENLDAP, known("zimbraMailDeliveryAddress", "inetLocalMailRecipient"))

    assert found.server is ServerType.ZIMBRA


def test_where_several_suites_could_be_none_is_claimed_and_all_are_proposed() -> None:
    """A schema that is loaded need not be in use."""
    found = detect(
        OPENLDAP, known("zimbraMailDeliveryAddress", "univentionMail", "mailPrimaryAddress")
    )

    assert found.server is ServerType.OPENLDAP
    assert found.types == ("zimbra", "ucs", "openldap")


@pytest.mark.parametrize(
    ("root", "version"),
    [
        (AD, "Windows Server 2016, 2019 or 2022"),
        (RootDse(capabilities=AD.capabilities, functionality="10"), "Windows Server 2025"),
        (RootDse(capabilities=AD.capabilities, functionality="99"), ""),
        (SAMBA, "Samba Active Directory 4.17.12"),
        (DS389, "389 Directory Server 2.3.1"),
        (EDIRECTORY, "eDirectory 9.2"),
        (RootDse(vendor_name="Novell", vendor_version="call 555-EVIL"), ""),
        (RootDse(vendor_name="Acme", vendor_version="1.2"), ""),
        (OPENLDAP, ""),
    ],
)
def test_the_version_is_told_in_words(root: RootDse, version: str) -> None:
    """A ticket that names it saves a question; a release that is not known is not guessed, a server's prose not repeated."""
    assert detect(root).version == version


def test_bases_that_nobody_could_read_are_not_shown() -> None:
    """A server may name as many as it likes, of any length."""
    root = RootDse(
        contexts=(f"dc={'x' * 2_000}", "dc=a\nb", *(f"dc={number}" for number in range(100)))
    )

    assert detect(root).bases == tuple(f"dc={number}" for number in range(18))


# --- what to enter ------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "names", "types", "attributes"),
    [
        (AD, EXCHANGE, ("active_directory", "active_directory_no_exchange"), ("proxyAddresses",)),
        (
            AD,
            AD_CORE,
            ("active_directory_no_exchange", "active_directory"),
            ("mail", "proxyAddresses", "otherMailbox"),
        ),
        (AD, None, ("active_directory", "active_directory_no_exchange"), ("proxyAddresses",)),
        (
            SAMBA,
            AD_CORE,
            ("samba_ad", "active_directory"),
            ("mail", "proxyAddresses", "otherMailbox"),
        ),
        (SAMBA, EXCHANGE, ("active_directory", "samba_ad"), ("proxyAddresses",)),
        (FREEIPA, None, ("freeipa", "389ds"), ("mail",)),
        (DS389, known("mailAlternateAddress"), ("389ds",), ("mail", "mailAlternateAddress")),
        (EDIRECTORY, None, ("edirectory",), ("mail",)),
        (RootDse(), None, ("openldap", "custom"), ("mail",)),
    ],
)
def test_types_and_attributes_are_proposed(
    root: RootDse,
    names: frozenset[str] | None,
    types: tuple[str, ...],
    attributes: tuple[str, ...],
) -> None:
    """What the form wants is filled in, the best first; attributes the server does not know are left out."""
    found = detect(root, names)

    assert (found.types, found.attributes) == (types, attributes)


@pytest.mark.parametrize(
    ("root", "names", "bases"),
    [
        (AD, None, ("DC=corp,DC=example",)),
        (DS389, None, ("dc=corp,dc=example",)),
        (FREEIPA, None, ("cn=users,cn=accounts,dc=corp,dc=example",)),
        (DOMINO, None, ("",)),
        (OPENLDAP, known("zimbraMailDeliveryAddress"), ("",)),
        (OPENLDAP, known("mailUser", "enabledService"), ("o=domains,dc=corp,dc=example",)),
        (RootDse(contexts=("dc=a", "dc=b", "cn=config")), None, ("dc=a", "dc=b")),
        (RootDse(), None, ()),
    ],
)
def test_the_base_proposed_is_where_that_type_would_search(
    root: RootDse, names: frozenset[str] | None, bases: tuple[str, ...]
) -> None:
    """Several are shown to choose from; none is guessed."""
    assert detect(root, names).bases == bases


# --- whether the type fits ----------------------------------------------------


def test_a_server_without_the_attribute_is_said_to_have_none() -> None:
    """The usual slip: Exchange's type for a directory that is none of Microsoft's."""
    assert chosen("active_directory", detect(OPENLDAP, CORE)) == (
        "This server has no proxyAddresses, which the type active_directory reads; choose openldap (OpenLDAP)."
    )


@pytest.mark.parametrize(
    ("root", "names", "type_", "says"),
    [
        (OPENLDAP, CORE, "zimbra", "has no zimbraMailDeliveryAddress"),
        (OPENLDAP, CORE, "kopano", "has no kopano-user"),
        (OPENLDAP, known("univentionMail", "mailPrimaryAddress"), "kopano", "choose ucs"),
        (DS389, known("mailRecipient"), "freeipa", "has no ipaUniqueID"),
        (AD, EXCHANGE, "openldap", "is Active Directory, which the type openldap is not for"),
        (AD, EXCHANGE, "openldap", "choose active_directory ("),
        (AD, AD_CORE, "openldap", "choose active_directory_no_exchange ("),
        (AD, None, "zimbra", "is Active Directory"),
        (SAMBA, AD_CORE, "openldap", "choose samba_ad"),
        (OPENLDAP, None, "active_directory_no_exchange", "is OpenLDAP"),
        (OPENLDAP, None, "389ds", "is OpenLDAP"),
        (FREEIPA, None, "google", "choose freeipa"),
        (
            OPENLDAP,
            known("mailLocalAddress", "inetLocalMailRecipient"),
            "zimbra",
            (
                "choose openldap (OpenLDAP); test openldap_local_recipient (OpenLDAP with mailLocalAddress) as well, "
                "and compare both by their number of addresses."
            ),
        ),
        (AD, AD_CORE, "active_directory", "never extended for Exchange"),
        (AD, AD_CORE, "active_directory", "choose active_directory_no_exchange."),
        (SAMBA, AD_CORE, "active_directory", "choose samba_ad."),
        (AD, EXCHANGE, "active_directory_no_exchange", "choose active_directory,"),
        (SAMBA, EXCHANGE, "samba_ad", "choose active_directory,"),
    ],
)
def test_a_type_that_does_not_fit_is_said_to_and_another_named(
    root: RootDse, names: frozenset[str] | None, type_: str, says: str
) -> None:
    """It is the first thing to look at when nothing was found."""
    assert says in chosen(type_, detect(root, names))


@pytest.mark.parametrize(
    ("root", "names", "type_"),
    [
        (AD, EXCHANGE, "active_directory"),
        (AD, None, "active_directory"),
        (AD, AD_CORE, "active_directory_no_exchange"),
        (SAMBA, AD_CORE, "samba_ad"),
        (OPENLDAP, None, "openldap"),
        (OPENLDAP, None, "kopano"),
        (OPENLDAP, known("kopano-user"), "openldap"),
        (FREEIPA, None, "openldap"),
        (GOOGLE, None, "google"),
        (RootDse(), None, "zimbra"),
        (RootDse(), None, "active_directory_no_exchange"),
    ],
)
def test_a_type_that_may_fit_is_left_alone(
    root: RootDse, names: frozenset[str] | None, type_: str
) -> None:
    """What is not known is held against nobody."""
    assert chosen(type_, detect(root, names)) == ""


def test_attributes_of_one_s_own_are_held_to_the_schema_where_it_was_asked() -> None:
    """Custom has no needs of its own; an attribute that nobody asked the server for may well exist."""
    asked = Preset("custom", "", "", addresses=(AddressAttribute("mailPrimaryAddress"),))
    not_asked = Preset("custom", "", "", addresses=(AddressAttribute("acmeMail"),))

    assert misfit(asked, detect(OPENLDAP, CORE)) == (
        "This server has no mailPrimaryAddress, which the type custom reads; choose openldap (OpenLDAP)."
    )
    assert misfit(not_asked, detect(OPENLDAP, CORE)) is None


# --- the tables ---------------------------------------------------------------


def test_every_server_has_a_name_and_types_that_fit() -> None:
    """A server that is told apart is of use only if it leads to a type."""
    assert set(NAMES) == set(FITS) == set(ServerType)
    assert all(types <= set(PRESETS) for types in FITS.values())
    assert set().union(*FITS.values()) == set(PRESETS)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"custom"}))
def test_every_type_is_searched_for_in_the_schema(name: str) -> None:
    """Else it could neither be proposed nor be said not to fit."""
    preset = PRESETS[name]

    assert {*preset.needs, *(each.name for each in preset.addresses)} <= set(SCHEMA_NAMES)


def test_what_is_proposed_fits() -> None:
    """The doctor must not propose what it would complain of."""
    for root in (AD, SAMBA, OPENLDAP, DS389, FREEIPA, EDIRECTORY, DOMINO, GOOGLE, RootDse()):
        for names in (None, known(*SCHEMA_NAMES)):
            found = detect(root, names)
            assert chosen(found.types[0], found) == ""


def test_releases_of_windows_are_told_by_a_number_that_grows() -> None:
    """The table follows MS-ADTS: a gap stands for a release that was never sold."""
    assert list(map(int, FUNCTIONALITY)) == sorted(map(int, FUNCTIONALITY))
