"""Writes down each stage of an attempt: how long it took, what was seen, where it ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from worker.domain.failures import Failure, Stage, StageResult, StageState


class Step:
    """What the code inside a stage may say about it."""

    __slots__ = ("seen",)

    def __init__(self, seen: str) -> None:
        self.seen = seen


class Progress:
    """Appends to the caller's list, one result for each stage of each server tried."""

    def __init__(self, stages: list[StageResult]) -> None:
        self._stages = stages
        self.server = ""

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[Step]:
        """Time a stage; a failure inside is recorded with its code and goes on. Cancelled: no record."""
        step, began = Step(""), time.monotonic()
        try:
            yield step
        except Failure as failure:
            self._fail(stage, began, failure.code)
            raise
        self._record(stage, StageState.OK, began, step.seen)

    @contextmanager
    def beforehand(self) -> Iterator[None]:
        """Record a failure of what is checked before anything is dialled under the stage that its code names."""
        began = time.monotonic()
        try:
            yield
        except Failure as failure:
            stage = Stage(failure.code.partition(".")[0])
            self._record(stage, StageState.FAILED, began, failure.code)
            raise

    def _fail(self, stage: Stage, began: float, code: str) -> None:
        """Record where it ended: a search may show that the base, which could not be looked at before, is not there."""
        is_base = stage is Stage.READ and code.startswith(f"{Stage.BASE}.")
        if is_base and self._stages and self._stages[-1].stage is Stage.BASE:
            stage = self._stages.pop().stage
        self._record(stage, StageState.FAILED, began, code)

    def skip(self, stage: Stage, why: str) -> None:
        """Record a stage that this directory does not have."""
        self._record(stage, StageState.NOT_TRIED, time.monotonic(), why)

    def _record(self, stage: Stage, state: StageState, began: float, seen: str) -> None:
        milliseconds = round((time.monotonic() - began) * 1000)
        detail = ": ".join(filter(None, (self.server, seen)))
        self._stages.append(StageResult(stage, state, milliseconds, detail))
