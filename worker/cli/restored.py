"""``restored``: what the operator runs after our own database was restored from an older backup."""

import asyncio

from worker import errands
from worker.cli import screen
from worker.cli.exits import refusals
from worker.cli.options import AsJson
from worker.settings import load


COLUMNS = ("tenants", "recipients", "epoch", "domains by hand")

NOBODY_UNKNOWN = (
    "Nobody is called unknown until each directory has been read again: "
    "have directory.save sent again with sync, or ask for the syncs."
)
BY_HAND = "Domains by hand call nobody unknown until tenant.save names them again: have recipient.add sent again for them first."


def restored(*, as_json: AsJson = False) -> None:
    """After restoring the database from an older backup: begin every tenant's events again and tell its list whole.

    Run it while no worker runs, before the mail filter asks the restored database. Every tenant gets a new epoch, and
    no domain is authoritative until each of its directories has been read again. Cut short, run it again.
    """
    with refusals(), screen.progress("telling every list") as say:
        done = asyncio.run(
            errands.restored(
                load(needs=("database_url",)), tell=lambda count: say(f"{count:,} tenants told")
            )
        )
    if as_json:
        screen.as_json(done)
        return
    screen.table(COLUMNS, [(done.tenants, done.recipients, done.epoch, done.domains_by_hand)])
    screen.say(NOBODY_UNKNOWN)
    if done.domains_by_hand:
        screen.say(BY_HAND)
