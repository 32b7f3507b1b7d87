"""Readings that many checks share: pure functions from replies to verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cortops.words.evidence import Judge, Verdict
from cortops.words.question import REFUSED, Answer, JSONValue, NoAnswer, Reply, Silence

NOTES_MAX, NOTE_CHARS_MAX = 3, 300
_SPEAKS_OF_THE_OTHER_SIDE = (Silence.REFUSED, Silence.RESET, Silence.UNTRUSTED, Silence.TIMEOUT)


def ok(text: str) -> Verdict:
    return Verdict(outcome="ok", text=text)


def bad(text: str, *, certain: bool = False) -> Verdict:
    return Verdict(outcome="bad", text=text, certain=certain)


def inconclusive(text: str) -> Verdict:
    return Verdict(outcome="inconclusive", text=text)


def silent(reply: NoAnswer) -> Verdict:
    """No answer is bad where the other side refused (that is certain), reset or kept silent; where our own eyes failed it says nothing."""
    if reply.silence not in _SPEAKS_OF_THE_OTHER_SIDE:
        return inconclusive(reply.why)
    return bad(reply.why, certain=reply.silence is Silence.REFUSED)


def reply_of(replies: Mapping[str, Reply], question: str) -> Answer | Verdict:
    """The answer to a question, or the verdict that its absence gives."""
    reply = replies.get(question)
    if reply is None:
        return inconclusive("was not asked")
    return silent(reply) if isinstance(reply, NoAnswer) else reply


def answered_by(replies: Mapping[str, Reply], question: str, who: str) -> Answer | Verdict:
    """As `reply_of`, of somebody who is asked about another: `who`'s silence says nothing of that one."""
    answer = reply_of(replies, question)
    return inconclusive(f"{who} could not be asked: {answer.text}") if isinstance(answer, Verdict) else answer


def answered_by_chain(replies: Mapping[str, Reply], question: str) -> Answer | Verdict:
    """A call's answer, a revert included; the chain's silence or refusal says nothing of what it was asked about."""
    answer = answered_by(replies, question, "the chain")
    if isinstance(answer, Answer) and answer.status == REFUSED:
        return inconclusive(f"the chain could not be asked: {answer.text[:120]}")
    return answer


def number_of(value: JSONValue) -> int | None:
    """A quantity as JSON-RPC writes it (`0x10`) -> 16; None for anything else."""
    try:
        return int(value, 16) if isinstance(value, str) and value.startswith("0x") else None
    except ValueError:
        return None


def json_of(answer: Answer) -> dict[str, JSONValue]:
    """An answer's body as a JSON object; {} for anything else, so that a reading may ask for fields without care."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def healthy(question: str, said: str = "answers and is well") -> Judge:
    """Judge of a `/health` or `/status` route: 200 is ok, with its `notes` if it gives any; 503 is bad with the reasons it gives."""

    def judge(replies: Mapping[str, Reply], now: float) -> Verdict:
        answer = reply_of(replies, question)
        if isinstance(answer, Verdict):
            return answer
        if answer.status == 200:
            notes = json_of(answer).get("notes")
            return ok("; ".join([said, *(str(note)[:NOTE_CHARS_MAX] for note in notes[:NOTES_MAX])]) if isinstance(notes, list) else said)
        why = json_of(answer).get("why") or json_of(answer).get("error") or answer.text[:200]
        reasons = "; ".join(str(item) for item in why) if isinstance(why, list) else str(why)
        return bad(f"answers {answer.status}: {reasons}")

    return judge
