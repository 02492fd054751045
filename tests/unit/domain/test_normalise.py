"""Entries to rows: which values become recipients, and what is said of the rest."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.unit.domain.makers import (
    DN,
    GUID,
    Row,
    normaliser_of,
    plan_of,
    read,
    rows_of,
    user,
    values_of,
)
from worker.domain.addresses import normal_address
from worker.domain.entries import MEMO_MAX_COUNT, NAME_MAX_CHARACTERS
from worker.domain.failures import Unfinished
from worker.domain.model import Kind
from worker.domain.normalise import (
    FOREIGN_NAMES_MAX_COUNT,
    KNOWN_FOREIGN_MAX_COUNT,
    Normaliser,
    snapshot_digest,
)
from worker.domain.presets import ACTIVE_DIRECTORY, Marker
from worker.domain.reasons import DN_MAX_CHARACTERS, EXAMPLE_MAX_CHARACTERS, EXAMPLES_MAX_COUNT


PLAIN = {"filter": "(mail=*)", "address_attributes": ("mail",)}


def addresses(rows: Sequence[Row]) -> list[str]:
    """Of some rows."""
    return [row.address for row in rows]


# --- the happy path -----------------------------------------------------------


def test_an_exchange_user_becomes_one_row_an_address() -> None:
    """The filter learns every address a mailbox takes mail at, and which one is its own."""
    normaliser = normaliser_of()

    rows = read(
        normaliser,
        user(
            "smtp:ada@example.org",
            "SMTP:Ada.Lovelace@Example.org",
            displayName="Ada Lovelace",
            userAccountControl="512",
        ),
    )

    entry_id = str(uuid.UUID(bytes_le=GUID))
    assert rows == [
        Row(
            "ada.lovelace@example.org",
            entry_id,
            Kind.MAILBOX,
            is_primary=True,
            is_enabled=True,
            name="Ada Lovelace",
        ),
        Row(
            "ada@example.org",
            entry_id,
            Kind.MAILBOX,
            is_primary=False,
            is_enabled=True,
            name="Ada Lovelace",
        ),
    ]
    assert (normaliser.entries, normaliser.rows, normaliser.ignored) == (1, 2, {})


def test_a_plain_directory_takes_the_smallest_value_as_primary() -> None:
    """Values come in any order; a primary that changed with it would look like a change."""
    entry = values_of(
        mail=["b@example.org", "a@example.org"], entryUUID=str(uuid.uuid4()), cn="Ada"
    )

    rows = read(normaliser_of("openldap"), entry)

    assert [(row.address, row.is_primary) for row in rows] == [
        ("a@example.org", True),
        ("b@example.org", False),
    ]


def test_without_exchange_mail_names_the_primary_and_hand_written_values_count() -> None:
    """People write addresses into proxyAddresses by hand where nothing checks them."""
    entry = values_of(
        mail="ada@example.org",
        proxyAddresses=["SMTP:other@example.org", "third@example.org", "sip:ada@example.org"],
        otherMailbox="fourth@example.org",
        objectGUID=GUID,
    )
    normaliser = normaliser_of("active_directory_no_exchange")

    rows = read(normaliser, entry)

    assert {row.address: row.is_primary for row in rows} == {
        "ada@example.org": True,
        "other@example.org": False,
        "third@example.org": False,
        "fourth@example.org": False,
    }
    assert normaliser.ignored == {"other_type": 1}


def test_the_next_attribute_names_the_primary_when_the_first_names_none() -> None:
    """A mailbox whose mail attribute is foreign still has an address of its own."""
    entry = values_of(
        mail="ada@elsewhere.example", proxyAddresses=["SMTP:ada@example.org", "smtp:a@example.org"]
    )

    rows = read(normaliser_of("active_directory_no_exchange"), entry)

    assert {row.address: row.is_primary for row in rows} == {
        "ada@example.org": True,
        "a@example.org": False,
    }


def test_an_address_named_twice_in_an_entry_is_one_row_and_primary_wins() -> None:
    """Directories repeat themselves in another case."""
    rows = read(
        normaliser_of(),
        user("smtp:ADA@example.org", "SMTP:ada@example.org", "smtp:ada@EXAMPLE.org"),
    )

    assert [(row.address, row.is_primary) for row in rows] == [("ada@example.org", True)]


# --- cleaning -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("smtp:Alice@Example.ORG", "alice@example.org"),
        ("smtp:alice@example.org ", "alice@example.org"),
        (" SMTP:alice@example.org", "alice@example.org"),
        ("smtp: alice@example.org", "alice@example.org"),
        ("smtp:\u00a0alice@example.org\u00a0", "alice@example.org"),
        ("Smtp:alice@example.org", "alice@example.org"),
        ("smtp:ALICÉ@example.org", "alicé@example.org"),
        ("smtp:alice@BÜRO.example", "alice@xn--bro-hoa.example"),
        ("smtp:alice@xn--BRO-hoa.example", "alice@xn--bro-hoa.example"),
    ],
)
def test_a_value_is_cleaned(value: str, address: str) -> None:
    """A stray space in a directory must not cost anyone their mail."""
    rows = read(normaliser_of(domains=("example.org", "xn--bro-hoa.example")), user(value))

    assert addresses(rows) == [address]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("X500:/o=Acme/ou=Exchange/cn=Recipients/cn=ada", "other_type"),
        ("SIP:ada@example.org", "other_type"),
        ("eum:100;phone-context=x", "other_type"),
        ("ada@example.org", "no_type"),
        ("smtp:Ada <ada@example.org>", "malformed"),
        ("smtp:mailto:ada@example.org", "malformed"),
        ("smtp:a@example.org; b@example.org", "malformed"),
        ("smtp:ada%notes@example.org", "malformed"),
        ("smtp:ada/acme@example.org", "malformed"),
        ("smtp:ada lovelace@example.org", "malformed"),
        ('smtp:"ada"@example.org', "malformed"),
        ("smtp:ada", "malformed"),
        ("smtp:", "malformed"),
        (b"smtp:ad\xff@example.org", "malformed"),
        (b"smtp:a\x00da@example.org", "malformed"),
        ("smtp:a\tda@example.org", "malformed"),
        (b"smtp:" + b"a" * 2_000_000 + b"@example.org", "malformed"),
        ("smtp:@example.org", "catch_all"),
        ("smtp:@elsewhere.example", "other_domain"),
        ("smtp:ada@elsewhere.example", "other_domain"),
        ("smtp:ada@acme.onmicrosoft.com", "other_domain"),
        ("smtp:adá@elsewhere.example", "other_domain"),
        ("smtp:ada@sub.example.org", "other_domain"),
    ],
)
def test_what_is_no_recipient_is_counted_under_one_reason(value: str | bytes, reason: str) -> None:
    """An admin sees what was left aside and why; nothing disappears in silence."""
    normaliser = normaliser_of()

    assert read(normaliser, user(value)) == []
    assert normaliser.ignored == {reason: 1}
    assert [example.dn for example in normaliser.examples[reason]] == [DN]


def test_an_address_too_long_for_smtp_is_none_even_in_a_domain_of_ours() -> None:
    """No server could name it in a RCPT command (RFC 5321 section 4.5.3.1.3)."""
    domain = ".".join(["d" * 60] * 3 + ["d" * 20, "example"])
    normaliser = normaliser_of(domains=(domain,))

    rows = read(normaliser, user("smtp:" + "a" * 60 + "@" + domain, "smtp:ada@" + domain))

    assert addresses(rows) == ["ada@" + domain]
    assert normaliser.ignored == {"malformed": 1}


def test_an_entry_without_a_value_is_counted() -> None:
    """Entries that give nothing are part of what was read."""
    normaliser = normaliser_of()

    assert read(normaliser, values_of(objectGUID=GUID), user()) == []
    assert normaliser.ignored == {"no_address": 2}


def test_what_is_left_out_is_counted() -> None:
    """Addresses an admin does not want are no recipients, however they are written."""
    normaliser = normaliser_of(
        leave_out=("TEST@example.org", "*@lab.example.org", "svc-*"),
        domains=("example.org", "lab.example.org"),
    )

    rows = read(
        normaliser,
        user(
            "SMTP:test@example.org",
            "smtp:ada@lab.example.org",
            "smtp:svc-x@example.org",
            "smtp:svc-é@example.org",
            "smtp:ada@example.org",
        ),
    )

    assert [(row.address, row.is_primary) for row in rows] == [("ada@example.org", False)]
    assert normaliser.ignored == {"left_out": 4}


def test_a_foreign_domain_is_named_with_its_count() -> None:
    """The admin who forgot to enter a domain reads its name."""
    normaliser = normaliser_of()

    read(normaliser, user("smtp:a@other.example", "smtp:b@OTHER.example", "smtp:ada@büro.example"))

    assert normaliser.foreign_domains == {"other.example": 2, "xn--bro-hoa.example": 1}
    assert normaliser.ignored == {"other_domain": 3}


def test_what_is_remembered_is_bounded() -> None:
    """A directory full of nonsense must not fill the worker's memory."""
    normaliser = normaliser_of()
    count = KNOWN_FOREIGN_MAX_COUNT + 10

    for number in range(count):
        read(normaliser, user(f"smtp:{'a' * 400}@d{number}.example", f"smtp:a@d{number}.example"))

    assert normaliser.ignored == {"malformed": count, "other_domain": count}
    assert len(normaliser.foreign_domains) == FOREIGN_NAMES_MAX_COUNT
    assert len(normaliser.examples["malformed"]) == EXAMPLES_MAX_COUNT
    assert len(normaliser.examples["malformed"][0].value) == EXAMPLE_MAX_CHARACTERS


