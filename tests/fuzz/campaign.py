"""All of it under one seed: what is pure in this process, the whole reader in one that may die of it."""

import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tests.fuzz.bulk import TRIALS, Tally, run
from tests.fuzz.case import Fault, saved
from tests.fuzz.reader_process import ABOUT
from tests.servers.daemon import PROJECT


FOUND = PROJECT / ".results" / "fuzz"
"""Where the bytes of a fault are kept."""
GROWN_BYTES = 32 * 1024 * 1024
"""A warm reader may grow by so much, over however many cases: the allocator's own play."""
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is tried of each, and for how long at most."""

    pure_cases: int
    pure_s: float
    reader_cases: int
    reader_s: float


@dataclass(slots=True)
class Report:
    """What was tried and what was found."""

    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    grown_bytes: int = 0

    @property
    def faults(self) -> list[Fault]:
        """All of them."""
        return [fault for tally in self.tallies.values() for fault in tally.faults]

    def save(self) -> list[str]:
        """Keep the bytes of every fault; gives a line for each."""
        return [
            f"{fault.about}: {fault.what}; kept in {fault.save(FOUND)}" for fault in self.faults
        ]


def play(seed: int, amount: Amount) -> Report:
    """Try everything."""
    report = Report(seed)
    for name, trial in TRIALS.items():
        report.tallies[name] = run(
            name, trial, seed=seed, cases=amount.pure_cases, seconds=amount.pure_s
        )
    report.tallies[ABOUT], report.grown_bytes = reader(seed, amount)
    return report


def reader(seed: int, amount: Amount) -> tuple[Tally, int]:
    """Let the reader's process run to its end, whatever end that is; gives also by how much it grew."""
    with tempfile.TemporaryDirectory() as folder:
        words = map(str, (seed, amount.reader_cases, amount.reader_s, folder))
        ended = subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "-m", "tests.fuzz.reader_process", *words],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            timeout=amount.reader_s + START_S,
            check=False,
        )
        if ended.returncode != 0:
            return Tally(Counter(died=1), died(Path(folder), ended.returncode)), 0
    told = orjson.loads(ended.stdout.splitlines()[-1])
    faults = [
        Fault(ABOUT, what, tuple(map(bytes.fromhex, parts))) for what, parts in told["faults"]
    ]
    if told["grown_bytes"] > GROWN_BYTES:
        faults.append(Fault(ABOUT, f"grew by {told['grown_bytes']} bytes", ()))
    return Tally(Counter(told["outcomes"]), faults), told["grown_bytes"]


def died(folder: Path, code: int) -> list[Fault]:
    """The cases that were under way when the process died: one of them did it."""
    what = f"the process ended with {code}; this case was under way"
    under_way = [Fault(ABOUT, what, saved(path)) for path in sorted(folder.glob("*.hex"))]
    return under_way or [Fault(ABOUT, f"the process ended with {code}", ())]
