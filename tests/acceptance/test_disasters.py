"""The catalogue of disasters (``make disasters``) on a small company, and proof that its measure can fail."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.disasters.catalogue import CATALOGUE, Disaster
from tests.disasters.play import Result, play
from tests.disasters.scene import Scale, opened
from tests.fakes.overruled import ALWAYS_HOLDS, NEVER_HOLDS, OverruledRuns
from tests.integration.postgres.house import check
from worker.domain.guard import Ruling


SMALL = Scale(
    people=115,
    page_size=25,
    every=timedelta(hours=24),
    calm=timedelta(days=2),
    wrong=timedelta(days=5),
    mended=timedelta(days=6),
    bleeding=timedelta(days=11),
    weekly=4,
)
NAMED = {disaster.name: disaster for disaster in CATALOGUE}
HONEST, BLEEDING = "honest life", "slow bleeding"
LOST_WITHOUT_A_GUARD = ("filter typo matching little", "rights revoked on half", "canary deleted")

pytestmark = pytest.mark.timeout(90)


async def played(
    disaster: Disaster, database: str, folder: Path, *, judge: Ruling | None = None
) -> Result:
    """Play it, before the guard or before another judge."""
    judged = None if judge is None else partial(OverruledRuns, ruling=judge)
    async with opened(SMALL, database, folder, judged=judged) as scene:
        result = await play(disaster, scene)
        await check(scene.house)
    return result


@pytest.mark.parametrize("name", sorted(NAMED.keys() - {HONEST, BLEEDING}))
async def test_a_disaster_loses_nobody_and_is_told(
    name: str, database: str, tmp_path: Path
) -> None:
    """Whatever goes wrong, who works there gets mail all through it, and the admin is told what to mend."""
    result = await played(NAMED[name], database, tmp_path)

    assert list(result.broken()) == []


async def test_ordinary_leavers_are_gone_and_no_person_was_asked(
    database: str, tmp_path: Path
) -> None:
    """A list that keeps everybody would lose nobody, too, and filter nothing."""
    result = await played(NAMED[HONEST], database, tmp_path)

    assert list(result.broken()) == []
    assert len(result.measure.gone) >= 3
    assert (result.measure.kept, result.told) == (set(), {})


async def test_slow_bleeding_is_bounded_by_the_limits(database: str, tmp_path: Path) -> None:
    """What a week may lose unasked is what the form says; without the guard it is more."""
    result = await played(NAMED[BLEEDING], database, tmp_path)

    assert list(result.broken()) == []
    assert 0 < result.measure.worst_week <= result.bound


async def test_slow_bleeding_without_a_guard_is_not_bounded(database: str, tmp_path: Path) -> None:
    """The bound above is the guard's doing, not the story's."""
    result = await played(NAMED[BLEEDING], database, tmp_path, judge=NEVER_HOLDS)

    assert result.measure.worst_week > result.bound


@pytest.mark.parametrize("name", LOST_WITHOUT_A_GUARD)
async def test_the_measure_finds_who_is_lost_without_a_guard(
    name: str, database: str, tmp_path: Path
) -> None:
    """A count that is always nought would prove nothing."""
    result = await played(NAMED[name], database, tmp_path, judge=NEVER_HOLDS)

    assert result.measure.refused
    assert any("living recipients were lost" in broken for broken in result.broken())


async def test_the_measure_finds_who_is_kept_too_long(database: str, tmp_path: Path) -> None:
    """The other count, likewise."""
    result = await played(NAMED[HONEST], database, tmp_path, judge=ALWAYS_HOLDS)

    assert result.measure.kept
    assert result.lost == 0
