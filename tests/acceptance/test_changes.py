"""What becomes of the list when people join, are renamed, move and leave."""

from tests.harness.customer import Customer


async def test_who_joins_takes_mail_after_the_next_sync(customer: Customer) -> None:
    """A new colleague's mail must not bounce."""
    customer.branch.add("ada")
    await customer.join()
    await customer.save()
    customer.branch.add("bob")

    ending = await customer.sync()

    assert (ending.data["counts"]["added"], ending.data["counts"]["unchanged"]) == (1, 1)
    assert await customer.recipients() == customer.branch.addresses("ada", "bob")
    assert await customer.store.lookup(customer.branch.address("bob")) == "valid"


async def test_a_sync_that_finds_nothing_new_tells_of_no_change(customer: Customer) -> None:
    """Other services must not be woken every hour for nothing."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()
    await customer.event("recipients.changed")

    ending = await customer.sync()

    assert ending.name == "sync.completed"
    assert (ending.data["counts"]["added"], ending.data["counts"]["unchanged"]) == (0, 2)
    assert len(customer.platform.changes(customer.tenant)) == 2
    assert customer.platform.of(customer.tenant)[-1].id == ending.id
    assert sum((await customer.store.history(customer.tenant)).values()) == 2


async def test_a_new_address_comes_and_the_old_one_is_missed(customer: Customer) -> None:
    """Who marries gets a new address; mail to the old one is not refused the same hour."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()
    customer.branch.slapd.set(
        customer.branch.dn("ada"), mail=customer.branch.address("ada.lovelace")
    )

    ending = await customer.sync()

    assert (ending.name, ending.data["counts"]["added"], ending.data["counts"]["missing"]) == (
        "sync.completed",
        1,
        1,
    )
    assert await customer.recipients() == customer.branch.addresses("ada", "ada.lovelace", "bob")


async def test_who_is_renamed_or_moves_in_the_tree_stays_the_same(customer: Customer) -> None:
    """A reorganisation of the tree is no change for the mail filter."""
    branch = customer.branch
    branch.add("ada", "bob", "cyd")
    await customer.join()
    await customer.save()
    unit = branch.unit("moved")
    branch.slapd.rename(branch.dn("ada"), "cn=ada king")
    branch.slapd.rename(branch.dn("bob"), "cn=bob", under=unit)

    ending = await customer.sync()

    counts = ending.data["counts"]
    assert (counts["added"], counts["missing"], counts["unchanged"]) == (0, 0, 3)
    assert sum((await customer.store.history(customer.tenant)).values()) == 3
    assert await customer.recipients() == branch.addresses("ada", "bob", "cyd")


async def test_who_leaves_is_missed_first_and_takes_mail_still(customer: Customer) -> None:
    """One short listing must not cost anyone their mail."""
    customer.branch.add("ada", "bob", "cyd")
    await customer.join()
    await customer.save()
    customer.branch.remove("cyd")

    first = await customer.sync()
    second = await customer.sync()

    assert (first.data["verdict"], first.data["counts"]["missing"]) == ("apply", 1)
    assert (second.data["counts"]["missing"], second.data["counts"]["grace"]) == (0, 0)
    assert await customer.recipients() == customer.branch.addresses("ada", "bob", "cyd")
    history = await customer.store.history(customer.tenant)
    assert history[customer.branch.address("cyd"), "missing"] == 1


async def test_who_comes_back_has_returned(customer: Customer) -> None:
    """An entry restored from the recycle bin is the same person again."""
    customer.branch.add("ada", "bob", "cyd")
    await customer.join()
    await customer.save()
    customer.branch.remove("cyd")
    await customer.sync()
    customer.branch.add("cyd")

    ending = await customer.sync()

    assert (ending.data["counts"]["returned"], ending.data["counts"]["added"]) == (1, 0)
    history = await customer.store.history(customer.tenant)
    assert history[customer.branch.address("cyd"), "returned"] == 1


