"""The env-file keys of each program, as frozen values: surfaces write them, programs read them.

Public keys keep their public names (facts A.1, D); keys marked `ours` are not part of cortensord.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self, cast

from cortops.words.errors import BadInput

LOOPBACK = ("127.0.0.1",)  # where everything listens by default, and always: our own questions come that way


def _key(name: str, **default: Any) -> Any:
    return field(metadata={"key": name}, **default)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    ROLE: ClassVar[str] = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """{key: text} -> settings; BadInput names every missing or malformed key at once. Unknown keys are left alone."""
        values: dict[str, Any] = {}
        reasons: list[str] = []
        for spec in fields(cls):
            key, text = spec.metadata["key"], env.get(spec.metadata["key"], "")
            if text == "" and spec.default is not MISSING:
                continue
            try:
                values[spec.name] = _read(spec, text)
            except ValueError as error:
                reasons.append(f"{key}: {error}")
        if reasons:
            raise BadInput(f"the {cls.ROLE} cannot start: " + "; ".join(reasons), where="env file")
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Settings -> {key: text}, in field order, defaults included."""
        return {spec.metadata["key"]: _write(getattr(self, spec.name)) for spec in fields(self)}


def _read(spec: Field[Any], text: str) -> Any:
    if text == "":
        raise ValueError("missing")
    if spec.type == "int":
        return int(text)
    if spec.type == "float":
        return float(text)
    if spec.type == "tuple[int, ...]":
        return tuple(int(part) for part in text.split(",") if part.strip())
    if spec.type == "tuple[str, ...]":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _write(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(part) for part in cast("tuple[object, ...]", value))
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings(_Settings):
    """Where the chain is, through which contract the others are found, and who this node is on it."""

    name: str = _key("NODE_NAME")  # ours
    rpc_url: str = _key("HOST")
    chain_id: int = _key("CHAINID")
    runtime: str = _key("CONTRACT_ADDRESS_RUNTIME")  # the one contract address of an env file (facts C.1)
    address: str = _key("NODE_PUBLIC_KEY")
    private_key: str = _key("NODE_PRIVATE_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings(ChainSettings):
    """The router: its addresses, its key, the sessions it serves."""

    ROLE: ClassVar[str] = "router"

    api_key: str = _key("API_KEY")
    bind_ips: tuple[str, ...] = _key("ROUTER_REST_BIND_IP", default=LOOPBACK)
    port: int = _key("ROUTER_REST_BIND_PORT", default=5010)
    ws_bind_ips: tuple[str, ...] = _key("WS_BIND_IP", default=LOOPBACK)  # ours
    ws_port: int = _key("WS_PORT_ROUTER", default=9001)
    sessions: tuple[int, ...] = _key("ROUTER_SESSIONS", default=())  # ours
    precommit_timeout_s: int = _key("ROUTER_PRECOMMIT_TIMEOUT_S", default=90)  # ours; facts A.4: 90-300 seen
    request_timeout_s: int = _key("ROUTER_REQUEST_TIMEOUT_S", default=420)  # ours; facts A.4: 60-420 seen


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerSettings(ChainSettings):
    """The miner: its engine, and the routers that want its streams."""

    ROLE: ClassVar[str] = "miner"

    engine_url: str = _key("LLM_URL")  # ours; cortensord has LLM_HOST and LLM_PORT
    engine_model: str = _key("LLM_MODEL")  # ours: the name the engine answers to
    model_index: int = _key("LLM_CONTAINER_IMAGE", default=0)
    routers: tuple[str, ...] = _key("WS_ROUTERS", default=())  # ours: host:port of each router that may want our streams
    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)  # ours: /health
    port: int = _key("NODE_BIND_PORT")  # ours
    task_timeout_s: int = _key("MINER_TASK_TIMEOUT_S", default=300)  # ours
    ping_every_s: int = _key("MINER_PING_EVERY_S", default=300)  # ours; operators 2.4: about every 5-6 min


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSettings(ChainSettings):
    """The oracle: how long it waits for each step."""

    ROLE: ClassVar[str] = "oracle"

    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)  # ours: /health
    port: int = _key("NODE_BIND_PORT")  # ours
    ack_timeout_s: int = _key("ORACLE_ACK_TIMEOUT_S", default=30)  # ours; public deadlines are unknown (facts J.7)
    precommit_timeout_s: int = _key("ORACLE_PRECOMMIT_TIMEOUT_S", default=300)  # ours; a task's own requestParams[0] wins
    commit_timeout_s: int = _key("ORACLE_COMMIT_TIMEOUT_S", default=60)  # ours


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSettings(ChainSettings):
    """The validator: where its embedding model is, and from which similarity on two answers agree. All ours."""

    ROLE: ClassVar[str] = "validator"

    model_path: str = _key("VALIDATOR_MODEL_PATH")  # model.safetensors of all-MiniLM-L6-v2
    tokenizer_path: str = _key("VALIDATOR_TOKENIZER_PATH")  # its tokenizer.json
    similarity_min: float = _key("VALIDATOR_SIMILARITY_MIN", default=0.75)  # 0..1; public thresholds are unknown (facts E)
    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)  # /health
    port: int = _key("NODE_BIND_PORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings(_Settings):
    """All ours: any other OpenAI-compatible engine is only a URL."""

    ROLE: ClassVar[str] = "engine"

    model_path: str = _key("ENGINE_MODEL_PATH")
    model_name: str = _key("ENGINE_MODEL_NAME")
    bind_ips: tuple[str, ...] = _key("ENGINE_BIND_IP", default=LOOPBACK)
    port: int = _key("ENGINE_BIND_PORT", default=8090)
    threads: int = _key("ENGINE_THREADS", default=1)
    slots: int = _key("ENGINE_SLOTS", default=2)
    context_tokens: int = _key("ENGINE_CONTEXT_TOKENS", default=4096)  # of one slot


@dataclass(frozen=True, slots=True, kw_only=True)
class DevchainSettings(_Settings):
    """All ours: the development chain, one process with its anvil as child."""

    ROLE: ClassVar[str] = "chain"

    anvil_path: str = _key("DEVCHAIN_ANVIL_PATH")
    data_path: str = _key("DEVCHAIN_DATA_PATH")
    chain_id: int = _key("CHAINID")
    bind_ips: tuple[str, ...] = _key("DEVCHAIN_BIND_IP", default=LOOPBACK)
    port: int = _key("DEVCHAIN_BIND_PORT", default=8545)
    health_port: int = _key("DEVCHAIN_HEALTH_PORT")
    block_every_ms: int = _key("DEVCHAIN_BLOCK_EVERY_MS", default=50)  # while transactions wait
    heartbeat_every_s: int = _key("DEVCHAIN_HEARTBEAT_EVERY_S", default=10)  # an empty block, so that age means something
    snapshot_every_s: int = _key("DEVCHAIN_SNAPSHOT_EVERY_S", default=5)  # while blocks with transactions came
