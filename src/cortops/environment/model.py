"""The sections of an environment file as frozen values. Unknown keys are refused; descriptions here become the reference page.

Every value arrives as text (see document), so the field's type decides what it means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cortops.environment.agents import X402, A2a, Mcp
from cortops.environment.foreign import FOREIGN_ROLES, DatabaseNode, IpfsNode, ObjectStoreNode, RpcRelayNode
from cortops.environment.network_tasks import NetworkTasks, PoolOracleNode
from cortops.environment.orbit import (
    FALLBACKS_MAX,
    Assertions,
    BatchPoster,
    Bridge,
    ChainLimits,
    GasToken,
    Parent,
    Sequencer,
)
from cortops.environment.orbit_nodes import ORBIT_ROLES, OrbitNode
from cortops.environment.placed import Placed
from cortops.environment.routes import RouterFamilies
from cortops.environment.section import ContractPlace, Model, Name, Names, NodeOrUrl, Owned, Port, Rpc, Secret, Section, Url, refuse
from cortops.environment.validation import Validation
from cortops.protocol.validation import VALIDATOR_V3

FORMAT = 1
DEPLOY = "deploy"
REFERENCES_MAX = 8


class Host(Section):
    """A machine: this one, or one that is reached by SSH."""

    local: bool = Field(default=False, description="`true`: the machine that cortops runs on.", examples=["true"])
    ssh: str | None = Field(
        default=None,
        pattern=r"^([a-z_][a-z0-9_-]{0,31}@)?[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$",
        description="As for `ssh`: `[USER@]HOST[:PORT]`, or a name of `~/.ssh/config`.",
        examples=["me@h1.example"],
    )
    sudo: bool = Field(default=False, description="`true`: become root there by `sudo -n`, which must not ask for a password.")
    address: str | None = Field(
        default=None,
        description="Its IP address on a network that our hosts share and outsiders do not: programs that another host needs listen on it, "
        "without TLS. Not needed where nothing of ours crosses hosts.",
        examples=["10.0.0.11"],
    )

    @field_validator("address")
    @classmethod
    def _is_ip(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            raise refuse("is no IP address", "Write the address that the other hosts reach it by, for example 10.0.0.11.") from None
        if found.is_loopback or found.is_unspecified or found.is_multicast:
            raise refuse("is no address that another host could reach", "Write that of its own network card, for example 10.0.0.11.")
        return str(found)

    @model_validator(mode="after")
    def _one(self) -> Host:
        if self.local == (self.ssh is not None):
            raise refuse("is this machine and another one" if self.local else "leads nowhere", "Write local: true, or ssh: USER@HOST.")
        return self


class Engine(NodeOrUrl):
    """What a miner runs prompts on: a node of role engine, or any other OpenAI-compatible one: `{url: …, model: …}`."""

    model: Model | None = Field(default=None, description="The name that the engine at `url` answers to.")

    @model_validator(mode="after")
    def _model(self) -> Engine:
        if self.url is not None and self.model is None:
            raise refuse("has a url and no model", "Add the name that this engine answers to, for example: model: smollm2")
        if self.node is not None and self.model is not None:
            raise refuse("names a node and a model", "Leave the model out: the node declares it.")
        return self


_LIKE_RUNTIME = "Without it: deployed where runtime is, else as the runtime knows it."


def _module(about: str, alias: str | None = None) -> Any:
    return Field(default=None, alias=alias, description=f"{about} {_LIKE_RUNTIME}", examples=[DEPLOY])


class Contracts(Section):
    """The contracts of the network: `deploy`, or the address (0x and 40 hex digits) of one that exists."""

    runtime: ContractPlace = Field(description="The registry from which programs find the others; the only address they are given.")
    node_registry: ContractPlace | None = _module("Who is a node, and who was seen when.", "node-registry")
    node_pool: ContractPlace | None = _module("Which nodes are free for sessions, and which are reserved.", "node-pool")
    node_stats: ContractPlace | None = _module("How often each node took each step of a task.", "node-stats")
    session: ContractPlace | None = _module("Sessions, their routers and dedicated nodes.")
    session_queue: ContractPlace | None = _module("Tasks: submitted, assigned, acked, precommitted, committed, ended.", "session-queue")
    session_queue_validation: ContractPlace | None = _module("Verdicts of validators.", "session-queue-validation")
    cognitive: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")] | None = Field(
        default=None, description="Cognitive, the network's own tasks, of a network that has them."
    )
    salt: str = Field(
        default="",
        max_length=64,
        description="Any text; another one gives other addresses. Without it: the environment's name.",
        examples=["second"],
    )

    @property
    def modules(self) -> Mapping[str, str | None]:
        """Contract name as in the file -> what is declared for it; the runtime comes first."""
        return {
            "runtime": self.runtime,
            "node-registry": self.node_registry,
            "node-pool": self.node_pool,
            "node-stats": self.node_stats,
            "session": self.session,
            "session-queue": self.session_queue,
            "session-queue-validation": self.session_queue_validation,
        }

    def places(self) -> Mapping[str, str]:
        """Contract name as in the file -> `deploy` or an address; without those that only a runtime of others knows."""
        otherwise = DEPLOY if self.runtime == DEPLOY else ""
        return {name: place or otherwise for name, place in self.modules.items() if place or otherwise}

    @model_validator(mode="after")
    def _as_runtime(self) -> Contracts:
        """A runtime of others knows its own modules: ours would stand beside it, unknown to everyone."""
        strays = [name for name, place in self.places().items() if (place == DEPLOY) != (self.runtime == DEPLOY)]
        if strays and self.runtime == DEPLOY:
            raise refuse(f"deploys the runtime, and {strays[0]} is an address", "Write deploy for all, or the address of every one.")
        if strays:
            raise refuse(f"has the address of the runtime, and deploys {', '.join(strays)}", "Give the address of each, or leave it out.")
        return self


class Session(Section):
    """A session on chain; its key is the session's id."""

    name: str = Field(min_length=1, max_length=64, description="Its name on chain.", examples=["smollm2"])
    model: Model = Field(description="The model that it serves.")
    nodes: Names = Field(min_length=1, description="Miners dedicated to it.", examples=["[miner-1]"])
    routers: Names = Field(min_length=1, description="Routers that may submit its tasks.", examples=["[router-1]"])
    redundancy: int = Field(default=1, ge=1, le=8, description="How many miners answer each task.")
    validators: int = Field(
        default=0, ge=0, le=8, description="How many validators compare the answers to each task; 0: its tasks are not validated."
    )


