"""The secrets that an environment needs, read off its declaration, each with where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cortops.deploy.wanted import Kind, Outside, Wanted
from cortops.environment.crosscheck_secrets import AUTHORITY, certificate_secret, source_of
from cortops.environment.declared import Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.model import RouterNode, WalletNode
from cortops.surfaces.site import cite


def secrets_of(env: Environment) -> tuple[Wanted, ...]:
    """Wallets, API keys, the local authority and its certificates; each once, in the order of the file."""
    wanted = {want.name: want for want in _all(env)}
    sources = env.rules.secrets.sources
    if not sources:
        return tuple(wanted.values())
    return tuple(_from(env, want, *source_of(name, sources)) for name, want in wanted.items())


def _all(env: Environment) -> Iterator[Wanted]:
    for node in env.nodes.values():
        if isinstance(node, ForeignNode):
            yield from (Wanted(name=secret.secret, kind=Kind.TOKEN) for secret in node.secrets.values())
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


def _from(env: Environment, want: Wanted, pattern: str, star: str) -> Wanted:
    if not pattern:
        return want
    source, cited = env.rules.secrets.sources[pattern], cite(env, "rules", "secrets", "from", pattern)

    def filled(text: str) -> str:
        return text.replace("{*}", star)

    outside = Outside(
        cited=cited,
        env=source.env or "",
        command=tuple(map(filled, source.command or ())),
        on_host=source.on_host or "",
        address=source.address or "",
    )
    return replace(want, outside=outside)
