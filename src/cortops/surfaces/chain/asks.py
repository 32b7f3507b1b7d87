"""What is asked of a chain that settles on another, and of that other one, by their public interface. Pure.

Selectors and topics: nitro-contracts 3.1.0 and the precompiles of ArbOS (toolchain.md, L2/L3 checks).
"""

from __future__ import annotations

from collections.abc import Iterator

from cortops.contracts.abi import word
from cortops.environment.chain_parts import GAS_TOKEN, has, parent_modules
from cortops.environment.declared import Environment
from cortops.environment.graph import DEPLOYER, wallet_names
from cortops.environment.model import WalletNode
from cortops.environment.orbit_nodes import BatchPosterNode
from cortops.surfaces.chain.addresses import rpc_url
from cortops.surfaces.chain.orbit_addresses import parent_addresses, parent_url
from cortops.surfaces.reach import from_here, place
from cortops.surfaces.site import Site
from cortops.words.question import Events, Feed, Heads, Holdings, Http, Question, Rpc

ARB_SYS, ARB_OWNER_PUBLIC, ARB_GAS_INFO, ARB_AGGREGATOR, ARB_RETRYABLE = (f"0x{at:040x}" for at in (0x64, 0x6B, 0x6C, 0x6D, 0x6E))
BATCH = "0x7394f4a19a13c7b92b5bb71033245305946ef78452f7b4986ac1390b5df4ebd7"  # topic of SequencerBatchDelivered
CREATED = "0x901c3aee23cf4478825462caaab375c606ab83516060388344f0650340753630"  # topic of AssertionCreated (BoLD)
CONFIRMED = "0xfc42829b29c259a7370ab56c8f69fce23b5f351a9ce151da453281993ec0090c"  # topic of AssertionConfirmed (BoLD)
NODE_CREATED = "0x4f4caa9e67fb994e349dd35d1ad0ce23053d4323f83ce11dc817b5435031d096"  # topic of NodeCreated, of older rollups
NODE_CONFIRMED = "0x22ef0479a7ff660660d1c2fe35f1b632cf31675c2d9378db8cec95b00d8ffa3c"  # topic of NodeConfirmed, of older rollups
DELIVERED = "0x5e3c1311ea442664e8b1611bfabef659120ea7a0a2cfc0667700bebc69cbffe1"  # topic of MessageDelivered
LEFT = "0x3e7aafa77dbf186b7fd488006beff893744caa3c4f6f299e8a709fa2087374fc"  # topic of L2ToL1Tx
TICKET = "0x7c793cced5743dc5f531bbe2bfb5a9fa3f40adef29231e6ab165c08a29e3dd89"  # topic of TicketCreated
REDEEM = "0x5ccd009502509cf28762c67858994d85b163bb6e451f5e9df7c5e18c9c2e123e"  # topic of RedeemScheduled

HEADS, PARENT_HEADS, FEED, EXPLORER, SEQUENCER = "heads:chain", "heads:parent", "feed:sequencer", "explorer:page", "sequencer:id"
EVENTS, PARENT_EVENTS, GAS, POSTER_GAS = "events:chain", "events:parent", "gas:chain", "gas:posters"
GAS_PRICE, PARENT_ID, PARENT_HEAD = "orbit:gas-price", "parent:id", "parent:head"
TIMEOUT_S = 4.0

# Question -> (contract, calldata), asked of the chain.
_CHILD = {
    "orbit:id": (ARB_SYS, "0xd127f54a"),
    "orbit:arbos": (ARB_SYS, "0x051038f2"),
    "orbit:upgrade": (ARB_OWNER_PUBLIC, "0x81ef944c"),
    "orbit:owners": (ARB_OWNER_PUBLIC, "0x516b4e0f"),
    "orbit:gas-least": (ARB_GAS_INFO, "0xf918379a"),
    "orbit:gas-backlog": (ARB_GAS_INFO, "0x1d5b5c20"),
    "orbit:gas-prices": (ARB_GAS_INFO, "0x41b247a8"),
    "orbit:posters": (ARB_AGGREGATOR, "0xe10573a3"),
}
# Question -> (contract as declared, calldata), asked of the parent.
_PARENT = {
    "parent:chain-id": ("rollup", "0x9a8a0592"),
    "parent:confirmed": ("rollup", "0x65f7f80d"),
    "parent:paused": ("rollup", "0x5c975abb"),
    "parent:stakers": ("rollup", "0xdff69787"),
    "parent:owner": ("rollup", "0x8da5cb5b"),
    "parent:batches": ("sequencer-inbox", "0x06f13056"),
    "parent:read": ("sequencer-inbox", "0x7fa3a40e"),
    "parent:variation": ("sequencer-inbox", "0xebea461d"),
    "parent:reported": ("bridge", "0x5fca4a16"),
    "parent:delayed": ("bridge", "0xeca067ad"),
    "parent:token": ("bridge", "0xe1758bd8"),
    "parent:inbox-paused": ("inbox", "0x5c975abb"),
    "parent:decimals": (GAS_TOKEN, "0x313ce567"),
}


