"""What a customer reads of a failure."""

import re
from pathlib import Path

import pytest

from worker.domain.failures import Retry, Stage, StageResult, StageState
from worker.domain.findings import FINDINGS, INTERNAL, OK, REACH_CHECKS, finding, retry_of


ROOT = Path(__file__).resolve().parents[3]
RAISED = re.compile(rf'"((?:{"|".join(Stage)})\.[a-z_]+)"')


@pytest.mark.parametrize("code", FINDINGS)
def test_every_code_says_what_and_what_to_do(code: str) -> None:
    """Nobody is left with a code and nothing to do about it."""
    told = finding(code, seen="80090308: LdapErr", egress=("192.0.2.1",))

    assert told.code == code
    for sentence in (told.headline, *told.checks, told.fix):
        assert sentence[0].isupper()
        assert sentence[-1] in ".?"
        assert not set("{}") & set(sentence)
        assert "LdapErr" not in sentence
    assert told.checks
    assert told.seen == "80090308: LdapErr"


@pytest.mark.parametrize("code", sorted(set(FINDINGS) - {OK, INTERNAL}))
def test_a_code_names_its_stage(code: str) -> None:
    """The first failed stage and the code always agree."""
    assert finding(code).stage == Stage(code.partition(".")[0])


def test_every_code_that_is_raised_has_its_sentences() -> None:
    """A code without a row would be told as a fault of ours."""
    modules = [path for path in (ROOT / "worker").rglob("*.py") if path.name != "findings.py"]
    raised = {code for path in modules for code in RAISED.findall(path.read_text("utf-8"))}

    assert raised
    assert raised <= set(FINDINGS)


def test_a_code_that_nobody_knows_is_a_fault_of_ours() -> None:
    """Whatever happens, the customer is answered."""
    stages = (
        StageResult(Stage.NAME, StageState.OK, 3),
        StageResult(Stage.BASE, StageState.FAILED, 7),
    )

    told = finding("no such code", stages=stages)

    assert (told.code, told.stage, told.retry) == (INTERNAL, Stage.BASE, Retry.LATER)
    assert told.stages == stages


def test_a_fault_before_any_stage_stands_with_the_settings() -> None:
    """A finding always has a stage."""
    assert finding(INTERNAL).stage is Stage.SETTINGS


def test_a_test_without_a_fault_ends_with_the_last_stage() -> None:
    """directory.test answers ok in the same shape."""
    assert finding(OK).stage is Stage.ADDRESSES


@pytest.mark.parametrize("code", [code for code in FINDINGS if code.startswith("reach.")])
def test_a_server_out_of_reach_always_lists_port_server_and_firewall(code: str) -> None:
    """These three are what it nearly always is, in this order."""
    checks = finding(code, egress=("192.0.2.1", "192.0.2.2")).checks
    positions = [
        checks.index(check.format(egress="192.0.2.1, 192.0.2.2")) for check in REACH_CHECKS
    ]

    assert positions == sorted(positions)


LIMITED = [
    *(code for code in FINDINGS if code.startswith("read.too_")),
    "read.message_too_large",
    "read.run_deadline",
]
"""Codes of a bound of ours."""


@pytest.mark.parametrize("code", [code for code in FINDINGS if retry_of(code) is Retry.LATER])
def test_what_may_pass_by_itself_says_when_to_try_again(code: str) -> None:
    """Whoever pressed the button is not tried for again, and has to know when to press it."""
    fix = finding(code).fix

    is_theirs = not re.search("^Nothing needs to be changed|^Try again", fix)
    assert is_theirs or re.search("[Tt]ry again in (a few|two) minutes", fix)
    assert "it is tried again by itself" not in fix.lower()


def test_figures_are_filled_in() -> None:
    """A customer who has to wait is told until when."""
    assert "until 14:05 UTC" in finding("sign_in.waiting", until="14:05 UTC").headline
    for code in LIMITED:
        assert "than 500 entries" in finding(code, limit="500 entries").headline
        assert "than this service's limit" in finding(code).headline
    assert "192.0.2.1" in " ".join(finding("reach.refused", egress=("192.0.2.1",)).checks)


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("name.timed_out", Retry.LATER),
        ("reach.timed_out", Retry.LATER),
        ("read.lost_connection", Retry.LATER),
        ("sign_in.busy", Retry.LATER),
        ("store.unavailable", Retry.LATER),
        ("name.not_found", Retry.AFTER_CHANGE),
        ("secure.expired", Retry.AFTER_CHANGE),
        ("sign_in.wrong_password", Retry.AFTER_CHANGE),
        ("sign_in.locked", Retry.AFTER_CHANGE),
        ("base.not_found", Retry.AFTER_CHANGE),
        ("read.size_limit", Retry.AFTER_CHANGE),
        ("read.not_allowed", Retry.AFTER_CHANGE),
        ("addresses.other_domains", Retry.AFTER_CHANGE),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(code: str, retry: Retry) -> None:
    """A wrong password tried again and again locks the customer's account."""
    assert retry_of(code) is retry is finding(code).retry


def test_no_refused_sign_in_is_tried_again_by_itself() -> None:
    """Only a server that was busy or away may be asked once more, or our own gate, which counts before it opens."""
    later = {
        code for code in FINDINGS if code.startswith("sign_in.") and retry_of(code) is Retry.LATER
    }

    assert later == {
        f"sign_in.{cause}"
        for cause in ("under_way", "busy", "unavailable", "lost_connection", "timed_out")
    }
