"""What others see of one tenant: its list, look-ups, holds, history, and the events, followed as a receiver would."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tests.integration.postgres.house import ORPHANS, TENANT, House, check_messages, recounted
from tests.model.truth import replayed


BYSTANDER = "bystander"


@dataclass(frozen=True, slots=True)
class Seen:
    """The store at one moment, as far as others may look, and how far each address is with each source."""

    listed: Mapping[str, str]
    bystander: Mapping[str, str]
    lookups: Mapping[str, str]
    steps: Mapping[tuple[int, str], str]
    held: Mapping[int, set[str]]
    """Who waits in the open hold of each directory, unapproved."""
    in_holds: Mapping[int, set[str]]
    """The same with those approved."""
    open_holds: Sequence[int]
    history: Sequence[tuple[str, str]]
    """All that was recorded since the last look."""


LOOK = """
WITH t AS (SELECT tenant_id FROM rollcall.tenant WHERE tenant = $1)
SELECT
    (SELECT json_agg(ARRAY[r.address, r.state]) FROM api.recipient r WHERE r.tenant = $1) AS listed,
    (SELECT json_agg(ARRAY[r.address, r.state]) FROM api.recipient r WHERE r.tenant = $2) AS bystander,
    (SELECT json_agg(ARRAY[a, (api.lookup(a)).state]) FROM unnest($3::text[]) a) AS lookups,
    (SELECT json_agg(DISTINCT jsonb_build_array(h.directory_id, h.address, coalesce(d.step, 'present')))
     FROM rollcall.holding h JOIN t USING (tenant_id)
     LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)) AS steps,
    (SELECT json_agg(json_build_array(o.directory_id, (
        SELECT json_agg(json_build_array(c.address, c.approved)) FROM rollcall.change_set c
        WHERE c.set_id = o.hold_id AND c.change <> 'deactivated')))
     FROM rollcall.hold o JOIN t USING (tenant_id) WHERE o.state = 'open') AS holds,
    (SELECT json_agg(json_build_array(h.address, h.change) ORDER BY h.at, h.address)
     FROM rollcall.history h JOIN t USING (tenant_id) WHERE h.at > $4) AS history
"""
NEWS = "SELECT number, body FROM rollcall.outbox WHERE number > $1 ORDER BY number"


async def look(house: House, addresses: Sequence[str], *, since: datetime) -> Seen:
    """Look at everything once."""
    (found,) = await house.fetch(LOOK, TENANT, BYSTANDER, list(addresses), since)
    holds = [(number, waiting or []) for number, waiting in _rows(found["holds"])]
    return Seen(
        listed=dict(_rows(found["listed"])),
        bystander=dict(_rows(found["bystander"])),
        lookups=dict(_rows(found["lookups"])),
        steps={(number, address): step for number, address, step in _rows(found["steps"])},
        held={number: {a for a, is_approved in held if not is_approved} for number, held in holds},
        in_holds={number: {address for address, _ in held} for number, held in holds},
        open_holds=[number for number, _ in holds],
        history=[(address, change) for address, change in _rows(found["history"])],
    )


def _rows(told: str | None) -> list[Any]:
    return orjson.loads(told) if told else []


HELD_LOGINS = """
SELECT DISTINCT o.directory_id FROM rollcall.hold o JOIN rollcall.tenant t USING (tenant_id)
JOIN rollcall.change_set c ON c.set_id = o.hold_id
WHERE t.tenant = $1 AND o.state = 'open' AND c.change = 'deactivated' AND NOT c.approved
"""


async def held_logins(house: House) -> set[int]:
    """Give the directories in whose open hold the end of a login waits, which the truth of addresses does not know."""
    return {each["directory_id"] for each in await house.fetch(HELD_LOGINS, TENANT)}


async def sound(house: House) -> None:
    """What holds of the store as a whole, whatever happened."""
    assert await recounted(house) == []
    assert await house.fetch(ORPHANS) == []


STRAYS = """
SELECT a.address, l.username FROM rollcall.login_address a JOIN rollcall.login l USING (login_id)
WHERE l.directory_id = ANY($1) AND NOT EXISTS (
    SELECT FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.tenant_id = a.tenant_id AND h.address = a.address AND h.directory_id = l.directory_id AND h.entry_id = l.entry_id
        AND coalesce(d.step, 'missing') = 'missing')
