"""`GET /metrics` of a program: what it knows of itself, in the Prometheus text format.

One mechanism: the numbers of `/health` under the names of `measures`, and the process's own figures. Nothing is counted by the library
itself, so a program pays for metrics only when they are asked for: .5 ms of CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cortops.programs.common.measures import MEASURES, UP

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Reading = tuple[bool, Mapping[str, object]]  # well?, facts


class Metrics:
    """One program's metrics, in a registry of its own; `read` is asked at every page."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Facts(read))
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        """The whole answer, of CONTENT_TYPE."""
        return generate_latest(self._registry)


class _Facts(Collector):
    """The seam to the library: asked for its families whenever a page is made."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        up, facts = self._read()
        return families(up, facts)


def families(up: bool, facts: Mapping[str, object]) -> Iterator[Metric]:
    """Facts that are measures -> the library's values; the others, and numbers that are not known (None), are left out."""
    for measure in MEASURES:
        fact = next((facts[key] for key in measure.facts if key in facts), None)
        samples = list(_samples(up if measure is UP else fact))
        if not samples:
            continue
        family = (CounterMetricFamily if measure.kind == "counter" else GaugeMetricFamily)(
            measure.name, measure.meaning, labels=measure.labels
        )
        for labels, value in samples:
            family.add_metric(labels, value)
        yield family


def _samples(fact: object) -> Iterator[tuple[tuple[str, ...], float]]:
    """A fact -> (label values, number) of each sample; none when it is no number."""
    if isinstance(fact, Mapping):
        for key, value in fact.items():
            labels = key if isinstance(key, tuple) else (key,)
            yield from ((tuple(map(str, labels)), number) for _, number in _samples(value))
    elif isinstance(fact, int | float):
        yield (), float(fact)
    elif isinstance(fact, list | tuple):
        yield (), float(len(fact))
