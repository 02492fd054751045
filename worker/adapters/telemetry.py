"""Log lines by structlog, metrics by prometheus-client, behind the Telemetry port.

One table names every metric. None is labelled by tenant, directory, address or DN: there are thousands of tenants,
and what belongs to one stands in the log. No secret gets into a line: what is a ``Secret``, what stands under a key
that names one, the password of any URL and any private key in PEM are blotted out, however deep they lie.
"""

import asyncio
import gc
import logging
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Literal, NoReturn, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from typing_extensions import override

from worker.domain.model import Secret
from worker.ports.telemetry import Telemetry


LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]

BLOT = "(left out)"
DEPTH_MAX = 8
"""How deep a log line's values are looked through; what lies deeper is left out."""

VALUE_MAX_CHARACTERS = 2_000
"""Longest text in a log line, tracebacks apart."""

SECRET_WORDS = (
    "password",
    "passwd",
    "secret",
    "client_key",
    "private_key",
    "credential",
    "sealed",
    "amqp_url",
    "database_url",
    "dsn",
    "body",
)
"""A value is left out if its key holds one of these words."""

LAG_PERIOD_S = 1.0
"""How often the loop's lag is measured."""

_LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^\s/]+@")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
"""A whole one or the rest of the text, whatever stands for its line breaks (in JSON and in a repr: two characters)."""
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

# --- metrics -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is called without prefix, what it says, the labels it takes."""

    kind: type[Counter | Gauge | Histogram]
    name: str
    says: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS


METRICS: tuple[Metric, ...] = (
    Metric(
        Histogram,
        "stage_seconds",
        "Time a step of a run took: connect, read, compare, record.",
        ("stage",),
    ),
    # intake
    Metric(Counter, "commands", "Commands made durable, by name.", ("name",)),
    Metric(Counter, "commands_parked", "Messages parked, by their first code.", ("code",)),
    Metric(Counter, "redelivered", "Deliveries that the broker made again."),
    Metric(Counter, "stale_ack", "Acks for a channel that had gone."),
    # runs
    Metric(Gauge, "runs_ready", "Runs that wait for a worker.", ("trigger",)),
    Metric(Gauge, "oldest_ready_run_age_seconds", "Age of the run that has waited longest."),
    Metric(Gauge, "runs_running", "Runs that this process carries out now."),
    Metric(Counter, "runs", "Runs ended, by final state and trigger.", ("state", "trigger")),
    Metric(Histogram, "run_queue_seconds", "Time from request to start.", ("trigger",)),
    Metric(Counter, "lease_lost", "Leases that lapsed under a run."),
    Metric(Counter, "sync_changes", "Addresses changed, by what became of them.", ("change",)),
    Metric(Counter, "sync_skipped_unchanged", "Complete runs that found an equal digest."),
    # tests of directories
    Metric(Gauge, "tests_ready", "Tests of directories that wait for a worker."),
    Metric(Gauge, "oldest_ready_test_age_seconds", "Age of the test that has waited longest."),
    Metric(Gauge, "tests_running", "Tests that this process carries out now."),
    Metric(Counter, "tests", "Tests ended, by the code of what was found.", ("code",)),
    Metric(Histogram, "test_queue_seconds", "Time from request to start of a test."),
    # outbox
    Metric(Gauge, "fleet_held", "Whether removals of all directories wait for the operator (1)."),
    Metric(Gauge, "outbox_rows", "Events that wait to be published."),
    Metric(Gauge, "outbox_oldest_age_seconds", "Age of the event that has waited longest."),
    Metric(Counter, "published", "Events that the broker confirmed."),
    Metric(Counter, "publish_unconfirmed", "Events whose fate is unknown; they are sent again."),
    Metric(Counter, "publish_returned", "Events that no queue was bound for."),
    # the schedule
    Metric(Counter, "triggers", "Scheduled syncs that this process asked for."),
    Metric(Gauge, "schedule_lateness_seconds", "How late the last directories were triggered."),
    # peers
    Metric(Counter, "amqp_reconnects", "Connections to the broker that were made again."),
    Metric(Gauge, "amqp_blocked", "1 while the broker takes no publishing."),
    Metric(Gauge, "pool_in_use", "Database connections in use."),
    # the process
    Metric(Gauge, "loop_lag_seconds", "How late the event loop last woke."),
    Metric(Histogram, "gc_pause_seconds", "Time a garbage collection took.", ("generation",)),
)
"""Every metric there is. In Prometheus each begins ``rollcall_``; counters end ``_total``."""