"""
"""Addresses that lead to the login of an entry that does not have them."""
SHOWN = """
WITH shown AS (
    SELECT h.entry_id, bool_or(d.step IS NULL) AS is_present,
        coalesce(bool_or(h.enabled) FILTER (WHERE d.step IS NULL), bool_or(h.enabled))
        AND coalesce(min(h.kind) FILTER (WHERE d.step IS NULL), min(h.kind)) = 0 AS has_right
    FROM rollcall.holding h LEFT JOIN rollcall.departure d USING (tenant_id, address, directory_id)
    WHERE h.directory_id = $1 AND coalesce(d.step, 'missing') = 'missing' GROUP BY 1
)
"""
UNEXPLAINED = f"""{SHOWN}
SELECT l.username, l.state FROM rollcall.login l LEFT JOIN shown s USING (entry_id)
WHERE l.directory_id = $1 AND l.state = 'active' AND s.has_right IS NOT TRUE AND NOT EXISTS (
    SELECT FROM rollcall.hold o JOIN rollcall.change_set c ON c.set_id = o.hold_id
    WHERE o.directory_id = $1 AND o.state = 'open' AND NOT c.approved AND (c.address = l.username OR EXISTS (
        SELECT FROM rollcall.holding h WHERE h.directory_id = $1 AND h.address = c.address AND h.entry_id = l.entry_id)))
"""  # noqa: S608 - a constant
"""Active logins of entries that are gone, disabled or no mailbox, although no hold shows that they wait."""
LOCKED_OUT = f"""{SHOWN}
SELECT s.entry_id, l.username FROM shown s LEFT JOIN rollcall.login l ON l.directory_id = $1 AND l.entry_id = s.entry_id
WHERE s.is_present AND s.has_right AND l.state IS DISTINCT FROM 'active'
    AND (l.state = 'deactivated' OR NOT EXISTS (SELECT FROM rollcall.login_conflict c WHERE c.directory_id = $1 AND c.entry_id = s.entry_id))
"""  # noqa: S608 - as above
"""Enabled mailboxes that a directory shows, and that have neither a login that they can use nor a reason told."""
WAITING = """
SELECT o.hold_id, o.version, c.address, c.change, o.directory_id, l.state, l.reason
FROM rollcall.hold o JOIN rollcall.tenant t USING (tenant_id) JOIN rollcall.change_set c ON c.set_id = o.hold_id
LEFT JOIN rollcall.login l ON l.directory_id = o.directory_id AND l.username = c.address AND l.state <> 'released'
WHERE t.tenant = $1 AND o.state = 'open' AND NOT c.approved ORDER BY o.hold_id
"""


@dataclass(slots=True)
class Keeper:
    """Whoever looks after logins: what must be true of those of each directory, as far as its last complete run looked after them."""

    tended: set[int] = field(default_factory=set)
    """Directories whose logins are what their last complete run made them."""
    ended: set[int] = field(default_factory=set)
    """Of these the ones whose run has just ended, and might end logins."""
    fresh: set[int] = field(default_factory=set)
    sets: dict[tuple[str, int], set[tuple[str, bool]]] = field(default_factory=dict)
    """What a person saw of each version of a hold: who waits, and whether it is a login."""

    def ran(self, number: int, *, ends: bool) -> None:
        """A complete run has looked after the logins of a directory."""
        self.tended.add(number)
        self.fresh.add(number)
        if ends:
            self.ended.add(number)

    async def look(self, house: House, *, looks_after: bool) -> None:
        """Compare. Raises AssertionError where a login is not what it is to be."""
        if not looks_after:
            self.tended.clear()
        assert await house.fetch(STRAYS, list(self.tended)) == []
        for number in self.fresh:
            assert await house.fetch(LOCKED_OUT, number) == []
        for number in self.ended:
            assert await house.fetch(UNEXPLAINED, number) == []
        self.fresh.clear()
        self.ended.clear()
        await self._look_at_holds(house)

    async def _look_at_holds(self, house: House) -> None:
        seen: dict[tuple[str, int], set[tuple[str, bool]]] = {}
        for each in await house.fetch(WAITING, TENANT):
            is_login = each["change"] == "deactivated"
            version = (str(each["hold_id"]), each["version"])
            seen.setdefault(version, set()).add((each["address"], is_login))
            is_out = is_login and each["state"] != "active" and each["reason"] != "decided"
            assert not is_out, f"{each['address']} waits and is not active"
        for version, held in seen.items():
            assert self.sets.setdefault(version, held) == held, "another set under one version"


LOGINS = """
SELECT l.login_id, l.entry_id, l.username, l.state,
    ARRAY(SELECT a.address FROM rollcall.login_address a WHERE a.login_id = l.login_id ORDER BY a.address) AS addresses
