"""Are the nodes well? Each one's process, what it says of itself, and what the chain says of it; and sessions by their miners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.contracts.abi import static_call
from cortops.contracts.artifact import load
from cortops.environment.declared import Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.graph import node_entity
from cortops.environment.model import ChainNode, MinerNode, RouterNode, ValidatorNode, WalletNode
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.nodes import foreign_checks
from cortops.surfaces.reach import from_here
from cortops.surfaces.readings import answered_by_chain, bad, healthy, inconclusive, ok
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, Question, Reply, Rpc

_HEALTH_PATHS = {"router": "/api/v1/status"}  # of the others: /health
_RUNBOOKS = {RouterNode: "router", MinerNode: "miner", ValidatorNode: "validation"}


def questions(env: Environment, site: Site) -> Iterator[Question]:
    yield from foreign_checks.questions(env, site)
    for name, node in env.nodes.items():
        if isinstance(node, ForeignNode):
            continue
        port = node.health_port if isinstance(node, ChainNode) else node.port
        path = _HEALTH_PATHS.get(node.role, "/health")
        yield Http(id=f"health:{name}", url=f"http://{from_here(env, node.host)}:{port}{path}", timeout_s=3)
        if isinstance(node, RouterNode) and node.mcp is not None:
            yield Http(id=f"tools:{name}", url=f"http://{from_here(env, node.host)}:{node.mcp.port}/about", timeout_s=3)
        if isinstance(node, WalletNode):
            call = {
                "to": contract_addresses(env, site).node_registry,
                "data": static_call(load("node_registry"), "isNodeRegistered(address)", site.public[node.wallet.secret]),
            }
            yield Rpc(id=f"registered:{name}", url=rpc_url(env), method="eth_call", params=(call, "latest"), timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for name, node in env.nodes.items():
        entity = node_entity(name, node)
        owner = env.owner_of(entity)
        runbook = _RUNBOOKS.get(type(node), "")
        yield running(entity, name, node.host, owner)
        if isinstance(node, ForeignNode):
            yield foreign_checks.check(env, name, owner)
            continue
        yield Check(entity=entity, name="health", asks=(f"health:{name}",), judge=healthy(f"health:{name}"), owner=owner, runbook=runbook)
        if isinstance(node, RouterNode) and node.mcp is not None:
            asked = f"tools:{name}"
            yield Check(entity=entity, name="tools", asks=(asked,), judge=healthy(asked, "its tools answer"), owner=owner, runbook=runbook)
        if isinstance(node, WalletNode):
            asked = f"registered:{name}"
            yield Check(entity=entity, name="registration", asks=(asked,), judge=_registered(asked), owner=owner, runbook=runbook)
    for sid, session in env.network.sessions.items():
        entity = Entity("session", str(sid))
        asks = tuple(f"health:{name}" for name in session.nodes)
        owner = env.owner_of(entity)
        yield Check(entity=entity, name="served", asks=asks, judge=_enough(session.nodes, 1), owner=owner, runbook="miner")
        whole = _enough(session.nodes, len(session.nodes))
        yield Check(entity=entity, name="redundancy", asks=asks, judge=whole, owner=owner, runbook="miner", makes="degraded")


def _registered(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        if answer.status != 0:
            return bad(f"the registry refuses to answer: {answer.text[:120]}")
        return ok("registered on chain") if answer.text.strip('"').endswith("1") else bad("not registered on chain")

    return judge


def _enough(miners: tuple[str, ...], needed: int) -> Judge:
    """At least so many of a session's miners are well, by their own word."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        verdicts = {name: healthy(f"health:{name}")(replies, now) for name in miners}
        well = [name for name, verdict in verdicts.items() if verdict.outcome == "ok"]
        told = f"{len(well)} of {len(miners)} miners well"
        if len(well) >= needed:
            return ok(told)
        ill = "; ".join(f"{name}: {verdict.text}" for name, verdict in verdicts.items() if verdict.outcome != "ok")
        if len(well) + sum(verdict.outcome == "inconclusive" for verdict in verdicts.values()) >= needed:
            return inconclusive(f"{told} ({ill})")
        return bad(f"{told}{', tasks go on' if well else ''} ({ill})")

    return judge
