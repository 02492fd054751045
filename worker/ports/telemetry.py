"""What operators see: log lines and metrics."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Telemetry(Protocol):
    """Log lines and metrics. No metric is labelled by tenant, directory, address or DN; log lines may name the first two."""

    def event(self, name: str, **keys: object) -> None:
        """Write one log line: a fixed name in the past tense, and keys. Secrets are left out.

        The key ``level`` (debug, info, warning, error; info if left out) says how much it matters; the key
        ``error``, an exception, adds its traceback.
        """
        ...

    def bind(self, **keys: object) -> AbstractContextManager[None]:
        """Add keys to every line written inside, in this task and those it starts."""
        ...

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter that the telemetry's table names."""
        ...

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Record one duration, in seconds."""
        ...

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Set what is measured now."""
        ...


class NoTelemetry:
    """Says nothing, for those who read a directory once and for tests."""

    def event(self, name: str, **keys: object) -> None:
        """Write nothing."""

    def bind(self, **keys: object) -> AbstractContextManager[None]:  # noqa: ARG002  the port names them
        """Add nothing."""
        return nullcontext()

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Count nothing."""

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Record nothing."""

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Set nothing."""
