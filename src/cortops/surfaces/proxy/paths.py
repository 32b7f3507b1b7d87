"""The public paths of each route family, as nginx matches them: of the gateway (facts B) and of routers (facts A.3, A.6, H). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from cortops.environment.families import RouteFamily

Path = tuple[str, str]  # what is matched, `= /exact` or `/prefix`; and what is asked of who stands behind, empty for the same

COMPLETIONS = "/api/v1/completions"


def _same(*matches: str) -> tuple[Path, ...]:
    return tuple((match, "") for match in matches)


def _exact(*paths: str) -> tuple[Path, ...]:
    return _same(*(f"= {path}" for path in paths))


def _with_id(*paths: str) -> tuple[Path, ...]:
    """Both forms where there is one with an id: nginx would redirect from the bare one."""
    return _same(*(form for path in paths for form in (f"= {path}", f"{path}/")))


def _each(versions: str, *names: str) -> tuple[str, ...]:
    """`/api/v1/x402/delegate` and so on."""
    return tuple(f"/api/v{version}/{name}" for name, version in product(names, versions))


# Pages that are always open; metrics are no matter of the public.
GATEWAY_ALWAYS = _exact("/health", "/openapi.json")
PORTAL_ALWAYS = _exact("/", "/health")
PORTAL: tuple[Path, ...] = _with_id("/portal")
GATEWAY: Mapping[RouteFamily, tuple[Path, ...]] = {
    "completion": (*_exact("/v1/chat/completions", "/v1/completions", "/v1/messages"), *_with_id("/v1/models")),
    "portal": PORTAL,
}

# The short /about is the address that proxies in the wild give it (facts A.6).
INFO: tuple[Path, ...] = (
    *_exact(*_each("1", "ping", "status", "info", "about", "miners")),
    *_with_id(*_each("1", "sessions", "tasks")),
    ("= /about", "/api/v1/about"),
)
_PAID = ("delegate", "validate", "factcheck", "fact-check")
ROUTER: Mapping[RouteFamily, tuple[Path, ...]] = {
    "info": INFO,
    "completion": _with_id(*_each("123", "completions")),
    "delegate": _exact(*_each("123", "delegate")),
    "validate": _exact(*_each("123", "validate")),
    "factcheck": _exact(*_each("1", "factcheck", "fact-check")),
    "trial": (
        *_with_id("/api/v1/trial/completions"),
        *_exact(*(f"/api/v1/trial/{name}" for name in _PAID), *_each("2", "trial/delegate", "trial/validate")),
    ),
    "x402": (
        *_exact("/api/v1/x402/ping"),
        *_with_id("/api/v1/x402/completions"),
        *_exact(*(f"/api/v1/x402/{name}" for name in _PAID), *_each("2", "x402/delegate", "x402/validate")),
    ),
    "mcp": _exact("/mcp", "/mcp/messages"),
    "mcp-sse": _exact("/mcp/legacy", "/messages"),
    "a2a": _exact("/.well-known/agent.json", "/api/v1/a2a/agent.json", "/api/v1/a2a/discovery"),
    "payloads": _exact("/api/v1/auth/payload_enc_key/session", "/api/v1/auth/payload_enc_key/task", "/api/v3/offchain/result"),
    "create": _exact("/api/v1/create"),
}

# What our own router answers where it differs. v2 and v3 of completions are for private sessions: see `completions`.
OURS: Mapping[RouteFamily, tuple[Path, ...]] = {
    "a2a": (*ROUTER["a2a"], *_exact("/.well-known/agent-card.json", "/api/v1/a2a")),
}


def completions(*, private: bool) -> tuple[str, ...]:
    """Where our own routers take completions; private: there are sessions whose prompts are kept off the chain."""
    return _each("123" if private else "1", "completions")


def paths(kind: str, family: RouteFamily, *, private: bool = False) -> tuple[Path, ...]:
    """Of `family` where who answers it is `kind`: `gateway`, `pool`, or `url` for a router of others. private: as `completions`."""
    if kind == "gateway":
        return GATEWAY[family]
    if kind == "pool" and family == "completion":
        return _with_id(*completions(private=private))
    return OURS.get(family, ROUTER[family]) if kind == "pool" else ROUTER[family]