def test_an_endless_dn_is_cut_in_an_example() -> None:
    """What is kept for people to read stays readable."""
    normaliser = normaliser_of()

    normaliser.page([("CN=" + "a" * 100_000, user("smtp:nobody"))])

    assert len(normaliser.examples["malformed"][0].dn) == DN_MAX_CHARACTERS


# --- kinds, system mailboxes, state ------------------------------------------------


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"objectClass": ["top", "person", "user"]}, Kind.MAILBOX),
        ({"objectClass": ["top", "Group"]}, Kind.GROUP),
        ({"objectClass": ["top", "msExchDynamicDistributionList"]}, Kind.GROUP),
        ({"objectClass": ["top", "person", "contact"]}, Kind.CONTACT),
        ({"objectClass": ["top", "publicFolder"]}, Kind.PUBLIC_FOLDER),
        ({"objectClass": ["user"], "msExchRecipientTypeDetails": "4"}, Kind.MAILBOX),
        ({"objectClass": ["user"], "msExchRecipientTypeDetails": "2147483648"}, Kind.MAILBOX),
        ({"objectClass": ["user"], "msExchRecipientTypeDetails": "64"}, Kind.CONTACT),
        ({"objectClass": ["user"], "msExchRecipientTypeDetails": "4096"}, Kind.PUBLIC_FOLDER),
        ({"objectClass": ["group"], "msExchRecipientTypeDetails": "12345"}, Kind.GROUP),
        ({"objectClass": ["group"], "msExchRecipientTypeDetails": "a lot"}, Kind.GROUP),
    ],
)
def test_an_entry_is_of_the_kind_its_type_or_class_says(
    more: dict[str, str | list[str]], kind: Kind
) -> None:
    """Logins are made for mailboxes, not for groups; a type nobody knows yet still gets its mail."""
    rows = read(normaliser_of(), user("SMTP:ada@example.org", **more))

    assert [row.kind for row in rows] == [kind]


