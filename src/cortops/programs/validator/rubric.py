"""Asks an OpenAI-compatible engine what it holds of an answer. What it says is read strictly; an engine that is lost has said RETRY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from cortops.programs.common.logs import Log
from cortops.programs.validator.judge import Asked
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.protocol.verdict import RESULT_RUBRIC, Judged, Rubric, judge_body, read_judged, unreadable
from cortops.words.clock import Clock

TRIES_MAX = 3
TRY_AGAIN_AFTER_S = 2.0
ANSWER_TIMEOUT_S = 120.0
REPLY_MIB_MAX = 1.0
NO_SCHEMA = 400  # how engines refuse a `response_format` that they do not know
SEED = 1


class Rubrics(Protocol):
    """The seam between the runner and a judge. model: its name, for the evidence. lost: why its engine is silent, "" while it is not."""

    model: str
    lost: str

    async def readings(self, asked: Asked, texts: Sequence[str]) -> dict[str, Judged]:
        """What the judge holds of each text."""


class EngineRubric:
    """The judge at `url`. rules: the policy's own points, beside those that every result is held to."""

    def __init__(self, http: HttpClient, url: str, model: str, rules: tuple[str, ...], clock: Clock, log: Log) -> None:
        self.model = model
        self.lost = ""
        self._http = http
        self._url = url.rstrip("/") + "/v1/chat/completions"
        self._rubric: Rubric = replace(RESULT_RUBRIC, rules=rules)
        self._clock = clock
        self._log = log
        self._schema = True

    async def readings(self, asked: Asked, texts: Sequence[str]) -> dict[str, Judged]:
        """One after the other: an engine that miners share has other work too."""
        return {text: await self._one(asked, text) for text in texts}

    async def _one(self, asked: Asked, text: str) -> Judged:
        for attempt in range(TRIES_MAX):
            if attempt:
                await self._clock.sleep(TRY_AGAIN_AFTER_S)
            body = judge_body(self._rubric, (("TASK", asked.prompt), ("RESULT", text)), schema=self._schema)
            try:
                status, said = await self._ask({**body, "model": self.model, "seed": SEED, "stream": False})
            except HttpFailure as error:
                self.lost = error.what
                continue
            if status == NO_SCHEMA and self._schema:
                self._schema = False
                continue
            if status == 200:
                self.lost = ""
                return read_judged(said)
            self.lost = f"it answered HTTP {status}"
        self._log.warning("judge_lost", why=self.lost)
        return unreadable(f"the judge's engine is lost: {self.lost}")

    async def _ask(self, body: dict[str, Any]) -> tuple[int, str]:
        reply = await self._http.request(
            "POST",
            self._url,
            headers=(("content-type", "application/json"),),
            body=msgspec.json.encode(body),
            timeout_s=ANSWER_TIMEOUT_S,
            body_max_mib=REPLY_MIB_MAX,
        )
        return reply.status, content_of(reply.body) if reply.status == 200 else ""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Reply(msgspec.Struct):
    choices: list[_Choice] = []


def content_of(body: bytes) -> str:
    """The text of a chat.completion's first choice, "" when there is none: that is then no readable verdict."""
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return (reply.choices[0].message.content or "") if reply.choices else ""
