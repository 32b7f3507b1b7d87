"""The tools of the router's MCP server: names, arguments, and what each asks of the router. Pure. Names are public (facts H).

Tools of free calls and of fact checks have names of ours. `cortensor_create_session` of older builds is refused: MCP creates no sessions
that cost somebody money.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from cortops.programs.router.offers import Asked, Family
from cortops.protocol.settings import RouterSettings
from cortops.words.errors import BadInput

PAYMENT_ARGUMENT = "payment"
NO_SESSIONS = "cortensor_create_session"


class Access(StrEnum):
    """Who may call a tool: anybody; who has the key; who has the key or pays; anybody within the window of free calls."""

    OPEN = "open"
    KEY = "key"
    PAID = "paid"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """kind: which declared session it is bound to, "" = none. properties: of its arguments, as JSON Schema; needed: the required ones."""

    name: str
    about: str
    family: Family
    access: Access
    version: int = 1
    kind: str = ""
    properties: Mapping[str, Any]
    needed: tuple[str, ...] = ()

    def schema(self, *, paid: bool) -> dict[str, Any]:
        """Of its arguments. paid: payments are taken, so it can be paid for."""
        properties = dict(self.properties)
        if self.access is Access.PAID and paid:
            properties[PAYMENT_ARGUMENT] = _text("Proof of a payment (x402), as in X-PAYMENT. Not needed with a key.")
        return {"type": "object", "properties": properties, "required": list(self.needed)}


def _text(about: str) -> dict[str, Any]:
    return {"type": "string", "description": about}


def _whole(about: str) -> dict[str, Any]:
    return {"type": "integer", "description": about}


def _block(about: str) -> dict[str, Any]:
    return {"type": "object", "description": about}


_SESSION = {"session_id": _whole("Session that runs it. Where one is fixed, that one wins.")}
_COMPLETION = {
    "prompt": _text("The prompt."),
    "max_tokens": _whole("Longest answer, in tokens."),
    "temperature": {"type": "number", "description": "0 to 2."},
    "timeout": _whole("Longest time, in seconds."),
    **_SESSION,
}
_DELEGATE = {
    "objective": _text("What shall be done."),
    "input": _block('{"kind": "text", "payload": …}: what it shall be done with.'),
    "execution": _block('{"mode": "completion", "model": "auto", "max_tokens"?}'),
    "policy": _block('{"tier", "redundancy", "rules", "timeout_ms", "precommit_timeout"}, each optional.'),
    **_SESSION,
}
_VALIDATE = {
    "claim": _block('{"type": "analysis", "description": what was asked, "output": the result that is judged}'),
    "policy": _block('{"tier", "redundancy", "rules", "timeout_ms", "precommit_timeout"}, each optional.'),
    **_SESSION,
}
_V1 = {
    "task_request_input": _text("What was asked."),
    "task_result_output": _text("What came out."),
    "task_domain": _text("Field that it is about."),
    "task_type": _text("Kind of task."),
    "evaluation_mode": _text("What it is judged by."),
    **_SESSION,
}
_FACTCHECK = {
    "claim": _text("The statement."),
    "mode": {"type": "string", "enum": ["standard", "realtime"], "description": "realtime: searched for first."},
    "context": _text("What it is about."),
    **_SESSION,
}
_TASKS = {
    "session_id": _whole("Session whose tasks are listed."),
    "task_id": _whole("One task, with its results."),
    "before": _whole("Tasks older than this one."),
}


def _reads(name: str, family: Family, access: Access, about: str) -> Tool:
    return Tool(name=f"cortensor_{name}", about=about, family=family, access=access, properties={})


def _runs(
    name: str,
    family: Family,
    about: str,
    properties: Mapping[str, Any],
    *needed: str,
    kind: str,
    version: int = 1,
    access: Access = Access.PAID,
) -> Tool:
    return Tool(
        name=f"cortensor_{name}",
        about=about,
        family=family,
        access=access,
        version=version,
        kind=kind,
        properties=properties,
        needed=needed,
    )


TOOLS: tuple[Tool, ...] = (
    _runs("completions", Family.COMPLETIONS, "Answer a prompt.", _COMPLETION, "prompt", kind="completion"),
    _runs("delegate", Family.DELEGATE, "Have an objective carried out.", _DELEGATE, "objective", kind="delegate", version=2),
    _runs("delegate_v1", Family.DELEGATE, "Have a task carried out, in the older form.", _V1, "task_request_input", kind="delegate"),
    _runs(
        "validate", Family.VALIDATE, "Judge a result: VALID, INVALID, RETRY or NEEDS_SPEC.", _VALIDATE, "claim", kind="validate", version=2
    ),
    _runs(
        "validate_v1",
        Family.VALIDATE,
        "Judge a result, in the older form.",
        _V1,
        "task_request_input",
        "task_result_output",
        kind="validate",
    ),
    _runs("factcheck", Family.FACTCHECK, "Check a claim by several runs.", _FACTCHECK, "claim", kind="factcheck"),
    Tool(
        name="cortensor_tasks",
        about="Tasks of a session, or one of them.",
        family=Family.TASKS,
        access=Access.KEY,
        kind="tasks",
        properties=_TASKS,
    ),
    _reads("miners", Family.MINERS, Access.KEY, "Miners that are connected."),
    Tool(
        name="cortensor_sessions",
        about="Sessions that are served, or one of them.",
        family=Family.SESSIONS,
        access=Access.KEY,
        properties={"session_id": _whole("One session.")},
    ),
    _reads("info", Family.INFO, Access.KEY, "What the router is and serves."),
    _reads("status", Family.STATUS, Access.OPEN, "Whether the router is well."),
    _reads("about", Family.ABOUT, Access.OPEN, "Who the router is."),
    _reads("ping", Family.PING, Access.OPEN, "Whether the router answers."),
)
TRIAL_TOOLS: tuple[Tool, ...] = (
    _runs("trial_completions", Family.COMPLETIONS, "Answer a prompt, free.", _COMPLETION, "prompt", kind="", access=Access.TRIAL),
    _runs(
        "trial_delegate",
        Family.DELEGATE,
        "Have an objective carried out, free.",
        _DELEGATE,
        "objective",
        kind="",
        version=2,
        access=Access.TRIAL,
    ),
    _runs("trial_validate", Family.VALIDATE, "Judge a result, free.", _VALIDATE, "claim", kind="", version=2, access=Access.TRIAL),
    _runs("trial_factcheck", Family.FACTCHECK, "Check a claim, free.", _FACTCHECK, "claim", kind="", access=Access.TRIAL),
)


def tools_of(settings: RouterSettings, *, trial: bool) -> Mapping[str, Tool]:
    """Name -> tool, of what this router offers."""
    return {tool.name: tool for tool in (*TOOLS, *(TRIAL_TOOLS if trial and settings.trial_enabled else ()))}


def sessions_of(settings: RouterSettings) -> Mapping[str, int | None]:
    """Kind of tool -> the session that it is bound to, None where none is declared (facts A.1)."""
    default = settings.mcp_default_session
    declared = {
        "completion": settings.mcp_completion_session,
        "delegate": settings.mcp_delegate_session,
        "validate": settings.mcp_validate_session,
        "tasks": settings.mcp_tasks_session,
        "factcheck": settings.mcp_factcheck_session or settings.mcp_factcheck_consensus_session or settings.mcp_factcheck_single_session,
    }
    return {kind: session or default or None for kind, session in declared.items()}


def asked_of(tool: Tool, arguments: Mapping[str, Any], settings: RouterSettings) -> Asked:
    """What a call of the tool asks. BadInput for arguments that name another session than a fixed one may be."""
    body = {key: value for key, value in arguments.items() if key != PAYMENT_ARGUMENT}
    bound = sessions_of(settings).get(tool.kind)
    named = body.get("session_id")
    if named is not None and (not isinstance(named, int) or isinstance(named, bool) or not 0 < named <= 2**53):
        raise BadInput("session_id is the number of a session - at `$.session_id`")
    if bound is not None and (settings.mcp_fixed_sessions or named is None):
        body["session_id"] = named = bound
    reads = tool.family is Family.TASKS  # a read takes its session from the body
    return Asked(
        family=tool.family,
        version=tool.version,
        session=named if tool.kind and not reads else None,
        body=body,
        timeout_s=float(settings.mcp_timeout_s),
        streams=False,
    )


def payment_of(arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    """The proof of a payment as X-PAYMENT has it: the argument, or what the official client puts beside the arguments; "" = none."""
    found = arguments.get(PAYMENT_ARGUMENT) or meta.get("x402/payment") or ""
    if isinstance(found, str):
        return found
    return base64.b64encode(msgspec.json.encode(found)).decode()
