"""What SMTP is told: ``api.lookup`` against the same words in code, and the rule on when an address may be called unknown."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.integration.postgres.house import House, people, removals
from worker.domain.addresses import normal_local
from worker.domain.commands import DeleteDirectory, DeleteTenant
from worker.domain.model import DirectoryId, Domain


JO = "jo@example.com"


async def founded(house: House, *domains: Domain, listed: tuple[str, ...] = (JO,)) -> None:
    """A tenant with these domains whose directory showed these addresses."""
    await house.save_tenant(*(domains or (Domain("example.com"),)))
    await house.save_directory()
    house.clock.forward(minutes=1)
    await house.sync(*listed)


async def test_a_recipient_is_valid_and_whose_it_is(house: House) -> None:
    """The answer names the tenant, for whoever files the mail."""
    await founded(house)

    found = await house.fetch("SELECT state, tenant FROM api.lookup('jo@example.com')")

    assert [tuple(each) for each in found] == [("valid", "acme")]


@pytest.mark.parametrize(
    "asked", ["JO@example.com", "Jo@EXAMPLE.COM", "jo@Example.com.", "jo@example.com"]
)
async def test_case_and_a_last_dot_do_not_matter(house: House, asked: str) -> None:
    """Senders write addresses as they like."""
    await founded(house)

    assert await house.look(asked) == "valid"


async def test_a_sub_address_is_its_owner(house: House) -> None:
    """jo+news is jo, with the tenant's own delimiter and only with that."""
    await founded(house, Domain("example.com", delimiter="+"), listed=(JO, "a+b@example.com"))

    assert await house.look("jo+news@example.com") == "valid"
    assert await house.look("jo+a+b@example.com") == "valid"
    assert await house.look("a+b@example.com") == "valid"
    assert await house.look("a@example.com") == "unknown"
    assert await house.look("+jo@example.com") == "unknown"
    assert await house.look("jo-news@example.com") == "unknown"


async def test_without_a_delimiter_a_plus_is_a_letter(house: House) -> None:
    """Not every mail system knows sub-addresses."""
    await founded(house)

    assert await house.look("jo+news@example.com") == "unknown"


async def test_an_alias_domain_knows_whom_its_target_knows(house: House) -> None:
    """example.net is the same people under another name; what it holds itself counts too."""
    alias = Domain("example.net", alias_of="example.com", delimiter="-")
    await founded(house, Domain("example.com"), alias, listed=(JO, "only@example.net"))

    assert await house.look("jo@example.net") == "valid"
    assert await house.look("jo-x@example.net") == "valid"
    assert await house.look("only@example.net") == "valid"
    assert await house.look("only@example.com") == "unknown"
    assert await house.look("nobody@example.net") == "unknown"


async def test_postmaster_is_always_known(house: House) -> None:
    """RFC 5321 section 4.5.1 wants it, also without a domain."""
    await founded(house)

    assert await house.look("postmaster@example.com") == "valid"
    assert await house.look("PostMaster@example.com") == "valid"
    assert await house.look("postmaster") == "valid"
    assert await house.look("postmaster@elsewhere.example") == "not_authoritative"


async def test_a_catch_all_domain_accepts_everything(house: House) -> None:
    """Also who is in grace: the domain would take their mail anyway."""
    await house.save_tenant(Domain("example.com", catch_all=True))
    await house.save_directory(removals(min_count=1000))
    others = people(10)
    await house.sync(*others, JO)
    for _ in range(2):
        await house.sync_later(*others)

    assert (await house.steps())[JO] == "grace"
    assert await house.look(JO) == "catch_all"
    assert await house.look("anybody@example.com") == "catch_all"
    assert await house.look(others[0]) == "valid"


async def test_grace_here_does_not_hide_a_valid_owner_there(house: House) -> None:
    """jo+x itself is leaving, jo is not: mail for jo+x is jo's."""
    await house.save_tenant(Domain("example.com", delimiter="+"))
    await house.save_directory(removals(min_count=1000))
    others = people(10)
    await house.sync(*others, JO, "jo+x@example.com")
    for _ in range(2):
        await house.sync_later(*others, JO)

    assert (await house.steps())["jo+x@example.com"] == "grace"
    assert await house.look("jo+x@example.com") == "valid"


