"""Shell questions to one target: all of them in one run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import aclosing

from cortops.targets.ask import once
from cortops.targets.target import Exited, Line, Lost, Target, TimedOut
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Reply, Shell, Silence

WHY_MAX_CHARS = 200


def program(questions: Sequence[Shell]) -> str:
    """One sh text that runs each script in its own subshell and marks where its output ends and with which status."""
    mark = _mark(questions)
    parts = []
    for number, question in enumerate(questions):
        parts.append(f"(\n{question.script}\n) </dev/null 2>&1; printf '\\n{mark} {number} %s\\n' $?\n")
    return "".join(parts)


def _mark(questions: Sequence[Shell]) -> str:
    """Opens the line that ends an answer; out of the scripts, so that no output that does not know them can hold it."""
    digest = hashlib.sha256("\0".join(question.script for question in questions).encode())
    return f"#cortops-answer-{digest.hexdigest()[:16]}"


async def ask_shell(target: Target, questions: Sequence[Shell], clock: Clock) -> dict[str, Reply]:
    """Question id -> reply. A target that is lost or late leaves the questions without a mark unanswered."""
    at, begun = clock.now(), clock.monotonic()
    replies: dict[str, Reply] = {}
    lines, complaint = list[str](), ""
    silence, why = Silence.LOST, f"{target.name} ended early"
    mark = _mark(questions)
    deadline_s = max(question.timeout_s for question in questions)
    async with aclosing(target.run(program(questions), once(b""), deadline_s)) as events:
        async for event in events:
            match event:
                case Line(stream="out", text=text) if text.startswith(mark):
                    number, status = (int(part) for part in text.removeprefix(mark).split())
                    name, body = questions[number].id, "\n".join(lines).encode()
                    replies[name] = Answer(question=name, at=at, elapsed_s=clock.monotonic() - begun, status=status, body=body)
                    lines = []
                case Line(stream=stream, text=text):
                    lines.append(text)
                    complaint = text if stream == "err" else complaint
                case TimedOut(after_s=after_s):
                    silence, why = Silence.TIMEOUT, f"{target.name} did not answer within {after_s:g} s"
                case Lost(why=reason):
                    silence, why = Silence.LOST, reason
                case Exited(status=status):
                    if status and complaint:  # what answers there refuses to run it, and says why
                        why = f"{target.name}: {complaint[:WHY_MAX_CHARS]}"
    for question in questions:
        if question.id not in replies:
            elapsed = clock.monotonic() - begun
            replies[question.id] = NoAnswer(question=question.id, at=at, elapsed_s=elapsed, silence=silence, why=why)
    return replies
