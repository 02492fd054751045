"""What befalls directories and clocks: trees change, rights go, servers die, lie and forget, time is wrong.

Each story acts, and yields for how long life then goes on: scheduled runs, people who join and leave.
"""

import shutil
import subprocess
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

from tests.disasters.company import BASE, entry_record, unit_record
from tests.disasters.scene import Customer, Scene
from tests.servers.ber import Kind
from tests.servers.proxy import Action, Fault, FaultProxy
from worker.domain.model import Address, Domain, Removals, Server


DAY = timedelta(days=1)
DATA = "data1"
"""Where slapd keeps its first tree."""
BEFORE_PAGES = 2
"""Searches that come before the first page, with an entry each: the root DSE, and the base."""
RUNS_A_PAGE = 3
"""Runs that go wrong at the same page: two put somebody off, and one more."""
ATTEMPTS = (1, 2, 3)
"""A scheduled run tries three times."""
FILLED = 10
"""A replica that has just begun to copy has every so-manieth entry."""
DESKS = 5
NO_TIME = timedelta(0)


# --- trees -------------------------------------------------------------------


async def people_moved_away(scene: Scene) -> AsyncGenerator[timedelta]:
    """A unit is moved to a place that is not read."""
    company = (await scene.found()).company
    scene.slapd.add(unit_record(f"ou=Archive,{BASE}"))
    west = company.units[1]
    yield scene.scale.calm
    company.move(west, "ou=West", under=f"ou=Archive,{BASE}")
    yield scene.scale.wrong
    company.move(company.units[1], "ou=West", under=company.base)
    yield scene.scale.mended


async def unit_renamed(scene: Scene) -> AsyncGenerator[timedelta]:
    """A unit below the base is renamed: everybody's name changes, and nobody's address."""
    company = (await scene.found()).company
    yield scene.scale.calm
    company.move(company.units[1], "ou=Far West")
    yield scene.scale.wrong + scene.scale.mended


async def base_renamed(scene: Scene) -> AsyncGenerator[timedelta]:
    """The unit that is the search base is renamed; who left until the form follows, a person approves."""
    customer = await scene.found()
    yield scene.scale.calm
    customer.company.move(customer.company.base, "ou=acme holding")
    yield scene.scale.wrong
    await scene.save(customer, search_bases=(f"ou=acme holding,{BASE}",))
    await scene.approve(customer)
    yield scene.scale.mended


async def rights_revoked(scene: Scene) -> AsyncGenerator[timedelta]:
    """The account may not read one half any more: success, and fewer entries."""
    company = (await scene.found()).company
    yield scene.scale.calm
    hidden = f'to dn.subtree="{company.units[1]}" by * none'
    rules = [hidden, *scene.slapd.trees[0].access_rules()]
    scene.restrict(olcAccess=[f"{{{number}}}{rule}" for number, rule in enumerate(rules)])
    yield scene.scale.wrong
    scene.slapd.restart()
    yield scene.scale.mended


