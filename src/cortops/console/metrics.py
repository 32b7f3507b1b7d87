"""`/metrics`: the picture as Prometheus text, made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cortops.console.board import Board
from cortops.words.state import State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class PictureCollector(Collector):
    """Reads the board; keeps nothing."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        """cortops_entity_state is 1 for the state that an entity has and 0 for the four others."""
        streams = GaugeMetricFamily("cortops_console_streams", "Event streams that are open.")
        streams.add_metric([], self._board.streams)
        yield streams
        for name, count in self._board.view.counts().items():
            counter = CounterMetricFamily(f"cortops_watch_{name}", f"Since this watch began: {name.replace('_', ' ')}.")
            counter.add_metric([], count)
            yield counter
        picture = self._board.view.picture()
        if picture is None:
            return
        age = GaugeMetricFamily("cortops_picture_age_seconds", "Age of the last round of questions.")
        age.add_metric([], max(self._board.clock.now() - picture.at, 0.0))
        yield age
        every = GaugeMetricFamily("cortops_round_every_seconds", "Seconds between two rounds of questions.")
        every.add_metric([], picture.every_s)
        yield every
        begun = GaugeMetricFamily("cortops_watch_begun_timestamp_seconds", "When this watch began.")
        begun.add_metric([], picture.begun_at)
        yield begun
        states = GaugeMetricFamily("cortops_entity_state", "1 for the state that the entity has.", labels=["entity", "kind", "state"])
        for item in picture.entities:
            for state in State:
                states.add_metric([str(item.entity), item.entity.kind, state], float(item.state is state))
        yield states


def metrics_text(registry: CollectorRegistry) -> bytes:
    """Everything that is registered."""
    return generate_latest(registry)


def registry_of(board: Board) -> CollectorRegistry:
    """A registry of this console alone: the library's global one stays empty."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PictureCollector(board))
    return registry
