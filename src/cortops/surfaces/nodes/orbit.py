"""The nodes of a development child chain as resources: sequencer, batch poster, staker; each an env file and a service."""

from __future__ import annotations

from typing import Any

from cortops.environment.declared import Environment
from cortops.environment.model import ChainNode
from cortops.environment.orbit_nodes import BatchPosterNode, OrbitNode, SequencerNode, StakerNode
from cortops.protocol.settings import OrbitSettings
from cortops.surfaces.chain.addresses import rpc_url_on
from cortops.surfaces.chain.orbit_addresses import parent_addresses, parent_url_on
from cortops.surfaces.chain.orbit_render import BRIDGE_KNOWS_SEQUENCER_INBOX, SEQUENCER_INBOX_KNOWS, STAKERS_KNOWN, contracts_of, key_of
from cortops.surfaces.reach import from_host, listens_on, place
from cortops.surfaces.site import Site

PARENT_SNAPSHOT_EVERY_S = 1
NOBODY = "0x" + "00" * 20


def settings_of(env: Environment, site: Site, name: str, node: OrbitNode, private_key: str) -> OrbitSettings:
    """What one of them is told. private_key: what stands for its wallet's key; unused by a sequencer."""
    at = parent_addresses(env, site)
    parent = env.network.parent
    assert parent is not None and parent.chain_id is not None and parent.rpc is not None  # crosscheck_orbit
    return OrbitSettings(
        name=name,
        does=node.role,
        parent_rpc=parent_url_on(env, node.host),
        parent_health=_health(env, parent.rpc.node, node.host),
        parent_chain_id=parent.chain_id,
        child_rpc=rpc_url_on(env, node.host),
        child_health=_health(env, env.network.rpc.node, node.host),
        child_chain_id=env.network.chain_id,
        rollup=at["rollup"],
        bridge=at["bridge"],
        inbox=at["inbox"],
        sequencer_inbox=at["sequencer-inbox"],
        address="" if isinstance(node, SequencerNode) else site.public[node.wallet.secret],
        private_key="" if isinstance(node, SequencerNode) else private_key,
        bind_ips=listens_on(env, name, node.host),
        port=node.port,
        **_pace(node),
    )


def needs_of(env: Environment, node: OrbitNode) -> tuple[str, ...]:
    """What must stand on the parent before it starts; the child's own stand-ins are there with its first block."""
    rpc = env.network.rpc.node
    child = () if rpc is None else (f"{env.nodes[rpc].host} service:{rpc}",)
    match node:
        case SequencerNode():
            return (*child, *key_of(env, BRIDGE_KNOWS_SEQUENCER_INBOX))
        case BatchPosterNode():
            return (*child, *key_of(env, BRIDGE_KNOWS_SEQUENCER_INBOX), *key_of(env, SEQUENCER_INBOX_KNOWS))
        case StakerNode():
            return (*child, *key_of(env, STAKERS_KNOWN))


def chain_id(env: Environment, chain: str) -> int:
    """The id of a node of role chain: the parent has its own."""
    parent = env.network.parent
    is_parent = parent is not None and parent.rpc is not None and parent.rpc.node == chain
    return parent.chain_id if is_parent and parent is not None and parent.chain_id is not None else env.network.chain_id


def of_chain(env: Environment, site: Site, chain: str) -> dict[str, Any]:
    """What a chain of a pair is told beside what every one is: the parent saves often, as deposits wait for that; the child knows who
    owns it and who posts its batches.
    """
    parent = env.network.parent
    if parent is None or parent.rpc is None or parent.rpc.node is None:
        return {}
    if parent.rpc.node == chain:
        return {"snapshot_every_s": PARENT_SNAPSHOT_EVERY_S}
    poster = next((site.public[node.wallet.secret] for _, node in env.nodes_of(BatchPosterNode)), NOBODY)
    return {"chain_owner": site.public[env.network.deployer.secret], "batch_poster": poster}


def before_chain(env: Environment, chain: str) -> tuple[str, ...]:
    """What must stand before a chain starts: a child's contracts on its parent, which name it."""
    return contracts_of(env) if chain == env.network.rpc.node else ()


def _health(env: Environment, chain: str | None, seen_from: str) -> str:
    node = env.nodes.get(chain or "")
    if not isinstance(node, ChainNode) or node.host != seen_from:  # it listens on its own host only
        return ""
    return f"http://{place(from_host(env, node.host, seen_from), node.health_port)}/health"


def _pace(node: OrbitNode) -> dict[str, float]:
    match node:
        case SequencerNode():
            return {}
        case BatchPosterNode():
            return {"every_s": node.post_every_s, "idle_every_s": node.idle_every_s}
        case StakerNode():
            return {"every_s": node.assert_every_s}
