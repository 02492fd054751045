"""What people type wrong: filters, bases, somebody else's settings, the wrong button.

Each story acts, and yields for how long life then goes on: scheduled runs, people who join and leave.
"""

from collections.abc import AsyncGenerator
from datetime import timedelta

from tests.disasters.company import Company, entry_record
from tests.disasters.scene import HQ, Scene


CONTACTS = 12
STRANGERS = 3


async def honest_life(scene: Scene) -> AsyncGenerator[timedelta]:
    """Nothing goes wrong."""
    await scene.found()
    yield scene.scale.calm + scene.scale.wrong + scene.scale.mended


async def filter_matches_little(scene: Scene) -> AsyncGenerator[timedelta]:
    """The filter finds a tenth of the people."""
    customer = await scene.found()
    yield scene.scale.calm
    await scene.save(customer, filter="(cn=*7)")
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def filter_matches_nothing(scene: Scene) -> AsyncGenerator[timedelta]:
    """The filter names a domain that nobody has, and is in force at once."""
    customer = await scene.found()
    yield scene.scale.calm
    await scene.save(customer, filter="(mail=*@acme.exmaple.com)", force=True)
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def filter_negates_unknown(scene: Scene) -> AsyncGenerator[timedelta]:
    """The filter leaves out by an attribute that the server does not know: that is Undefined, and matches nothing."""
    customer = await scene.found()
    yield scene.scale.calm
    wrong = "(&(objectClass=inetOrgPerson)(!(accountStatus=left)))"
    await scene.save(customer, filter=wrong, force=True)
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def base_narrowed(scene: Scene) -> AsyncGenerator[timedelta]:
    """The search base is moved into one of the units."""
    customer = await scene.found()
    yield scene.scale.calm
    await scene.save(customer, search_bases=(customer.company.units[0],))
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def another_customers_settings(scene: Scene) -> AsyncGenerator[timedelta]:
    """A reseller pastes the settings of another customer, in force at once."""
    customer, other = await scene.found(), await scene.found("umbrella")
    yield scene.scale.calm
    await scene.save(customer, search_bases=other.forms[HQ].search_bases, force=True)
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def another_customers_contacts(scene: Scene) -> AsyncGenerator[timedelta]:
    """The same, and the other one's address book knows some of our people, and some who left long ago."""
    customer, other = await scene.found(), await scene.found("umbrella")
    ours = [customer.company.address(login) for login in list(customer.company.living)[-CONTACTS:]]
    ours += [customer.company.address(f"former{number}") for number in range(STRANGERS)]
    place = other.company.units[0]
    scene.slapd.add(*(entry_record(f"cn=partner {each},{place}", each) for each in ours))
    yield scene.scale.calm
    await scene.save(customer, search_bases=other.forms[HQ].search_bases)
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def customers_swapped(scene: Scene) -> AsyncGenerator[timedelta]:
    """Two customers each get the other one's settings, in force at once."""
    one, other = await scene.found(), await scene.found("umbrella")
    yield scene.scale.calm
    await scene.save(one, search_bases=other.forms[HQ].search_bases, force=True)
    await scene.save(other, search_bases=one.forms[HQ].search_bases, force=True)
    yield scene.scale.wrong
    await scene.save(one)
    await scene.save(other)
    yield scene.scale.mended


async def directories_swapped(scene: Scene) -> AsyncGenerator[timedelta]:
    """Two directories of one customer get each other's settings, one some days after the other; so they are mended."""
    company = Company(scene.slapd, "acme")
    company.found(scene.scale.people)
    forms = {
        name: scene.form(company, search_bases=(unit,))
        for name, unit in zip(("east", "west"), company.units, strict=True)
    }
    customer = await scene.join(company, forms)
    yield scene.scale.calm
    await scene.save(customer, "east", search_bases=forms["west"].search_bases)
    yield scene.scale.every * 3
    await scene.save(customer, "west", search_bases=forms["east"].search_bases)
    yield scene.scale.wrong
    await scene.save(customer, "east")
    yield scene.scale.every * 3
    await scene.save(customer, "west")
    yield scene.scale.mended


async def deleted_and_saved_with_a_slip(scene: Scene) -> AsyncGenerator[timedelta]:
    """The same, and the new form reads one unit only: its first run is all that is known of anybody."""
    customer = await scene.found()
    yield scene.scale.calm
    form = customer.forms.pop(HQ)
    await scene.delete(customer, HQ)
    yield timedelta(days=1)
    customer.forms[HQ] = form
    await scene.save(customer, search_bases=(customer.company.units[0],))
    yield scene.scale.wrong
    await scene.save(customer)
    yield scene.scale.mended


async def deleted_and_saved_again(scene: Scene) -> AsyncGenerator[timedelta]:
    """Somebody deletes the directory, and sets it up again a day later."""
    customer = await scene.found()
    yield scene.scale.calm
    form = customer.forms.pop(HQ)
    await scene.delete(customer, HQ)
    yield timedelta(days=1)
    customer.forms[HQ] = form
    await scene.save(customer)
    yield scene.scale.wrong + scene.scale.mended