@pytest.mark.parametrize(
    "asked", ["", "@", "jo@", "@example.com", "jo", "jo@nobody.example", "a@b@c"]
)
async def test_what_is_no_address_of_ours_is_not_ours_to_refuse(house: House, asked: str) -> None:
    """The filter asks whatever a stranger typed; the answer is never an error."""
    await founded(house)

    assert await house.look(asked) in {"not_authoritative", "unknown"}


async def test_nothing_asked_is_answered_too(house: House) -> None:
    """NULL is no reason to fail."""
    assert await house.value("SELECT state FROM api.lookup(NULL)") == "not_authoritative"


# --- authority ---------------------------------------------------------------


async def test_nobody_is_unknown_before_the_first_complete_run(house: House) -> None:
    """A list that was never read knows nobody; refusing by it would refuse everybody."""
    await house.save_tenant("example.com")
    assert await house.look("nobody@example.com") == "not_authoritative"
    await house.save_directory()
    assert await house.look("nobody@example.com") == "not_authoritative"
    house.clock.forward(minutes=1)

    await house.sync(JO)

    assert await house.look("nobody@example.com") == "unknown"


async def test_nobody_is_unknown_in_a_domain_without_addresses(house: House) -> None:
    """Addresses of another domain say nothing about this one."""
    await founded(house, Domain("example.com"), Domain("example.net"))

    assert await house.look("nobody@example.net") == "not_authoritative"
    assert await house.look("nobody@example.com") == "unknown"


async def test_a_domain_added_later_waits_for_a_run_that_began_after(house: House) -> None:
    """The last run did not look for its addresses."""
    await founded(house)
    house.clock.forward(minutes=1)
    await house.save_tenant("example.com", "example.net")
    assert await house.look("nobody@example.net") == "not_authoritative"
    house.clock.forward(minutes=1)

    await house.sync(JO, "jo@example.net")

    assert await house.look("nobody@example.net") == "unknown"


@pytest.mark.parametrize("hours", [-1, 1], ids=["it goes back now", "it was ahead before"])
async def test_a_wrong_clock_gives_no_authority_over_a_new_domain(
    house: House, hours: float
) -> None:
    """An hour that our clock jumped back must not make a run look later than the domain it never saw."""
    house.clock.forward(hours=max(hours, 0))
    await founded(house)
    house.clock.forward(hours=-1)
    await house.save_tenant("example.com", Domain("brand.example", alias_of="example.com"))

    assert await house.look("desk@brand.example") == "not_authoritative"
    await house.sync_later(JO, "desk@brand.example")
    assert await house.look("desk@brand.example") == "valid"
    assert await house.look("nobody@brand.example") == "not_authoritative"
    await house.sync_later(JO, "desk@brand.example", minutes=60)
    assert await house.look("nobody@brand.example") == "unknown"


async def test_every_directory_in_force_must_have_spoken(house: House) -> None:
    """The second directory may hold whom the first does not."""
    await founded(house)
    await house.save_directory(directory="branch")

    assert await house.look("nobody@example.com") == "not_authoritative"
    await house.sync("bo@example.com", directory="branch")

    assert await house.look("nobody@example.com") == "unknown"


async def test_a_directory_that_is_only_pending_takes_no_authority_away(house: House) -> None:
    """A form that was never tried is no source yet."""
    await founded(house)
    await house.save_directory(directory="branch", sync=True)

    assert await house.look("nobody@example.com") == "unknown"


async def test_a_held_run_gives_no_authority(house: House) -> None:
    """What is held was not believed."""
    await house.save_tenant("example.com")
    await house.save_directory(removals(canaries=("boss@example.com",)))
    house.clock.forward(minutes=1)
    await house.sync(JO)

    assert await house.look("nobody@example.com") == "not_authoritative"


