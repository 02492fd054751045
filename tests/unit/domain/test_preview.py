from worker.domain.model import Credentials, DirectorySettings, Limits, Server
from worker.domain.normalise import Normaliser
from worker.domain.plan import ReadPlan, make_plan
from worker.domain.preview import Collector, Preview


def plan() -> ReadPlan:
    """Return a plan that reads ``mail``."""
    settings = DirectorySettings("HQ", "openldap", (Server("ldap.example.org"),), "cn=reader")
    return make_plan(settings, Credentials(), Limits())


def person(login: str, *mail: str, name: str = "") -> tuple[str, dict[str, list[bytes]]]:
    """Return an entry."""
    return (
        f"uid={login},dc=example,dc=org",
        {
            "mail": [each.encode() for each in mail],
            "objectClass": [b"inetOrgPerson"],
            "displayName": [name.encode()] if name else [],
        },
    )


def preview(
    *entries: tuple[str, dict[str, list[bytes]]],
    domains: tuple[str, ...] | None = None,
    most: int | None = None,
    told_apart: int | None = None,
) -> Preview:
    """Read one page."""
    normaliser, collector = Normaliser(plan(), domains), Collector(most, told_apart=told_apart)
    collector.add(normaliser.page(entries).rows)
    return collector.preview(
        normaliser, server="ldap.example.org:636", bases=(), references=0, seconds=(0.1, 0.2)
    )


def test_without_domains_every_domain_is_ours() -> None:
    """The first look at a directory shows all that is there."""
    seen = preview(person("ada", "ada@a.example", "Ada@B.example", "ada@bücher.example"))

    assert dict(seen.by_domain) == {
        "a.example": 1,
        "b.example": 1,
        "xn--bcher-kva.example": 1,
    }
    assert seen.foreign_domains == {}


def test_without_domains_a_whole_domain_is_told_as_such() -> None:
    """A catch-all entry is nobody's address, whosever the domain is."""
    seen = preview(person("all", "@a.example"))

    assert {reason: each.count for reason, each in seen.ignored.items()} == {"catch_all": 1}


def test_more_domains_than_are_remembered_still_count() -> None:
    """A hostile directory costs time, not memory and not addresses."""
    many = [person(f"p{n}", f"p{n}@d{n}.example") for n in range(5_100)]

    assert preview(*many, most=0).addresses == 5_100


def test_with_domains_the_others_are_listed() -> None:
    """Who forgot a domain sees which."""
    seen = preview(
        person("ada", "ada@a.example", "ada@b.example"),
        person("bob", "bob@b.example"),
        domains=("a.example",),
    )

    assert [each.address for each in seen.recipients] == ["ada@a.example"]
    assert seen.foreign_domains == {"b.example": 2}


def test_an_address_of_two_entries_counts_once_and_is_primary_if_one_says_so() -> None:
    """A figure that the sync would not confirm would be no help."""
    seen = preview(
        person("ada", "a@a.example", "shared@a.example"), person("room", "shared@a.example")
    )

    assert seen.addresses == 2
    assert [(each.address, each.primary) for each in seen.recipients] == [
        ("a@a.example", True),
        ("shared@a.example", True),
    ]


def test_only_as_many_addresses_are_kept_as_are_shown() -> None:
    """Counts are of all, whatever is shown."""
    seen = preview(*(person(f"p{n}", f"p{n}@a.example") for n in range(9)), most=4)

    assert len(seen.recipients) == 4
    assert seen.addresses == 9
    assert seen.by_kind == {"mailbox": 9}


def test_names_are_shown_as_they_are() -> None:
    """What a database wants escaped, a person does not."""
    odd = "Ada\t\\n \\\\ Lovelace\n"
    seen = preview(person("ada", "ada@a.example", name=odd), person("bob", "bob@a.example"))

    assert [each.name for each in seen.recipients] == [odd, ""]


def test_only_so_many_addresses_are_told_apart() -> None:
    """A stranger's directory costs bounded memory: what comes again after those counts again."""
    ada, bob, eve = (person(name, f"{name}@a.example") for name in ("ada", "bob", "eve"))

    assert preview(ada, bob, eve, ada, bob, eve, told_apart=2).addresses == 4
    assert preview(ada, bob, eve, ada, bob, eve, told_apart=3).addresses == 3
