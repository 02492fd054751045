"""The benchmark, on a small directory: it must not rot between the days when somebody looks at its figures."""

import asyncio
import sys
from typing import Any

import orjson
import pytest

from tests.conftest import Servers
from tests.servers.daemon import ENVIRONMENT, PROJECT, inherited_marks


RESULTS = PROJECT / ".results" / "bench-small.json"
WITHIN_S = 150
PROMISED = {"first_sync_vs_reference", "unchanged_vs_reference", "memory_300k_vs_10k"}


@pytest.mark.timeout(WITHIN_S + 20)
async def test_the_benchmark_runs_and_writes_its_figures(servers: Servers) -> None:
    """It fails when worker and reference disagree on a list or a history, and on no figure."""
    RESULTS.unlink(missing_ok=True)
    named = {"BENCH_SMALL": "1", **servers.environment, **inherited_marks()}

    async with asyncio.timeout(WITHIN_S):
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench"),
            cwd=PROJECT,
            env={**ENVIRONMENT, **named},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        shown, _ = await running.communicate()

    assert running.returncode == 0, shown.decode()
    figures: list[dict[str, Any]] = orjson.loads(RESULTS.read_bytes())
    assert {figure["name"] for figure in figures} >= PROMISED
    for figure in figures:
        assert list(figure) == ["name", "value", "unit", "reference", "command"]
        assert figure["value"] >= 0
