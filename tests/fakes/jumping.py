"""An event loop that never waits: when nothing is left to do but wait, its clock jumps to the next deadline.

For tests of deadlines and pauses without sockets. Only what goes by the loop's own time jumps (``asyncio.sleep``,
``asyncio.timeout``); the wall clock stands nearly still.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import ParamSpec

from typing_extensions import override


P = ParamSpec("P")


class JumpingSelector(selectors.SelectSelector):
    """Looks what is ready and never waits for more."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.skipped_s += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time is real time and what was skipped of it."""

    def __init__(self) -> None:
        self._jumps = JumpingSelector()
        super().__init__(self._jumps)

    @override
    def time(self) -> float:
        return super().time() + self._jumps.skipped_s


def jumping(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test on such a loop."""

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(test(*arguments, **named))

    return run
