from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Sequence

import pytest

from cortops.programs.common.logs import make_log
from cortops.programs.validator.model import LOAD_AGAIN_AFTER_S, Model
from cortops.testing.clock import VirtualClock, turn_until
from cortops.testing.embedding import WordCounts, failing
from cortops.words.errors import StepFailed


def test_a_model_that_cannot_be_loaded_is_tried_again_and_says_so() -> None:
    clock, out, words = VirtualClock(), io.BytesIO(), WordCounts()
    model = Model(failing(2, lambda: words), clock, make_log("validator", out, clock))

    async def main() -> None:
        assert model.state == "loading"
        loading = asyncio.ensure_future(model.run())
        asked = asyncio.ensure_future(model.similarities(("sky blue", "sky red")))
        await turn_until(lambda: model.state == "failed")
        assert model.why == "no such file: model.safetensors"
        assert not asked.done() and not loading.done(), "who needs the model waits for it"
        found = await asked
        assert clock.monotonic() >= 2 * LOAD_AGAIN_AFTER_S
        assert found["sky blue", "sky red"] == pytest.approx(0.5) and found["sky red", "sky red"] == pytest.approx(1)
        assert (model.state, model.why) == ("ready", "") and loading.done()

    clock.run(main())
    assert out.getvalue().count(b'"model_failed"') == 2 and out.getvalue().count(b'"model_ready"') == 1


def test_nothing_to_compare_needs_no_model() -> None:
    clock = VirtualClock()
    model = Model(WordCounts, clock, make_log("validator", io.BytesIO(), clock))
    assert clock.run(model.similarities(())) == {}


def test_what_is_no_number_fails() -> None:
    class Broken:
        def compare(self, texts: Sequence[str]) -> list[list[float]]:
            return [[math.nan] * len(texts)] * len(texts)

    async def main() -> None:
        await model.run()
        with pytest.raises(StepFailed, match="no number"):
            await model.similarities(("a", "b"))

    clock = VirtualClock()
    model = Model(Broken, clock, make_log("validator", io.BytesIO(), clock))
    clock.run(main())
