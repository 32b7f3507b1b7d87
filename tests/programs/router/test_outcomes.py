"""Replies made of what became of tasks, and what a search found."""

from __future__ import annotations

import msgspec
import pytest

from cortops.programs.router.outcomes import Call, Done, NotDone, delegated, judged, judged_of
from cortops.programs.router.refusals import Refuse
from cortops.programs.router.search import SOURCE_CHARS_MAX, SOURCES_MAX, read_found, shown
from cortops.protocol.chat import Usage
from cortops.protocol.consensus import rule_texts, rule_verdicts
from cortops.protocol.families import ConsensusBody

CALL = Call(id="r-1", kind="delegation", version=3, created=5)
USAGE = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def done(name: str, text: str) -> Done:
    return Done(name=name, miner="0xMiner", text=text, text_hash=f"#{text}", finish_reason="stop", usage=USAGE)


FAILED = NotDone(name="9/4", status=502, code="engine_failed", message="no result")
NEVER = NotDone(name="", status=503, code="session_busy", message="busy")


def test_a_reply_is_plain_json_with_evidence_of_each_replica() -> None:
    outcomes = (done("7/1", "Rhine"), FAILED, NEVER)
    ruling = rule_texts(["Rhine", None, None])
    reply = delegated(CALL, outcomes, ruling, ConsensusBody(), None)
    assert msgspec.json.decode(msgspec.json.encode(reply)) == reply
    assert (reply["output"], reply["finish_reason"], reply["usage"]["total_tokens"]) == (None, None, 3)
    assert [(one["session_id"], one["task_id"], one["status"]) for one in reply["evidence"]] == [
        (7, 1, "answered"), (9, 4, "failed"), (None, None, "failed")
    ]  # fmt: skip
    assert reply["evidence"][0]["output"] == "Rhine" and reply["evidence"][1]["error"]["code"] == "engine_failed"
    assert reply["consensus"]["reached"] is False and reply["consensus"]["agreed"] == [0]


def test_a_verdict_says_what_each_judge_said() -> None:
    outcomes = (done("7/1", '{"verdict": "VALID", "confidence": 0.9, "reasons": []}'), done("8/1", "yes"), FAILED)
    said = judged_of(outcomes)
    reply = judged(CALL, outcomes, said, rule_verdicts(said), ConsensusBody())
    assert (reply["verdict"], reply["consensus"]["votes"]) == ("RETRY", {"VALID": 1.0})
    assert [one.get("readable") for one in reply["evidence"]] == [True, False, None]
    assert reply["reasons"] == ["no majority of 3: VALID 1, 2 without a sure verdict"]
    assert msgspec.json.decode(msgspec.json.encode(reply)) == reply


def test_what_a_search_found_is_cut_to_what_a_judge_is_given() -> None:
    pages = [{"title": "t" * 900, "url": f"https://a.example/{at}", "content": "c" * 9000, "score": 1} for at in range(9)]
    found = read_found(msgspec.json.encode({"results": [{"title": "x", "url": "javascript:1"}, *pages]}))
    assert len(found) == SOURCES_MAX and len(found[0].content) == SOURCE_CHARS_MAX and found[0].url == "https://a.example/0"
    assert shown(found).startswith("1. ttt") and shown(()) == "A search found nothing."
    for body in (b"", b"[]", b'{"results": [{"title": 1}]}', b"\xff"):
        with pytest.raises(Refuse):
            read_found(body)
