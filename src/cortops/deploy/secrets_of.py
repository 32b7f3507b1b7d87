"""The secrets that an environment needs, read off its declaration, each with where its value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cortops.deploy.wanted import Kind, Outside, Wanted
from cortops.environment.certificates import RouteTls
from cortops.environment.crosscheck_secrets import AUTHORITY, certificate_secret, source_of
from cortops.environment.declared import Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.model import RouterNode, WalletNode
from cortops.environment.orbit_nodes import BatchPosterNode, StakerNode
from cortops.environment.section import Secret
from cortops.surfaces.site import cite


def secrets_of(env: Environment) -> tuple[Wanted, ...]:
    """Wallets, API keys, the local authority and its certificates; each once, in the order of the file."""
    wanted = {want.name: want for want in _all(env)}
    sources = env.rules.secrets.sources
    placed = {name: _from(env, want, *source_of(name, sources)) if sources else want for name, want in wanted.items()}
    return tuple(_joined(env, want, placed) for want in placed.values())


def _all(env: Environment) -> Iterator[Wanted]:
    for node in env.nodes.values():
        if isinstance(node, ForeignNode):
            yield from (Wanted(name=secret.secret, kind=Kind.TOKEN) for secret in node.secrets.values())
    if env.takes_part:
        yield Wanted(name=env.network.deployer.secret, kind=Kind.WALLET)
    for node in env.nodes.values():
        if isinstance(node, WalletNode | BatchPosterNode | StakerNode):
            yield Wanted(name=node.wallet.secret, kind=Kind.WALLET)
        if isinstance(node, RouterNode):
            yield Wanted(name=node.api_key.secret, kind=Kind.TOKEN)
            if node.families.search is not None:
                yield Wanted(name=node.families.search.key.secret, kind=Kind.GIVEN)
            for secret in node.x402.secrets if node.x402 is not None else ():
                yield Wanted(name=secret, kind=Kind.GIVEN)
    if env.gateway is not None and env.gateway.store is not None:
        yield Wanted(name=env.gateway.store.url.secret, kind=Kind.GIVEN)
    if env.portal is not None:
        yield Wanted(name=env.portal.session_key.secret, kind=Kind.TOKEN)
    if env.payloads is not None:
        seeds = env.payloads.seeds.values()
        yield from (Wanted(name=one.secret, kind=Kind.TOKEN if one in seeds else Kind.GIVEN) for one in env.payloads.secrets())
    if env.proxy:
        yield Wanted(name=AUTHORITY, kind=Kind.AUTHORITY)
    for hostname, route in env.proxy.items():
        name = certificate_secret(hostname)
        if route.tls.by == "files":
            yield from _parts(route.tls)
            yield Wanted(name=name, kind=Kind.CERTIFICATE, hosts=(hostname,), outside=Outside(cited=cite(env, "proxy", hostname, "tls")))
        elif route.tls.by == "acme" and env.acme is not None:
            yield Wanted(name=env.acme.account.secret, kind=Kind.TOKEN)
            yield Wanted(name=name, kind=Kind.CERTIFICATE, hosts=(hostname,), acme=True)
        else:
            yield Wanted(name=name, kind=Kind.CERTIFICATE, hosts=(hostname, "localhost", "127.0.0.1"), signed_by=AUTHORITY)


def _parts(tls: RouteTls) -> tuple[Wanted, ...]:
    """The secrets that a certificate of others is put together from; its key is the last."""
    chain = (tls.certificate.secret,) if isinstance(tls.certificate, Secret) else ()
    key = (tls.key.secret,) if tls.key is not None else ()
    return tuple(Wanted(name=name, kind=Kind.GIVEN) for name in (*chain, *key))


def _joined(env: Environment, want: Wanted, every: Mapping[str, Wanted]) -> Wanted:
    """A certificate of others with where its parts come from."""
    route = next((route for hostname, route in env.proxy.items() if certificate_secret(hostname) == want.name), None)
    if route is None or route.tls.by != "files" or want.outside is None:
        return want
    path = route.tls.certificate if isinstance(route.tls.certificate, str) else ""
    parts = tuple(every[part.name] for part in _parts(route.tls))
    return replace(want, outside=replace(want.outside, file=str(beside(env, path)) if path else "", parts=parts))


def beside(env: Environment, path: str) -> Path:
    """A path of the environment file, seen from there."""
    return Path(env.file).absolute().parent / path


def _from(env: Environment, want: Wanted, pattern: str, star: str) -> Wanted:
    if not pattern or want.outside is not None:
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