def questions(env: Environment, site: Site) -> Iterator[Question]:
    """Everything about parts that are there; nothing where none is declared."""
    url, network = rpc_url(env), env.network
    if has(network, "rpc-pool"):
        yield Heads(id=HEADS, urls=(url, *network.fallbacks, *network.references), timeout_s=6)
    if has(network, "fees"):
        yield Rpc(id=GAS_PRICE, url=url, method="eth_gasPrice", timeout_s=TIMEOUT_S)
    if has(network, "arbos"):
        yield from (_call(asked, url, to, data) for asked, (to, data) in _CHILD.items())
        yield Events(id=EVENTS, url=url, addresses=(ARB_SYS, ARB_RETRYABLE), topics=(LEFT, TICKET, REDEEM))
    if has(network, "parent"):
        yield from _of_parent(env, site)
    if has(network, "sequencer") and network.sequencer is not None and network.sequencer.url is not None:
        yield Rpc(id=SEQUENCER, url=network.sequencer.url, method="eth_chainId", timeout_s=TIMEOUT_S)
    if has(network, "feed"):
        yield Feed(id=FEED, url=feed_url(env))
    if has(network, "explorer") and network.explorer is not None:
        yield Http(id=EXPLORER, url=network.explorer, timeout_s=TIMEOUT_S)
    if wallets := tuple(wallet_addresses(env, site).values()):
        yield Holdings(id=GAS, url=url, addresses=wallets)


def _of_parent(env: Environment, site: Site) -> Iterator[Question]:
    url, network, addresses = parent_url(env), env.network, parent_addresses(env, site)
    yield Rpc(id=PARENT_ID, url=url, method="eth_chainId", timeout_s=TIMEOUT_S)
    yield Rpc(id=PARENT_HEAD, url=url, method="eth_getBlockByNumber", params=("latest", False), timeout_s=TIMEOUT_S)
    if network.parent is not None and network.parent.references:
        yield Heads(id=PARENT_HEADS, urls=(url, *network.parent.references), timeout_s=6)
    for name in parent_modules(network):
        yield Rpc(id=f"code:parent:{name}", url=url, method="eth_getCode", params=(addresses[name], "latest"), timeout_s=TIMEOUT_S)
    yield from (_call(asked, url, addresses[name], data) for asked, (name, data) in _PARENT.items() if name in addresses)
    if GAS_TOKEN in addresses and "bridge" in addresses:
        yield _call("parent:holds", url, addresses[GAS_TOKEN], "0x70a08231" + word(addresses["bridge"]))
    posters = poster_addresses(env, site)
    if "sequencer-inbox" in addresses:
        for at, poster in enumerate(posters):
            yield _call(f"parent:poster:{at}", url, addresses["sequencer-inbox"], "0x71c3e6fe" + word(poster))
    if posters:
        yield Holdings(id=POSTER_GAS, url=url, addresses=posters)
    if watched := tuple(addresses[name] for name in ("rollup", "sequencer-inbox", "bridge") if name in addresses):
        topics = (BATCH, CREATED, CONFIRMED, NODE_CREATED, NODE_CONFIRMED, DELIVERED)
        yield Events(id=PARENT_EVENTS, url=url, addresses=watched, topics=topics)


def _call(asked: str, url: str, to: str, data: str) -> Rpc:
    return Rpc(id=asked, url=url, method="eth_call", params=({"to": to, "data": data}, "latest"), timeout_s=TIMEOUT_S)


def feed_url(env: Environment) -> str:
    """Where the feed is listened to; "" where there is none."""
    feed = env.network.sequencer.feed if env.network.sequencer is not None else None
    if feed is None or feed.node is None:
        return (feed.url if feed is not None else None) or ""
    node = env.nodes[feed.node]
    return f"ws://{place(from_here(env, node.host), node.port)}/"


def poster_addresses(env: Environment, site: Site) -> tuple[str, ...]:
    """The batch posters that are known: declared, or nodes of ours; none where the chain alone knows."""
    own = (site.public[node.wallet.secret] for _, node in env.nodes_of(BatchPosterNode))
    return env.network.batch_poster.addresses or tuple(own)


def wallet_addresses(env: Environment, site: Site) -> dict[str, str]:
    """Whose gas on the chain is looked at -> address."""
    secrets = {name: node.wallet.secret for name, node in env.nodes.items() if isinstance(node, WalletNode)}
    secrets[DEPLOYER] = env.network.deployer.secret
    return {name: site.public[secrets[name]] for name in wallet_names(env)}
