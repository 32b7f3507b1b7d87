"""The table of `cortops chain`: a row for each part there can be; what is not in this environment says so, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cortops.environment.chain_parts import FALLBACK, OWN, PARENT, PARTS, why_absent
from cortops.environment.declared import Environment
from cortops.environment.graph import parent_entity, rpc_entity
from cortops.surfaces.judging import Judged
from cortops.words.entity import Entity
from cortops.words.evidence import Check

ABSENT = "absent"
_RANK = {"bad": 0, "inconclusive": 1, "ok": 2}
TOLD_MAX = 4
_BESIDE = ("lag", "fork", "latency", "answers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One part. outcome: `ok`, `bad`, `inconclusive`, or `absent` with the reason in text. entities, evidence: what was asked about."""

    part: str
    outcome: str
    text: str
    checks: tuple[Judged, ...] = ()

    @property
    def evidence(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(asked for one in self.checks for asked in one.check.asks))


def rows(env: Environment, judged: Sequence[Judged]) -> tuple[Row, ...]:
    """In the order of PARTS. Of a part with several checks the worst say what is wrong, or all say how it is."""
    of = _parts_of(env)
    found: list[Row] = []
    for part in PARTS:
        if why := why_absent(env.network, part):
            found.append(Row(part=part, outcome=ABSENT, text=f"not in this environment: {why}"))
            continue
        own = tuple(one for one in judged if of[part](one.check))
        found.append(_row(part, own) if own else Row(part=part, outcome=ABSENT, text="not in this environment: nothing of ours is in it"))
    return tuple(found)


def _row(part: str, own: Sequence[Judged]) -> Row:
    worst = min((one.verdict.outcome for one in own), key=_RANK.__getitem__)
    told = [one for one in own if one.verdict.outcome == worst]
    several = len({one.check.entity for one in own}) > 1
    summed = worst == "ok" and part in ("contracts", "wallets")
    text = _summed(part, own) if summed else _told(part, told, named=several and worst != "ok")
    return Row(part=part, outcome=worst, text=text, checks=tuple(own))


def _told(part: str, told: Sequence[Judged], *, named: bool) -> str:
    """What the checks say, each once and TOLD_MAX of them; of the chain's id the check that asks most."""
    texts = list(dict.fromkeys(f"{one.check.entity}: {one.verdict.text}" if named else one.verdict.text for one in told))
    if part == "chain-id":
        return texts[-1]
    more = f"; and {len(texts) - TOLD_MAX} more" if len(texts) > TOLD_MAX else ""
    return "; ".join(texts[:TOLD_MAX]) + more


def _summed(part: str, own: Sequence[Judged]) -> str:
    names = {one.check.entity for one in own}
    if part == "contracts":
        return f"{len(names)} contracts with the code expected"
    return "; ".join(f"{one.check.entity.name} {one.verdict.text}" for one in own)


def _parts_of(env: Environment) -> Mapping[str, Callable[[Check], bool]]:
    main, parent = rpc_entity(env), parent_entity(env)
    others = [Entity("rpc", f"{FALLBACK}{at}") for at, _ in enumerate(env.network.fallbacks, 1)]

    def own(part: str) -> Callable[[Check], bool]:
        return lambda check: check.entity == Entity("chain", part)

    return {
        **{part: own(part) for part in OWN},
        "chain-id": lambda check: check.entity == main and check.name in ("chain id", "chain ids"),
        "head": lambda check: check.entity == main and check.name == "head age",
        "rpc-pool": lambda check: check.entity in (main, *others) and check.name in _BESIDE,
        PARENT: lambda check: check.entity == parent and (check.name.startswith("parent's ") or check.name in _BESIDE),
        "contracts": lambda check: check.entity.kind == "contract",
        "wallets": lambda check: check.entity.kind == "wallet",
    }
