"""For each hostname one line to copy that shows it at work. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from cortops.environment.declared import Environment
from cortops.environment.traffic import Route
from cortops.surfaces.proxy.certificates import trust_file
from cortops.surfaces.proxy.ways import family_ways, sample, who
from cortops.surfaces.reach import LOOPBACK

ASKED = "Why is the sky blue?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curl:
    """What the line shows, and its words, each as the shell takes it. `text`: in one line. `lines`: broken where it is long."""

    hostname: str
    shows: str
    words: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        return " ".join(" ".join(group) for group in self.words)

    def lines(self, width: int, indent: str = "  ") -> tuple[str, ...]:
        """The same command over several lines of about `width`, joined by backslashes; no option is cut from its value."""
        lines: list[str] = []
        for group in self.words:
            part = " ".join(group)
            if lines and len(lines[-1]) + 1 + len(part) <= width:
                lines[-1] += f" {part}"
            else:
                lines.append(f"{indent}{part}" if lines else part)
        return tuple(f"{line} \\" for line in lines[:-1]) + tuple(lines[-1:])


def curls(env: Environment, ca_file: str, key: str) -> tuple[Curl, ...]:
    """A command per hostname, in the order of the file. ca_file: may begin with `~/`. key: a client's, or what stands for one."""
    return tuple(_curl(env, hostname, route, ca_file, key) for hostname, route in env.proxy.items())


def _curl(env: Environment, hostname: str, route: Route, ca_file: str, key: str) -> Curl:
    path, shows, options = _asks(env, hostname, route, key)
    port = "" if route.port == 443 else f":{route.port}"
    trusted = ca_file if route.tls.by == "local-ca" else trust_file(env, route)
    start = ("curl", *(("--cacert", _path(trusted)) if trusted else ()))
    to = () if _is_known_to_curl(hostname) else (("--resolve", f"{hostname}:{route.port}:{LOOPBACK}"),)
    return Curl(hostname=hostname, shows=shows, words=(start, *to, (shlex.quote(f"https://{hostname}{port}{path}"),), *options))


def _asks(env: Environment, hostname: str, route: Route, key: str) -> tuple[str, str, tuple[tuple[str, ...], ...]]:
    """Path, what it shows, options."""
    if route.to == "gateway" and env.gateway is not None:
        model = next(iter(env.gateway.models))
        question = {"model": model, "messages": [{"role": "user", "content": ASKED}]}
        return "/v1/chat/completions", f"{model} answers, through the gateway", (_header(f"authorization: Bearer {key}"), *_json(question))
    if route.to == "rpc":
        return "/", "the chain's id", tuple(_json({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}))
    if route.pool is not None:
        return "/api/v1/status", f"how a router of pool {route.pool} is, past the gateway", ()
    if route.kind == "url":
        return sample(family_ways(env, hostname, route.lets_through(env.gateway)[0])[0]), f"the way to {who(route)}", ()
    if route.to == "portal":
        return "/portal/sign-in", "keys and usage, in a browser; for a key: cortops keys issue --organisation NAME --scope portal", ()
    return "/status.json", "every state with its evidence; the console itself is /", ()


def _json(body: object) -> Iterator[tuple[str, str]]:
    yield _header("content-type: application/json")
    yield ("-d", shlex.quote(json.dumps(body, separators=(",", ":"))))


def _header(text: str) -> tuple[str, str]:
    return ("-H", shlex.quote(text))


def _path(path: str) -> str:
    """A path as the shell takes it; `~/` stays open to it."""
    return "~/" + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)


def _is_known_to_curl(hostname: str) -> bool:
    """curl takes every name under .localhost for loopback by itself (7.85 and later)."""
    return hostname == "localhost" or hostname.endswith(".localhost")
