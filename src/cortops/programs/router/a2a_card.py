"""The router's A2A card, and what a message to it asks (facts A.3, J.13: what the card says is ours, in the open schema). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

import cortops
from cortops.programs.router.mcp_advert import public_base
from cortops.programs.router.offers import Asked, Family
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

RPC_PATH = "/api/v1/a2a"
CARD_PATHS = ("/.well-known/agent.json", "/.well-known/agent-card.json", "/api/v1/a2a/agent.json")
DISCOVERY_PATH = "/api/v1/a2a/discovery"

# Skill -> its family, the version that is asked, and the body's key that a message in plain text fills.
SKILLS: Mapping[str, tuple[Family, int, str]] = {
    "completions": (Family.COMPLETIONS, 1, "prompt"),
    "delegate": (Family.DELEGATE, 2, "objective"),
    "validate": (Family.VALIDATE, 2, ""),
    "factcheck": (Family.FACTCHECK, 1, "claim"),
}
_ABOUT: Mapping[str, tuple[str, str]] = {
    "completions": ("Answer", "Answers a prompt, given as text."),
    "delegate": ("Delegate", "Carries out an objective: text, or data as the v2 delegate route takes it."),
    "validate": ("Validate", "Judges a result: data as the v2 validate route takes it. VALID, INVALID, RETRY or NEEDS_SPEC."),
    "factcheck": ("Fact check", "Checks a claim by several runs: text, or data as the factcheck route takes it."),
}


def card_of(settings: RouterSettings) -> AgentCard:
    """With public names only; without a declared one the interface is a path, below the address where the card was found."""
    url = public_base(settings) + RPC_PATH
    return AgentCard(
        name=settings.a2a_name or settings.name,
        description=settings.a2a_about or "A router of a Cortensor network: it runs tasks on miners and has results judged.",
        version=cortops.__version__,
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version) for version in ("1.0", "0.3")],
        capabilities=AgentCapabilities(streaming=True, push_notifications=False, extended_agent_card=False),
        security_schemes={"key": SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="bearer"))},
        security_requirements=[SecurityRequirement(schemes={"key": StringList()})],
        default_input_modes=["text/plain", "application/json"],
        default_output_modes=["text/plain", "application/json"],
        skills=[AgentSkill(id=skill, name=name, description=about, tags=[skill]) for skill, (name, about) in _ABOUT.items()],
    )


def discovery(settings: RouterSettings) -> dict[str, Any]:
    """The body of the discovery route; ours."""
    base = public_base(settings)
    agent = {"name": settings.a2a_name or settings.name, "card": base + CARD_PATHS[0], "url": base + RPC_PATH, "skills": list(SKILLS)}
    return {"agents": [agent]}


def asked_of(texts: Sequence[str], data: Sequence[Any], metadata: Mapping[str, Any], settings: RouterSettings) -> Asked:
    """A message's parts -> what it asks. metadata: `skill` (without it completions) and `session_id`. BadInput for what asks nothing."""
    skill = metadata.get("skill", "completions")
    if not isinstance(skill, str) or skill not in SKILLS:
        raise BadInput(f"there is no skill {str(skill)[:64]!r}: the card names {', '.join(SKILLS)}")
    family, version, key = SKILLS[skill]
    if len(data) > 1 or (data and not isinstance(data[0], Mapping)):
        raise BadInput("a message has at most one data part, an object")
    body: dict[str, Any] = dict(data[0]) if data else {}
    text = "\n".join(texts).strip()
    if text and not key:
        raise BadInput(f"{skill} takes data, not text")
    if text:
        body.setdefault(key, text)
    if not body:
        raise BadInput("a message needs a text part or a data part")
    session = metadata.get("session_id", body.get("session_id")) or settings.a2a_session or None
    if isinstance(session, float) and session.is_integer():
        session = int(session)  # numbers of protocol buffers' JSON are floats
    if session is not None and (not isinstance(session, int) or isinstance(session, bool) or not 0 < session <= 2**53):
        raise BadInput("session_id is the number of a session")
    return Asked(family=family, version=version, session=session, body=_whole_numbers(body), streams=False)


def _whole_numbers(value: Any) -> Any:
    """What protocol buffers made a float of an integer, back again."""
    if isinstance(value, Mapping):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def text_of(family: Family, body: Mapping[str, Any]) -> str:
    """The words of an answer, for agents that read text only; "" where there are none."""
    match family:
        case Family.COMPLETIONS:
            choices = body.get("choices") or [{}]
            return str(choices[0].get("text", ""))
        case Family.DELEGATE:
            return str(body.get("output") or "")
        case _:
            reasons = "; ".join(str(reason) for reason in body.get("reasons", ()))
            return f"{body.get('verdict', '')}{': ' if reasons else ''}{reasons}"
