"""Bodies of delegate, validate, factcheck and create, read into what shall be run. Pure.

Request keys are public (facts A.5, E) except those of factcheck, which are ours; so are all replies (facts J.5). Unknown keys are left
alone; a known one that asks for what is not offered is refused: nothing is silently ignored that would change the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from cortops.protocol.consensus import Disagreement, Strategy
from cortops.protocol.verdict import CLAIM_RUBRIC, RESULT_RUBRIC, RULES_MAX, Rubric
from cortops.words.errors import BadInput

DELEGATE_TOKENS = 1024
FACTCHECK_RUNS_MIN, FACTCHECK_RUNS_MAX = 3, 5
NAME_CHARS_MAX = 64  # of a session, as on chain
NODES_MAX = 32

T = TypeVar("T")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Rules = Annotated[list[Annotated[str, msgspec.Meta(max_length=400)]], msgspec.Meta(max_length=RULES_MAX)]
TimeoutMs = Annotated[int, msgspec.Meta(ge=1_000, le=3_600_000)]
PrecommitS = Annotated[int, msgspec.Meta(ge=1, le=3_600)]
SessionId = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Nodes = Annotated[int, msgspec.Meta(ge=0, le=NODES_MAX)]


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    session_id: SessionId | None = None
    request_id: str = ""


class V1Body(_Body, frozen=True, kw_only=True):
    """delegate and validate v1; task_result_output is what is judged."""

    task_request_input: Text
    task_result_output: str = ""
    task_domain: str = ""
    task_type: str = ""
    evaluation_mode: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """tier and redundancy are read and repeated: how many miners a session asks is fixed by the session (facts E)."""

    tier: str = "balanced"
    redundancy: Annotated[int, msgspec.Meta(ge=1, le=NODES_MAX)] = 1
    rules: Rules = []
    timeout_ms: TimeoutMs | None = None
    precommit_timeout: PrecommitS | None = None


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """kind: only text is offered. payload: any JSON; what is no text is given as JSON."""

    kind: str = "text"
    payload: Any = ""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """mode completion and model auto are what there is: the session has its model."""

    mode: str = "completion"
    model: str = "auto"
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = DELEGATE_TOKENS


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be judged: `output` is held to `description`."""

    output: Text
    description: Text
    type: str = "analysis"


class ConsensusBody(msgspec.Struct, frozen=True, kw_only=True):
    """session_pool: sessions of the declared pool, if the caller wants to name them; others are refused."""

    replicas: Literal[1, 3, 5] = 3
    session_pool: list[str | int] = []
    strategy: Strategy = Strategy.MAJORITY
    disagreement_policy: Disagreement = Disagreement.RETURN_ALL


class DelegateBody(_Body, frozen=True, kw_only=True):
    """delegate v2 and v3. consensus: v3 only. tools, workflow: not offered."""

    objective: Text
    input: Input = Input()
    execution: Execution = Execution()
    policy: Policy = Policy()
    consensus: ConsensusBody | None = None
    tools: list[Any] = []
    workflow: Any = None


class ValidateBody(_Body, frozen=True, kw_only=True):
    """validate v2 and v3. consensus: v3 only. context: any JSON, shown to the judge."""

    claim: Claim
    policy: Policy = Policy()
    consensus: ConsensusBody | None = None
    context: Any = None


class Mode(StrEnum):
    """standard: what the model knows. realtime: what a search finds now."""

    STANDARD = "standard"
    REALTIME = "realtime"


class FactcheckBody(_Body, frozen=True, kw_only=True):
    """factcheck. redundancy: runs."""

    claim: Text
    mode: Mode = Mode.STANDARD
    context: str = ""
    redundancy: Annotated[int, msgspec.Meta(ge=FACTCHECK_RUNS_MIN, le=FACTCHECK_RUNS_MAX)] = FACTCHECK_RUNS_MIN
    timeout_ms: TimeoutMs | None = None


class CreateBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/v1/create. mode 0: miners of the ephemeral pool; 1: miners that are added to it (facts A.5, C.2)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    min_nodes: Nodes = 1
    max_nodes: Nodes = 1
    validator_nodes: Nodes = 0
    mode: Literal[0, 1] = 0


