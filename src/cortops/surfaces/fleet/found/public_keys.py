"""Which keys of a node's env file may leave its host, and in which form. Everything else stays there, unseen. Keys: facts A.1, D, F, H."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

Form = Literal["address", "number", "switch", "numbers", "word", "url", "kept"]
Kept = Literal["empty", "set", "default", "placeholder"]

WORD_MAX, NUMBERS_MAX, HASH_DIGITS = 100, 200, 16

# A name that ends in * stands for all that begin so. `url`: scheme, host and a hash of the whole. `kept`: one word about the value.
FORMS: Final[Mapping[str, Form]] = {
    "NODE_PUBLIC_KEY": "address",
    "PUBLIC_KEY": "address",  # of a container, from which its start script fills the env file
    "CONTRACT_ADDRESS_*": "address",
    "X402_ROUTER_NODE_PAY_TO": "address",
    "CHAINID": "number",
    "NUM_RPC_HOST": "number",
    "IS_L3": "switch",
    "ENABLE_*": "switch",
    "DISABLE_VERSION_CHECK": "switch",
    "DOCKER_LLM_MANAGER": "switch",
    "HOST": "url",
    "HOST_MAINNET": "url",
    "RPC_HOST_*": "url",
    "RPC_URL": "url",  # these two of a container, as PUBLIC_KEY
    "ETH_RPC_URL": "url",
    "AGENT_ROLE": "word",
    "LOG_FILE_NAME": "word",
    "DEDICATED_NODE_AUTHORIZED_SESSIONS": "numbers",
    "API_ENABLE": "switch",
    "API_PORT": "number",
    "REVERSE_PROXY_REST_PORT": "number",
    "ROUTER_REST_BIND_IP": "word",
    "ROUTER_REST_BIND_PORT": "number",
    "ROUTER_REST_SSL": "switch",
    "ROUTER_EXTERNAL_DOMAIN": "word",
    "ROUTER_EXTERNAL_IP": "word",
    "ROUTER_EXTERNAL_PORT": "number",
    "ROUTER_MCP": "switch",
    "ROUTER_MCP_BIND_IP": "word",
    "ROUTER_MCP_BIND_PORT": "number",
    "ROUTER_MCP_SSE": "switch",
    "ROUTER_MCP_SSE_BIND_IP": "word",
    "ROUTER_MCP_SSE_BIND_PORT": "number",
    "WS_HOST_ROUTER": "word",
    "WS_PORT_ROUTER": "number",
    "X402_ROUTER_NODE_ENABLE": "switch",
    "X402_ROUTER_NODE_NETWORK": "word",
    "X402_ROUTER_NODE_TRIAL_ENABLE": "switch",
    "ENCRYPTION_ALLOWLIST_USE_CONTRACT": "switch",
    "LLM_HOST": "word",
    "LLM_PORT": "number",
    "LLM_CONTAINER_IMAGE": "word",
    "LLM_SUBPROCESS_MODEL": "word",
    "LLM_GPU_CONTAINER": "switch",
    "LLM_OPTION_GPU": "switch",
    "LLM_OPTION_CPU_THREADS": "number",
    "LLM_WORKER_BASE_PORT": "number",
    "LLM_WORKER_PORT_PREFIX": "number",
    "LLM_GATEWAY_WORKER_BASE_PORT": "number",
    "LLM_MEMORY_INDEX_DYNAMIC_LOADING": "switch",
    "NODE_PRIVATE_KEY": "kept",
    "API_KEY": "kept",
    "ENCRYPTION_SEED": "kept",
    "ENCRYPTION_ALLOWED_LIST": "kept",
}

ADDRESS = re.compile(r"(0[xX])?[0-9a-fA-F]{40}")
# A run of letters and digits that is long enough to be a key.
_KEY_LIKE = re.compile(r"[0-9A-Za-z]{24}|(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{16}")
_URL = re.compile(rf"(https?|wss?|\?)://(\?|[A-Za-z0-9.-]{{1,100}}(:[0-9]{{1,5}})?)#sha256:[0-9a-f]{{{HASH_DIGITS}}}")

_FITS: Final[Mapping[Form, Callable[[str], object]]] = {
    "address": ADDRESS.fullmatch,
    "number": re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,19})?").fullmatch,
    "switch": re.compile(r"(0|1|true|false|yes|no|on|off)", re.IGNORECASE).fullmatch,
    "numbers": re.compile(rf"[0-9, ]{{1,{NUMBERS_MAX}}}").fullmatch,
    "word": lambda text: re.fullmatch(rf"[A-Za-z0-9.:_/-]{{1,{WORD_MAX}}}", text) and not _KEY_LIKE.search(text),
    "url": _URL.fullmatch,
    "kept": re.compile("empty|set|default|placeholder").fullmatch,
}


def form_of(key: str) -> Form | None:
    """The form in which a key's value may be told, None where it may not."""
    if key in FORMS:
        return FORMS[key]
    return next((form for name, form in FORMS.items() if name.endswith("*") and key.startswith(name[:-1])), None)


def fits(key: str, value: str) -> bool:
    """Whether `value` may have come from a host for `key`: it is public, and of its form, or "?" for one that was not."""
    form = form_of(key)
    return form is not None and (value in ("", "?") or bool(_FITS[form](value)))


def as_words() -> str:
    """The table as the host's program takes it: `KEY=form` words."""
    return " ".join(f"{key}={form}" for key, form in FORMS.items())
