"""The secrets that an environment needs, read off its declaration."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.deploy.wanted import Kind, Wanted
from cortops.environment.declared import Environment
from cortops.environment.model import RouterNode, WalletNode
from cortops.surfaces.proxy.render import AUTHORITY, certificate_secret


def secrets_of(env: Environment) -> tuple[Wanted, ...]:
    """Wallets, API keys, the local authority and its certificates; each once, in the order of the file."""
    return tuple({want.name: want for want in _all(env)}.values())


def _all(env: Environment) -> Iterator[Wanted]:
    if env.takes_part:
        yield Wanted(name=env.network.deployer.secret, kind=Kind.WALLET)
    for node in env.nodes.values():
        if isinstance(node, WalletNode):
            yield Wanted(name=node.wallet.secret, kind=Kind.WALLET)
        if isinstance(node, RouterNode):
            yield Wanted(name=node.api_key.secret, kind=Kind.TOKEN)
    if env.proxy:
        yield Wanted(name=AUTHORITY, kind=Kind.AUTHORITY)
    for hostname in env.proxy:
        yield Wanted(
            name=certificate_secret(hostname), kind=Kind.CERTIFICATE, hosts=(hostname, "localhost", "127.0.0.1"), signed_by=AUTHORITY
        )