def test_a_kind_that_is_not_wanted_is_counted() -> None:
    """Contacts stay out where the admin said so."""
    normaliser = normaliser_of(kinds=(Kind.MAILBOX,))

    assert (
        read(normaliser, user("SMTP:a@example.org", "smtp:b@example.org", objectClass=["contact"]))
        == []
    )
    assert normaliser.ignored == {"kind": 2}


@pytest.mark.parametrize(
    "number", [8192, 16384, 8388608, 536870912, 549755813888, 68719476736, 4398046511104]
)
def test_a_mailbox_of_the_mail_system_is_left_out(number: int) -> None:
    """Nobody on the Internet writes to an arbitration mailbox, spammers do."""
    normaliser = normaliser_of()

    assert (
        read(normaliser, user("SMTP:ada@example.org", msExchRecipientTypeDetails=str(number))) == []
    )
    assert normaliser.ignored == {"system": 1}


def test_an_entry_that_its_type_calls_not_mail_enabled_is_left_out() -> None:
    """A plain user that still carries an old address takes no mail."""
    normaliser = normaliser_of()

    assert read(normaliser, user("SMTP:ada@example.org", msExchRecipientTypeDetails="65536")) == []
    assert normaliser.ignored == {"no_mail": 1}


@pytest.mark.parametrize(
    "local",
    [
        "HealthMailbox0659e34b0d2e4a6f8f0c",
        "SystemMailbox{1f05a927-0000-0000-0000-000000000000}",
        "FederatedEmail.4c1f4d8b-8179-4148-93bf-00a95fa1e042",
        "Migration.8f3e7716-2011-43e4-96b1-aba62d229136",
        "DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}",
    ],
)
def test_a_mailbox_of_the_mail_system_is_known_by_its_name_where_no_type_tells(local: str) -> None:
    """Directories older than the type have such mailboxes too."""
    by_address, by_dn = normaliser_of(), normaliser_of()

    by_dn.page([(f"CN={local},CN=Monitoring Mailboxes,DC=x", user("SMTP:other@example.org"))])

    assert read(by_address, user(f"SMTP:{local}@example.org")) == []
    assert by_address.ignored == by_dn.ignored == {"system": 1}


