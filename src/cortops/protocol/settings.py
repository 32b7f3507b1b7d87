"""The env-file keys of each program, as frozen values: surfaces write them, programs read them.

Public keys keep their public names (facts A.1, D); keys marked `ours` are not part of cortensord.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, Self, cast

from cortops.words.errors import BadInput

_NUMBERED = "tuple[tuple[int, str], ...]"  # one key with a number behind it, as often as need be
LOOPBACK = ("127.0.0.1",)  # where everything listens by default, and always: our own questions come that way


def _key(name: str, *, also: str = "", quiet: bool = False, **default: Any) -> Any:
    """also: an older name that is read where `name` is not there. quiet: written only where it is not the default."""
    return field(metadata={"key": name, "also": also, "quiet": quiet}, **default)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    ROLE: ClassVar[str] = ""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """{key: text} -> settings; BadInput names every missing or malformed key at once. Unknown keys are left alone."""
        values: dict[str, Any] = {}
        reasons: list[str] = []
        for spec in fields(cls):
            key = spec.metadata["key"]
            text = env.get(key, "") or env.get(spec.metadata["also"], "")
            if spec.type == _NUMBERED:
                values[spec.name] = _numbered(key, env)
                continue
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
        """Settings -> {key: text}, in field order, defaults included but for quiet ones."""
        shown = [(spec, getattr(self, spec.name)) for spec in fields(self)]
        told = [(spec, value) for spec, value in shown if not spec.metadata["quiet"] or value != spec.default]
        return {key: text for spec, value in told for key, text in _written(spec, value)}


def _read(spec: Field[Any], text: str) -> Any:
    if text == "":
        raise ValueError("missing")
    if spec.type == "int":
        return int(text)
    if spec.type == "float":
        return float(text)
    if spec.type == "bool":
        if text not in ("0", "1"):
            raise ValueError("is 0 or 1")
        return text == "1"
    if spec.type == "tuple[int, ...]":
        return tuple(int(part) for part in text.split(",") if part.strip())
    if spec.type == "tuple[str, ...]":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _numbered(stem: str, env: Mapping[str, str]) -> tuple[tuple[int, str], ...]:
    """KEY1, KEY2 ... as pairs of number and text, in order; empty ones are none."""
    ends = {key.removeprefix(stem): text for key, text in env.items() if key.startswith(stem) and text}
    return tuple(sorted((int(end), text) for end, text in ends.items() if end.isascii() and end.isdigit()))


def _written(spec: Field[Any], value: Any) -> list[tuple[str, str]]:
    key = spec.metadata["key"]
    return [(f"{key}{number}", text) for number, text in value] if spec.type == _NUMBERED else [(key, _write(value))]


def _write(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
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
    # Several addresses in place of HOST alone, in order of preference: RPC_HOST_0 to RPC_HOST_19 (facts D).
    several_rpcs: bool = _key("ENABLE_MULTIPLE_RPC_HOST", default=False, quiet=True)
    rpc_count: int = _key("NUM_RPC_HOST", default=0, quiet=True)
    rpc_hosts: tuple[tuple[int, str], ...] = _key("RPC_HOST_", default=(), quiet=True)
    # Of a network that gives tasks of its own; our runtime has no link to them (the first as SALT names it, facts C.1).
    cognitive: str = _key("CONTRACT_ADDRESS_COGNITIVE", default="", quiet=True)
    cognitive_level: str = _key("CONTRACT_ADDRESS_COGNITIVE_LEVEL", default="", quiet=True)

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """Where the chain is asked, the preferred address first."""
        numbered = tuple(url for number, url in self.rpc_hosts if number < self.rpc_count) if self.several_rpcs else ()
        return numbered or (self.rpc_url,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSettings(ChainSettings):
    """Where sealed payloads of private sessions lie, for routers and miners. All ours: no storage key is public (facts F)."""

    payload_environment: str = _key("PAYLOAD_ENVIRONMENT", default="", quiet=True)  # stands in every name and every key
    payload_storage: str = _key("PAYLOAD_STORAGE", default="", quiet=True)  # a folder's path, or s3://BUCKET[/PREFIX]
    payload_endpoint: str = _key("PAYLOAD_STORAGE_ENDPOINT", default="", quiet=True)
    payload_region: str = _key("PAYLOAD_STORAGE_REGION", default="us-east-1", quiet=True)
    payload_key_id: str = _key("PAYLOAD_STORAGE_KEY_ID", default="", quiet=True)
    storage_secret: str = _key("PAYLOAD_STORAGE_SECRET", default="", quiet=True)
    storage_token: str = _key("PAYLOAD_STORAGE_TOKEN", default="", quiet=True)  # of credentials that end
    payload_object_max_mib: float = _key("PAYLOAD_OBJECT_MAX_MIB", default=1.0, quiet=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings(PayloadSettings):
    """The router: its addresses, its key, the sessions it serves."""

    ROLE: ClassVar[str] = "router"

    api_key: str = _key("API_KEY")
    bind_ips: tuple[str, ...] = _key("ROUTER_REST_BIND_IP", default=LOOPBACK)
    port: int = _key("ROUTER_REST_BIND_PORT", also="API_PORT", default=5010)
    api_enabled: bool = _key("API_ENABLE", default=True, quiet=True)
    ws_bind_ips: tuple[str, ...] = _key("WS_BIND_IP", default=LOOPBACK)  # ours
    ws_port: int = _key("WS_PORT_ROUTER", default=9001)
    sessions: tuple[int, ...] = _key("ROUTER_SESSIONS", default=())  # ours
    precommit_timeout_s: int = _key("ROUTER_PRECOMMIT_TIMEOUT_S", default=90)  # ours; facts A.4: 90-300 seen
    request_timeout_s: int = _key("ROUTER_REQUEST_TIMEOUT_S", default=420)  # ours; facts A.4: 60-420 seen

    # Where clients and miners of others reach it, as it tells them (facts A.1).
    external_domain: str = _key("ROUTER_EXTERNAL_DOMAIN", default="", quiet=True)
    external_ip: str = _key("ROUTER_EXTERNAL_IP", default="", quiet=True)
    proxy_port: int = _key("REVERSE_PROXY_REST_PORT", default=0, quiet=True)
    rest_tls: bool = _key("ROUTER_REST_SSL", default=False, quiet=True)
    local: bool = _key("ROUTER_LOCAL", default=False, quiet=True)  # ours: a machine of its own, where the development token may do

    # Sessions of the families whose bodies need name none; 0 = the caller names it. All ours: public keys name only MCP's (facts A.1).
    delegate_session: int = _key("ROUTER_DELEGATE_SESSION_ID", default=0, quiet=True)
    validate_session: int = _key("ROUTER_VALIDATE_SESSION_ID", default=0, quiet=True)
    factcheck_sessions: tuple[int, ...] = _key("ROUTER_FACTCHECK_SESSION_IDS", default=(), quiet=True)
    realtime_sessions: tuple[int, ...] = _key("ROUTER_FACTCHECK_REALTIME_SESSION_IDS", default=(), quiet=True)
    consensus_sessions_3: tuple[int, ...] = _key("ROUTER_V3_SESSION_IDS_3", default=(), quiet=True)  # of v3 with three replicas
    consensus_sessions_5: tuple[int, ...] = _key("ROUTER_V3_SESSION_IDS_5", default=(), quiet=True)
    judge_schema: bool = _key("ROUTER_JUDGE_SCHEMA", default=False, quiet=True)  # the engines can hold a reply to a JSON schema
    create_enabled: bool = _key("ROUTER_CREATE_ENABLE", default=False, quiet=True)  # sessions are made and paid for with this wallet
    search_key: str = _key("TAVILY_API_KEY", default="", quiet=True)
    search_url: str = _key("TAVILY_API_URL", default="https://api.tavily.com", quiet=True)

    # Private sessions (facts F): the seed with its version and older ones, and who may have keys.
    seed: str = _key("ENCRYPTION_SEED", default="", quiet=True)
    seed_version: int = _key("ENCRYPTION_SEED_VERSION", default=1, quiet=True)  # ours
    older_seeds: tuple[tuple[int, str], ...] = _key("ENCRYPTION_SEED_V", default=(), quiet=True)  # ours: ENCRYPTION_SEED_V1 ...
    private_sessions: tuple[int, ...] = _key("ENCRYPTION_SESSIONS", default=(), quiet=True)  # ours
    key_per: str = _key("ENCRYPTION_KEY_PER", default="task", quiet=True)  # ours: task or session
    allow_by_contract: bool = _key("ENCRYPTION_ALLOWLIST_USE_CONTRACT", default=False, quiet=True)
    allowed_list: str = _key("ENCRYPTION_ALLOWED_LIST", default="", quiet=True)
    privacy_contract: str = _key("CONTRACT_ADDRESS_PRIVACY_SETTING_DATA", default="", quiet=True)  # ours: the runtime has no link to it
    payload_keep_days: int = _key("PAYLOAD_KEEP_DAYS", default=30, quiet=True)  # ours

    # Free calls (facts H). The names of the session keys are ours; without one the caller names the session.
    trial_enabled: bool = _key("X402_ROUTER_NODE_TRIAL_ENABLE", default=False, quiet=True)
    trial_requests_max: int = _key("X402_ROUTER_NODE_TRIAL_MAX_REQUESTS", default=1, quiet=True)  # of one client in a window
    trial_window_s: int = _key("X402_ROUTER_NODE_TRIAL_WINDOW_SECONDS", default=900, quiet=True)
    trial_completions_session: int = _key("X402_ROUTER_NODE_TRIAL_COMPLETIONS_SESSION_ID", default=0, quiet=True)
    trial_delegate_session: int = _key("X402_ROUTER_NODE_TRIAL_DELEGATE_SESSION_ID", default=0, quiet=True)
    trial_validate_session: int = _key("X402_ROUTER_NODE_TRIAL_VALIDATE_SESSION_ID", default=0, quiet=True)
    trial_factcheck_session: int = _key("X402_ROUTER_NODE_TRIAL_FACTCHECK_SESSION_ID", default=0, quiet=True)
    trusted_proxies: tuple[str, ...] = _key("ROUTER_TRUSTED_PROXIES", default=(), quiet=True)  # ours: networks whose X-Forwarded-For holds

    # MCP on a port of its own (facts A.1); sessions: 0 = the default one, and where that is 0 the caller names it.
    mcp: bool = _key("ROUTER_MCP", default=False, quiet=True)
    mcp_bind_ips: tuple[str, ...] = _key("ROUTER_MCP_BIND_IP", default=LOOPBACK, quiet=True)
    mcp_port: int = _key("ROUTER_MCP_BIND_PORT", default=8001, quiet=True)
    mcp_default_session: int = _key("ROUTER_MCP_DEFAULT_SESSION_ID", default=0, quiet=True)
    mcp_completion_session: int = _key("ROUTER_MCP_COMPLETION_SESSION_ID", default=0, quiet=True)
    mcp_delegate_session: int = _key("ROUTER_MCP_DELEGATE_SESSION_ID", default=0, quiet=True)
    mcp_validate_session: int = _key("ROUTER_MCP_VALIDATE_SESSION_ID", default=0, quiet=True)
    mcp_tasks_session: int = _key("ROUTER_MCP_TASKS_SESSION_ID", default=0, quiet=True)
    mcp_factcheck_session: int = _key("ROUTER_MCP_FACTCHECK_SESSION_ID", default=0, quiet=True)
    mcp_factcheck_single_session: int = _key("ROUTER_MCP_FACTCHECK_SINGLE_SESSION_ID", default=0, quiet=True)
    mcp_factcheck_consensus_session: int = _key("ROUTER_MCP_FACTCHECK_CONSENSUS_SESSION_ID", default=0, quiet=True)
    mcp_fixed_sessions: bool = _key("ROUTER_MCP_ENFORCE_FIXED_SESSIONS", default=False, quiet=True)  # they win over the caller's
    mcp_force_x402: bool = _key("ROUTER_MCP_FORCE_X402", default=False, quiet=True)  # whoever runs a task pays, with or without a key
    mcp_stream_force_x402: bool = _key("ROUTER_MCP_STREAM_FORCE_X402", default=False, quiet=True)  # the same
    mcp_timeout_s: int = _key("ROUTER_MCP_REST_TIMEOUT_SECONDS", default=300, quiet=True)
    mcp_advertised: bool = _key("MCP_ADVERTISE_ENABLED", default=True, quiet=True)
    mcp_advertisement: str = _key("MCP_ADVERTISE_JSON", default="", quiet=True)  # a JSON object that the advertisement shows as well

    # A2A: the keys are ours.
    a2a: bool = _key("ROUTER_A2A_ENABLE", default=False, quiet=True)
    a2a_name: str = _key("ROUTER_A2A_NAME", default="", quiet=True)  # on the card; without it the node's
    a2a_about: str = _key("ROUTER_A2A_DESCRIPTION", default="", quiet=True)
    a2a_session: int = _key("ROUTER_A2A_SESSION_ID", default=0, quiet=True)  # of messages that name none

    # Paid calls (facts H). Prices in USD, as decimal text; "" = the default one. Ours: all after the sessions, and the sessions' names.
    x402: bool = _key("X402_ROUTER_NODE_ENABLE", default=False, quiet=True)
    x402_network: str = _key("X402_ROUTER_NODE_NETWORK", default="base-sepolia", quiet=True)
    x402_pay_to: str = _key("X402_ROUTER_NODE_PAY_TO", default="", quiet=True)
    x402_price: str = _key("X402_ROUTER_NODE_PRICE_DEFAULT", default="0.001", quiet=True)
    x402_price_completions: str = _key("X402_ROUTER_NODE_PRICE_COMPLETIONS", default="", quiet=True)
    x402_completions_session: int = _key("X402_ROUTER_NODE_COMPLETIONS_SESSION_ID", default=0, quiet=True)
    x402_delegate_session: int = _key("X402_ROUTER_NODE_DELEGATE_SESSION_ID", default=0, quiet=True)
    x402_validate_session: int = _key("X402_ROUTER_NODE_VALIDATE_SESSION_ID", default=0, quiet=True)
    x402_factcheck_session: int = _key("X402_ROUTER_NODE_FACTCHECK_SESSION_ID", default=0, quiet=True)
    x402_price_delegate: str = _key("X402_ROUTER_NODE_PRICE_DELEGATE", default="", quiet=True)
    x402_price_validate: str = _key("X402_ROUTER_NODE_PRICE_VALIDATE", default="", quiet=True)
    x402_price_factcheck: str = _key("X402_ROUTER_NODE_PRICE_FACTCHECK", default="", quiet=True)
    x402_facilitator_url: str = _key("X402_ROUTER_NODE_FACILITATOR_URL", default="", quiet=True)
    x402_facilitator_secret: str = _key("X402_ROUTER_NODE_FACILITATOR_KEY", default="", quiet=True)  # sent to it as bearer
    x402_asset: str = _key("X402_ROUTER_NODE_ASSET", default="", quiet=True)  # address, decimals, EIP-712 name and version, between `,`

    @property
    def published_url(self) -> str:
        """Where the router says that it is: the proxy's address before its own (facts A.1)."""
        host = self.external_domain or self.external_ip or self.bind_ips[0]
        return f"{'https' if self.rest_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.proxy_port or self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerSettings(PayloadSettings):
    """The miner: its engine, and the routers that want its streams."""

    ROLE: ClassVar[str] = "miner"

    engine_url: str = _key("LLM_URL")  # ours; cortensord has LLM_HOST and LLM_PORT
    engine_model: str = _key("LLM_MODEL")  # ours: the name the engine answers to
    model_index: int = _key("LLM_CONTAINER_IMAGE", default=0)
    routers: tuple[str, ...] = _key("WS_ROUTERS", default=())  # ours: host:port of each router that may want our streams
    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)  # ours: /health
    port: int = _key("NODE_BIND_PORT")  # ours
    task_timeout_s: int = _key("MINER_TASK_TIMEOUT_S", default=300)  # ours
    payload_routers: tuple[str, ...] = _key("PAYLOAD_ROUTERS", default=(), quiet=True)  # ours: base URLs that give keys of private payloads
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
    network_every_s: int = _key("ORACLE_NETWORK_TASK_EVERY_S", default=60, quiet=True)  # ours, from the end of one to the next
    network_step_s: int = _key("ORACLE_NETWORK_STEP_TIMEOUT_S", default=30, quiet=True)  # ours; facts C.4 say 5 s as an example


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorSettings(ChainSettings):
    """The validator: where its embedding model is, what it holds answers to, and the engine of its judge. All ours."""

    ROLE: ClassVar[str] = "validator"

    model_path: str = _key("VALIDATOR_MODEL_PATH")  # model.safetensors of all-MiniLM-L6-v2
    tokenizer_path: str = _key("VALIDATOR_TOKENIZER_PATH")  # its tokenizer.json
    similarity_min: float = _key("VALIDATOR_SIMILARITY_MIN", default=0.75)  # 0..1; public thresholds are unknown (facts E)
    runs: str = _key("VALIDATOR_RUNS", quiet=True, default="validatorv2")  # facts D: validatorv2 compares, validatorv3 asks a judge too
    policy: str = _key("VALIDATOR_POLICY", quiet=True, default="")  # JSON of protocol.validation.Policy
    evidence_path: str = _key("VALIDATOR_EVIDENCE_PATH", quiet=True, default="")  # its SQLite file; "" keeps evidence in memory
    engine_url: str = _key("LLM_URL", quiet=True, default="")  # of a validatorv3's judge, as of a miner
    engine_model: str = _key("LLM_MODEL", quiet=True, default="")
    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)  # /health
    port: int = _key("NODE_BIND_PORT")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOracleSettings(ChainSettings):
    """The pool oracle: how often it looks, and whom it lets in. All ours but the pace (facts D: 5 min)."""

    ROLE: ClassVar[str] = "pool-oracle"

    every_s: int = _key("POOL_EVERY_S", default=300)
    ping_age_max_s: int = _key("POOL_PING_AGE_MAX_S", default=900)
    level_min: int = _key("POOL_LEVEL_MIN", default=0)
    verified_only: bool = _key("POOL_VERIFIED_ONLY", default=False)
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
    chain_owner: str = _key("DEVCHAIN_OWNER", default="", quiet=True)  # of a child chain: stand-ins of Arbitrum's precompiles are put there
    batch_poster: str = _key("DEVCHAIN_BATCH_POSTER", default="", quiet=True)  # whom ArbAggregator names


