"""The settings given to llama.cpp, and its end."""

from __future__ import annotations

import pytest

from cortops.protocol.settings import EngineSettings
from cortops.testing.clock import VirtualClock

pytest.importorskip("xllamacpp", reason="the engine's library is an extra: pip install cortops[local]")

from cortops.programs.engine.server import drained, params, running_requests

METRICS = """# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing {running}
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 1
"""


def test_params() -> None:
    given = EngineSettings(model_path="/m.gguf", model_name="smollm2", port=8091, threads=1, slots=3, context_tokens=1000)
    made = params(given)
    assert (made.model.path, set(made.model_alias), list(made.hostnames), made.port) == ("/m.gguf", {"smollm2"}, ["127.0.0.1"], 8091)
    assert (made.n_parallel, made.n_ctx, made.cpuparams.n_threads) == (3, 3000, 1)
    assert not made.ui and not made.endpoint_slots  # slots would show prompts


@pytest.mark.parametrize(("text", "count"), [("", 0), (METRICS.format(running=0), 1), (METRICS.format(running=2), 3)])
def test_running_requests(text: str, count: int) -> None:
    assert running_requests(text) == count


class Answering:
    def __init__(self, ends_at: float, clock: VirtualClock) -> None:
        self.ends_at, self.clock = ends_at, clock

    def handle_metrics(self) -> str:
        return f"llamacpp:requests_processing {int(self.clock.monotonic() < self.ends_at)}"


@pytest.mark.parametrize(("ends_at", "in_time"), [(0, True), (3, True), (60, False)])
def test_drained(ends_at: float, in_time: bool) -> None:
    clock = VirtualClock()
    assert clock.run(drained(Answering(ends_at, clock), clock)) is in_time
    assert clock.monotonic() <= 6.2