async def test_a_great_departure_is_held_and_nobody_leaves(customer: Customer) -> None:
    """Half a company gone at once is more often a mistake than the truth."""
    customer.branch.crowd(12)
    await customer.join()
    await customer.save()
    customer.branch.remove(*(f"p{number:03d}" for number in range(8)))
    customer.branch.add("new")

    ending = await customer.sync()

    assert (ending.name, ending.data["verdict"]) == ("sync.held", "hold")
    assert {reason["code"] for reason in ending.data["reasons"]} >= {"domain_half", "half_size"}
    assert (ending.data["counts"]["held"], ending.data["counts"]["added"]) == (8, 1)
    assert set((await customer.recipients()).values()) == {"valid"}
    assert len(await customer.recipients()) == 13
    held = await customer.store.rows("SELECT * FROM api.hold WHERE tenant = $1", customer.tenant)
    assert {(str(row["hold"]), row["version"]) for row in held} == {
        (ending.data["hold"]["id"], ending.data["hold"]["version"])
    }
    assert len(held) == 8


async def test_a_hold_follows_the_directory_until_it_is_over(customer: Customer) -> None:
    """A person decides about what is gone now, not about what was gone yesterday."""
    logins = customer.branch.crowd(12)
    await customer.join()
    await customer.save()
    customer.branch.remove(*logins[:8])
    first = await customer.sync()

    same = await customer.sync()
    customer.branch.remove(logins[8])
    grown = await customer.sync()
    customer.branch.add(*logins[:9])
    over = await customer.sync()

    assert [seen.data["hold"]["id"] for seen in (first, same, grown)] == [
        first.data["hold"]["id"]
    ] * 3
    versions = [seen.data["hold"]["version"] for seen in (first, same, grown)]
    assert versions[0] == versions[1] < versions[2]
    assert [seen.data["counts"]["held"] for seen in (first, same, grown)] == [8, 8, 9]
    assert (over.name, over.data["hold"]) == ("sync.completed", None)
    assert await customer.recipients() == customer.branch.addresses(*logins)
    query = "SELECT FROM api.hold WHERE tenant = $1"
    assert await customer.store.rows(query, customer.tenant) == []


async def test_a_directory_that_is_made_again_gives_its_people_back(customer: Customer) -> None:
    """Who deleted the wrong directory makes it anew, and the grace of its people ends."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()
    await customer.send("directory.delete", {"directory": "hq", "recipients": "leave"})
    await customer.event("directory.deleted")

    ending = await customer.save()

    assert ending.name == "sync.completed"
    assert await customer.recipients() == customer.branch.addresses("ada", "bob")
    told = dict.fromkeys(customer.branch.addresses("ada", "bob"))
    changes = customer.platform.changes(customer.tenant)
    assert dict(changes[-2:]) == dict.fromkeys(told, "returned")


async def test_a_preview_says_what_would_change_and_changes_nothing(customer: Customer) -> None:
    """Who is unsure looks first."""
    customer.branch.add("ada", "bob")
    await customer.join()
    await customer.save()
    customer.branch.add("cyd")
    customer.branch.remove("bob")

    ending = await customer.sync(mode="preview")

    assert (ending.name, ending.data["mode"]) == ("sync.previewed", "preview")
    assert (ending.data["counts"]["added"], ending.data["counts"]["missing"]) == (1, 1)
    assert await customer.recipients() == customer.branch.addresses("ada", "bob")
    assert sum((await customer.store.history(customer.tenant)).values()) == 2


async def test_two_directories_share_an_address_and_one_may_lose_it(customer: Customer) -> None:
    """An address is gone only when no directory holds it any more."""
    branch = customer.branch
    unit = branch.unit("second")
    branch.add("ada", "bob", "own")
    branch.slapd.add(*(branch.person(login, under=unit) for login in ("bob", "twin")))
    await customer.join()
    forms = (
        branch.form(filter="(&(objectClass=inetOrgPerson)(!(ou:dn:=second)))"),
        branch.form(directory="office", search_bases=[unit]),
    )
    causes = [await customer.send("directory.save", form) for form in forms]
    endings = [await customer.platform.ending(cause) for cause in causes]
    branch.slapd.delete(branch.dn("bob", under=unit))

    ending = await customer.sync(directory="office")

    assert [ending.name for ending in endings] == ["sync.completed"] * 2
    assert ending.data["counts"]["missing"] == 0
    history = await customer.store.history(customer.tenant)
    assert history[branch.address("bob"), "added"] == 1
    assert history[branch.address("bob"), "missing"] == 0
    assert await customer.recipients() == branch.addresses("ada", "bob", "own", "twin")