def test_people_whose_names_look_alike_stay() -> None:
    """healthcare@ and migration@ are real departments."""
    values = [
        f"smtp:{name}@example.org"
        for name in ("healthcare", "healthmailbox", "migration", "migration.team", "systemmailbox")
    ]

    rows = read(normaliser_of(), user(*values))

    assert len(rows) == len(values)


def test_a_name_decides_nothing_where_a_type_tells() -> None:
    """A user mailbox is one, whatever it is called."""
    entry = user("SMTP:HealthMailbox0659e34b0d@example.org", msExchRecipientTypeDetails="1")

    assert len(read(normaliser_of(), entry)) == 1


@pytest.mark.parametrize(
    ("directory_type", "marker", "is_enabled"),
    [
        ("active_directory", {"userAccountControl": "514"}, False),
        ("active_directory", {"userAccountControl": "512"}, True),
        ("active_directory", {"userAccountControl": "many"}, True),
        ("custom", {"pwdAccountLockedTime": "000001010000Z"}, False),
        ("custom", {"pwdAccountLockedTime": "20260101120000Z"}, True),
        ("custom", {"shadowExpire": "1"}, False),
        ("custom", {"nsAccountLock": "TRUE"}, False),
        ("custom", {}, True),
    ],
)
def test_a_disabled_account_loses_its_login_and_not_its_mail(
    directory_type: str,
    marker: dict[str, str],
    is_enabled: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Shared and room mailboxes are disabled by design and receive mail all day."""
    changes = {"filter": "(proxyAddresses=*)", "address_attributes": ("proxyAddresses",)}

    rows = read(normaliser_of(directory_type, **changes), user("SMTP:ada@example.org", **marker))

    assert [row.is_enabled for row in rows] == [is_enabled]


def test_a_preset_may_say_that_a_state_bounces() -> None:
    """Some directories' own mail servers refuse mail for closed accounts; then so does the filter."""
    closed = Marker("accountStatus", frozenset({b"closed"}))
    plan = replace(plan_of(), preset=replace(ACTIVE_DIRECTORY, bounces=(closed,)))
    normaliser = Normaliser(plan, ("example.org",))

    rows = read(
        normaliser,
        user("SMTP:ada@example.org", accountStatus="Closed"),
        user("SMTP:bob@example.org", accountStatus="active"),
    )

    assert addresses(rows) == ["bob@example.org"]
    assert normaliser.ignored == {"no_mail": 1}
    assert "accountStatus" in plan.preset.attributes


# --- ids and names ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "entry_id"),
    [
        ({"objectGUID": GUID}, "33221100-5544-7766-8899-aabbccddeeff"),
        (
            {"entryUUID": "00112233-4455-6677-8899-AABBCCDDEEFF"},
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        (
            {"nsUniqueId": "00112233-44556677-8899aabb-ccddeeff"},
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        (
            {"ipaUniqueID": "00112233-4455-6677-8899-aabbccddeeff"},
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        (
            {"objectGUID": b"short", "entryUUID": "00112233-4455-6677-8899-aabbccddeeff"},
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
    ],
)
def test_an_entry_is_known_by_its_stable_id(
    attributes: dict[str, str | bytes], entry_id: str
) -> None:
    """A person who is renamed or moved stays the same."""
    rows = read(normaliser_of("custom", **PLAIN), values_of(mail="ada@example.org", **attributes))

    assert [row.entry_id for row in rows] == [entry_id]


def test_an_entry_without_an_id_is_known_by_its_name_however_it_is_spelt() -> None:
    """Without an id the DN must do, and a server may change its spelling."""
    normaliser = normaliser_of("custom", **PLAIN)
    entry = values_of(mail="ada@example.org", entryUUID="none", objectGUID=[])

    ids = [
        rows_of(normaliser.page([(dn, entry)]))[0].entry_id
        for dn in ("CN=Ada,DC=x", "cn=ADA, dc=x", "CN=Bob,DC=x")
    ]

    assert ids[0] == ids[1] != ids[2]
    assert uuid.UUID(ids[0]).version == 5


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Łukasz Müller 王", "Łukasz Müller 王"),
        ("back\\slash", "back\\slash"),
        ("\\N", "\\N"),
        ("\\.", "\\."),
        ("tab\tline\nreturn\r", "tab\tline\nreturn\r"),
        (b"nul\x00in", "nulin"),
        (b"bad \xff octet", "bad \ufffd octet"),
        (b"surrogate \xed\xa0\x80", "surrogate \ufffd\ufffd\ufffd"),
        ("é" * 5000, "é" * NAME_MAX_CHARACTERS),
        (["Zoe", "Ada"], "Ada"),
        ("", None),
        ([], None),
    ],
)
def test_a_name_comes_through_copy_unharmed(
    values: str | bytes | list[str], name: str | None
) -> None:
    """A name with a tab must not shift the columns of the next recipient."""
    rows = read(normaliser_of(), user("SMTP:ada@example.org", displayName=values))

    assert [row.name for row in rows] == [name]


def test_the_common_name_stands_in_for_a_missing_display_name() -> None:
    """People are called something in every directory."""
    rows = read(normaliser_of("openldap"), values_of(mail="ada@example.org", cn="Ada"))

    assert [row.name for row in rows] == ["Ada"]


# --- attributes as servers give them --------------------------------------------------


def test_a_server_spells_attributes_as_it_likes() -> None:
    """Attribute names ignore case (RFC 4512 section 2.5)."""
    entry = values_of(
        PROXYADDRESSES="SMTP:ada@example.org",
        objectguid=GUID,
        DISPLAYNAME="Ada",
        UserAccountControl="514",
        OBJECTCLASS="group",
    )

    assert read(normaliser_of(), entry) == [
        Row(
            "ada@example.org",
            str(uuid.UUID(bytes_le=GUID)),
            Kind.GROUP,
            is_primary=True,
            is_enabled=False,
            name="Ada",
        )
    ]


def test_an_attribute_may_come_with_options() -> None:
    """mail;lang-de is mail, and 0-* is all of it (RFC 4512 section 2.5.2)."""
    entry = values_of(
        **{
            "mail;lang-de": "a@example.org",
            "mail": "b@example.org",
            "MAIL;range=0-*": "c@example.org",
        }
    )

    assert addresses(read(normaliser_of("openldap"), entry)) == [
        "a@example.org",
        "b@example.org",
        "c@example.org",
    ]


def test_a_part_of_the_addresses_is_not_taken_for_all() -> None:
    """What the server holds back would look as if it had left."""
    entry = values_of(
        **{"proxyAddresses": [], "proxyAddresses;range=0-1499": "smtp:ada@example.org"}
    )

    with pytest.raises(Unfinished) as caught:
        read(normaliser_of(), entry)

    assert caught.value.code == "read.range"


def test_a_part_of_something_else_does_not_matter() -> None:
    """Only addresses decide who is a recipient."""
    entry = user("SMTP:ada@example.org") | values_of(**{"member;range=0-1499": "CN=x"})

    assert len(read(normaliser_of(), entry)) == 1


def test_a_server_with_endless_shapes_is_read_all_the_same() -> None:
    """What is learnt is thrown away before it grows."""
    normaliser = normaliser_of("custom", **PLAIN)

    for number in range(MEMO_MAX_COUNT + 2):
        entry = values_of(
            mail="ada@example.org", objectClass=f"class{number}", **{f"x{number}": "1"}
        )
        assert len(read(normaliser, entry)) == 1


# --- totals and digest ------------------------------------------------------------------

_LOCALS = st.text('aA9.-_+%/ é\u00a0"<>;:@\\\t\x00', max_size=8)
_DOMAINS = st.sampled_from(
    [
        "example.org",
        "EXAMPLE.org",
        "büro.example",
        "xn--bro-hoa.example",
        "other.example",
        "x",
        "a b.org",
        "",
    ]
)
_TEXTS = st.builds("{}{}{}".format, _LOCALS, st.sampled_from(["@", "@", "@", ""]), _DOMAINS)
_OURS = ("example.org", "xn--bro-hoa.example")


@given(st.lists(_TEXTS, max_size=6))
def test_the_fast_path_and_the_rule_agree(texts: list[str]) -> None:
    """What a sync takes and what a form takes is the same."""
    rows = read(normaliser_of("openldap", domains=_OURS), values_of(mail=texts))

    normal = {address for text in texts if (address := normal_address(text))}
    assert set(addresses(rows)) == {
        address for address in normal if address.partition("@")[2] in _OURS
    }


_VALUES = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from(["smtp:", "SMTP:", "X500:", " smtp: ", ""]), _TEXTS
    ).map(lambda text: text.encode()),
    st.binary(max_size=12),
)
_ENTRIES = st.fixed_dictionaries(
    {"proxyAddresses": st.lists(_VALUES, max_size=5)},
    optional={
        "displayName": st.lists(st.binary(max_size=8), max_size=2),
        "objectGUID": st.lists(st.binary(min_size=15, max_size=17), max_size=1),
        "userAccountControl": st.lists(st.sampled_from([b"512", b"514", b""]), max_size=1),
        "objectClass": st.lists(st.sampled_from([b"user", b"group", b"contact"]), max_size=2),
        "msExchRecipientTypeDetails": st.lists(
            st.sampled_from([b"1", b"4096", b"8192", b"65536"]), max_size=1
        ),
    },
)


