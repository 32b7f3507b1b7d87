"""Found nodes as entries of an environment file: what `environment.write` writes. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from cortops.environment.cortensord import CORTENSORD, CortensordNode
from cortops.environment.networks import NetworkRecord
from cortops.environment.write import Body, NetworkText
from cortops.surfaces.fleet.found.describe import UNNAMED, UNREADABLE
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.surfaces.fleet.found.naming import Identity, by_number, identity
from cortops.surfaces.fleet.found.networks import Meant, likely
from cortops.surfaces.fleet.found.public_keys import HASH_DIGITS

# What is known of a node without its env file and its process; the rest is as last time where those cannot be read.
_SURE = ("program", "role", "runs", "host", "shape", "unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """bodies: name -> what the file says of a node. comments: name -> what its reader should know. left: nodes that it cannot hold, why."""

    bodies: Mapping[str, Body]
    comments: Mapping[str, str]
    left: tuple[str, ...]


def node_entries(nodes: Sequence[Installed], names: Mapping[Identity, str], known: Mapping[str, CortensordNode]) -> Entries:
    """One entry for each node; `known`: those of the file so far. One address stands on one node, one log and unit on one of a host."""
    bodies: dict[str, Body] = {}
    comments: dict[str, str] = {}
    left: list[str] = []
    holders = _address_holders(nodes, names, known)
    taken: dict[tuple[str, str, str], str] = {}
    for node in sorted(nodes, key=lambda node: (names[identity(node)] not in known, by_number(names[identity(node)]))):
        name = names[identity(node)]
        body = _body(node)
        if node.address and holders[node.address.lower()] != name:
            del body["address"]
            comments[name] = f"its address {node.address} is also that of {holders[node.address.lower()]}: one key on one host"
        why = _unfit(node, name, body, taken)
        if why:
            left.append(f"{name}: {why}")
            continue
        bodies[name] = {key: body[key] for key in _SURE if key in body} if name in known and UNREADABLE in node.notes else body
    return Entries(bodies=dict(sorted(bodies.items(), key=lambda item: by_number(item[0]))), comments=comments, left=tuple(left))


def _body(node: Installed) -> dict[str, str]:
    told = {
        "program": CORTENSORD,
        "role": node.role,
        "runs": node.runs,
        "host": node.host,
        "shape": str(node.shape),
        "instance": node.instance,
        "unit": node.unit,
        "env_file": node.env_file,
        "log": node.log,
        "binary": node.binary,
        "address": node.address,
    }
    return {key: value for key, value in told.items() if value}


def _unfit(node: Installed, name: str, body: Body, taken: dict[tuple[str, str, str], str]) -> str:
    """Why a node cannot stand in a file, "" where it can."""
    if UNNAMED in node.notes:
        return UNNAMED
    try:
        CortensordNode.model_validate(dict(body))
    except ValidationError as error:
        return f"its {error.errors()[0]['loc'][0]} has a form that no environment file can hold"
    for key in ("unit", "log", "env_file"):
        if body.get(key) and (key != "env_file" or node.shape is not Shape.DOCKER):
            other = taken.setdefault((node.host, key, body[key]), name)
            if other != name:
                return f"its {key.replace('_', ' ')} {body[key]} is also that of {other}; each node needs its own"
    return ""


def _address_holders(nodes: Iterable[Installed], names: Mapping[Identity, str], known: Mapping[str, CortensordNode]) -> Mapping[str, str]:
    """Address -> the node that it stands on: the one that has it in the file, else one that runs, else the first."""

    def rank(node: Installed) -> tuple[bool, bool, tuple[object, ...]]:
        name = names[identity(node)]
        has = name in known and (known[name].address or "").lower() == node.address.lower()
        return (not has, not node.running, by_number(name))

    holders: dict[str, str] = {}
    for node in sorted(nodes, key=rank):
        if node.address:
            holders.setdefault(node.address.lower(), names[identity(node)])
    return holders


def network_text(meant: Meant, nodes: Sequence[Installed]) -> NetworkText | None:
    """The section network of a new file, None where the env files do not tell enough: then nothing can be asked of the chain."""
    record, runtime = meant.network, meant.runtime
    chain_id = meant.chain_id if record is None or likely(record.chain_id) is None else likely(record.chain_id)
    rpc_url, told = _rpc(record, nodes)
    if not runtime or chain_id is None or not rpc_url:
        return None
    why = [f"From {len(nodes)} env file{'s' * (len(nodes) != 1)}: {meant.why}", *told]
    if record is None:
        return NetworkText(chain_id=chain_id, rpc_url=rpc_url, runtime=runtime, told=tuple(why))
    return NetworkText(
        like=record.network,
        chain_id=None if record.chain_id.value is not None else chain_id,
        rpc_url="" if record.rpc.value else rpc_url,
        runtime="" if record.runtime else runtime,
        told=tuple(why),
    )


def _rpc(record: NetworkRecord | None, nodes: Sequence[Installed]) -> tuple[str, list[str]]:
    """An RPC that anybody may ask, and what is to be said about it. One of a node's own only where its address holds no key."""
    known = likely(record.rpc) if record else None
    if known:
        doubt = "The RPC is one that community guides name: put one of your own here where you have it."
        return known[0], [] if record and record.rpc.value else [doubt]
    used = Counter(
        node.env.get("HOST", "") for node in nodes if node.env.get("HOST", "").startswith("http") and "?" not in node.env["HOST"]
    )
    for told, _ in used.most_common():
        address, _, digest = told.partition("#sha256:")
        if digest in (_digest(address), _digest(f"{address}/")):
            return address, ["The RPC is the one of your nodes."]
    if used:
        address = used.most_common(1)[0][0].partition("#")[0]
        return address, ["The RPC is that of your nodes without what follows its host: that may be a key, and stayed there. Complete it."]
    return "", []


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:HASH_DIGITS]
