"""Lines to copy that show this environment's gateway and portal at work. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from cortops.protocol.portal import PortalConfig

ASKED = "Why is the sky blue?"
AUTHORITY_FILE = "ca.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What the lines show, and the lines."""

    title: str
    text: str


def examples(config: PortalConfig, portal_url: str) -> tuple[Example, ...]:
    """A command for each thing that people do first. portal_url: as the reader's browser called us."""
    return tuple(_examples(config, portal_url))


def _examples(config: PortalConfig, portal_url: str) -> Iterator[Example]:
    gateway, model = config.gateway_url or "https://GATEWAY", next(iter(config.models), "MODEL")
    curl = "curl" + (f" --cacert {AUTHORITY_FILE}" if config.own_authority else "")
    question = {"model": model, "messages": [{"role": "user", "content": ASKED}]}
    yield Example(title="Models that you may ask", text=_lines(f"{curl} {gateway}/v1/models", _key()))
    yield Example(title="A question", text=_lines(f"{curl} {gateway}/v1/chat/completions", _key(), *_body(question)))
    yield Example(
        title="The answer as it is written",
        text=_lines(f"{curl} -N {gateway}/v1/chat/completions", _key(), *_body({**question, "stream": True})),
    )
    new = {"name": "batch job", "scopes": [f"model:{model}"], "expires_in_days": 30, "limits": {"requests_per_min": 60}}
    yield Example(title="Make a key", text=_lines(f"{curl} {portal_url}/portal/api-keys", _key("PORTAL_KEY"), *_body(new)))
    yield Example(title="Revoke a key", text=_lines(f"{curl} -X DELETE {portal_url}/portal/api-keys/KEY_ID", _key("PORTAL_KEY")))
    yield Example(
        title="Usage by day, model and key", text=_lines(f"{curl} '{portal_url}/portal/usage-summary?days=30'", _key("PORTAL_KEY"))
    )


def _key(name: str = "KEY") -> str:
    """From the environment, so that no key stands in a shell's history."""
    return f'-H "authorization: Bearer ${name}"'


def _body(value: object) -> tuple[str, str]:
    return "-H 'content-type: application/json'", f"-d {shlex.quote(json.dumps(value))}"


def _lines(*parts: str) -> str:
    return " \\\n  ".join(parts)
