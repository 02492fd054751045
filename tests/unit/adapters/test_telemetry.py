import asyncio
import gc
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import pytest
import structlog
from typing_extensions import override

from worker.adapters.telemetry import (
    BLOT,
    DEPTH_MAX,
    METRICS,
    LoopWatch,
    PrometheusTelemetry,
    collections_timed,
    configure_logs,
    library_lines,
    make_logger,
)
from worker.domain.model import Credentials, Secret
from worker.ports.telemetry import NoTelemetry, Telemetry


def telemetry() -> tuple[PrometheusTelemetry, io.StringIO]:
    """Return telemetry, and where its lines go."""
    stream = io.StringIO()
    return PrometheusTelemetry(make_logger(stream)), stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the lines written so far."""
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_event_with_keys() -> None:
    """Operators search logs by event name and key."""
    told, stream = telemetry()

    told.event("run_ended", state="completed", seconds=1.5, changes=[1, None])

    (line,) = lines(stream)
    assert str(line.pop("at")).endswith("Z")
    assert line == {
        "event": "run_ended",
        "level": "info",
        "state": "completed",
        "seconds": 1.5,
        "changes": [1, None],
    }


async def test_what_is_bound_stands_in_every_line_of_the_task_and_its_own() -> None:
    """One customer's run can be followed through all that worked on it."""
    told, stream = telemetry()

    async def inner() -> None:
        told.event("page_read")

    with told.bind(tenant="tenant-17", run="r"):
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
    told.event("idle")

    page, idle = lines(stream)
    assert (page["tenant"], page["run"]) == ("tenant-17", "r")
    assert "tenant" not in idle


@dataclass(frozen=True)
class Holder:
    """A value that keeps a secret from its repr."""

    credentials: Credentials = field(repr=False)
    host: str = "dc1.example.com"


SECRETS: Mapping[str, object] = {
    "value": Secret("hunter2"),
    "bind_password": "hunter2",
    "PASSWORD": "hunter2",
    "client_key": "hunter2",
    "dsn": "hunter2",
    "nested": {"deeper": [{"password_sealed": "hunter2"}, Secret("hunter2")]},
    "address": "amqp://rollcall:hunter2@broker:5672/",
    "raw": b"hunter2",
    "held": Holder(Credentials(Secret("hunter2"))),
    "error_text": ValueError("postgresql://rollcall:hunter2@database/"),
}


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_gets_into_a_line(key: str, form: str) -> None:
    """Logs are read by many people and kept for long."""
    stream = io.StringIO()
    told = PrometheusTelemetry(make_logger(stream, form="json" if form == "json" else "console"))

    told.event("tried", **{key: SECRETS[key]})

    assert "tried" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_traceback_is_written_without_the_password_of_an_address() -> None:
    """Drivers put their address into their errors."""
    told, stream = telemetry()
    address = "postgresql://rollcall:hunter2@database/"

    with pytest.raises(ValueError, match="database") as raised:
        raise ValueError(address)

    told.event("store_failed", level="error", error=raised.value)

    (line,) = lines(stream)
    assert line["level"] == "error"
    assert "test_telemetry.py" in str(line["exception"])
    assert BLOT in str(line["exception"])
    assert "hunter2" not in str(line)


KEY = "-----BEGIN RSA PRIVATE KEY-----\nQUJDhunter2\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "said",
    [
        f"read {KEY} there",
        f"read {orjson.dumps(KEY).decode()} there",
        f"read {KEY!r} there",
        f"{KEY} and {KEY} there",
    ],
)
def test_a_private_key_is_left_out_of_every_line(said: str) -> None:
    """Pasted into the wrong field, it may come back in anybody's error, its line breaks written in any way."""
    told, stream = telemetry()

    told.event("refused", level="error", text=said, error=ValueError(said))

    (line,) = lines(stream)
    assert "hunter2" not in str(line)
    assert str(line["text"]).endswith(("there", '" there', "' there"))
    assert str(line["exception"]).endswith(("there", '" there', "' there"))


def test_a_private_key_that_is_cut_short_is_left_out() -> None:
    """Long values are cut before they are written, so its end may be missing."""
    told, stream = telemetry()

    told.event("refused", text=f"read {KEY.replace('hunter2', 'hunter2' * 500)}")

    (line,) = lines(stream)
    assert line["text"] == f"read {BLOT}"


