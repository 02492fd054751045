"""The keys that seal passwords are exchanged while workers run, as the runbook says, and nobody's sync notices."""

import base64
import subprocess
from typing import Any

import pytest

from tests.conftest import PROGRAM
from tests.harness.customer import Customer
from tests.harness.fixtures import Hire
from tests.harness.worker import Worker
from worker.adapters.secrets import generate_key, public_key, seal_for
from worker.domain.model import Secret


SAVES = 2
"""At every step; enough for each of two workers to meet a password that the other has sealed."""


async def all_sync(customer: Customer, *, sealing: str) -> None:
    """Save with the password in clear and sealed, sync, and see each run well."""
    password = customer.branch.form()["password"]
    box = base64.b64encode(seal_for(public_key(Secret(sealing)), Secret(password))).decode()
    secrets: list[dict[str, Any]] = [{}, {"password": None, "password_sealed": box}]
    forms = [
        customer.branch.form(directory=f"d{number}", **secret)
        for number, secret in enumerate(secrets * SAVES)
    ]
    causes = [await customer.send("directory.save", form) for form in forms]
    causes += [await customer.request(directory=f"d{number}") for number in range(len(forms))]

    endings = [await customer.platform.ending(cause) for cause in causes]

    told = {(ending.name, (ending.data["finding"] or {}).get("code")) for ending in endings}
    assert told == {("sync.completed", None)}


def rotated(worker: Worker) -> str:
    """Run ``rollcall keys rotate`` with a worker's settings; gives what it says."""
    done = subprocess.run(  # noqa: S603 - the program under test
        [PROGRAM, "keys", "rotate"],
        env=dict(worker.environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


@pytest.mark.timeout(150)
async def test_keys_are_exchanged_while_workers_run(unhoused: Customer, hire: Hire) -> None:
    """First all open with the new key, then all seal with it, then nothing needs the old one."""
    old, new = generate_key(), generate_key()
    unhoused.branch.add("ada", "bob")
    workers = [hire(f"{name}-0", keys=old) for name in "ab"]
    for worker in workers:
        worker.start()
    await unhoused.join()
    await all_sync(unhoused, sealing=old)

    for step, keys in enumerate((f"{old},{new}", f"{new},{old}", new), start=1):
        if keys == new:
            assert " 0 unreadable" in rotated(workers[0])
        for place, name in enumerate("ab"):
            workers[place].terminate()
            workers[place] = hire(f"{name}-{step}", keys=keys)
            workers[place].start()
            await all_sync(unhoused, sealing=keys.partition(",")[0])

    assert await unhoused.recipients() == unhoused.branch.addresses("ada", "bob")
