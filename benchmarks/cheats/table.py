"""Cases and a policy -> what the validator's rule makes of them, counted by kind and half. Pure but for the vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from benchmarks.cheats.cases import CHEATS, HONEST, UNSEEDED, Case
from cortops.programs.validator.comparison import Similarity, parts_of
from cortops.programs.validator.judge import Asked, Decision, Replica, Verdict, decide
from cortops.protocol.validation import Policy

V = TypeVar("V")

KINDS = (*HONEST, UNSEEDED, *CHEATS)
COPIED_BLOCKS_LATER = 2


@dataclass(slots=True)
class Row:
    """Of one kind in one half. suspect: verdicts on the answer in question. accused, held: of the honest ones, INVALID and RETRY."""

    cases: int = 0
    suspect: Counter[str] = field(default_factory=Counter)
    honest: int = 0
    accused: int = 0
    held: int = 0

    def share(self, *verdicts: str) -> float:
        return sum(self.suspect[name] for name in verdicts) / self.cases if self.cases else 0.0


def replicas(case: Case) -> list[Replica]:
    """Of m0, m1, m2; a copy is promised some blocks after what it copies, everything else in one block."""
    late = COPIED_BLOCKS_LATER if case.kind == "copy" else 0
    return [Replica(miner=f"m{at}", text=text, block=10 + (late if at == 2 else 0)) for at, text in enumerate(case.answers)]


def texts_of(cases: Iterable[Case], policy: Policy) -> tuple[str, ...]:
    """Everything that needs a vector."""
    return tuple(dict.fromkeys(part for case in cases for text in case.answers for part in parts_of(text, policy)))


def verdict_on(case: Case, policy: Policy, similarity: Similarity) -> Decision:
    """By the rule that the validator uses."""
    return decide(replicas(case), similarity, msgspec.structs.replace(policy, sampled=case.sampled), Asked(prompt=case.prompt))


def counted(cases: Iterable[Case], policy: Policy, similarity: Similarity) -> dict[tuple[str, int], Row]:
    """(kind, half) -> its row."""
    rows: dict[tuple[str, int], Row] = {}
    for case in cases:
        row = rows.setdefault((case.kind, case.half), Row())
        *honest, last = (one.verdict for one in verdict_on(case, policy, similarity).verdicts)
        row.cases += 1
        row.suspect[last.name] += 1
        judged = honest if case.guilty else [*honest, last]
        row.honest += len(judged)
        row.accused += sum(verdict is Verdict.INVALID for verdict in judged)
        row.held += sum(verdict is Verdict.RETRY for verdict in judged)
    return rows


def shown(rows: Mapping[tuple[str, int], Row], halves: Sequence[int] = (1, 2)) -> str:
    """For people. Of honest kinds the answer in question is honest too."""
    head = "KIND".ljust(18) + "".join(f"HALF {half}: CASES  INVALID  RETRY  VALID   HONEST ACCUSED    HELD     " for half in halves)
    lines = [head.rstrip()]
    for kind in KINDS:
        cells = [_cells(rows.get((kind, half), Row())) for half in halves]
        lines.append((kind.ljust(18) + "".join(cells)).rstrip())
    return "\n".join(lines)


def _cells(row: Row) -> str:
    shares = "  ".join(f"{row.share(name):6.1%}" for name in ("INVALID", "RETRY", "VALID"))
    return f"{row.cases:13}  {shares}   {f'{row.accused} of {row.honest}':>14}  {f'{row.held} of {row.honest}':>10}   "


def similarity_of(vectors: Mapping[str, V], dot: Callable[[V, V], float]) -> Similarity:
    """From the vector of each text."""
    return lambda one, other: dot(vectors[one], vectors[other])