async def backup_restored(scene: Scene) -> AsyncGenerator[timedelta]:
    """The directory's disk is put back to an old state: who left is there, who joined is not."""
    company = (await scene.found()).company
    backup = scene.folder / "backup"
    scene.slapd.stop()
    _copy(scene.slapd.directory / DATA, backup)
    scene.slapd.start()
    company.join(scene.scale.people // 4)
    yield scene.scale.calm
    _put_back(scene, backup)
    shown = {each.dn for each in scene.slapd.search(company.base, "(mail=*)", ("cn",))}
    true = {company.dn(login): login for login in company.living}
    lacking, returned = true.keys() - shown, shown - true.keys()
    assert lacking
    assert returned
    yield scene.scale.wrong
    company.plant(true[dn] for dn in lacking)
    scene.slapd.delete(*returned)
    yield scene.scale.mended


async def ids_regenerated(scene: Scene) -> AsyncGenerator[timedelta]:
    """The directory is exported and loaded elsewhere: every entry has a new id, and its old address."""
    company = (await scene.found()).company
    yield scene.scale.calm
    company.uproot(company.living)
    company.plant(company.living)
    yield scene.scale.wrong + scene.scale.mended


async def domain_renamed(scene: Scene) -> AsyncGenerator[timedelta]:
    """Everybody gets an address in a new domain instead of the old one, which still receives mail."""
    customer = await scene.found()
    company = customer.company
    yield scene.scale.calm
    company.readdress("acme.example.net")
    await scene.save(customer)
    yield scene.scale.wrong
    company.readdress("acme.example.net", company.domain)
    await scene.save_domains(customer, Domain("acme.example.net"))
    yield scene.scale.mended


async def canary_deleted(scene: Scene) -> AsyncGenerator[timedelta]:
    """The entry that must always be there is deleted by mistake, and nothing else."""
    canary = f"p{scene.scale.people // 2:05}"
    watched = Removals(canaries=(Address(f"{canary}@acme.example.com"),))
    company = (await scene.found(removals=watched)).company
    yield scene.scale.calm
    company.uproot([canary])
    yield scene.scale.wrong
    company.plant([canary])
    yield scene.scale.mended


async def slow_bleeding(scene: Scene) -> AsyncGenerator[timedelta]:
    """Every day a few vanish who still work there, in a week more than the limits allow, for weeks.

    Then they are back, and who left meanwhile and was held with them, a person approves.
    """
    customer = await scene.found()
    company = customer.company
    yield scene.scale.calm
    days, daily = scene.scale.bleeding // DAY, scene.bound // 7 + 1
    bleeding = list(reversed(company.living))
    for day in range(days):
        company.uproot(bleeding[day * daily : (day + 1) * daily])
        yield DAY
    company.plant(bleeding[: days * daily])
    yield scene.scale.every
    await scene.approve(customer)
    yield scene.scale.mended


# --- servers -----------------------------------------------------------------


async def size_limit(scene: Scene) -> AsyncGenerator[timedelta]:
    """The server begins to give no more than so many entries, and says so."""
    await scene.found()
    yield scene.scale.calm
    most = scene.scale.people * 3 // 4
    reader = scene.slapd.trees[0].reader
    scene.restrict(olcLimits=[f'dn.exact="{reader}" size={most} size.prtotal={most}'])
    yield scene.scale.wrong
    scene.slapd.restart()
    yield scene.scale.mended


async def replica_behind(scene: Scene) -> AsyncGenerator[timedelta]:
    """The first server is away, and the second has not been copied to for long."""
    old = list(range(scene.scale.people * 3 // 4))
    async for how_long in _on_the_replica(scene, old):
        yield how_long


async def replica_empty(scene: Scene) -> AsyncGenerator[timedelta]:
    """The first server is away, and the second is new: the tree is there, and nobody in it."""
    async for how_long in _on_the_replica(scene, []):
        yield how_long


async def replica_filling(scene: Scene) -> AsyncGenerator[timedelta]:
    """The first server is away, and the second has just begun to copy."""
    some = list(range(0, scene.scale.people, FILLED))
    async for how_long in _on_the_replica(scene, some):
        yield how_long


async def cut_at_each_page(scene: Scene) -> AsyncGenerator[timedelta]:
    """The connection is cut in each of three attempts: at the first page, next time at the second, and so on."""
    customer, proxy = await _behind_a_proxy(scene)
    yield scene.scale.calm
    for page in range(_pages(scene, customer)):
        nth = BEFORE_PAGES + page * scene.scale.page_size + 1
        proxy.arm(*(Fault(Action.CUT, Kind.ENTRY, nth=nth * attempt) for attempt in ATTEMPTS))
        yield scene.scale.every
    proxy.disarm()
    yield scene.scale.mended


async def cookie_lost_at_each_page(scene: Scene) -> AsyncGenerator[timedelta]:
    """The first page is said to be the last, then the second, and so on: success, and a short list."""
    customer, proxy = await _behind_a_proxy(scene)
    yield scene.scale.calm
    for page in range(1, _pages(scene, customer)):
        for _ in range(RUNS_A_PAGE):
            proxy.arm(Fault(Action.NO_COOKIE, Kind.DONE, nth=BEFORE_PAGES + page))
            yield scene.scale.every
    proxy.disarm()
    yield scene.scale.mended


async def cookie_refused(scene: Scene) -> AsyncGenerator[timedelta]:
    """The server forgets where it was, and refuses to go on."""
    _, proxy = await _behind_a_proxy(scene)
    yield scene.scale.calm
    for _ in range(scene.scale.wrong // scene.scale.every):
        nth = BEFORE_PAGES + 2
        proxy.arm(*(Fault(Action.RESULT, Kind.DONE, nth=nth * n, code=53) for n in ATTEMPTS))
        yield scene.scale.every
    proxy.disarm()
    yield scene.scale.mended


# --- our clock ---------------------------------------------------------------


async def clock_ahead(scene: Scene) -> AsyncGenerator[timedelta]:
    """Our clock is an hour ahead, then right again; a domain is added a moment later."""
    async for how_long in _wrong_clock(scene, timedelta(hours=1)):
        yield how_long


async def clock_behind(scene: Scene) -> AsyncGenerator[timedelta]:
    """Our clock is an hour behind; a domain is added just then."""
    async for how_long in _wrong_clock(scene, timedelta(hours=-1)):
        yield how_long


# --- what several share ------------------------------------------------------


def _put_back(scene: Scene, backup: Path) -> None:
    scene.slapd.stop()
    shutil.rmtree(scene.slapd.directory / DATA)
    _copy(backup, scene.slapd.directory / DATA)
    scene.slapd.start()


def _copy(source: Path, target: Path) -> None:
    """Copy a tree's files, which are large and nearly empty."""
    subprocess.run(["/bin/cp", "-a", "--sparse=always", source, target], check=True)


async def _on_the_replica(scene: Scene, copied: list[int]) -> AsyncGenerator[timedelta]:
    """Have the customer read from a replica with these people while its first server cannot be reached."""
    proxy, replica = scene.proxy(), scene.another_server("replica")
    servers = (Server("127.0.0.1", proxy.port), Server("127.0.0.1", replica.port))
    company = (await scene.found(servers=servers)).company
    logins = list(company.living)
    replica.add(*map(unit_record, (company.base, *company.units)))
    if copied:
        replica.add(*(company.record(logins[number]) for number in copied))
    yield scene.scale.calm
    proxy.arm(Fault(Action.CUT, Kind.CONNECT, times=0))
    yield scene.scale.wrong
    proxy.disarm()
    yield scene.scale.mended


async def _behind_a_proxy(scene: Scene) -> tuple[Customer, FaultProxy]:
    proxy = scene.proxy()
    return await scene.found(servers=(Server("127.0.0.1", proxy.port),)), proxy


def _pages(scene: Scene, customer: Customer) -> int:
    return -(-len(customer.company.living) // scene.scale.page_size)


async def _wrong_clock(scene: Scene, skew: timedelta) -> AsyncGenerator[timedelta]:
    """Let our clock be wrong for a while. Just after it was put back, a domain is added that receives mail already."""
    customer = await scene.found()
    company = customer.company
    desks = {f"desk{number}@acme.example.net" for number in range(DESKS)}
    names = ((f"cn={desk.partition('@')[0]},{company.units[0]}", desk) for desk in desks)
    scene.slapd.add(*(entry_record(dn, desk) for dn, desk in names))
    company.others = desks
    yield scene.scale.calm
    scene.put_clock(skew)
    if skew < NO_TIME:
        await scene.save_domains(customer, Domain("acme.example.net", alias_of=company.domain))
        await scene.look()
    yield scene.scale.wrong
    scene.put_clock(NO_TIME)
    if skew > NO_TIME:
        await scene.save_domains(customer, Domain("acme.example.net", alias_of=company.domain))
        await scene.look()
    yield scene.scale.mended
