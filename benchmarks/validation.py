"""The cheat table: what the validator's rule makes of honest answers and of cheats, with the real embedding model.

The cases are in `benchmarks/cheats`: answers of the bundled language model and written ones. Thresholds were chosen on the first half and
frozen (`cheats/thresholds.json`) before the second was read. CORTOPS_BENCH_JUDGE=0 leaves the rubric judge out, which is slow.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the validator; read when numpy is imported

import msgspec
import numpy as np

from benchmarks.cheats.cases import CHEATS, HONEST, Case, cases
from benchmarks.cheats.table import Row, counted, shown, similarity_of, texts_of
from benchmarks.harness import Figure, report
from cortops.programs.common.logs import make_log
from cortops.programs.engine.server import opened
from cortops.programs.validator.embedding import Array, load
from cortops.programs.validator.judge import Asked
from cortops.programs.validator.rubric import EngineRubric
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import EngineSettings
from cortops.protocol.validation import Policy
from cortops.testing.binaries import smollm2
from cortops.testing.embedding import minilm
from cortops.words.clock import SystemClock

BENCH = "validation"
FROZEN = Path(__file__).parent / "cheats" / "thresholds.json"
JUDGED_OF_EACH = 15
JUDGED_KINDS = ("same", "other topic", "garbage", "truncated")
ACCUSED_MAX = 0.05


def frozen() -> Policy:
    """As written before the second half was read."""
    return Policy.parse(json.dumps(json.loads(FROZEN.read_text())["policy"]))


def vectors_of(texts: tuple[str, ...]) -> tuple[dict[str, Array], float]:
    """Each text's vector, and milliseconds for one."""
    model = load(*minilm())
    begun = time.perf_counter()
    found = {text: model.embed([text])[0] for text in texts}
    return found, 1000 * (time.perf_counter() - begun) / len(texts)


def figures(rows: dict[tuple[str, int], Row], embed_ms: float) -> list[Figure]:
    """Of the second half; the first stands beside it."""
    found: list[Figure] = []

    def share(name: str, part: dict[int, float], goal: str = "") -> None:
        found.append(Figure(bench=BENCH, figure=name, value=part[2], unit="share", goal=goal, beside={"first half": round(part[1], 4)}))

    for kind in CHEATS:
        name = kind.replace(" ", "_")
        share(f"{name}_invalid", {half: rows[kind, half].share("INVALID") for half in (1, 2)})
        share(f"{name}_not_valid", {half: rows[kind, half].share("INVALID", "RETRY") for half in (1, 2)})
    for kind in HONEST:
        accused = {half: rows[kind, half].share("INVALID") for half in (1, 2)}
        share(f"honest_{kind.replace(' ', '_')}_accused", accused, f"<= {ACCUSED_MAX}")
    beside_cheats = {half: [rows[kind, half] for kind in CHEATS] for half in (1, 2)}
    share("honest_beside_cheats_accused", {half: _accused(some) for half, some in beside_cheats.items()}, f"<= {ACCUSED_MAX}")
    found.append(Figure(bench=BENCH, figure="embed_ms", value=embed_ms, unit="ms"))
    return found


def _accused(rows: list[Row]) -> float:
    return sum(row.accused for row in rows) / max(1, sum(row.honest for row in rows))


async def judged(policy: Policy) -> tuple[dict[str, Counter[str]], float]:
    """Kind -> what the bundled model says of the answers in question, as a validatorv3 asks it; and seconds for one."""
    settings = EngineSettings(model_path=str(smollm2()), model_name="smollm2", port=0, threads=1, slots=1, context_tokens=2048)
    clock = SystemClock()
    server, http = await opened(settings), HttpClient(clock=clock)
    rubric = EngineRubric(http, str(server.listening_address), "smollm2", (), clock, make_log("bench", sys.stderr.buffer, clock))
    found: dict[str, Counter[str]] = {}
    begun = time.perf_counter()
    try:
        for kind in JUDGED_KINDS:
            for case in [case for case in cases() if case.kind == kind and case.half == 1][:JUDGED_OF_EACH]:
                found.setdefault(kind, Counter())[await _said(rubric, case, policy)] += 1
    finally:
        await http.close()
    return found, (time.perf_counter() - begun) / sum(sum(counts.values()) for counts in found.values())


async def _said(rubric: EngineRubric, case: Case, policy: Policy) -> str:
    text = case.answers[2]
    reading = (await rubric.readings(Asked(prompt=case.prompt), [text]))[text]
    if not reading.readable:
        return "unreadable"
    return reading.verdict.value if reading.confidence >= policy.confidence_min else f"unsure {reading.verdict.value}"


def main() -> int:
    """1 when the policy is not the one that was frozen: then the second half says nothing any more."""
    policy, every = Policy(), cases()
    if policy != frozen():
        print("the default policy is not the one that was frozen", file=sys.stderr)
        return 1
    vectors, embed_ms = vectors_of(texts_of(every, policy))
    rows = counted(every, policy, similarity_of(vectors, lambda one, other: float(np.dot(one, other))))
    print(shown(rows))
    found = figures(rows, embed_ms)
    if os.environ.get("CORTOPS_BENCH_JUDGE") != "0":
        said, judge_s = asyncio.run(judged(policy))
        for kind, counts in said.items():
            print(f"the bundled model as judge of {kind}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
        found.append(Figure(bench=BENCH, figure="judge_s", value=judge_s, unit="s"))
    report(found, configuration=f"{len(every)} cases, policy {msgspec.json.encode(msgspec.structs.asdict(policy)).decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
