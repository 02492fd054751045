"""Which test proves which finding: ``@pytest.mark.proves("secure.expired")`` on tests, and a table of all codes.

The whole suite prints the table at its end, with what became of each test; ``pytest --findings`` (``make findings``)
prints it and runs nothing, with ``-v`` every case of every test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pytest

from tests.proofs.faults import FAULTS
from worker.domain.findings import FINDINGS


MARK = "proves"
SHOWN_TESTS = 4
"""Per code; the more there are, the less it matters which."""


@dataclass(slots=True)
class Book:
    """What was collected, and what became of it."""

    is_whole: bool
    """Whether all tests were collected: what only some of them prove says nothing."""
    is_alone: bool
    """Whether the table is all that is wanted."""
    tests: dict[str, list[str]] = field(default_factory=dict)
    """Code to the tests that prove it, by node id."""
    became: dict[str, str] = field(default_factory=dict)
    """Test to ``passed``, ``failed`` or ``skipped``."""

    def take(self, items: Sequence[pytest.Item]) -> None:
        """Read the marks of collected tests."""
        for item in items:
            for mark in item.iter_markers(MARK):
                for code in mark.args:
                    self.tests.setdefault(code, []).append(item.nodeid)

    def lines(self, *, every: bool) -> Iterator[str]:
        """Every code with its tests, or with every single case, then every fault and what it is told as."""
        width = max(map(len, [*FINDINGS, *self.tests]))
        for code in [*FINDINGS, *(code for code in self.tests if code not in FINDINGS)]:
            tests = self.tests.get(code, [])
            for test in tests if every else self._functions(tests):
                yield f"{code:<{width}}  {test}"
            if code not in self.tests:
                yield f"{code:<{width}}  NOT PROVED"
        yield ""
        for row, same in groupby(FAULTS, lambda fault: fault.row):
            yield f"{row:<{width}}  {', '.join(fault.code for fault in same)}"

    def _functions(self, tests: Sequence[str]) -> Iterator[str]:
        """Bring the cases of one function together: its name, how many there are, what became of them."""
        found: dict[str, list[str]] = {}
        for test in tests:
            found.setdefault(test.partition("[")[0], []).append(self.became.get(test, ""))
        for function, all_became in list(found.items())[:SHOWN_TESTS]:
            count = f" ({len(all_became)})" if len(all_became) > 1 else ""
            told = ", ".join(dict.fromkeys(filter(None, all_became)))
            yield f"{function}{count}" + (f": {told}" if told else "")
        if len(found) > SHOWN_TESTS:
            yield f"… and {len(found) - SHOWN_TESTS} more"


BOOK = pytest.StashKey[Book]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that prints the table alone."""
    parser.addoption(
        "--findings", action="store_true", help="print which test proves which finding; run nothing"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", f"{MARK}(code, ...): brings about what a finding tells of")
    is_whole = config.args == config.getini("testpaths")
    config.stash[BOOK] = Book(is_whole, bool(config.getoption("findings")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Read the marks before anything is deselected."""
    book = config.stash[BOOK]
    book.take(items)
    if book.is_alone:
        items.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table after the whole suite, or alone."""
    book = terminalreporter.config.stash[BOOK]
    is_chosen = bool(terminalreporter.stats.get("deselected"))
    if not book.is_alone and (is_chosen or not book.is_whole):
        return
    for outcome in ("passed", "skipped", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if isinstance(report, pytest.TestReport):
                book.became[report.nodeid] = outcome
    terminalreporter.section("findings and their proofs")
    for line in book.lines(every=terminalreporter.verbosity > 0):
        terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Printing the table alone is a success though no test ran, unless something is not proved."""
    book = session.config.stash[BOOK]
    if book.is_alone and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        is_whole = book.tests.keys() == FINDINGS.keys()
        session.exitstatus = pytest.ExitCode.OK if is_whole else pytest.ExitCode.TESTS_FAILED