# Place of a key -> what it may be, for whoever wrote something else.
_OFFERED: Mapping[str, str] = {
    "consensus.replicas": "1, 3, 5",
    "consensus.strategy": ", ".join(Strategy),
    "consensus.disagreement_policy": ", ".join(Disagreement),
    "mode": ", ".join(Mode),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a body asks for, whatever its version.

    session: the caller's, None = the declared one. consensus: None = one replica. timeout_s, precommit_s: None = the router's.
    """

    session: int | None
    request_id: str
    timeout_s: float | None = None
    precommit_s: int | None = None
    consensus: ConsensusBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation(Job):
    """A task for a session: what a miner shall answer."""

    prompt: str
    max_tokens: int = DELEGATE_TOKENS

    @property
    def chat(self) -> dict[str, Any]:
        """The task as a chat body."""
        return {"messages": [{"role": "user", "content": self.prompt}], "max_tokens": self.max_tokens}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging(Job):
    """A question to judges: `parts` as `verdict.judge_messages` takes them."""

    rubric: Rubric
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Factcheck(Judging):
    """A claim, asked `runs` times."""

    claim: str
    mode: Mode
    runs: int


def read_delegate(body: Mapping[str, Any], version: int) -> Delegation:
    """Raises BadInput with the key and what is wrong with it."""
    if version == 1:
        v1 = _read(body, V1Body)
        hints = (("Domain", v1.task_domain), ("Kind of task", v1.task_type), ("It will be judged by", v1.evaluation_mode))
        told = "\n".join(f"{name}: {text}" for name, text in hints if text)
        return Delegation(session=v1.session_id, request_id=v1.request_id, prompt=_prompt(v1.task_request_input, told))
    v2 = _read(body, DelegateBody)
    _only(v2.input.kind, "text", "input.kind")
    _only(v2.execution.mode, "completion", "execution.mode")
    _only(v2.execution.model, "auto", "execution.model")
    if v2.tools or v2.workflow:
        raise BadInput(f"is not offered here - at `$.{'tools' if v2.tools else 'workflow'}`")
    rules = "\n".join(("Keep to these rules:", *(f"- {rule}" for rule in v2.policy.rules))) if v2.policy.rules else ""
    return Delegation(
        session=v2.session_id,
        request_id=v2.request_id,
        timeout_s=_seconds(v2.policy.timeout_ms),
        precommit_s=v2.policy.precommit_timeout,
        consensus=_consensus(v2.consensus, version),
        prompt=_prompt(v2.objective, rules, _as_text(v2.input.payload)),
        max_tokens=v2.execution.max_tokens,
    )


def read_validate(body: Mapping[str, Any], version: int) -> Judging:
    """Raises BadInput with the key and what is wrong with it."""
    if version == 1:
        v1 = _read(body, V1Body)
        if not v1.task_result_output.strip():
            raise BadInput("is needed: there is nothing to judge - at `$.task_result_output`")
        named = (("DOMAIN", v1.task_domain), ("TYPE", v1.task_type), ("EVALUATION", v1.evaluation_mode))
        parts = (*named, ("TASK", v1.task_request_input), ("RESULT", v1.task_result_output))
        return Judging(session=v1.session_id, request_id=v1.request_id, rubric=RESULT_RUBRIC, parts=parts)
    v2 = _read(body, ValidateBody)
    return Judging(
        session=v2.session_id,
        request_id=v2.request_id,
        timeout_s=_seconds(v2.policy.timeout_ms),
        precommit_s=v2.policy.precommit_timeout,
        consensus=_consensus(v2.consensus, version),
        rubric=replace(RESULT_RUBRIC, rules=tuple(v2.policy.rules)),
        parts=(
            ("TYPE", v2.claim.type),
            ("CONTEXT", _as_text(v2.context)),
            ("TASK", v2.claim.description),
            ("RESULT", v2.claim.output),
        ),
    )


def read_factcheck(body: Mapping[str, Any]) -> Factcheck:
    """Raises BadInput with the key and what is wrong with it."""
    found = _read(body, FactcheckBody)
    return Factcheck(
        session=found.session_id,
        request_id=found.request_id,
        timeout_s=_seconds(found.timeout_ms),
        rubric=CLAIM_RUBRIC,
        parts=(("CONTEXT", found.context), ("CLAIM", found.claim)),
        claim=found.claim,
        mode=found.mode,
        runs=found.redundancy,
    )


def read_create(body: Mapping[str, Any]) -> CreateBody:
    """Raises BadInput with the key and what is wrong with it."""
    found = _read(body, CreateBody)
    if found.min_nodes > found.max_nodes:
        raise BadInput(f"is above max_nodes, which is {found.max_nodes} - at `$.min_nodes`")
    if len(found.name.encode()) > NAME_CHARS_MAX:
        raise BadInput(f"has more than {NAME_CHARS_MAX} bytes - at `$.name`")
    return found


def _read(body: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        offered = _OFFERED.get(place.removesuffix("`")) if what.startswith("Invalid enum value") else None
        raise BadInput(f"is one of {offered} - at `$.{place}" if offered else str(error)) from error


def _consensus(given: ConsensusBody | None, version: int) -> ConsensusBody | None:
    """Of v3 always one; elsewhere it is refused, since one replica would be taken for three."""
    if version == 3:
        return given or ConsensusBody()
    if given is not None:
        raise BadInput("belongs to v3 - at `$.consensus`")
    return None


def _only(given: str, offered: str, place: str) -> None:
    if given != offered:
        raise BadInput(f"only {offered} is offered here - at `$.{place}`")


def _seconds(timeout_ms: int | None) -> float | None:
    return None if timeout_ms is None else timeout_ms / 1000


def _as_text(value: Any) -> str:
    """Text as it is, nothing as nothing, all else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _prompt(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