class Network(Section):
    """The chain, its contracts and sessions; or, in one word, a known network: `network: testnet-0`."""

    like: Name | None = Field(
        default=None,
        description="A known network, from which every key comes that is not written here. One word in place of the section stands for it.",
        examples=["testnet-0"],
    )
    chain_id: int = Field(ge=1, le=2**53, description="The chain's id; every transaction is signed for it.", examples=["31338"])
    development: bool = Field(
        default=False,
        description="`true`: a chain of our own for trying out, where wallets are topped up by the chain itself. Never true elsewhere.",
    )
    rpc: Rpc = Field(description="A node of role chain or rpc-relay, or `{url: …}`.", examples=["chain-1"])
    references: tuple[Url, ...] = Field(
        default=(), max_length=REFERENCES_MAX, description="RPCs of others, with which the network's own and those of nodes are compared."
    )
    fallbacks: tuple[Url, ...] = Field(
        default=(),
        max_length=FALLBACKS_MAX,
        description="Further addresses of the chain that our programs ask, in this order, while `rpc` fails or is behind.",
    )
    limits: ChainLimits = Field(default=ChainLimits(), description="From when on the chain's own figures are ill.")
    parent: Parent | None = Field(default=None, description="The chain that this one settles on.")
    sequencer: Sequencer | None = Field(default=None, description="Who orders its transactions.")
    batch_poster: BatchPoster = Field(default=BatchPoster(), description="Who writes them to the parent.")
    bridge: Bridge = Field(default=Bridge(), description="The way between the two.")
    assertions: Assertions = Field(default=Assertions(), description="How often its state is asserted on the parent.")
    gas_token: GasToken | None = Field(
        default=None, description="What fees are paid in, where that is not ETH.", examples=["{symbol: COR}"]
    )
    explorer: Url | None = Field(
        default=None, description="A web page of others that shows the chain.", examples=["https://sepolia.arbiscan.io"]
    )
    contracts: Contracts = Field(description="Each `deploy`, or an address.")
    sessions: Mapping[Annotated[int, Field(ge=0, le=2**53)], Session] = Field(default={}, description="Session id -> session.")
    tasks: NetworkTasks | None = Field(
        default=None, description="Tasks that the network gives to its nodes by itself.", examples=["{every_s: 300}"]
    )
    deployer: Secret = Field(default=Secret(secret="deployer/key"), description="Wallet that deploys and administers the contracts.")


class ChainNode(Placed):
    """The development chain."""

    role: Literal["chain"]
    health_port: Port = Field(description="TCP port of its `/health`.", examples=["8546"])
    release: Name = Field(description="The release of anvil that it runs.", examples=["anvil"])


class EngineNode(Placed):
    """Runs a language model behind an OpenAI-compatible address."""

    role: Literal["engine"]
    release: Name = Field(description="The release that holds the model's file.", examples=["smollm2"])
    model: Model = Field(description="The name that it answers to.")
    threads: int = Field(default=1, ge=1, le=256, description="Threads for one token; a second one helps long prompts only.")
    slots: int = Field(default=2, ge=1, le=64, description="Requests at once.")
    context_tokens: int = Field(default=4096, ge=256, le=1_048_576, description="Tokens of prompt and answer together, for one slot.")