class _Metrics:
    """The table above, made for one registry. An unknown name or label is a bug and raises at once."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counters: dict[str, Counter] = {}
        self.gauges: dict[str, Gauge] = {}
        self.histograms: dict[str, Histogram] = {}
        for metric in METRICS:
            self._make(metric)

    def _make(self, metric: Metric) -> None:
        name = f"rollcall_{metric.name}"
        if metric.kind is Counter:
            self.counters[metric.name] = Counter(
                name, metric.says, metric.labels, registry=self.registry
            )
        elif metric.kind is Gauge:
            self.gauges[metric.name] = Gauge(
                name, metric.says, metric.labels, registry=self.registry
            )
        else:
            self.histograms[metric.name] = Histogram(
                name, metric.says, metric.labels, registry=self.registry, buckets=metric.buckets
            )


# --- log lines ---------------------------------------------------------------


def blot(value: object, *, depth: int = 0) -> object:
    """Return a value fit for a log line: plain JSON types, nothing secret, nothing endless."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Secret | bytes | bytearray) or depth > DEPTH_MAX:
        return BLOT
    if isinstance(value, Mapping):
        return {
            str(key): blot_under(str(key), each, depth=depth + 1) for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [blot(each, depth=depth + 1) for each in value]
    return _blot_text(str(value)[:VALUE_MAX_CHARACTERS])


def _blot_text(text: str) -> str:
    """Return a text without the passwords of URLs and without private keys, wherever in it they stand."""
    return _PRIVATE_KEY.sub(BLOT, _URL_PASSWORD.sub(rf"\1{BLOT}@", text))


def blot_under(key: str, value: object, *, depth: int) -> object:
    """Return what may be written of a value under this key."""
    is_secret = any(word in key.lower() for word in SECRET_WORDS)
    return BLOT if is_secret and value is not None else blot(value, depth=depth)


def _blot_line(
    _logger: object, _method: str, line: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Blot one line whole; the traceback keeps its length."""
    traceback = line.pop("exception", None)
    clean = {key: blot_under(key, value, depth=0) for key, value in line.items()}
    if isinstance(traceback, str):
        clean["exception"] = _blot_text(traceback)
    return clean


def _json(line: Mapping[str, object], **_: object) -> str:
    return orjson.dumps(line).decode()


def make_logger(
    stream: TextIO, *, level: LogLevel = "info", form: LogFormat = "json"
) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes lines to a stream; nothing global is set."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=_processors(stream, form),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return logger


def configure_logs(
    stream: TextIO, *, level: LogLevel = "info", form: LogFormat = "json"
) -> structlog.typing.FilteringBoundLogger:
    """Let every ``structlog.get_logger()`` of this process write so; returns one. Called once, by app.

    Before it is called structlog would write unblotted lines to standard output, which belongs to answers.
    """
    structlog.configure(
        processors=_processors(stream, form),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _processors(stream: TextIO, form: LogFormat) -> list[structlog.typing.Processor]:
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        _blot_line,
        last,
    ]


WHOLE_MESSAGES = "Unhandled message"


class _Library(logging.Handler):
    """Takes what libraries log by the standard library into our lines, warnings and worse."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    @override
    def emit(self, record: logging.LogRecord) -> None:
        # aiormq fills a whole message, body included, into one line of its own: that one stays a form
        text = (
            str(record.msg) if str(record.msg).startswith(WHOLE_MESSAGES) else record.getMessage()
        )
        keys: dict[str, object] = {"library": record.name, "text": text}
        self._logger.log(
            min(record.levelno, logging.ERROR), "library_spoke", exc_info=record.exc_info, **keys
        )


@contextmanager
def library_lines(logger: structlog.typing.FilteringBoundLogger) -> Iterator[None]:
    """Write what libraries log as lines of ours, as long as the block lasts."""
    handler = _Library(logger)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


# --- the port ----------------------------------------------------------------


class PrometheusTelemetry:
    """The Telemetry port on a logger and a registry of its own."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        self._logger = logger
        self._metrics = _Metrics()

    def event(self, name: str, **keys: object) -> None:
        """Write one log line; ``level`` and ``error`` as the port says."""
        level = str(keys.pop("level", "info"))
        error = keys.pop("error", None)
        self._logger.log(_LEVELS[level], name, exc_info=error, **keys)

    def bind(self, **keys: object) -> AbstractContextManager[None]:
        """Add keys to every line written inside, in this task and those it starts."""
        return structlog.contextvars.bound_contextvars(**keys)

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._metrics.counters[metric]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Record one duration, in seconds."""
        histogram = self._metrics.histograms[metric]
        (histogram.labels(**labels) if labels else histogram).observe(seconds)

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Set what is measured now."""
        gauge = self._metrics.gauges[metric]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self._metrics.registry)


# --- the process -------------------------------------------------------------


class LoopWatch:
    """Measures how late the event loop wakes; asked by the liveness probe."""

    def __init__(self, telemetry: Telemetry, *, period_s: float = LAG_PERIOD_S) -> None:
        self._telemetry = telemetry
        self._period_s = period_s
        self._woke_at = monotonic()
        self._lag_s = 0.0

    def lag_s(self) -> float:
        """Return the last lag, or the one that is growing now, in seconds."""
        return max(self._lag_s, monotonic() - self._woke_at - self._period_s)

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        while True:
            self._woke_at = monotonic()
            await asyncio.sleep(self._period_s)
            self._lag_s = max(0.0, monotonic() - self._woke_at - self._period_s)
            self._telemetry.gauge("loop_lag_seconds", self._lag_s)


@contextmanager
def collections_timed(telemetry: Telemetry) -> Iterator[None]:
    """Time every garbage collection, as long as the block lasts: one of generation 2 stops the loop."""
    began = [0.0]

    def clock(phase: str, told: Mapping[str, int]) -> None:
        if phase == "start":
            began[0] = monotonic()
        else:
            generation = str(told["generation"])
            telemetry.observe("gc_pause_seconds", monotonic() - began[0], generation=generation)

    gc.callbacks.append(clock)
    try:
        yield
    finally:
        gc.callbacks.remove(clock)
