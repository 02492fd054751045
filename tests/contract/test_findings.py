"""Every finding is brought about by a test, and every fault known to us is told by one of them."""

import re
import subprocess
import sys

import pytest

from tests.proofs.faults import FAULTS, RESULTS, SUB_CODES, Fault
from tests.proofs.plugin import BOOK
from tests.servers.daemon import PROJECT
from worker.adapters.directory import translate
from worker.adapters.directory.secure import CERTIFICATE_CODES, REASONS
from worker.domain.findings import FINDINGS


pytestmark = pytest.mark.timeout(180)

COLLECT_WITHIN_S = 170
DEFINED = {
    *range(1, 9),
    *range(10, 15),
    *range(16, 22),
    *(32, 33, 34, 36),
    *range(48, 55),
    *range(64, 70),
    *(71, 80),
}
"""The result codes of RFC 4511 section 4.1.9, but for success."""
Proofs = dict[str, set[str]]


@pytest.fixture(scope="module")
def proofs(pytestconfig: pytest.Config) -> Proofs:
    """Give every code with its tests: of this session if it is the whole suite, else all are collected anew."""
    book = pytestconfig.stash[BOOK]
    if book.is_whole:
        return {code: set(tests) for code, tests in book.tests.items()}
    command = [sys.executable, "-m", "pytest", "--findings", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603 -- fixed arguments
        command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=COLLECT_WITHIN_S
    )
    found: Proofs = {}
    for code, test in re.findall(r"^(\S+) +(tests/.+)$", done.stdout, re.MULTILINE):
        found.setdefault(code, set()).add(test)
    assert found, done.stdout + done.stderr
    return found


def is_proved(fault: Fault, proofs: Proofs) -> bool:
    """Whether the test that its row names is there and brings about what it is told as."""
    return any(
        test == fault.proof or test.startswith(f"{fault.proof}[")
        for test in proofs.get(fault.code, ())
    )


def test_every_finding_is_brought_about_by_a_test(proofs: Proofs) -> None:
    """A sentence that nobody has seen come up may be wrong, or never come up."""
    assert sorted(FINDINGS.keys() - proofs.keys()) == []


def test_no_test_proves_a_finding_that_there_is_not(proofs: Proofs) -> None:
    """A mark with a typing mistake proves nothing."""
    assert sorted(proofs.keys() - FINDINGS.keys()) == []


def test_every_fault_is_told_by_the_test_that_its_row_names(proofs: Proofs) -> None:
    """The list of faults says what happens, not what should."""
    assert [fault for fault in FAULTS if not is_proved(fault, proofs)] == []


def test_every_result_code_has_its_row() -> None:
    """Those of the protocol, and all that the translation knows."""
    known = {*translate.SIGN_IN, *translate.BASE, *translate.READ, *translate.COOKIE}

    assert (DEFINED | known) - {each.number for each in RESULTS} == set()


def test_every_verify_code_has_its_row() -> None:
    """Likewise for what OpenSSL says of certificates."""
    rows = {
        (int(number), fault.code)
        for fault in FAULTS
        if fault.row.startswith("verify ")
        for number in re.findall(r"\d+", fault.row)
    }

    assert set(CERTIFICATE_CODES.items()) - rows == set()


def test_every_sub_code_has_its_row() -> None:
    """Likewise for what Active Directory adds to a refusal."""
    assert {int(each.data, 16): each.code for each in SUB_CODES} == translate.SUB_CODES
    assert all(int(each.data, 16) == each.win32 for each in SUB_CODES if each.win32)


def test_every_way_a_handshake_fails_has_its_row() -> None:
    """Likewise for OpenSSL's reasons, by what they are told as."""
    assert set(REASONS.values()) - {fault.code for fault in FAULTS} == set()