async def test_an_alias_is_unknown_by_no_list_that_was_never_read(house: House) -> None:
    """Where an alias leads anew, nobody has looked yet: ann may be there."""
    old = Domain("example.net", alias_of="example.com")
    await founded(house, Domain("example.com"), old, listed=(JO, "own@example.net"))
    assert await house.look("ann@example.net") == "unknown"

    new = Domain("example.net", alias_of="new.example")
    await house.save_tenant("example.com", "new.example", new)

    assert await house.look("ann@example.net") == "not_authoritative"
    await house.sync_later(JO, "own@example.net", "ann@new.example")
    assert await house.look("ann@example.net") == "valid"
    assert await house.look("bob@example.net") == "unknown"


async def test_a_list_kept_by_hand_may_be_declared_whole(house: House) -> None:
    """Who keeps the list by hand says so, and is believed."""
    await house.save_tenant(Domain("example.com", by_hand=True))

    assert await house.look("nobody@example.com") == "unknown"
    assert await house.value("SELECT authoritative FROM api.domain") is True


async def test_without_a_directory_nobody_is_unknown(house: House) -> None:
    """The directory is gone, and with it who could know."""
    await founded(house)
    await house.send(DeleteDirectory(DirectoryId("hq"), keep_by_hand=True))

    assert await house.look("nobody@example.com") == "not_authoritative"
    assert await house.look(JO) == "valid"


async def test_an_alias_domain_has_its_targets_authority(house: House) -> None:
    """What it holds is what its target holds."""
    await founded(house, Domain("example.com"), Domain("example.net", alias_of="example.com"))

    assert await house.look("nobody@example.net") == "unknown"


async def test_a_domain_taken_off_or_of_a_deleted_tenant_is_not_ours(house: House) -> None:
    """Nobody is refused in the name of a customer who left."""
    await founded(
        house, Domain("example.com"), Domain("example.net"), listed=(JO, "jo@example.net")
    )
    await house.save_tenant("example.com")
    assert await house.look("jo@example.net") == "not_authoritative"

    await house.send(DeleteTenant())

    assert await house.look(JO) == "not_authoritative"


# --- names in other scripts --------------------------------------------------


async def test_a_domain_is_known_by_both_of_its_names(house: House) -> None:
    """bücher.example and xn--bcher-kva.example are one; who asks may use either, in any case."""
    name = "xn--bcher-kva.example"
    await founded(house, Domain(name), listed=(f"jo@{name}",))

    for asked in (name, name.upper(), "bücher.example", "BÜCHER.example", "bu\u0308cher.example"):
        assert await house.look(f"jo@{asked}") == "valid"


async def test_local_parts_are_compared_as_the_code_stores_them(house: House) -> None:
    """One rule in two languages: what the normaliser makes of a name, the look-up makes of it too."""
    names = [
        "josé",
        "JOSÉ",
        "jose\u0301",
        "ΑΣ",
        "αΣβ",
        "İ",
        "ẞ",
        "ß",
        "Ⅷ",
        "Å",
        "ﬀ",
        "ǅ",
        "Җ",
        "ώ\u0345",
    ]
    stored = [normal_local(name) for name in names]
    listed = tuple(f"{each}@example.com" for each in dict.fromkeys(stored) if each)
    await founded(house, listed=listed)

    for name, normal in zip(names, stored, strict=True):
        if normal is not None:
            assert await house.look(f"{name}@example.com") == "valid", ascii(name)


async def test_lower_case_means_the_same_in_code_and_in_the_database(house: House) -> None:
    """Random names through both: what differs would be refused mail."""
    words = st.text(st.characters(codec="utf-8", min_codepoint=1), max_size=12)
    lowered = """SELECT normalize(lower(normalize(word, NFC) COLLATE "und-x-icu"), NFC) FROM unnest($1::text[])
                 WITH ORDINALITY AS asked (word, place) ORDER BY place"""
    seen: list[str] = []

    @settings(max_examples=150, database=None, suppress_health_check=list(HealthCheck))
    @given(words)
    def gather(word: str) -> None:
        seen.append(word)

    gather()
    known = [word for word in seen if normal_local(word) is not None]
    found = [each[0] for each in await house.fetch(lowered, known)]

    for word, told in zip(known, found, strict=True):
        assert told == normal_local(word), ascii(word)
