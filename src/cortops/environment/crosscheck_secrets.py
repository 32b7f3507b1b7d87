"""Cross-checks of rules.secrets: every source is of a secret that is wanted, and a key stays only on a host whose own node uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.environment.declared import Declared, Environment
from cortops.environment.foreign import ForeignNode
from cortops.environment.model import RouterNode, WalletNode
from cortops.environment.reason import Finding, did_you_mean, list_of, printable
from cortops.environment.rules import SecretSource
from cortops.environment.section import Secret

AUTHORITY = "local-ca"  # the secret that holds the key of the local certificate authority


def certificate_secret(hostname: str) -> str:
    """The secret that holds a hostname's key; its public part is the certificate."""
    return f"tls/{hostname}"


def certificate_parts(declared: Declared | Environment) -> Iterator[str]:
    """The secrets that certificates are made of or asked for with: of files chain and key, of ACME the account."""
    for route in declared.proxy.values():
        yield from (part.secret for part in (route.tls.certificate, route.tls.key) if isinstance(part, Secret))
        if route.tls.by == "acme" and declared.acme is not None:
            yield declared.acme.account.secret


def source_of(name: str, sources: Mapping[str, SecretSource]) -> tuple[str, str]:
    """The pattern that a secret's value comes by, and what its `*` stands for; of several the one that says most. "" where none fits."""
    if name in sources:
        return name, ""
    fitting = [(pattern, part) for pattern in sources if (part := _star(pattern, name)) is not None]
    return max(fitting, key=lambda found: len(found[0]), default=("", ""))


def node_wallets(declared: Declared | Environment) -> tuple[str, ...]:
    """The secret of each node's wallet, in the order of the file."""
    return tuple(node.wallet.secret for node in declared.nodes.values() if isinstance(node, WalletNode))


def secret_sources_are_used(declared: Declared) -> Iterator[Finding]:
    """A source that fits no secret is a spelling mistake, and a key on a host is the wallet of one node there."""
    sources = declared.rules.secrets.sources
    if not sources or declared.network is None or not declared.has_all("nodes") or "proxy" in declared.incomplete:
        return
    wallets, deployer = node_wallets(declared), declared.network.deployer.secret
    routers = [node for node in declared.nodes.values() if isinstance(node, RouterNode)]
    tokens = [router.api_key.secret for router in routers]
    tokens += [router.families.search.key.secret for router in routers if router.families.search is not None]
    tokens += [secret for router in routers if router.x402 is not None for secret in router.x402.secrets]
    tokens += [secret.secret for node in declared.nodes.values() if isinstance(node, ForeignNode) for secret in node.secrets.values()]
    tokens += [declared.portal.session_key.secret] if declared.portal is not None else []
    tokens += [declared.gateway.store.url.secret] if declared.gateway is not None and declared.gateway.store is not None else []
    tokens += list(certificate_parts(declared))
    tokens += [secret.secret for secret in declared.payloads.secrets()] if declared.payloads is not None else []
    known = [deployer, *wallets, *tokens, AUTHORITY, *map(certificate_secret, declared.proxy)]
    used = {source_of(name, sources)[0] for name in known}
    for name, source in sources.items():
        path = ("rules", "secrets", "from", name)
        if name not in used:
            otherwise = f"Known here: {list_of(dict.fromkeys(known))}."
            what = f"gives the value of no secret: none is called {printable(name)}"
            yield Finding(path, what, did_you_mean(name, known, otherwise=otherwise))
        elif source.on_host is not None and (wallets.count(name) != 1 or name == deployer):
            yield Finding(path, "is no wallet of one node, so its value is wanted elsewhere too", "Give env or command.")


def _star(pattern: str, name: str) -> str | None:
    """What `*` stands for when the pattern fits the name; never nothing, and no `/`."""
    before, star, after = pattern.partition("*")
    part = name[len(before) : len(name) - len(after)]
    return part if star and part and "/" not in part and name == before + part + after else None