@dataclass(frozen=True, slots=True, kw_only=True)
class OrbitSettings(_Settings):
    """All ours: what a development child chain and its parent have between them. One process each for three parts.

    does: `sequencer`, `batch-poster` or `staker`. address, private_key: a wallet on the parent; the sequencer has none. *_health: the
    `/health` of a development chain, which tells the newest block that survives a kill; empty: the chain's own finalized block.
    """

    ROLE: ClassVar[str] = "orbit"

    name: str = _key("NODE_NAME")
    does: str = _key("ORBIT_DOES")
    parent_rpc: str = _key("ORBIT_PARENT_RPC")
    parent_health: str = _key("ORBIT_PARENT_HEALTH", default="", quiet=True)
    parent_chain_id: int = _key("ORBIT_PARENT_CHAINID")
    child_rpc: str = _key("ORBIT_CHILD_RPC")
    child_health: str = _key("ORBIT_CHILD_HEALTH", default="", quiet=True)
    child_chain_id: int = _key("CHAINID")
    rollup: str = _key("ORBIT_ROLLUP")
    bridge: str = _key("ORBIT_BRIDGE")
    inbox: str = _key("ORBIT_INBOX")
    sequencer_inbox: str = _key("ORBIT_SEQUENCER_INBOX")
    address: str = _key("NODE_PUBLIC_KEY", default="", quiet=True)
    private_key: str = _key("NODE_PRIVATE_KEY", default="", quiet=True)
    bind_ips: tuple[str, ...] = _key("NODE_BIND_IP", default=LOOPBACK)
    port: int = _key("NODE_BIND_PORT")
    every_s: float = _key("ORBIT_EVERY_S", default=5.0)  # between two batches, two assertions
    idle_every_s: float = _key("ORBIT_IDLE_EVERY_S", default=30.0)  # oldest block that no batch holds, when none carries a transaction