class RouterNode(Placed):
    """Submits tasks on chain and streams the answers back."""

    role: Literal["router"]
    ws_port: Port = Field(description="TCP port that miners dial.", examples=["9001"])
    sessions: Mapping[Model, tuple[Annotated[int, Field(ge=0, le=2**53)], ...]] = Field(
        min_length=1, description="Model -> ids of the sessions that serve it.", examples=["{smollm2: [1]}"]
    )
    request_timeout_s: int = Field(default=420, ge=5, le=3600, description="Longest time of one request. Public values: 60 to 420.")
    families: RouterFamilies = Field(
        default=RouterFamilies(), description="What it answers beside completions.", examples=["{delegate: 1, validate: 1}"]
    )
    mcp: Mcp | None = Field(default=None, description="Tools for agents.", examples=["{port: 8001, sessions: {default: 1}}"])
    a2a: A2a | None = Field(default=None, description="A card for other agents, and their tasks.", examples=["{}"])
    x402: X402 | None = Field(default=None, description="Calls that are paid for one by one.")
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: router-1/key}"])
    api_key: Secret = Field(description="Key that the gateway presents.", examples=["{secret: router-1/api-key}"])


class MinerNode(Placed):
    """Takes tasks and runs them on an engine."""

    role: Literal["miner"]
    engine: Engine = Field(description="A node of role engine, or `{url: …, model: …}`.", examples=["engine-1"])
    routers: Names = Field(min_length=1, description="Routers that it streams to.", examples=["[router-1]"])
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: miner-1/key}"])


class OracleNode(Placed):
    """Assigns tasks and ends them."""

    role: Literal["oracle"]
    ack_timeout_s: int = Field(default=30, ge=1, le=3600, description="A miner that has not acknowledged a task by then is left out of it.")
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: oracle-1/key}"])


class ValidatorNode(Placed):
    """Compares the answers to a task, by hash and by meaning, and records a verdict on each on chain."""

    role: Literal["validator"]
    runs: Literal["validatorv1", "validatorv2", "validatorv3"] = Field(
        default="validatorv2",
        description="`validatorv1` judges the network's own tasks, which moves levels; `validatorv2` compares answers; "
        "`validatorv3` also asks a judge what each is worth.",
    )
    release: Name = Field(description="The release that holds the embedding model's weights.", examples=["minilm"])
    tokenizer: Name = Field(description="The release that holds its tokenizer.", examples=["minilm-tokenizer"])
    similarity_min: float = Field(
        default=0.75, gt=0, le=1, description="Cosine of two answers' embeddings from which on they mean the same."
    )
    validation: Validation | None = Field(default=None, description="What answers are held to; without it: as the defaults say.")
    engine: Engine | None = Field(
        default=None, description="The judge of a validatorv3: a node of role engine, or any other one: `{url: …, model: …}`."
    )
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: validator-1/key}"])

    @model_validator(mode="after")
    def _judge(self) -> ValidatorNode:
        judges, policy = self.runs == VALIDATOR_V3, self.validation or Validation()
        if judges and self.engine is None:
            raise refuse("runs validatorv3 and has no engine", "Name the engine of its judge, for example: engine: engine-1")
        if not judges and self.engine is not None:
            raise refuse("has an engine that a validatorv2 never asks", "Write runs: validatorv3, or remove it.")
        if not judges and policy.rubric:
            raise refuse("has a rubric that a validatorv2 never asks", "Write runs: validatorv3, or remove it.")
        if not judges and policy.replicas == 1:
            raise refuse("compares one answer with none", "Write replicas: 3 or 5, or runs: validatorv3.")
        return self


ForeignProgram = DatabaseNode | ObjectStoreNode | RpcRelayNode | IpfsNode
Node = ChainNode | EngineNode | RouterNode | MinerNode | OracleNode | ValidatorNode | PoolOracleNode | OrbitNode | ForeignProgram
WalletNode = RouterNode | MinerNode | OracleNode | ValidatorNode | PoolOracleNode
NODE_ROLES: Mapping[str, type[Node]] = {
    "chain": ChainNode,
    "engine": EngineNode,
    "router": RouterNode,
    "miner": MinerNode,
    "oracle": OracleNode,
    "validator": ValidatorNode,
    "pool-oracle": PoolOracleNode,
    **ORBIT_ROLES,
    **FOREIGN_ROLES,
}


class Monitor(Owned):
    """`cortops watch` as a service: asks everything on a schedule, keeps states and their history, shows the console."""

    NAME: ClassVar[str] = "watch"

    on: Name = Field(description="The host that it runs on.", examples=["here"])
    port: Port = Field(description="TCP port of the console, on loopback.", examples=["8500"])
    every_s: float = Field(default=3, ge=0.5, le=3600, description="Seconds between two questions about the same thing.")
    raw_max_gib: float = Field(default=0.5, gt=0, le=1024, description="Answers are kept for 48 hours, and in no more than this.")