@given(st.lists(_VALUES, min_size=1, max_size=6))
def test_every_value_is_a_row_or_counted_once(values: list[bytes]) -> None:
    """The figures an admin sees add up: each value counts as it would alone, only repeats fall together."""
    together, alone = normaliser_of(domains=_OURS), normaliser_of(domains=_OURS)

    rows = read(together, user(*values))
    each = [row.address for value in values for row in read(alone, user(value))]

    assert sorted(addresses(rows)) == sorted(set(each))
    assert together.ignored == alone.ignored
    assert len(values) == len(each) + sum(together.ignored.values())


@given(st.lists(_ENTRIES, max_size=6), st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_digest_does_not_depend_on_order(
    entries: list[dict[str, list[bytes]]], rng: random.Random, size: int
) -> None:
    """A server that gives the same list in another order has changed nobody."""
    named = [(f"CN={number},DC=x", entry) for number, entry in enumerate(entries)]
    one, other = normaliser_of(domains=_OURS), normaliser_of(domains=_OURS)

    one.page(named)
    shuffled = [
        (
            dn,
            dict(
                rng.sample(
                    [(name, rng.sample(values, len(values))) for name, values in entry.items()],
                    len(entry),
                )
            ),
        )
        for dn, entry in rng.sample(named, len(named))
    ]
    chunks = [other.page(shuffled[start : start + size]) for start in range(0, len(shuffled), size)]

    assert one.digest == other.digest == sum(chunk.digest for chunk in chunks) % 2**128
    assert (one.rows, one.ignored) == (other.rows, other.ignored)


@pytest.mark.parametrize(
    "changed",
    [
        user("SMTP:ada@example.org", "smtp:b@example.org", displayName="Ada"),
        user("smtp:ada@example.org", displayName="Ada"),
        user("SMTP:ada@example.org", displayName="Eve"),
        user("SMTP:ada@example.org", displayName="Ada", userAccountControl="514"),
        user("SMTP:ada@example.org", displayName="Ada", objectClass=["group"]),
        user("SMTP:ada@example.org", displayName="Ada", objectGUID=GUID[::-1]),
    ],
)
def test_whatever_a_row_says_is_in_the_digest(changed: dict[str, list[bytes]]) -> None:
    """A change that is not in the digest would never be seen."""
    one, other = normaliser_of(), normaliser_of()

    read(one, user("SMTP:ada@example.org", displayName="Ada"))
    read(other, changed)

    assert one.digest != other.digest


def test_the_snapshot_digest_covers_rows_scope_and_domains() -> None:
    """Equal rows under another scope or for other domains are compared anew."""
    base = snapshot_digest(1, scope="s", domains=("a.example", "b.example"))

    assert base == snapshot_digest(1 + 2**128, scope="s", domains=("b.example", "a.example"))
    assert len(base) == 16
    assert base != snapshot_digest(2, scope="s", domains=("a.example", "b.example"))
    assert base != snapshot_digest(1, scope="t", domains=("a.example", "b.example"))
    assert base != snapshot_digest(1, scope="s", domains=("a.example",))
