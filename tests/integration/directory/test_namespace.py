"""Packets that really get lost: in a network of the test's own, where the kernel allows one."""

import asyncio
import json
import shutil
import sys

import pytest

from tests.servers.daemon import PROJECT


pytestmark = pytest.mark.integration

NETWORK = (
    # what is sent there comes back in by the loopback and is nobody's: dropped, without a word
    'ip link set lo up && ip route add 198.51.100.0/24 dev lo && exec "$@"'
)
PROGRAM = """
import asyncio, json, time
from dataclasses import replace
from tests.integration.directory.conftest import LOOPBACK, Reading, plan_for
from tests.integration.directory.test_scripted import plan_at, two_people
from tests.integration.directory.test_traps import watched
from tests.servers.scripted_ldap import ScriptedLdap
from worker.domain.model import Server

async def main():
    limits = replace(LOOPBACK, connect_s=2, allow_networks=("127.0.0.0/8", "198.51.100.0/24"))
    hole, reads = plan_for(Server("198.51.100.7", 389), limits=limits), 0
    async with ScriptedLdap(two_people).running() as server, watched() as heart:
        async with asyncio.TaskGroup() as tasks:
            lost = [tasks.create_task(Reading(hole).code()) for _ in range(20)]
            while not all(task.done() for task in lost):
                assert len(await Reading(plan_at(server)).names()) == 2
                reads += 1
    print(json.dumps([sorted({task.result() for task in lost}), reads, heart.longest_s]))

asyncio.run(main())
"""


async def run(*words: str) -> tuple[int, bytes]:
    """Run a program to its end; gives its exit code and what it wrote."""
    running = await asyncio.create_subprocess_exec(
        *words, cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    written, _ = await running.communicate()
    return running.returncode or 0, written


@pytest.mark.timeout(60)
async def test_packets_that_are_dropped_cost_only_their_own_reading() -> None:
    """Twenty connections into nothing, and a neighbour that is read all the while."""
    unshare = shutil.which("unshare")
    space = (unshare or "", "-rn", "sh", "-c", NETWORK, "sh")
    if unshare is None or (await run(*space, "true"))[0] != 0:
        pytest.skip("no network namespace is permitted here")

    code, written = await run(*space, sys.executable, "-c", PROGRAM)

    codes, reads, longest_s = json.loads(written.splitlines()[-1])
    assert code == 0
    assert codes == ["reach.timed_out"]
    assert reads > 10
    assert longest_s < 1.0
