"""The contract matrix of an environment, asked of its chain and its parent: one batch each, one more where a runtime of others is asked."""

from __future__ import annotations

import asyncio

from cortops.contracts.artifact import load
from cortops.contracts.records import NOBODY
from cortops.contracts.rpc import RpcClient
from cortops.environment.chain_parts import parent_modules
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.probes.backfill import ask_many
from cortops.surfaces.chain.addresses import ARTIFACTS, contract_addresses
from cortops.surfaces.chain.matrix import MatrixRow, Module, calls, named_by_runtime, rows, runtime_calls
from cortops.surfaces.chain.orbit_addresses import parent_addresses
from cortops.surfaces.site import Site
from cortops.words.errors import BadInput


async def read_matrix(rpc: RpcClient, modules: tuple[Module, ...]) -> tuple[MatrixRow, ...]:
    """Of one chain. ChainError where it cannot be asked."""
    return rows(modules, await ask_many(rpc, calls(modules))) if modules else ()


async def modules_of(env: Environment, site: Site, rpc: RpcClient) -> tuple[Module, ...]:
    """Those on the chain: declared, or as a runtime of others names them. ChainError where it cannot be asked."""
    addresses = contract_addresses(env, site)
    found = {name: getattr(addresses, artifact) for name, artifact in ARTIFACTS.items()}
    if NOBODY in found.values():
        asked = await ask_many(rpc, runtime_calls(addresses.runtime))
        found |= {name: address for name, address in named_by_runtime(asked).items() if found[name] == NOBODY}
    if env.network.contracts.cognitive is not None:
        found["cognitive"] = env.network.contracts.cognitive
    ours = env.network.contracts.runtime == DEPLOY
    return tuple(
        Module(name=name, address=address, artifact=load(ARTIFACTS[name]) if ours and name in ARTIFACTS else None)
        for name, address in found.items()
        if address != NOBODY
    )


def parent_modules_of(env: Environment, site: Site) -> tuple[Module, ...]:
    """Those on the parent; none where it cannot be asked."""
    there = parent_modules(env.network)
    return tuple(Module(name=name, address=at) for name, at in parent_addresses(env, site).items() if name in there)


async def matrix(env: Environment, site: Site, rpc: RpcClient, parent: RpcClient | None) -> tuple[MatrixRow, ...]:
    """Both chains at once. parent: None where there is none. BadInput where no contract is known."""
    modules = await modules_of(env, site, rpc)
    above = parent_modules_of(env, site) if parent is not None else ()
    if not modules and not above:
        raise BadInput(f"{env.name} has no contract to look at", where=env.file, next="declare network.contracts")
    own, on_parent = await asyncio.gather(read_matrix(rpc, modules), read_matrix(parent, above) if parent is not None else _nothing())
    return (*own, *on_parent)


async def _nothing() -> tuple[MatrixRow, ...]:
    return ()
