"""What must stand on the parent of a development child chain: contracts, who may do what in them, and what is sent over the bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortops.contracts import create2
from cortops.contracts.abi import encode_call, static_call, word
from cortops.contracts.artifact import load
from cortops.environment.declared import Environment
from cortops.environment.graph import node_entity
from cortops.environment.model import DEPLOY, WalletNode
from cortops.environment.orbit_nodes import BatchPosterNode, SequencerNode, StakerNode
from cortops.surfaces.chain.addresses import salt
from cortops.surfaces.chain.orbit_addresses import GAS_TOKEN, declared_places, init_codes, parent_addresses, parent_url
from cortops.surfaces.site import Site, cite
from cortops.words.entity import Entity
from cortops.words.resource import Contract, ContractState, Funded, Resource, SecretRef

PLACE = "parent"
WALLET_MIN_WEI = 10**17
SUPPLY_WEI = 10**27  # of the gas token, made once
DEPOSIT_WEI = 10**20  # for each wallet of the child
UNLIMITED = 2**256 - 1

BRIDGE_KNOWS_SEQUENCER_INBOX = "bridge knows sequencer-inbox"
BRIDGE_KNOWS_INBOX = "bridge knows inbox"
SEQUENCER_INBOX_KNOWS = "sequencer-inbox knows "  # and the poster's name
STAKERS_KNOWN = "rollup knows "  # and the staker's name


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """Everything on the parent, each with what it needs; nothing where its contracts are those of others."""
    if not deploys(env):
        return
    chain = _chain_service(env)
    yield _funded(env, "deployer", site.public[env.network.deployer.secret], chain)
    yield from _contracts(env, site, chain)
    yield from _links(env, site)
    for name, node in env.nodes.items():
        if isinstance(node, BatchPosterNode | StakerNode):
            yield _funded(env, name, site.public[node.wallet.secret], chain)
            yield from _may(env, site, name, node)
    yield from _token(env, site)


def deploys(env: Environment) -> bool:
    """Whether contracts on the parent are ours to make."""
    return DEPLOY in declared_places(env).values()


def contracts_of(env: Environment) -> tuple[str, ...]:
    """Keys of the contracts that are deployed on the parent."""
    return tuple(f"{PLACE} contract:{name}" for name, place in declared_places(env).items() if place == DEPLOY)


def key_of(env: Environment, start: str) -> tuple[str, ...]:
    """Keys of the states on the parent whose name begins so; none where its contracts are those of others."""
    if not deploys(env):
        return ()
    nodes = (name for name, node in env.nodes.items() if isinstance(node, BatchPosterNode | StakerNode))
    names = [f"{start}{name}" for name in nodes] if start.endswith(" ") else [start]
    return tuple(f"{PLACE} contract-state:{name}" for name in names if not start.endswith(" ") or _is_known(env, start, name))


def bridged(env: Environment, name: str) -> tuple[str, ...]:
    """What a wallet of the child needs, where its gas comes over the bridge: its deposit, and who takes it over. Else nothing."""
    sequencers = [f"{node.host} service:{sequencer}" for sequencer, node in env.nodes_of(SequencerNode)]
    return (f"{PLACE} contract-state:{_deposit_name(name)}", *sequencers) if crosses(env) else ()


def crosses(env: Environment) -> bool:
    """Whether wallets of the child get their gas over the bridge: contracts of ours, and somebody who takes deposits over."""
    return deploys(env) and next(env.nodes_of(SequencerNode), None) is not None


def _is_known(env: Environment, start: str, state: str) -> bool:
    kind = BatchPosterNode if start == SEQUENCER_INBOX_KNOWS else StakerNode
    return isinstance(env.nodes[state.removeprefix(start)], kind)


def _chain_service(env: Environment) -> tuple[str, ...]:
    rpc = env.network.parent.rpc if env.network.parent else None
    return () if rpc is None or rpc.node is None else (f"{env.nodes[rpc.node].host} service:{rpc.node}",)


def _funded(env: Environment, name: str, address: str, needs: tuple[str, ...]) -> Funded:
    return Funded(
        place=PLACE,
        entity=Entity("wallet", name),
        because=cite(env, "network", "parent"),
        needs=needs,
        name=name,
        rpc_url=parent_url(env),
        address=address,
        at_least_wei=WALLET_MIN_WEI,
    )


def _contracts(env: Environment, site: Site, needs: tuple[str, ...]) -> Iterator[Contract]:
    for name, code in init_codes(env, site).items():
        yield Contract(
            place=PLACE,
            entity=Entity("contract", name),
            because=_because(env, name),
            needs=(*needs, f"{PLACE} funded:deployer"),
            name=name,
            rpc_url=parent_url(env),
            address=create2.address(code, salt(env)),
            init_code=code,
            salt=salt(env),
            code_hash=load(artifact_of(name)).code_hash,
            signer=SecretRef(env.network.deployer.secret),
        )


def artifact_of(name: str) -> str:
    """Contract of the parent as in the file -> its artifact."""
    return "orbit/" + name.replace("-", "_")


def _because(env: Environment, name: str) -> str:
    return cite(env, "network", "gas_token") if name == GAS_TOKEN else cite(env, "network", "parent", "contracts", name)


def _state(
    env: Environment,
    at: Mapping[str, str],
    name: str,
    holder: str,
    read: tuple[str, tuple[str | int, ...]],
    expect: str | int,
    write: str,
    *,
    entity: Entity | None = None,
    needs: tuple[str, ...] = (),
) -> ContractState:
    """holder: the contract that holds the value, as in the file. read: a full signature and its arguments."""
    function, arguments = read
    return ContractState(
        place=PLACE,
        entity=entity or Entity("contract", holder),
        because=_because(env, holder),
        needs=(*contracts_of(env), *needs),
        name=name,
        rpc_url=parent_url(env),
        to=at[holder],
        read=static_call(load(artifact_of(holder)), function, *arguments),
        expect="0x" + word(expect),
        write=write,
        signer=SecretRef(env.network.deployer.secret),
    )


def _links(env: Environment, site: Site) -> Iterator[ContractState]:
    at, bridge = parent_addresses(env, site), load("orbit/bridge")
    inbox, sequencer_inbox = at["inbox"], at["sequencer-inbox"]
    write = static_call(bridge, "setDelayedInbox(address,bool)", inbox, True)
    yield _state(env, at, BRIDGE_KNOWS_INBOX, "bridge", ("allowedDelayedInboxes(address)", (inbox,)), True, write)
    write = static_call(bridge, "setSequencerInbox(address)", sequencer_inbox)
    yield _state(env, at, BRIDGE_KNOWS_SEQUENCER_INBOX, "bridge", ("sequencerInbox()", ()), sequencer_inbox, write)


def _may(env: Environment, site: Site, name: str, node: BatchPosterNode | StakerNode) -> Iterator[ContractState]:
    """The poster posts; the staker asserts, and is the bridge's outbox."""
    at, account, entity = parent_addresses(env, site), site.public[node.wallet.secret], node_entity(name, node)
    if isinstance(node, BatchPosterNode):
        write = static_call(load("orbit/sequencer_inbox"), "setIsBatchPoster(address,bool)", account, True)
        state = f"{SEQUENCER_INBOX_KNOWS}{name}"
        yield _state(env, at, state, "sequencer-inbox", ("isBatchPoster(address)", (account,)), True, write, entity=entity)
        return
    write = static_call(load("orbit/bridge"), "setOutbox(address,bool)", account, True)
    outbox = _state(env, at, f"bridge pays by {name}", "bridge", ("allowedOutboxes(address)", (account,)), True, write, entity=entity)
    yield outbox
    write = encode_call(load("orbit/rollup"), "setValidator", [account], [True])
    read = ("isValidator(address)", (account,))
    yield _state(env, at, f"{STAKERS_KNOWN}{name}", "rollup", read, True, write, entity=entity, needs=(outbox.key,))


