"""``make demo``: a platform and its directories, played from outside. Exit 0 only if all that was seen is so."""

import asyncio
import os
import signal
import sys
import time

from tests.demo.claims import Claims
from tests.demo.directories import active_directory, sources
from tests.demo.show import Show
from tests.demo.stage import Names, built, left_behind, named
from tests.demo.story import Story
from tests.stack.session import OWN_SERVERS


WHOLE_S = 120
INTERRUPTED = 130
NO_SERVERS = "demo: no servers: run make demo, or make stack and then source .stack/env"


async def demo(show: Show) -> int:
    """Play it, clear it away, and say what was compared; gives the exit code."""
    began, claims = time.monotonic(), Claims()
    with named() as names:
        try:
            async with asyncio.timeout(WHOLE_S):
                await played(names, show, claims)
        except Exception as broken:  # noqa: BLE001 - whatever it is: shown with the log's end, and failed
            claims.equal("the story came to its end", seen=repr(broken), wanted="its end")
        if claims.differences:
            show.log(names.worker.log())
        claims.equal("nothing is left behind", seen=await left_behind(names), wanted=[])
    show.act("Checked, by ldapsearch and by rules written a second time")
    for claim in claims.made:
        show.claim(claim)
    show.say(f"{time.monotonic() - began:.1f} s")
    return 1 if claims.differences else 0


async def played(names: Names, show: Show, claims: Claims) -> None:
    """Set up, play, and stop the worker as an operator would."""
    async with built(names) as stage:
        show.say(f"rollcall migrate: {stage.applied}")
        show.say("rollcall run: ready, a process of its own")
        branch = active_directory(os.environ)
        await Story(stage, show, claims, sources(stage.slapd), branch).play()
        stage.worker.terminate()
        last = stage.worker.lines()[-1]["event"]
        claims.equal("asked to stop, the worker stopped in order", seen=last, wanted="stopped")


async def interruptible(show: Show) -> int:
    """Let SIGTERM end it as Ctrl-C does: everything is cleared away first."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await demo(show)


if __name__ == "__main__":
    if not all(name in os.environ for name in OWN_SERVERS):
        sys.exit(NO_SERVERS)
    try:
        sys.exit(asyncio.run(interruptible(Show())))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
