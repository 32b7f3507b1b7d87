"""The forms of an answer: chat and native, as one body or as a stream of events. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import msgspec

from cortops.programs.router.request import Answer
from cortops.protocol.chat import Delta
from cortops.protocol.routes import SSE_DONE, chat_event, chat_reply, native_reply, sse, usage_event


class Form(Protocol):
    """How one route writes."""

    def whole(self, task: str, answer: Answer) -> Mapping[str, Any]:
        """The body of a plain answer, JSON values throughout; `task` is session/task."""

    def delta(self, task: str, delta: Delta) -> bytes:
        """One event, or b"" for what this form does not show."""

    def end(self, task: str, answer: Answer) -> bytes:
        """The rest, the finish reason, the usage, [DONE]."""


@dataclass(slots=True, kw_only=True)
class ChatForm:
    """The OpenAI form. include_usage: the last chunk before [DONE] carries the usage."""

    model: str
    created: int
    with_tools: bool
    include_usage: bool
    _begun: bool = field(default=False, init=False)

    def whole(self, task: str, answer: Answer) -> Mapping[str, Any]:
        reply = chat_reply(
            id=self._id(task),
            created=self.created,
            model=self.model,
            text=answer.text,
            with_tools=self.with_tools,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
        )
        return cast("Mapping[str, Any]", msgspec.to_builtins(reply))

    def delta(self, task: str, delta: Delta) -> bytes:
        if not self._begun:  # the first delta names the role, whatever the engine did
            delta = msgspec.structs.replace(delta, role="assistant", content=delta.content if delta.content is not None else "")
            self._begun = True
        return self._event(task, delta, None)

    def end(self, task: str, answer: Answer) -> bytes:
        rest = self.delta(task, answer.rest) if answer.rest != Delta() or not self._begun else b""
        finish = self._event(task, Delta(), answer.finish_reason)
        usage = usage_event(id=self._id(task), created=self.created, model=self.model, usage=answer.usage) if self.include_usage else None
        return rest + finish + (sse(usage) if usage else b"") + SSE_DONE

    def _event(self, task: str, delta: Delta, finish_reason: str | None) -> bytes:
        return sse(chat_event(id=self._id(task), created=self.created, model=self.model, delta=delta, finish_reason=finish_reason))

    def _id(self, task: str) -> str:
        return "chatcmpl-" + task.replace("/", "-")


@dataclass(slots=True, kw_only=True)
class NativeForm:
    """The public form of completions. Source: facts A.4."""

    model: str
    created: int

    def whole(self, task: str, answer: Answer) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", msgspec.to_builtins(self._reply(task, answer.text, answer)))

    def delta(self, task: str, delta: Delta) -> bytes:
        return sse(self._reply(task, delta.content, None)) if delta.content else b""

    def end(self, task: str, answer: Answer) -> bytes:
        return self.delta(task, answer.rest) + sse(self._reply(task, "", answer)) + SSE_DONE

    def _reply(self, task: str, text: str, answer: Answer | None) -> dict[str, object]:
        return native_reply(
            id="cmpl-" + task.replace("/", "-"),
            created=self.created,
            model=self.model,
            task=int(task.rpartition("/")[2]),
            text=text,
            finish_reason=answer.finish_reason if answer else None,
            usage=answer.usage if answer else None,
        )
