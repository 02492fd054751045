"""What a customer is told of a fault, read as a customer reads it: headline, checks in their order, fix."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from worker.domain.answer import FIT_MATTERS
from worker.domain.failures import Failure, Finding, Retry, Stage, StageResult, StageState
from worker.domain.findings import ANSWERABLE, FINDINGS, REACH_CHECKS, finding


EGRESS = ("192.0.2.1", "192.0.2.2")
"""Our own addresses in tests: named wherever a firewall is spoken of."""
FIGURE = re.compile(r"\\\{\w+\\\}")
CLAUSE = re.compile(r"\\\{(?:hidden|or_let)\\\}")
"""Stands for a clause that is left out where it is known not to be so."""
SAID = re.compile(r"^result \d+, matched '(.*)': (.*)", re.DOTALL)
"""What a server said, in the private detail of a refusal."""
SHORTEST_WORDS = 8
"""Fewer characters may stand in a sentence of ours by chance."""


def told(failure: Failure, stages: Sequence[StageResult]) -> Finding:
    """Return what the customer is told of a failure, read with care."""
    found = finding(failure.code, stages=stages, egress=EGRESS)
    reads_well(found, failure.code, words=said(failure.detail))
    if found.code.startswith("reach."):
        positions = [
            found.checks.index(each.format(egress=", ".join(EGRESS))) for each in REACH_CHECKS
        ]
        assert positions == sorted(positions)
    return found


def said(detail: str) -> tuple[str, ...]:
    """Return a server's own words out of the private detail of a failure."""
    words = SAID.match(detail)
    return words.groups() if words else ()


def reads_well(found: Finding, code: str, *, words: Sequence[str] = ()) -> None:
    """Require the fixed sentences of this code, figures filled in, and nothing of a server's words in them."""
    row = FINDINGS[code]
    assert found.code == code
    assert found.retry is row.retry
    checks = besides_misfit(found)
    # a check that what was seen answers may be left out; every other stands, in its place
    asked = [check for check in row.checks if check in checks or check not in ANSWERABLE]
    assert len(checks) == len(asked) > 0
    pairs = zip(
        (found.headline, *checks, found.fix),
        (row.headline, *asked, row.fix),
        strict=True,
    )
    for sentence, fixed in pairs:
        assert is_filled_in(sentence, fixed), (sentence, fixed)
        assert not set("{}") & set(sentence)
        assert not [each for each in words if len(each) >= SHORTEST_WORDS and each in sentence]
    assert_stage(found)


def besides_misfit(found: Finding) -> Sequence[str]:
    """Return the checks of the table: where the type chosen does not fit the server, that stands before them."""
    is_said = found.detected is not None and found.checks[0].startswith(("This server", "This Act"))
    if not is_said:
        return found.checks
    assert found.code in FIT_MATTERS
    return found.checks[1:]


def is_filled_in(sentence: str, fixed: str) -> bool:
    """Whether this is the fixed sentence with something in the place of each figure."""
    pattern = FIGURE.sub(".+", CLAUSE.sub(".*", re.escape(fixed)))
    return re.fullmatch(pattern, sentence) is not None


def assert_stage(found: Finding) -> None:
    """Require that the finding stands where the reading ended; a list may end for a reason that lies in its base."""
    prefix = found.code.partition(".")[0]
    if prefix in set(Stage):
        assert found.stage == Stage(prefix)
    failed = [result for result in found.stages if result.state is StageState.FAILED]
    if failed:
        assert found.code in failed[0].detail or len(failed) > 1


def heard(payload: Mapping[str, Any]) -> Finding:
    """Read a finding as a message or ``rollcall check --json`` carries it, with care."""
    stages = [
        StageResult(
            Stage(each["stage"]), StageState(each["state"]), each["milliseconds"], each["detail"]
        )
        for each in payload["stages"]
    ]
    found = Finding(
        code=payload["code"],
        stage=Stage(payload["stage"]),
        headline=payload["headline"],
        seen=payload["seen"],
        checks=tuple(payload["checks"]),
        fix=payload["fix"],
        retry=Retry(payload["retry"]),
        ldapsearch=payload["ldapsearch"],
        stages=tuple(stages),
    )
    reads_well(found, found.code)
    return found