def _token(env: Environment, site: Site) -> Iterator[ContractState]:
    """The gas token is made, and each wallet of the child gets some over the bridge."""
    if not crosses(env):
        return
    at, token, deployer = parent_addresses(env, site), load("orbit/gas_token"), site.public[env.network.deployer.secret]
    write = static_call(token, "mint(address,uint256)", deployer, SUPPLY_WEI)
    minted = _state(env, at, "gas token made", GAS_TOKEN, ("totalSupply()", ()), SUPPLY_WEI, write)
    write = static_call(token, "approve(address,uint256)", at["inbox"], UNLIMITED)
    allowance = ("allowance(address,address)", (deployer, at["inbox"]))
    allowed = _state(env, at, "inbox may take gas tokens", GAS_TOKEN, allowance, UNLIMITED, write)
    yield from (minted, allowed)
    for name, account in wallets(env, site).items():
        write = static_call(load("orbit/inbox"), "depositERC20To(address,uint256)", account, DEPOSIT_WEI)
        deposited = ("hasDeposited(address,uint256)", (account, DEPOSIT_WEI))
        needs = (minted.key, allowed.key, *key_of(env, BRIDGE_KNOWS_INBOX))
        yield _state(env, at, _deposit_name(name), "inbox", deposited, True, write, entity=Entity("wallet", name), needs=needs)


def _deposit_name(wallet: str) -> str:
    return f"gas for {wallet}"


def wallets(env: Environment, site: Site) -> Mapping[str, str]:
    """Wallets of the child that hold gas: name -> address, the deployer first."""
    nodes = {name: site.public[node.wallet.secret] for name, node in env.nodes.items() if isinstance(node, WalletNode)}
    return {"deployer": site.public[env.network.deployer.secret], **nodes}