def test_endless_values_end() -> None:
    """One odd value must not fill a disk or a stack."""
    told, stream = telemetry()
    deep: list[object] = []
    deep.append(deep)

    told.event("odd", deep=deep, long="x" * 100_000)

    assert str(lines(stream)[0]["deep"]).count("[") <= DEPTH_MAX + 2
    assert len(stream.getvalue()) < 5_000


def test_lines_below_the_level_are_not_written() -> None:
    """Addresses stand in debug lines only, which production does not write."""
    stream = io.StringIO()
    told = PrometheusTelemetry(make_logger(stream, level="warning"))

    told.event("chatter")
    told.event("chatter", level="debug")
    told.event("trouble", level="warning")

    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_loggers_made_before_write_as_configured_after() -> None:
    """Modules name their logger when they are read; how it writes is decided at the start."""
    stream = io.StringIO()
    early = structlog.get_logger()
    try:
        configure_logs(stream)
        early.info("tried", password="hunter2")
    finally:
        structlog.reset_defaults()

    (line,) = lines(stream)
    assert (line["event"], line["password"]) == ("tried", BLOT)


def test_what_libraries_say_becomes_a_line() -> None:
    """A broker library's warning is found where all the rest is."""
    stream = io.StringIO()
    logger = make_logger(stream)

    with library_lines(logger):
        logging.getLogger("library").warning("lost %s", "amqp://u:hunter2@broker")
        logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("later")

    (line,) = lines(stream)
    assert (line["event"], line["library"], line["level"]) == (
        "library_spoke",
        "library",
        "warning",
    )
    assert "hunter2" not in str(line)


def test_metrics_are_exposed_by_name() -> None:
    """Dashboards and alarms are written against these names."""
    told, _ = telemetry()

    told.count("runs", state="completed", trigger="manual")
    told.count("published", 3)
    told.observe("stage_seconds", 0.2, stage="fetch")
    told.observe("gc_pause_seconds", 0.2, generation="2")
    told.gauge("outbox_rows", 7)
    told.gauge("runs_ready", 2, trigger="manual")

    shown = told.exposition().decode()
    assert 'rollcall_runs_total{state="completed",trigger="manual"} 1.0' in shown
    assert "rollcall_published_total 3.0" in shown
    assert 'rollcall_stage_seconds_count{stage="fetch"} 1.0' in shown
    assert "rollcall_outbox_rows 7.0" in shown


def test_no_metric_is_labelled_by_who_or_what_belongs_to_a_customer() -> None:
    """Thousands of tenants would drown the metrics, and addresses are nobody's business there."""
    labels = {label for metric in METRICS for label in metric.labels}

    assert labels <= {"stage", "code", "name", "trigger", "state", "change", "generation"}


def test_an_unknown_metric_is_a_bug_found_at_once() -> None:
    """A misspelt name would otherwise be an alarm that never rings."""
    told, _ = telemetry()

    with pytest.raises(KeyError):
        told.count("rnus")


class Measured(NoTelemetry):
    """Tells when the loop's lag was measured."""

    def __init__(self) -> None:
        self.lag_s: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @override
    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Keep the first measurement."""
        if metric == "loop_lag_seconds" and not self.lag_s.done():
            self.lag_s.set_result(value)


async def test_a_late_loop_is_seen() -> None:
    """A worker whose loop is stuck is restarted by its probe."""
    told = Measured()
    watch = LoopWatch(told, period_s=0.01)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(watch.run())
        lag_s = await told.lag_s
        running.cancel()

    assert 0 <= lag_s < 5
    assert watch.lag_s() == lag_s


def test_garbage_collections_are_timed_while_asked() -> None:
    """A pause of the collector explains a slow page."""
    told, _ = telemetry()

    with collections_timed(told):
        gc.collect()
    after = told.exposition()
    gc.collect()

    assert b'rollcall_gc_pause_seconds_count{generation="2"}' in after
    assert told.exposition() == after


@pytest.mark.parametrize("silent", [True, False])
def test_silence_and_speech_are_the_same_port(silent: bool) -> None:  # noqa: FBT001  a parameter
    """What is tested with one runs with the other."""
    port: Telemetry = NoTelemetry() if silent else telemetry()[0]

    with port.bind(tenant="tenant-17"):
        port.event("tried", level="debug")
    port.count("published")
    port.observe("gc_pause_seconds", 0.1, generation="0")
    port.gauge("outbox_rows", 0)