FROM rollcall.login l JOIN rollcall.tenant t USING (tenant_id) WHERE t.tenant = $1 AND t.deleted_at IS NULL
"""


@dataclass(slots=True)
class Receiver:
    """Another service that follows the events of one tenant and keeps a list of its own."""

    listed: dict[str, str] = field(default_factory=dict)
    number: int = 0
    """In the outbox, of the last event read."""
    sequence: int = 0
    parts: list[Mapping[str, Any]] = field(default_factory=list)
    """Of a snapshot that is not whole yet."""
    logins: dict[str, tuple[str, str, tuple[str, ...]]] = field(default_factory=dict)
    """User name, state and addresses of each."""
    owners: dict[str, str] = field(default_factory=dict)
    """Whose each login is: the entry, for ever."""

    async def follow(self, house: House) -> list[dict[str, Any]]:
        """Take in all that is new; gives it. Raises AssertionError where events contradict each other."""
        news = await house.fetch(NEWS, self.number)
        check_messages(news)
        if news:
            self.number = news[-1]["number"]
        told: list[dict[str, Any]] = [orjson.loads(each["body"]) for each in news]
        for message in told:
            assert message["subject"] == TENANT, message
            self._receive(message)
        return told

    def _receive(self, message: Mapping[str, Any]) -> None:
        data = message["data"]
        if "sequence" in data:
            assert data["sequence"] == self.sequence + 1, (
                f"{data['sequence']} after {self.sequence}"
            )
            self.sequence = data["sequence"]
        if message["type"] == "rollcall.logins.changed.v1":
            for each in data["changes"]:
                told = (each["username"], each["state"], tuple(each["addresses"]))
                self.logins[each["login"]] = told
        if message["type"] == "rollcall.recipients.changed.v1":
            self._change(data["changes"])
        elif message["type"] == "rollcall.recipients.snapshot.v1":
            self.parts.append(data)
            if data["part"] == data["parts"]:
                self._compare()

    async def compare_logins(self, house: House) -> None:
        """What was told of logins is what they are; each is one person's for ever."""
        found = await house.fetch(LOGINS, TENANT)
        stand = {
            str(each["login_id"]): (each["username"], each["state"], tuple(each["addresses"]))
            for each in found
        }
        assert self.logins == stand
        for each in found:
            login, entry = str(each["login_id"]), str(each["entry_id"])
            assert self.owners.setdefault(login, entry) == entry

    def _change(self, changes: Sequence[Mapping[str, str]]) -> None:
        self.listed = replayed([(each["address"], each["change"]) for each in changes], self.listed)
        for each in changes:
            assert self.listed.get(each["address"], "removed") == each["state"], each

    def _compare(self) -> None:
        """A list told whole is the list that the changes gave."""
        told = [each for part in self.parts for each in part["recipients"]]
        lines = "".join(f"{each['address']} {each['state']}\n" for each in told)
        checksum = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
        assert {each["address"]: each["state"] for each in told} == self.listed
        assert (len(told), checksum) == (self.parts[0]["count"], self.parts[0]["checksum"])
        self.parts = []
