"""README and runbook name things of the project: commands, settings, tests, metrics, files. All of them exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.readme import README, RUNBOOK
from tests.servers.daemon import PROJECT
from worker.adapters.telemetry import METRICS
from worker.cli.main import COMMANDS, load
from worker.domain.failures import Retry
from worker.domain.findings import FINDINGS, finding
from worker.domain.guard import PASSES, RULES
from worker.domain.presets import OTHER_PRODUCTS, PRESETS
from worker.settings import settings_table


DOCUMENTS = pytest.mark.parametrize("document", [README, RUNBOOK], ids=lambda path: path.name)
COUNTERS_END = re.compile(r"_(?:total|bucket|sum|count)$")


def named(document: str, pattern: str) -> set[str]:
    """Every match of a pattern, in code or in a code block."""
    fenced = re.findall(r"^```.*?^```$", document, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    .*$", document, re.MULTILINE)
    inline = re.findall(r"`[^`\n]+`", document)
    return {found for text in (*fenced, *indented, *inline) for found in re.findall(pattern, text)}


def commands() -> Iterator[str]:
    """Every command of the program, as one types it."""
    for name in COMMANDS:
        yield name
        for inner in getattr(load(name), "commands", ()):
            yield f"{name} {inner}"


def test_the_readme_s_table_is_the_table_of_settings() -> None:
    """An operator finds every setting, with the default it has."""
    lines = README.read_text(encoding="utf-8").splitlines()

    shown = [line for line in lines if line.startswith("| `ROLLCALL_")]

    assert shown == [
        f"| `{row.name}` | {f'`{row.default}`' if row.default else ''} | {row.description} |"
        for row in settings_table()
    ]


def test_the_readme_s_types_are_the_presets_own() -> None:
    """An admin finds every type, and how far it was tried."""
    lines = README.read_text(encoding="utf-8").splitlines()

    types = [
        f"| `{each.name}` | {each.title} | {each.tip} | {each.verified} |"
        for each in PRESETS.values()
    ]
    products = [f"| {product} | {advice} |" for product, advice in OTHER_PRODUCTS.items()]

    first, second = lines.index(types[0]), lines.index(products[0])
    assert lines[first : first + len(types) + 1] == [*types, ""]
    assert lines[second : second + len(products) + 1] == [*products, ""]


def test_the_runbook_s_tables_are_the_guard_s_own() -> None:
    """An operator who looks a reason up reads the rule that was asked."""
    lines = RUNBOOK.read_text(encoding="utf-8").splitlines()

    rules = [f"| `{each.code}` | {each.holds_when} | {each.because} |" for each in RULES]
    passes = [f"| {each.what} | {each.becomes} |" for each in PASSES]

    first, second = lines.index(rules[0]), lines.index(passes[0])
    assert lines[first : first + len(rules) + 1] == [*rules, ""]
    assert lines[second : second + len(passes) + 1] == [*passes, ""]


def test_the_runbook_s_findings_are_the_table_s_own() -> None:
    """An operator who is asked about a code reads what the customer read."""
    retried = {Retry.NEVER: "", Retry.LATER: "by itself", Retry.AFTER_CHANGE: "after a change"}
    told = [finding(code) for code in FINDINGS]
    rows = [f"| `{each.code}` | {each.headline} | {retried[each.retry]} |" for each in told]

    lines = RUNBOOK.read_text(encoding="utf-8").splitlines()

    first = lines.index(rows[0])
    assert lines[first : first + len(rows) + 1] == rows


@DOCUMENTS
def test_every_make_target_named_exists(document: Path) -> None:
    """A command that is copied from the documents works."""
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    missing = named(document.read_text(encoding="utf-8"), r"\bmake ([a-z-]+)") - targets

    assert not missing


@DOCUMENTS
def test_every_command_named_exists(document: Path) -> None:
    """The same for the program's own."""
    known = set(commands())
    text = document.read_text(encoding="utf-8")

    typed = named(text, r"\brollcall (keys [a-z-]+|[a-z]+)")

    assert typed
    assert not typed - known - {"rollcall"}


def test_every_test_that_a_promise_names_exists() -> None:
    """A promise rests on its test, so the test must be there."""
    defined = {
        name
        for path in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }

    promised = named(README.read_text(encoding="utf-8"), r"\btest_\w+")

    assert promised
    assert not promised - defined


def test_every_metric_in_the_runbook_exists() -> None:
    """An alert on a metric that nobody feeds would never ring."""
    known = {f"rollcall_{metric.name}" for metric in METRICS}
    roles = {"rollcall_run", "rollcall_read", "rollcall_worker", "rollcall_lookup"}

    watched = named(RUNBOOK.read_text(encoding="utf-8"), r"\brollcall_[a-z_]+") - roles

    assert watched
    assert not {COUNTERS_END.sub("", name) for name in watched} - known


@DOCUMENTS
def test_every_setting_named_exists(document: Path) -> None:
    """A variable that is set by the documents has an effect."""
    known = {row.name for row in settings_table()}

    missing = named(document.read_text(encoding="utf-8"), r"\bROLLCALL_[A-Z_]+") - known

    assert not missing


@DOCUMENTS
def test_every_file_linked_exists(document: Path) -> None:
    """No link leads nowhere."""
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []
