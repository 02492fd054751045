"""Random histories against the real statements, judged by a truth of their own; more of them by ``make model``."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.postgres.conftest import POOL_SIZE
from tests.model.machine import LENGTH, Stage, play
from worker.adapters.postgres.pool import open_pool
from worker.ports.vault import Vault


HISTORIES = 40


@pytest.fixture
def stage(shared_database: str, vault: Vault) -> Iterator[Stage]:
    """One database and one loop for all histories."""
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(shared_database, size=POOL_SIZE))
        try:
            yield Stage(runner, pool, vault)
        finally:
            runner.run(pool.close())


@pytest.mark.timeout(600)  # 60 s; what fails is made short for up to 300 s more
def test_no_history_takes_away_who_still_receives_mail(stage: Stage) -> None:
    """Whatever directories, people, workers and time do, in any order, nobody leaves the list without a reason."""
    play(stage, histories=HISTORIES)

    assert stage.steps > HISTORIES * LENGTH
