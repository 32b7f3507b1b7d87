"""What the chain's words mean for the validator, pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cortops.contracts.abi import Event
from cortops.contracts.records import TASKS_KEPT
from cortops.programs.common.progress import Key, Progress, key_of, progress_of
from cortops.programs.validator.judge import Asked, Replica
from cortops.protocol.chat import PROMPT_CHAT, PROMPT_GUIDED, PROMPT_RAW, body_of, prompt_of
from cortops.protocol.payload_urn import is_urn
from cortops.words.errors import BadInput

RECORDED = "TaskVerdictsRecorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One task as far as it is to be judged.

    kept: the queue still has it in storage, without which no verdict is taken. absent: assigned, and no commit. recorded: by us.
    private: only names of its texts are on chain.
    """

    kept: bool
    ended: bool
    recorded: bool
    replicas: tuple[Replica, ...]
    absent: tuple[str, ...]
    private: bool = False
    asked: Asked = field(default_factory=Asked)


def story_of(events: Iterable[Event], validator: str, *, kept: bool) -> Story:
    """Events of one task, in order; validator: our address; kept: whether the queue still has it in storage."""
    ordered = tuple(events)
    progress = progress_of(ordered)
    texts = {event.args["miner"]: event.args["data"] for event in ordered if event.name == "TaskCommitted"}
    blocks = {event.args["miner"]: event.block for event in ordered if event.name == "TaskPrecommitted"}
    return Story(
        kept=kept,
        ended=progress.ended,
        recorded=any(is_ours(event, validator) for event in ordered),
        replicas=tuple(Replica(miner=miner, text=texts[miner], block=blocks.get(miner, 0)) for miner in progress.miners if miner in texts),
        absent=tuple(miner for miner in progress.miners if miner not in texts),
        private=is_urn(progress.text),
        asked=asked_of(progress),
    )


def asked_of(progress: Progress) -> Asked:
    """What a task's text asks for, as people read it."""
    text = progress.text
    if progress.prompt_type in (PROMPT_GUIDED, PROMPT_RAW):
        return Asked(prompt=prompt_of(progress.prompt_type, text, progress.template))
    if progress.prompt_type != PROMPT_CHAT:
        return Asked(prompt="", unread=f"prompt type {progress.prompt_type} is not one of 0, 1, 2")
    try:
        messages: list[Any] = body_of(text)["messages"]
    except BadInput as error:
        return Asked(prompt="", unread=error.what)
    said = [message.get("content") for message in messages if isinstance(message, dict) and message.get("role") != "assistant"]
    return Asked(prompt="\n".join(part for content in said for part in _texts(content)))


def _texts(content: object) -> Iterable[str]:
    """The text of a message, which may be given in parts."""
    if isinstance(content, str):
        return (content,)
    parts: list[Any] = content if isinstance(content, list) else []
    return (part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def is_ours(event: Event, validator: str) -> bool:
    """Whether the event says that this validator has recorded its verdicts."""
    return event.name == RECORDED and event.args["validator"].lower() == validator.lower()


def with_results(event: Event) -> bool:
    """Whether the event ends a task in which somebody committed."""
    return event.name == "TaskEnded" and bool(event.args["miners"])


def unjudged(ended: Iterable[Event], recorded: Iterable[Event], count: int) -> tuple[Key, ...]:
    """Tasks that ended with results, that storage may still have, without a record among `recorded`: the newest `count`, oldest first."""
    done = {key_of(event) for event in recorded}
    keys = tuple(dict.fromkeys(key for event in ended if with_results(event) and (key := key_of(event)) is not None))
    newest: dict[int, int] = {}
    for session, task in keys:
        newest[session] = max(task, newest.get(session, 0))
    return tuple(key for key in keys if key not in done and key[1] > newest[key[0]] - TASKS_KEPT)[-count:]
