"""The hold over all directories: counted over what every worker did, told once, released by the operator."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import announce
from worker.domain import events
from worker.domain.events import FleetFigures
from worker.domain.fleet import SHRINK_COUNT, SHRINK_SHARE, FleetLimits, is_alarming
from worker.ports.runs import FleetHold
from worker.ports.vault import Clock


@dataclass(frozen=True, slots=True)
class PostgresFleet:
    """The Fleet port over Postgres. What it decides by is in the database, so any number of workers may look."""

    pool: db.Pool
    clock: Clock
    limits: FleetLimits

    async def watch(self) -> FleetHold | None:
        """Hold removals of all directories if too many are in trouble at once; gives a hold that is new."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            past = await db.only(connection, "fleet_released_at")
            if past["is_held"]:
                return None
            window_from = now - self.limits.window
            figures = await self._figures(
                connection, max(window_from, past["released_at"] or window_from)
            )
            if not is_alarming(figures, self.limits):
                return None
            made = await db.row(
                connection, "hold_fleet", now=now, figures=orjson.dumps(figures).decode()
            )
            if made is None:
                return None
            await announce(connection, events.fleet_held(now, figures), now=now)
        return FleetHold(now, figures)

    async def _figures(self, connection: db.Connection, window_from: datetime) -> FleetFigures:
        counted = await db.only(
            connection,
            "fleet_figures",
            window_from=window_from,
            shrink_count=SHRINK_COUNT,
            shrink_share=SHRINK_SHARE,
        )
        codes = orjson.loads(counted["codes"])
        return FleetFigures(
            window_s=int(self.limits.window.total_seconds()),
            directories=counted["directories"],
            failing=counted["failing"],
            shrinking=counted["shrinking"],
            customers=counted["customers"],
            codes=tuple(sorted(codes.items(), key=lambda each: (-each[1], each[0]))),
        )

    async def standing(self) -> FleetHold | None:
        """Return the hold over all directories, if one stands."""
        async with db.transaction(self.pool) as connection:
            found = await db.row(connection, "standing_fleet_hold")
        if found is None:
            return None
        figures = orjson.loads(found["figures"])
        codes = tuple((code, number) for code, number in figures.pop("codes"))
        return FleetHold(found["since"], FleetFigures(**figures, codes=codes))

    async def release(self) -> bool:
        """Let removals go on; False if nothing was held. What was counted so far is not counted again."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            released = await db.row(connection, "release_fleet", now=now)
            if released is None:
                return False
            event = events.fleet_released(released["since"], now)
            await announce(connection, event, now=now)
        return True
