"""Presets as data: what a page shows of each, and the words they are written in."""

import re

import pytest

from tests.unit.domain.makers import normaliser_of, plan_of, read, values_of
from worker.domain.bases import default_bases
from worker.domain.failures import Misdirected
from worker.domain.model import Kind
from worker.domain.presets import OTHER_PRODUCTS, PRESETS, Marker, Preset
from worker.domain.server import RootDse


EACH = pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
TIP_MAX_CHARACTERS = 260

# --- what people read ---------------------------------------------------------


@EACH
def test_a_preset_says_in_a_few_plain_words_when_to_choose_it(preset: Preset) -> None:
    """An admin who has never seen LDAP chooses by title and tip."""
    sentences = re.findall(r"[.:!?](?= |$)", preset.tip)

    assert preset.title
    assert preset.tip.endswith(".")
    assert len(preset.tip) <= TIP_MAX_CHARACTERS
    assert 1 <= len(sentences) <= 5


@pytest.mark.parametrize("name", ["zimbra", "iredmail"])
def test_who_has_alias_domains_of_its_own_is_told_to_enter_them(name: str) -> None:
    """Nobody's entry names the addresses in them, and mail to them would be refused."""
    assert "enter them as alias domains" in PRESETS[name].tip


def test_titles_are_told_apart() -> None:
    """Two choices that read alike are one too many."""
    assert len({preset.title for preset in PRESETS.values()}) == len(PRESETS)
    assert all(name == preset.name for name, preset in PRESETS.items())


def test_what_was_tried_on_nothing_says_so() -> None:
    """Nobody shall rely on it unasked; the list shrinks as servers are tried."""
    unverified = {name for name, preset in PRESETS.items() if preset.verified == "unverified"}

    assert unverified == {"google", "synology"}


def test_products_without_a_directory_lead_to_a_type_there_is() -> None:
    """Advice to choose what is not offered is worse than none."""
    named = {word for advice in OTHER_PRODUCTS.values() for word in re.findall(r"\w+_\w+", advice)}

    assert named
    assert named <= set(PRESETS)


# --- where to search ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("openldap", ("dc=corp,dc=example",)),
        ("freeipa", ("cn=users,cn=accounts,dc=corp,dc=example",)),
        ("iredmail", ("o=domains,dc=corp,dc=example",)),
        ("zimbra", ("",)),
        ("domino", ("",)),
    ],
)
def test_a_preset_knows_where_below_the_server_s_own_base_its_people_are(
    name: str, bases: tuple[str, ...]
) -> None:
    """FreeIPA keeps those who left elsewhere, with their addresses."""
    root = RootDse(contexts=("dc=corp,dc=example", "cn=changelog", "o=ipaca"))

    assert default_bases(root, PRESETS[name]) == bases


def test_the_empty_base_needs_no_answer_from_the_server() -> None:
    """Domino's contexts are several, and none holds its flat names."""
    assert default_bases(RootDse(contexts=("o=a", "o=b")), PRESETS["domino"]) == ("",)


def test_a_base_that_is_not_clear_is_asked_for_whatever_the_preset() -> None:
    """A place below the wrong suffix is the wrong place."""
    with pytest.raises(Misdirected) as caught:
        default_bases(RootDse(contexts=("dc=a", "dc=b")), PRESETS["freeipa"])

    assert caught.value.code == "base.ambiguous"


def test_a_base_of_the_settings_stands_as_it_is() -> None:
    """An admin who names one means it."""
    assert plan_of("freeipa", search_bases=("dc=corp",)).bases == ("dc=corp",)


@pytest.mark.parametrize("name", ["freeipa", "389ds"])
@pytest.mark.parametrize(
    ("dn", "is_taken"),
    [
        ("uid=ada,cn=users,cn=accounts,dc=corp", True),
        ("uid=ada,cn=deleted users,cn=accounts,cn=provisioning,dc=corp", False),
        ("uid=ada, CN=Staged  Users, cn=accounts, CN=Provisioning, dc=corp", False),
        ("uid=ada,ou=more,cn=staged users,cn=accounts,cn=provisioning,dc=corp", False),
        ("uid=ada,cn=deleted users,ou=crew,dc=corp", True),
        ("not a name", True),
    ],
)
def test_nobody_is_taken_from_where_freeipa_keeps_those_who_left(
    name: str,
    dn: str,
    is_taken: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """They keep their addresses; with the suffix as base they are read."""
    normaliser = normaliser_of(name)
    entry = values_of(mail="ada@example.org", objectClass="inetOrgPerson")

    normaliser.page([(dn, entry)])

    assert (normaliser.rows, normaliser.ignored) == ((1, {}) if is_taken else (0, {"no_mail": 1}))


# --- the words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_set"),
    [(b"[UD         ]", True), (b"[U          ]", False), (b"[ud]", False), (b"", False)],
)
def test_a_letter_among_flags_is_looked_for_as_it_is_written(value: bytes, is_set: bool) -> None:  # noqa: FBT001 -- a column of the table
    """Samba's flags are letters in brackets."""
    assert Marker("sambaAcctFlags", letter=b"D").is_set_by(value) is is_set


def test_octets_are_an_id_in_their_own_order() -> None:
    """The same sixteen bytes are another id in Active Directory, which turns the first fields round."""
    guid = bytes.fromhex("00112233445566778899aabbccddeeff")
    entry = values_of(mail="ada@example.org", GUID=guid, objectClass="inetOrgPerson")

    (row,) = read(normaliser_of("edirectory"), entry)

    assert row.entry_id == "00112233-4455-6677-8899-aabbccddeeff"


def test_octets_of_another_length_are_no_id() -> None:
    """The DN stands in, as for every entry without one."""
    with_odd = values_of(mail="ada@example.org", GUID=b"short", objectClass="inetOrgPerson")
    without = values_of(mail="ada@example.org", objectClass="inetOrgPerson")

    (odd,) = read(normaliser_of("edirectory"), with_odd)
    (none,) = read(normaliser_of("edirectory"), without)

    assert odd.entry_id == none.entry_id


@EACH
def test_every_kind_that_is_asked_for_is_also_told_apart(preset: Preset) -> None:
    """A group that passed for a mailbox would get a login."""
    asked = {kind for kind, _ in preset.filters}
    told = {kind for _, kind in preset.classes}

    assert asked - {Kind.MAILBOX} <= told
    assert preset.name == "custom" or Kind.MAILBOX in asked
