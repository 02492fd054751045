"""The short cut to "unchanged": taken only when nothing can be different, and leaving nothing out otherwise."""

from dataclasses import replace

import pytest

from tests.fakes.runs import NOW, MemorySpool, claimed_run, person
from worker.domain.failures import Misdirected
from worker.domain.model import ClaimedRun, Credentials, LastApplied, Limits
from worker.domain.normalise import Normaliser
from worker.domain.plan import make_plan
from worker.flows.reading import Progress, Reading
from worker.ports.directory import Page, Proof
from worker.ports.runs import Snapshot


BYTES = b"what the server sent"
PAGES: list[Page] = [[person("ada"), person("bob")], [person("cyd")]]


async def read(run: ClaimedRun, *, wire: bytes, pages: list[Page] = PAGES) -> Snapshot:
    """Read pages that came as these bytes."""
    plan = make_plan(run.settings, run.credentials, Limits())
    spools = (MemorySpool(), MemorySpool())
    reading = Reading(run, plan, read_at=NOW, spools=spools, progress=Progress())
    for page in pages:
        reading.take(page)
    count = sum(map(len, pages))
    return await reading.snapshot(Proof("ldap.example.com:636", (), count, 0, 0.1, 0.2, wire))


def after(snapshot: Snapshot, run: ClaimedRun) -> ClaimedRun:
    """The next run of the same directory, once this snapshot was applied."""
    ignored = tuple(snapshot.tally.ignored.items())
    last = LastApplied(snapshot.digest, snapshot.wire_digest, snapshot.rows, ignored)
    return replace(run, last=last)


def rows_of(pages: list[Page]) -> bytes:
    """What the long way makes of pages."""
    run = claimed_run()
    normaliser = Normaliser(make_plan(run.settings, Credentials(), Limits()), run.domains)
    return b"".join(normaliser.page(page).rows for page in pages)


def held(snapshot: Snapshot) -> bytes:
    """All rows of a snapshot."""
    assert snapshot.spool is not None
    snapshot.spool.rewind()
    return snapshot.spool.read(1 << 20)


async def test_the_same_bytes_are_the_same_snapshot_without_a_look() -> None:
    """Most runs find nothing new, and should cost next to nothing."""
    run = claimed_run()
    first = await read(run, wire=BYTES)

    again = await read(after(first, run), wire=BYTES)

    assert again.spool is None
    assert (again.digest, again.rows, again.tally) == (first.digest, first.rows, first.tally)


async def test_other_bytes_are_read_as_carefully_as_ever() -> None:
    """What was set aside is normalised to the last row when it may be different."""
    run = claimed_run()
    first = await read(run, wire=b"other bytes")

    again = await read(after(first, run), wire=BYTES)

    assert held(again) == rows_of(PAGES)
    assert again.digest == first.digest


async def test_the_same_bytes_for_other_domains_are_read_anew() -> None:
    """A domain that joined makes recipients of addresses that were none."""
    run = claimed_run()
    known = after(await read(run, wire=BYTES), run)

    again = await read(replace(known, domains=("example.com", "example.net")), wire=BYTES)

    assert held(again) == rows_of(PAGES)


async def test_the_same_bytes_under_another_scope_are_read_anew() -> None:
    """An address left out from now on was in what those bytes meant before."""
    run = claimed_run()
    known = after(await read(run, wire=BYTES), run)
    narrower = replace(known.settings, leave_out=("bob@example.com",))

    again = await read(replace(known, settings=narrower), wire=BYTES)

    assert b"bob@" not in held(again)


async def test_bytes_that_nobody_digested_prove_nothing() -> None:
    """A reader that does not look at the wire gets no short cut."""
    run = claimed_run()
    known = after(await read(run, wire=b""), run)

    assert held(await read(known, wire=b"")) == rows_of(PAGES)


async def test_a_listing_without_one_address_of_ours_is_refused_also_when_set_aside() -> None:
    """A wrong place must not be taken for an empty list, whichever way it was read."""
    run = claimed_run()
    known = after(await read(run, wire=BYTES), run)

    with pytest.raises(Misdirected, match=r"addresses\.other_domains"):
        await read(replace(known, domains=("example.org",)), wire=b"other bytes")
