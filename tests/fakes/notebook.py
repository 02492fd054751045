"""Telemetry that remembers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Notebook:
    """The Telemetry port; what was said can be read."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    bound: list[dict[str, object]] = field(default_factory=list)

    def event(self, name: str, **keys: object) -> None:
        """Note a line."""
        self.events.append((name, keys))

    @contextmanager
    def bind(self, **keys: object) -> Iterator[None]:
        """Note what all lines inside carry."""
        self.bound.append(keys)
        yield

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter, whatever its labels."""
        self.counts[metric] = self.counts.get(metric, 0) + amount

    def observe(self, metric: str, seconds: float, **labels: str) -> None:
        """Note that a duration was recorded."""
        self.observed.append(metric)

    def gauge(self, metric: str, value: float, **labels: str) -> None:
        """Note the last value."""
        self.gauges[" ".join((metric, *labels.values()))] = value

    def said(self, name: str) -> list[dict[str, object]]:
        """The keys of each line of a name."""
        return [keys for said, keys in self.events if said == name]
