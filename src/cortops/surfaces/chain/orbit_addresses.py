"""Where the parent chain is asked, and where the child's contracts stand on it: declared, or derived from deployer and artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cortops.contracts import create2
from cortops.contracts.abi import word
from cortops.contracts.artifact import load
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.surfaces.chain.addresses import salt
from cortops.surfaces.reach import from_here, from_host, place
from cortops.surfaces.site import Site

CONFIRM_PERIOD_S = 5  # of an assertion on a development parent; 6.4 days on public ones
GAS_TOKEN = "gas-token"


def parent_url(env: Environment) -> str:
    """The URL that we ask the parent by; "" where none is declared."""
    return _url(env, lambda host: from_here(env, host))


def parent_url_on(env: Environment, host: str) -> str:
    """The URL that programs on a host ask the parent by; "" where none is declared."""
    return _url(env, lambda chain_host: from_host(env, chain_host, host))


def _url(env: Environment, reach: Callable[[str], str]) -> str:
    rpc = env.network.parent.rpc if env.network.parent else None
    if rpc is None or rpc.node is None:
        return (rpc.url if rpc else None) or ""
    node = env.nodes[rpc.node]
    return f"http://{place(reach(node.host), node.port)}"


def declared_places(env: Environment) -> Mapping[str, str]:
    """Contract of the parent, the gas token among them -> `deploy` or an address, those that are declared."""
    token = env.network.gas_token.address if env.network.gas_token else None
    modules = env.network.parent.contracts.modules if env.network.parent else {}
    return {**({GAS_TOKEN: token} if token else {}), **modules}


def parent_addresses(env: Environment, site: Site) -> Mapping[str, str]:
    """The same contracts -> their addresses, whether they exist yet or not."""
    codes = init_codes(env, site)
    return {name: create2.address(codes[name], salt(env)) if at == DEPLOY else at for name, at in declared_places(env).items()}


def init_codes(env: Environment, site: Site) -> Mapping[str, str]:
    """Init code with constructor arguments of each contract that is deployed on the parent, in the order in which they need each other."""
    places = declared_places(env)
    if DEPLOY not in places.values():
        return {}
    owner = site.public[env.network.deployer.secret]
    codes: dict[str, str] = {}

    def at(name: str) -> str:
        declared = places.get(name, DEPLOY)
        return create2.address(codes[name], salt(env)) if declared == DEPLOY else declared

    def add(name: str, *arguments: str | int) -> None:
        codes[name] = load("orbit/" + name.replace("-", "_")).init_code + "".join(word(argument) for argument in arguments)

    add(GAS_TOKEN, owner)
    add("bridge", owner, at(GAS_TOKEN))
    add("inbox", at("bridge"))
    add("sequencer-inbox", owner, at("bridge"))
    add("rollup", owner, at("bridge"), env.network.chain_id, CONFIRM_PERIOD_S)
    return {name: code for name, code in codes.items() if places.get(name) == DEPLOY}
