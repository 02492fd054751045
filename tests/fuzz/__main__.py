"""``make fuzz``: more spoiled bytes than the suite tries, under a seed that is printed; writes .results/fuzz.json.

FUZZ_SECONDS (120) bounds it, FUZZ_SEED tries the same again. The bytes of what breaks lie in .results/fuzz/;
``python -m tests.fuzz FILE`` reads such a file of the reader's once more.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figures import Figure, table, write
from tests.fuzz.bulk import TRIALS
from tests.fuzz.campaign import Amount, Report, play
from tests.fuzz.case import saved
from tests.fuzz.reader_process import ABOUT, apart
from tests.fuzz.replay import read
from tests.servers.daemon import PROJECT


RESULTS = PROJECT / ".results" / "fuzz.json"
NO_BOUND = 10_000_000
READER_SHARE = 0.6
"""Of the time; what is pure shares the rest."""


def say(text: str) -> None:
    """Tell the person at the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def figures(report: Report, seconds: float) -> Iterator[Figure]:
    """What is written down."""
    command = f"make fuzz FUZZ_SEED={report.seed} FUZZ_SECONDS={seconds:g}"
    yield Figure("faults found", len(report.faults), "faults", "0", command)
    for name, tally in report.tallies.items():
        yield Figure(f"cases: {name}", tally.cases, "cases", "", command)
    for outcome, count in report.tallies[ABOUT].outcomes.most_common():
        yield Figure(f"reader: {outcome}", count, "cases", "", command)
    grown = round(report.grown_bytes / 1e6, 1)
    yield Figure("reader: growth once warm", grown, "MB", "at most 33.6", command)


def main() -> int:
    """The command."""
    seconds = float(os.environ.get("FUZZ_SECONDS") or 120)
    seed = int(os.environ.get("FUZZ_SEED") or secrets.randbelow(1_000_000))
    say(f"seed {seed}; about {seconds:g} s")
    pure_s = seconds * (1 - READER_SHARE) / len(TRIALS)
    report = play(seed, Amount(NO_BOUND, pure_s, NO_BOUND, seconds * READER_SHARE))
    found = list(figures(report, seconds))
    write(RESULTS, found)
    say(
        table(
            f"Tried under seed {seed}", ("what", "", ""), [(f.name, f.value, f.unit) for f in found]
        )
    )
    for line in report.save():
        say(line)
    return 1 if report.faults else 0


def again(path: Path) -> int:
    """Read the answers of one saved fault."""
    got = asyncio.run(read(apart(saved(path))))
    say(got.fault or f"no fault: {got.code or 'a whole list'}")
    return 1 if got.fault else 0


if __name__ == "__main__":
    sys.exit(again(Path(sys.argv[1])) if sys.argv[1:] else main())
