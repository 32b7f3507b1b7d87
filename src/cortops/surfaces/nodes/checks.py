"""Are the nodes well? Each one's process, what it says of itself, and what the chain says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.contracts.abi import static_call
from cortops.contracts.artifact import load
from cortops.environment.declared import Environment
from cortops.environment.graph import node_entity
from cortops.environment.model import ChainNode, EngineNode, MinerNode, OracleNode, RouterNode
from cortops.surfaces.chain.addresses import contract_addresses, rpc_url
from cortops.surfaces.nodes.render import address_of
from cortops.surfaces.readings import answered_by_chain, bad, healthy, ok
from cortops.surfaces.services.checks import running
from cortops.surfaces.site import Site
from cortops.words.evidence import Check, Judge, Verdict
from cortops.words.question import Http, Question, Reply, Rpc

_HEALTH_PATHS = {"chain": "/health", "engine": "/health", "router": "/api/v1/status", "miner": "/health", "oracle": "/health"}


def questions(env: Environment, site: Site) -> Iterator[Question]:
    for name, node in env.nodes.items():
        port = node.health_port if isinstance(node, ChainNode) else node.port
        yield Http(id=f"health:{name}", url=f"http://{address_of(env, name)}:{port}{_HEALTH_PATHS[node.role]}", timeout_s=3)
        if isinstance(node, RouterNode | MinerNode | OracleNode):
            call = {
                "to": contract_addresses(env, site).node_registry,
                "data": static_call(load("node_registry"), "isNodeRegistered(address)", site.public[node.wallet.secret]),
            }
            yield Rpc(id=f"registered:{name}", url=rpc_url(env), method="eth_call", params=(call, "latest"), timeout_s=3)


def checks(env: Environment, site: Site) -> Iterator[Check]:
    for name, node in env.nodes.items():
        entity = node_entity(name, node)
        owner = env.owner_of(entity)
        runbook = node.role if isinstance(node, RouterNode | MinerNode) else ""
        yield running(entity, name, node.host, owner)
        yield Check(entity=entity, name="health", asks=(f"health:{name}",), judge=healthy(f"health:{name}"), owner=owner, runbook=runbook)
        if not isinstance(node, ChainNode | EngineNode):
            asked = f"registered:{name}"
            yield Check(entity=entity, name="registration", asks=(asked,), judge=_registered(asked), owner=owner, runbook=runbook)


def _registered(asked: str) -> Judge:
    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = answered_by_chain(replies, asked)
        if isinstance(answer, Verdict):
            return answer
        if answer.status != 0:
            return bad(f"the registry refuses to answer: {answer.text[:120]}")
        return ok("registered on chain") if answer.text.strip('"').endswith("1") else bad("not registered on chain")

    return judge
