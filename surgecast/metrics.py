"""Prometheus metrics of one process, on a registry of its own.

Hot paths count in plain integers; `Gauges` given to `watch` are read when somebody asks. So a
request never touches a lock, and there is no state outside the object.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels."""

    value: float
    labels: tuple[str, ...] = ()


Read = Callable[[], Iterable[Sample]]


@dataclass(frozen=True, slots=True)
class _Watched(Collector):
    kind: Literal["counter", "gauge"]
    name: str
    text: str
    labels: tuple[str, ...]
    read: Read

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        metric = family(self.name, self.text, labels=self.labels)
        for sample in self.read():
            metric.add_metric(sample.labels, sample.value)
        yield metric


class Metrics:
    """What `/metrics` shows."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.server_errors = 0
        """Requests answered with a status of 500 or more."""
        self._requests = Counter(
            "surgecast_http_requests",
            "Requests answered by the full HTTP server, by kind of URL and status",
            ("kind", "status"),
            registry=self.registry,
        )

    def count_request(self, kind: str, status: int) -> None:
        self.server_errors += status >= 500
        self._requests.labels(kind, str(status)).inc()

    def counter(self, name: str, text: str, labels: tuple[str, ...], read: Read) -> None:
        """A counter whose values `read` gives when asked."""
        self.registry.register(_Watched("counter", name, text, labels, read))

    def gauge(self, name: str, text: str, labels: tuple[str, ...], read: Read) -> None:
        """A gauge whose values `read` gives when asked."""
        self.registry.register(_Watched("gauge", name, text, labels, read))

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
