"""Where the chain is asked and where its contracts are: declared, or derived from the deployer's address and the shipped artifacts."""

from __future__ import annotations

from collections.abc import Callable

from cortops.contracts import create2
from cortops.contracts.abi import word
from cortops.contracts.artifact import NAMES, load
from cortops.contracts.keccak import keccak_hex
from cortops.contracts.network import Addresses
from cortops.environment.declared import Environment
from cortops.environment.model import DEPLOY
from cortops.surfaces.reach import from_here, from_host, place
from cortops.surfaces.site import Site

_NOBODY = "0x" + "0" * 40

# Name in the environment file -> artifact.
ARTIFACTS = {name.replace("_", "-"): name for name in NAMES}


def rpc_url(env: Environment) -> str:
    """The URL that we ask the chain by."""
    return _url(env, lambda host: from_here(env, host))


def rpc_url_on(env: Environment, host: str) -> str:
    """The URL that programs on a host ask the chain by."""
    return _url(env, lambda chain_host: from_host(env, chain_host, host))


def _url(env: Environment, reach: Callable[[str], str]) -> str:
    if env.network.rpc.url is not None:
        return env.network.rpc.url
    assert env.network.rpc.node is not None
    node = env.nodes[env.network.rpc.node]
    return f"http://{place(reach(node.host), node.port)}"


def salt(env: Environment) -> str:
    """32 bytes from the declared salt, the environment's name by default: two environments on one chain do not meet."""
    return keccak_hex(env.salt.encode())


def init_code(env: Environment, site: Site, name: str) -> str:
    """A contract's init code with its constructor argument: the administrator, who is the deployer."""
    return load(ARTIFACTS[name]).init_code + word(site.public[env.network.deployer.secret])


def contract_addresses(env: Environment, site: Site) -> Addresses:
    """All addresses, whether the contracts exist yet or not; zero for a module that only a runtime of others knows, and nobody calls."""
    places = dict.fromkeys(ARTIFACTS.values(), _NOBODY) | {
        ARTIFACTS[name]: create2.address(init_code(env, site, name), salt(env)) if place == DEPLOY else place
        for name, place in env.network.contracts.places().items()
    }
    return Addresses(**places)
