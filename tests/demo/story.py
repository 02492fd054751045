"""The story in acts, played from outside: commands over AMQP, and what came of them from events and schema ``api``."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from tests.demo import directories, truth
from tests.demo.claims import Claims
from tests.demo.directories import Deed, Source
from tests.demo.redaction import places_with
from tests.demo.show import Row, Show, row
from tests.demo.stage import Stage
from tests.harness.platform import Seen


TENANT = "acme"
WITHIN_S = 20
RECIPIENTS = """
SELECT address, kind, display_name, state FROM api.recipient
WHERE tenant = $1 AND address = ANY($2) ORDER BY address
"""
HISTORY = """
SELECT change, directory, array_agg(address ORDER BY address) AS addresses FROM api.history
WHERE tenant = $1 AND (run IS NULL OR run <> ALL($2))
GROUP BY at, run, directory, change ORDER BY min(at), directory, change
"""
ADDRESSES_SHOWN = 2
CHANGES = ("added", "returned", "missing", "grace", "removed")
SOME_RECIPIENTS = [
    "ada.brandt@corp.example.com",
    "all.staff@corp.example.com",
    "bills@corp.example.com",
    "board@example.org",
    "emil@example.org",
    "info@corp.example.com",
    "jörg@corp.example.com",
    "print@corp.example.com",
]
LOOKUPS = {
    "ingrid@corp.example.com": ("valid", "joined"),
    "Ada.Brandt@Corp.Example.COM": ("valid", "in whatever case"),
    "user000+news@corp.example.com": ("valid", "with a sub-address"),
    "user000@corp.example": ("valid", "in the alias domain"),
    "user003@corp.example.com": ("valid", "left: missing once is not yet gone"),
    "member010@example.org": ("valid", "moved away and back: never refused"),
    "member020@example.org": ("valid", "approved to leave, then given back"),
    "postmaster@example.org": ("valid", "always"),
    "nobody@corp.example.com": ("unknown", "the list of this domain is known to be whole"),
    "nobody@elsewhere.example": ("not_authoritative", "nobody's domain"),
}


@dataclass(frozen=True, slots=True)
class Story:
    """Where it plays, what is shown of it, what must be so, and what the list must hold by now."""

    stage: Stage
    show: Show
    claims: Claims
    sources: tuple[Source, Source, Source]
    branch: Source | None
    """A real Active Directory, where one can run."""
    known: set[str] = field(default_factory=set)
    endings: list[Seen] = field(default_factory=list)

    async def play(self) -> None:
        """All of it, in order."""
        await self.first_syncs()
        await self.active_directory()
        await self.everyday()
        await self.reorganised()
        await self.put_back()
        held = await self.closed()
        await self.undone(held)
        await self.what_others_see()
        await self.what_must_be_so()

    # --- acts ----------------------------------------------------------------

    async def first_syncs(self) -> None:
        """Save & Sync, all three at once."""
        self.show.act("1. Save & Sync: one customer, three directories, all at once")
        await self._save_tenant()
        saves = {one.directory: ("directory.save", one.save) for one in self.sources}
        head_office, workshop, old_office = await self._runs(saves)
        shown = truth.addresses(self.stage.slapd)
        for ending in (head_office, workshop):
            directory = ending.data["directory"]
            self._claim_run(ending, "completed", added=len(shown[directory]))
        self._claim_run(old_office, "failed")
        self.claims.equal(
            "old-office failed for the wrong password",
            seen=old_office.data["finding"]["code"],
            wanted="sign_in.wrong_password",
        )
        await self._claim_list("after the first syncs the list is what ldapsearch shows")

    async def active_directory(self) -> None:
        """A real one: base and signing are its own business, and it gives at most 1,000 entries a page."""
        self.show.act("2. A branch joins: a real Active Directory, its search base left blank")
        if self.branch is None:
            self.show.say(f"left out: {os.environ.get('STACK_AD_MISSING', 'no Samba runs here')}")
            return
        shown = truth.of_active_directory(self.branch, os.environ)
        (ending,) = await self._runs({self.branch.directory: ("directory.save", self.branch.save)})
        self._claim_run(ending, "completed", added=len(shown))
        self.known.update(shown)
        await self._claim_list("an Active Directory is read whole, over several pages")

    async def everyday(self) -> None:
        """The directory changes behind the platform's back; a sync finds out."""
        before = self._shown()
        self._do("3. Behind the platform's back, with ldapmodify", directories.everyday())
        after = self._shown()
        endings = await self._sync("head-office", "workshop")
        self.claims.equal(
            "the second syncs added what is new and missed what is gone",
            seen=_sum(endings, "added", "missing"),
            wanted=[len(after - before), len(before - after)],
        )
        await self._claim_list("what left is missing, and still valid")

    async def reorganised(self) -> None:
        """Most of one directory vanishes: what joined is applied, what is gone waits for a person."""
        before = self._shown()
        self._do("4. A tidy-up goes wrong", directories.reorganised())
        after = self._shown()
        (held,) = await self._sync("workshop")
        self._claim_run(held, "held", added=len(after - before))
        waiting = await self.stage.store.rows(
            "SELECT address FROM api.hold WHERE tenant = $1", TENANT
        )
        self.claims.same(
            "on hold is what vanished",
            seen={one["address"] for one in waiting} & (before | after),
            wanted=before - after,
        )
        await self._claim_list("while it is held, nobody is removed")

    async def put_back(self) -> None:
        """The mistake is mended, and the hold ends by itself."""
        self._do("5. It is mended: the hold ends by itself", directories.put_back())
        (ending,) = await self._sync("workshop")
        self._claim_run(ending, "completed", added=0)
        waiting = await self.stage.store.rows("SELECT FROM api.hold WHERE tenant = $1", TENANT)
        self.claims.equal("the hold is over", seen=len(waiting), wanted=0)
        await self._claim_list("nobody was lost on the way")

    async def closed(self) -> Seen:
        """The same alarm, and this time it is meant: a person says yes, to exactly what was shown; gives the run."""
        before = self._shown()
        self._do("6. A workshop closes: held again, and a person says yes", directories.closed())
        gone = before - self._shown()
        (held,) = await self._sync("workshop")
        self._claim_run(held, "held", added=0)
        hold = held.data["hold"]
        told = await self._decide(
            "hold.approve", {"hold": hold["id"], "version": hold["version"]}, "hold.approved"
        )
        self.show.say(
            f"hold.approve, version {hold['version']}: {told['grace']} addresses are in grace; their mail is put off"
        )
        self.claims.same(
            "approved is what was deleted, and it is in grace",
            seen=await self._in_state("grace"),
            wanted=gone,
        )
        return held

    async def undone(self, held: Seen) -> None:
        """It was a mistake after all: what the run took is given back, all of it, at once."""
        self.show.act("7. It was a mistake after all: the run is undone")
        told = await self._decide("run.undo", {"run": held.data["run"]}, "run.undone")
        self.show.say(
            f"run.undo: {told['given_back']['count']} given back, {told['leaving']['count']} leaving; automatic syncs of "
            f"{told['directory']} pause"
        )
        self.claims.same(
            "nobody is in grace any more, and everyone is valid",
            seen=await self._in_state("valid"),
            wanted=self.known,
        )

    async def _decide(self, name: str, data: Mapping[str, Any], answer: str) -> Mapping[str, Any]:
        cause = await self.stage.platform.send(name, TENANT, data)
        seen = await self.stage.platform.event(answer, cause=cause, within_s=WITHIN_S)
        return seen.data

    async def _in_state(self, state: str) -> set[str]:
        found = await self.stage.store.recipients(TENANT)
        return {address for address, said in found.items() if said == state}

    async def what_others_see(self) -> None:
        """The mail filter's look-ups, other services' events, the history."""
        self.show.act("8. What the mail filter sees: api.recipient and api.lookup")
        found = await self.stage.store.rows(RECIPIENTS, TENANT, SOME_RECIPIENTS)
        self.show.table(("address", "kind", "name", "state"), [tuple(one) for one in found])
        self.claims.equal(
            "recipients of every kind are there", seen=len(found), wanted=len(SOME_RECIPIENTS)
        )
        said = {address: await self.stage.store.lookup(address) for address in LOOKUPS}
        answers = [(address, said[address], why) for address, (_, why) in LOOKUPS.items()]
        self.show.table(("lookup", "answer", ""), answers)
        wanted = {address: state for address, (state, _) in LOOKUPS.items()}
        self.claims.equal("every look-up answers as it should", seen=said, wanted=wanted)
        await self._show_events()
        await self._show_history()

    async def what_must_be_so(self) -> None:
        """The parts that only the whole shows."""
        passwords = [
            *chain.from_iterable(
                (tree.reader_password, tree.admin_password) for tree in self.stage.slapd.trees
            ),
            *(one.form["password"] for one in self._all()),
        ]
        leaks = await places_with(passwords, self.stage)
        self.claims.equal(
            "no password in the log, an event, the database or the process's arguments",
            seen=leaks,
            wanted=[],
        )

    # --- commands and their outcomes ------------------------------------------

    async def _save_tenant(self) -> None:
        told = {"plan": "enterprise", "domains": directories.DOMAINS}
        cause = await self.stage.platform.send("tenant.save", TENANT, told)
        await self.stage.platform.event("tenant.saved", cause=cause, within_s=WITHIN_S)
        names = ", ".join(domain["name"] for domain in directories.DOMAINS)
        self.show.say(f"tenant {TENANT}, plan enterprise: {names}")

    async def _sync(self, *names: str) -> Sequence[Seen]:
        asked = {"trigger": "manual", "mode": "apply"}
        return await self._runs(
            {name: ("sync.request", {"directory": name, **asked}) for name in names}
        )

    async def _runs(self, commands: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[Seen]:
        """Send a command for each directory, show their runs going on; gives the outcomes in that order."""
        platform, causes = self.stage.platform, dict[str, str]()
        with self.show.board(lambda: [self._row(name, causes.get(name)) for name in commands]):
            for directory, (name, data) in commands.items():
                causes[directory] = await platform.send(name, TENANT, data)
            async with asyncio.TaskGroup() as group:
                waits = [
                    group.create_task(platform.ending(causes[name], within_s=WITHIN_S))
                    for name in commands
                ]
        endings = [wait.result() for wait in waits]
        for ending in endings:
            self.show.why(ending)
        self.endings.extend(endings)
        return endings

    def _all(self) -> tuple[Source, ...]:
        return self.sources if self.branch is None else (*self.sources, self.branch)

    def _row(self, directory: str, cause: str | None) -> Row:
        told = [seen for seen in self.stage.platform.events if cause in seen.data.get("causes", ())]
        (name,) = (one.name for one in self._all() if one.directory == directory)
        return row(directory, name, told)

    # --- the directory itself --------------------------------------------------

    def _do(self, title: str, deeds: Sequence[Deed]) -> None:
        self.show.act(title)
        for deed in deeds:
            self.show.bullet(deed.told)
            self.stage.slapd.modify(deed.ldif)

    def _shown(self) -> frozenset[str]:
        return frozenset[str]().union(*truth.addresses(self.stage.slapd).values())

    # --- what must be so ---------------------------------------------------------

    def _claim_run(self, ending: Seen, state: str, **counts: int) -> None:
        self.claims.equal(
            f"{ending.data['directory']}: {state}, {_words(counts)}",
            seen=(ending.name, *(ending.data["counts"][name] for name in counts)),
            wanted=(f"sync.{state}", *counts.values()),
        )

    async def _claim_list(self, text: str) -> None:
        """Nothing of this demo lives long enough to be removed, so the list only ever grows."""
        self.known.update(self._shown())
        found = await self.stage.store.recipients(TENANT)
        valid = {address for address, state in found.items() if state == "valid"}
        self.claims.same(f"{text}: {len(self.known)} addresses", seen=valid, wanted=self.known)

    # --- tables ------------------------------------------------------------------

    async def _show_events(self) -> None:
        await self._wait_for_changes()
        self.show.act("9. What other services were told: every event in order, none missing")
        events = self.stage.platform.of(TENANT)
        self.show.table(
            ("sequence", "event", "directory", ""),
            [
                (seen.data["sequence"], seen.name, seen.data.get("directory"), _gist(seen))
                for seen in events
            ],
        )
        sequences = [seen.data["sequence"] for seen in events]
        self.claims.equal(
            "every event fits its schema, and no sequence number is missing",
            seen=sequences,
            wanted=[*range(1, len(events) + 1)],
        )

    async def _wait_for_changes(self) -> None:
        """The outcome of a run goes out before its changes: wait until the last of each was told."""
        for ending in self.endings:
            if any(ending.data["counts"][change] for change in CHANGES):
                await self.stage.platform.event(
                    "recipients.changed", where=partial(_is_last_of, ending), within_s=WITHIN_S
                )

    async def _show_history(self) -> None:
        self.show.act("10. The history of what changed after the first syncs: api.history")
        first = [seen.data["run"] for seen in self.endings[: len(self._all())]]
        rows = await self.stage.store.rows(HISTORY, TENANT, first)
        self.show.table(
            ("change", "directory", "count", "addresses"),
            [
                (one["change"], one["directory"], len(one["addresses"]), _some(one["addresses"]))
                for one in rows
            ],
        )
        self.claims.equal(
            "the history holds each change that was told once, and no other",
            seen=await self.stage.store.history(TENANT),
            wanted=Counter(self.stage.platform.changes(TENANT)),
        )


def _is_last_of(ending: Seen, seen: Seen) -> bool:
    told = seen.data
    return bool(told["run"] == ending.data["run"] and told["part"] == told["parts"])


def _sum(endings: Sequence[Seen], *names: str) -> list[int]:
    return [sum(ending.data["counts"][name] for ending in endings) for name in names]


def _some(addresses: Sequence[str]) -> str:
    rest = len(addresses) - ADDRESSES_SHOWN
    named = ", ".join(addresses[:ADDRESSES_SHOWN])
    return f"{named} and {rest} more" if rest > 0 else named


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing changed"


GISTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "directory.saved": lambda data: f"revision {data['revision']}, {data['state']}",
    "recipients.changed": lambda data: _words(
        Counter(change["change"] for change in data["changes"])
    ),
    "sync.failed": lambda data: str(data["finding"]["code"]),
    "sync.completed": lambda data: _words({"addresses": data["counts"]["addresses"]}),
    "sync.held": lambda data: _words({"addresses": data["counts"]["addresses"]}),
    "hold.approved": lambda data: _words({"in grace": data["grace"]}),
    "run.undone": lambda data: _words({"given back": data["given_back"]["count"]}),
}


def _gist(seen: Seen) -> str:
    return GISTS[seen.name](seen.data) if seen.name in GISTS else ""
