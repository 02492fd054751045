"""The undo of one run, within the transaction of the command that asks for it.

What the run took is present again, what it gave is missing from now on: still valid, and judged by the next complete
run. Nothing leaves by an undo itself.
"""

from collections.abc import Mapping
from dataclasses import replace

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.decisions import BY_HAND, tell_changes
from worker.adapters.postgres.hand import Hand
from worker.adapters.postgres.login_decisions import undo as undo_logins
from worker.adapters.postgres.schedule import PAUSED_BY_REFUSALS, Concerned, rearrange
from worker.domain import events
from worker.domain.decisions import RunRecord
from worker.domain.events import Sample, UndoFacts, Untouched
from worker.domain.undo import UNTOUCHED, Fate
from worker.ports.desk import Done


PAUSED_BY_UNDO = "a run was undone"


async def undo(hand: Hand, run: RunRecord) -> Done:
    """Undo a run that is locked with its directory, and was not undone before."""
    on = hand.connection
    found = await db.only(on, "find_run_to_undo", tenant_id=hand.tenant_id, run_id=run.run)
    await db.run(on, "plan_for_many")
    for table in ("make_undone", "make_touched"):
        await db.run(on, table)
    facts = await _weigh(hand, found)
    await _take_steps(hand, found, run)
    logins = await undo_logins(hand.decision(run.directory), found)
    await _leave_hold(hand, found)
    facts = replace(facts, logins=logins)
    await _give_back_adopted(hand, found)
    await _set_back(hand, found)
    told = events.run_undone(
        hand.stored.envelope.tenant, run.directory, causes=hand.causes, run=run.run, facts=facts
    )
    if found["paused"] not in {None, PAUSED_BY_REFUSALS}:  # the latter would end by itself
        return Done(told)
    await db.run(on, "pause_directory", directory_id=found["directory_id"], reason=PAUSED_BY_UNDO)
    await rearrange(Concerned(on, hand.tenant_id, found["directory_id"], hand.now))
    paused = events.directory_paused(
        hand.stored.envelope.tenant, run.directory, causes=hand.causes, reason=PAUSED_BY_UNDO
    )
    return Done(told, also=(paused,))


def _here(hand: Hand, found: asyncpg.Record) -> dict[str, int]:
    return {"tenant_id": hand.tenant_id, "directory_id": found["directory_id"]}


async def _weigh(hand: Hand, found: asyncpg.Record) -> UndoFacts:
    """Find what becomes of each address that the run had changed."""
    on = hand.connection
    await db.run(
        on,
        "fill_undone",
        run_id=found["run_id"],
        at=found["finished_at"],
        **_here(hand, found),
    )
    counted = {Fate(each["fate"]): each for each in await db.rows(on, "count_undone")}
    return UndoFacts(
        given_back=_sample(counted, Fate.GIVEN_BACK),
        leaving=_sample(counted, Fate.LEAVING),
        not_touched=tuple(
            Untouched(fate.value, text, counted[fate]["addresses"], tuple(counted[fate]["sample"]))
            for fate, text in UNTOUCHED.items()
            if fate in counted
        ),
    )


def _sample(counted: Mapping[Fate, asyncpg.Record], fate: Fate) -> Sample:
    if fate not in counted:
        return Sample()
    return Sample(counted[fate]["addresses"], tuple(counted[fate]["sample"]))


async def _take_steps(hand: Hand, found: asyncpg.Record, run: RunRecord) -> None:
    on, here, now = hand.connection, _here(hand, found), hand.now
    await db.run(on, "touch_undone", now=now)
    await db.run(on, "name_changes")
    await db.run(on, "renew_since", now=now, **here)
    await db.run(on, "end_departures", **here)
    await db.run(on, "write_departures", now=now, **here)
    await tell_changes(hand.decision(run.directory), found["directory_id"])


async def _leave_hold(hand: Hand, found: asyncpg.Record) -> None:
    """Take who waits for nothing any more out of a standing hold; one of which nothing is left has ended."""
    on, directory_id = hand.connection, found["directory_id"]
    dropped = await db.run(on, "drop_from_hold", directory_id=directory_id)
    dropped += await db.run(on, "drop_logins_from_hold", directory_id=directory_id)
    if not dropped:
        return
    hold = await db.only(on, "renumber_hold", directory_id=directory_id)
    left = await db.only(on, "count_set", set_id=hold["hold_id"])
    if not left["waiting"]:
        await db.run(on, "end_hold", directory_id=directory_id, now=hand.now, how="undone")


async def _give_back_adopted(hand: Hand, found: asyncpg.Record) -> None:
    """Let people hold again what the run took over from "by hand"."""
    on = hand.connection
    await db.run(on, "clear_touched")
    by_hand = {"tenant_id": hand.tenant_id, "directory_id": BY_HAND}
    if not await db.run(on, "touch_adopted", tenant_id=hand.tenant_id, at=found["finished_at"]):
        return
    await db.run(on, "name_changes")
    await db.run(on, "renew_since", now=hand.now, **by_hand)
    await db.run(on, "end_departures", **by_hand)
    await tell_changes(hand.decision(), None)


async def _set_back(hand: Hand, found: asyncpg.Record) -> None:
    """Measure the next run by what counted before, and compare it in full."""
    on, run_id = hand.connection, found["run_id"]
    await db.run(on, "mark_undone", run_id=run_id, now=hand.now)
    await db.run(on, "restore_baseline", run_id=run_id, tenant_id=hand.tenant_id)
    await db.run(on, "await_canaries", run_id=run_id)
    await db.run(on, "break_row", directory_id=found["directory_id"])
    await db.run(on, "forget_digests", **_here(hand, found))
