"""Are our own eyes well? When most of those we ask fall silent in the same round, the suspect is ourselves. Pure.

Who is asked is a respondent: a host, or an address. Entities that are asked about at one respondent are related; respondents are not.
Only silence that could be ours counts (no answer in time, name not found, lost): who refuses or answers `503` has been reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cortops.words.question import Dns, Events, Feed, Heads, Holdings, Http, NoAnswer, Question, Reply, Rpc, Shell, Silence, Tcp, Tls

SUSPECT_SHARE = 0.5  # more than this part of the respondents
SUSPECT_MIN = 5  # and at least so many
SAME_ROUNDS = 2  # a silence that begins in one round is told in the next, when its time is over

_OURS = (Silence.TIMEOUT, Silence.UNRESOLVED, Silence.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What is kept from round to round. heard: respondent -> the last round that it was asked in; silent: -> the round it fell silent in.

    trouble: why we suspect ourselves; empty when we do not.
    """

    round: int = 0
    heard: Mapping[str, int] = field(default_factory=dict)
    silent: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""


def respondents(questions: Sequence[Question]) -> dict[str, str]:
    """Question id -> who is asked."""
    return {question.id: _respondent(question) for question in questions}


def _respondent(question: Question) -> str:
    match question:
        case Shell(target=target):
            return f"host {target}"
        case Http(connect_to=(host, port)) | Tls(host=host, port=port) | Tcp(host=host, port=port):
            return f"{host}:{port}"
        case Http(url=url) | Rpc(url=url) | Events(url=url) | Holdings(url=url) | Feed(url=url):
            return urlsplit(url).netloc
        case Heads(urls=urls):  # what each said stands in the answer
            return urlsplit(urls[0]).netloc
        case Dns():
            return "resolver"


def look(eyes: Eyes, asked: Mapping[str, str], fresh: Mapping[str, Reply]) -> Eyes:
    """After a round with these fresh replies; `asked`: question id -> respondent."""
    now = eyes.round + 1
    answered: dict[str, bool] = {}
    for question, reply in fresh.items():
        who = asked[question]
        answered[who] = answered.get(who, False) or not (isinstance(reply, NoAnswer) and reply.silence in _OURS)
    silent = {who: since for who, since in eyes.silent.items() if not answered.get(who, False)}
    silent |= {who: now for who, said in answered.items() if not said and who not in silent}
    heard = {**eyes.heard, **dict.fromkeys(answered, now)}
    lately = {who for who, at in heard.items() if at > now - 2 * SAME_ROUNDS}
    quiet = [who for who in silent if who in lately]
    at_once = quiet if eyes.trouble else [who for who in quiet if silent[who] > now - SAME_ROUNDS]
    suspected = len(at_once) >= SUSPECT_MIN and len(at_once) > SUSPECT_SHARE * len(lately)
    trouble = f"our own eyes: {len(quiet)} of {len(lately)} that we ask gave no answer in the same round" if suspected else ""
    return Eyes(round=now, heard=heard, silent=silent, trouble=trouble)
