"""The whole reader, in a process that may die of it: ``python -m tests.fuzz.reader_process SEED CASES SECONDS FOLDER``.

Whoever started it learns which cases were under way by what lies in the folder. Prints one line of JSON.
"""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import orjson
import psutil
import structlog

from tests.fuzz.case import Fault
from tests.fuzz.mutations import cut_up, spoiled
from tests.fuzz.replay import read
from tests.fuzz.streams import Conversation, conversations


AT_ONCE = 20
WARM_CASES = 200
"""After so many, memory should stand still."""
CRITICAL = 50
ABOUT = "reader"
WHICH = (0, 1, 2, 3, 4, 4, 4, 5, 5, 6, 6)
"""The answer that is spoiled: pages more often than what comes before."""

Pieces = list[list[bytes]]


@dataclass(slots=True)
class Campaign:
    """Reads spoiled answers, many at a time."""

    seed: int
    cases: int
    seconds: float
    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    warm_bytes: int = 0
    known: tuple[Conversation, ...] = field(default_factory=conversations)

    async def run(self) -> None:
        """Until either bound."""
        numbers, end = iter(range(self.cases)), time.monotonic() + self.seconds

        async def one_after_another() -> None:
            for number in numbers:
                if time.monotonic() > end:
                    return
                await self.one(number)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(one_after_another())

    async def one(self, number: int) -> None:
        """One case: on disk while it lasts."""
        answers = made(self.known, self.seed, number)
        under_way = Fault(ABOUT, f"seed {self.seed}, case {number}", flat(answers)).save(
            self.folder
        )
        got = await read(answers)
        under_way.unlink()
        self.outcomes[got.code or "a whole list"] += 1
        if got.fault is not None:
            self.faults.append(Fault(ABOUT, got.fault, flat(answers)))
        if self.outcomes.total() == WARM_CASES:
            self.warm_bytes = psutil.Process().memory_info().rss

    def told(self) -> bytes:
        """What the one who started it wants to know."""
        grown = psutil.Process().memory_info().rss - self.warm_bytes if self.warm_bytes else 0
        faults = [(fault.what, [part.hex() for part in fault.parts]) for fault in self.faults]
        return orjson.dumps({"outcomes": self.outcomes, "grown_bytes": grown, "faults": faults})


def made(known: tuple[Conversation, ...], seed: int, number: int) -> Pieces:
    """One conversation with one of its answers spoiled, in the pieces that it comes in."""
    rng = Random(f"{seed}/{ABOUT}/{number}")  # noqa: S311 -- no secret hangs on it
    answers = list(rng.choice(known).answers)
    which = rng.choice(WHICH)
    answers[which] = spoiled(rng, answers[which])
    return [cut_up(rng, answer) for answer in answers]


def flat(answers: Pieces) -> tuple[bytes, ...]:
    """The answers' pieces in one row, an empty one after each answer."""
    return tuple(piece for pieces in answers for piece in (*filter(None, pieces), b""))


def apart(parts: tuple[bytes, ...]) -> Pieces:
    """The other way round."""
    answers: Pieces = [[]]
    for part in parts:
        if part:
            answers[-1].append(part)
        else:
            answers.append([])
    return answers[:-1]


def main(seed: str, cases: str, seconds: str, folder: str) -> None:
    """The command."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    campaign = Campaign(int(seed), int(cases), float(seconds), Path(folder))
    asyncio.run(campaign.run())
    sys.stdout.buffer.write(campaign.told() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
