import base64
from pathlib import Path

import pytest

from worker.domain.model import Limits, Secret
from worker.settings import Settings, SettingsError, load, settings_table, variable


KEY = base64.b64encode(bytes(32)).decode()
NEEDED = {
    "ROLLCALL_AMQP_URL": "amqp://rollcall:correct-horse@broker:5672/vhost",
    "ROLLCALL_DATABASE_URL": "postgresql://rollcall:correct-horse@database/rollcall",
    "ROLLCALL_KEYS": KEY,
}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test states its whole environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.chdir(tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Set the variables needed, and some more."""
    for name, value in (NEEDED | values).items():
        monkeypatch.setenv(name, value)


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> str:
    """Load what must be refused, and return the words."""
    given(monkeypatch, **values)
    with pytest.raises(SettingsError) as refused:
        load()
    return str(refused.value)


def test_three_variables_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first installation needs to know where its broker and database are, and a key."""
    given(monkeypatch)

    settings = load()

    assert settings.limits() == Limits()
    assert settings.concurrent_runs == 32
    assert settings.retry_s == (60.0, 300.0)
    assert settings.amqp_url == Secret(NEEDED["ROLLCALL_AMQP_URL"])


def test_reading_a_directory_once_needs_nothing() -> None:
    """A newcomer tries `rollcall preview` before anything is installed."""
    assert load(needs=()).keys == ()


def test_a_file_fills_in_what_the_environment_leaves_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A developer's settings lie beside the code; the environment wins."""
    given(monkeypatch, ROLLCALL_POOL_SIZE="4")
    (tmp_path / ".env").write_text("ROLLCALL_POOL_SIZE=9\nROLLCALL_PREFETCH=17\nOTHER=1\n")

    settings = load()

    assert (settings.pool_size, settings.prefetch) == (4, 17)


def test_every_bad_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator corrects an installation in one round, not in ten."""
    told = refusal(
        monkeypatch,
        ROLLCALL_AMQP_URL="http://broker",
        ROLLCALL_KEYS="c2hvcnQ=",
        ROLLCALL_AMQP_PREFIX="a.b",
        ROLLCALL_EGRESS_IPS="192.0.2.1,x",
        ROLLCALL_ALLOW_NETWORKS="10.0.0.0/33",
        ROLLCALL_POOL_SIZE="many",
        ROLLCALL_RENEW_S="31",
        ROLLCALL_RETRY_S="60,-1",
        ROLLCALL_LOG_LEVEL="loud",
        ROLLCALL_HEALTH_PORT="70000",
    )

    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "ROLLCALL_AMQP_URL",
        "ROLLCALL_AMQP_PREFIX",
        "ROLLCALL_KEYS",
        "ROLLCALL_EGRESS_IPS",
        "ROLLCALL_ALLOW_NETWORKS",
        "ROLLCALL_POOL_SIZE",
        "ROLLCALL_RENEW_S",
        "ROLLCALL_RETRY_S",
        "ROLLCALL_HEALTH_PORT",
        "ROLLCALL_LOG_LEVEL",
    ]
    assert all("Enter " in line for line in told.splitlines())


def test_what_is_missing_is_named_at_once() -> None:
    """The first start says all that it needs."""
    with pytest.raises(SettingsError) as refused:
        load()

    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == list(NEEDED)


def test_no_refusal_and_no_repr_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start-up errors end in logs that many people read."""
    given(monkeypatch)
    assert "correct-horse" not in repr(load())
    assert KEY not in repr(load())

    bad = "not-a-key-but-secret"
    monkeypatch.setenv("ROLLCALL_KEYS", bad)
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", "mysql://rollcall:correct-horse@database")
    with pytest.raises(SettingsError) as refused:
        load()

    error: BaseException | None = refused.value
    while error is not None:
        assert bad not in repr(error)
        assert "correct-horse" not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("prefix", ["rollcall.", "rollcall.answers", "roll", "mine.commands", "m"])
def test_no_reply_prefix_can_name_a_queue_of_ours(
    monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """An answer that comes back in as a command would go round for ever."""
    told = refusal(monkeypatch, ROLLCALL_AMQP_PREFIX="mine", ROLLCALL_REPLY_PREFIXES=prefix)

    assert told.startswith("ROLLCALL_REPLY_PREFIXES: ")


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment knows only text; blanks in it mean nothing."""
    given(
        monkeypatch,
        ROLLCALL_KEYS=f"{KEY}, {KEY},",
        ROLLCALL_EGRESS_IPS="192.0.2.1, 2001:DB8::/32",
        ROLLCALL_ALLOW_NETWORKS="10.1.2.3/8",
        ROLLCALL_REPLY_PREFIXES="platform., billing.",
        ROLLCALL_LOG_LEVEL=" DEBUG ",
    )

    settings = load()

    assert len(settings.keys) == 2
    assert settings.egress_ips == ("192.0.2.1", "2001:db8::/32")
    assert settings.limits().allow_networks == ("10.0.0.0/8",)
    assert settings.limits().own_networks == ("192.0.2.1", "2001:db8::/32")
    assert settings.reply_prefixes == ("platform.", "billing.")
    assert settings.log_level == "debug"


def test_the_table_tells_of_every_setting() -> None:
    """The documentation is made from the table, so nothing in it can be forgotten or out of date."""
    rows = settings_table()

    assert len(rows) == len(Settings.model_fields)
    assert all(row.description.endswith(".") or row.description for row in rows)
    assert {row.name for row in rows if row.default == "(required)"} == set(NEEDED)
    assert "Secret" not in repr(rows)
