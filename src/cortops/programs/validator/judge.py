"""The answers to one task, what is known of them and a policy -> a verdict for each miner, with evidence. Pure.

Equal texts (by hash) agree; others agree when their closeness reaches `similarity_min` (see comparison). A text that says nothing is no
answer, and neither is a copy where miners have no common seed; what only repeats the prompt or itself is none as long as the rest decides
without it. A centre is an answer that more than half of the answers, and at least two, agree with, itself counted. Then who agrees with a
centre is VALID, everybody else INVALID. Without a centre nobody is accused: all are to RETRY. That is so for a single answer, for two that
differ, for a tie, and when nobody says anything. A miner without a commit is no replica; it is named in the note.

Where a judge was asked (validatorv3), what it said of an answer comes after the comparison: an INVALID of the comparison stands, a VALID
one needs the judge's too, and an answer that has none beside it is the judge's alone. A judge that is lost, unreadable or unsure is RETRY.
What nobody could judge, an empty prompt or a policy that contradicts itself, is NEEDS_SPEC for all.

Scores are thousandths: of a VALID answer its closeness to the closest other VALID one (>= similarity_min), of an INVALID one to the closest
centre (< similarity_min), of one to RETRY to the closest other answer; 0 for silence and for a single answer. An answer that is doubted or
rejected for its numbers alone keeps the score it would have. Where the judge decides,
its confidence counts: least of both for VALID, what is left of it for INVALID.
Source: facts E for the names; rules and numbers are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from cortops.contracts import records
from cortops.contracts.records import SCORE_MAX
from cortops.programs.validator import signals
from cortops.programs.validator.comparison import Closeness, Similarity, parts_of, table_of, thousandths
from cortops.programs.validator.signals import says_nothing
from cortops.protocol.validation import Policy
from cortops.protocol.verdict import Judged

NUMBERS_SHOWN_MAX = 4


class Verdict(IntEnum):
    """As on chain, where 0 means none."""

    VALID = records.VALID
    INVALID = records.INVALID
    RETRY = records.RETRY
    NEEDS_SPEC = records.NEEDS_SPEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What one miner committed. block: that of its precommit."""

    miner: str
    text: str
    block: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a task asked for. prompt: as people read it; unread: why it cannot be read, "" when it can."""

    prompt: str = "?"
    unread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerVerdict:
    """score: 0..SCORE_MAX."""

    miner: str
    verdict: Verdict
    score: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why a text is no answer: `what` has `value`, beyond `limit`; thousandths or words."""

    miner: str
    what: str
    value: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was found on the way to the verdicts, which are in the order of the replicas.

    pairs: of the answers that were compared, by miner. findings: of those that are no answers.
    """

    verdicts: tuple[MinerVerdict, ...]
    pairs: Mapping[tuple[str, str], Closeness] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def texts_to_compare(replicas: Sequence[Replica], policy: Policy) -> tuple[str, ...]:
    """The different texts, and their sentences where the policy asks for them, whose similarity `decide` will ask for, in order of their
    text; none when hashes alone decide.
    """
    texts = {replica.text for replica in replicas if not says_nothing(replica.text)}
    return tuple(sorted({part for text in texts for part in parts_of(text, policy)})) if len(texts) > 1 else ()


def decide(
    replicas: Sequence[Replica],
    similarity: Similarity,
    policy: Policy,
    asked: Asked,
    readings: Mapping[str, Judged] | None = None,
) -> Decision:
    """similarity: of two different texts, -1..1, asked only for pairs of `texts_to_compare`. readings: of each text what the judge said;
    None where no judge is asked.
    """
    if why := unjudgeable(policy, asked, with_judge=readings is not None):
        return Decision(verdicts=tuple(MinerVerdict(miner=one.miner, verdict=Verdict.NEEDS_SPEC, score=0, reason=why) for one in replicas))
    found = _compared(replicas, similarity, policy, asked)
    if readings is None:
        return found
    texts = {replica.miner: replica.text for replica in replicas}
    alone = _is_alone(replicas, policy)
    judged = tuple(_with_reading(one, readings.get(texts[one.miner]), policy, alone=alone) for one in found.verdicts)
    return replace(found, verdicts=judged)


def texts_to_judge(replicas: Sequence[Replica], compared: Decision, policy: Policy) -> tuple[str, ...]:
    """The texts that a judge's word can still change, in order of their text. compared: what `decide` made of them without any reading."""
    texts = {replica.miner: replica.text for replica in replicas}
    open_ = Verdict.RETRY if _is_alone(replicas, policy) else Verdict.VALID
    return tuple(sorted({texts[one.miner] for one in compared.verdicts if one.verdict is open_ and not says_nothing(texts[one.miner])}))


def _is_alone(replicas: Sequence[Replica], policy: Policy) -> bool:
    """Whether one answer was asked for, so that a comparison has nothing to say."""
    return sum(not says_nothing(replica.text) for replica in replicas) == 1 and policy.replicas <= 1


def unjudgeable(policy: Policy, asked: Asked, *, with_judge: bool) -> str:
    """Why nobody could judge this task, "" when somebody could."""
    if asked.unread:
        return asked.unread
    if says_nothing(asked.prompt):
        return "the prompt is empty"
    if policy.replicas == 1 and not with_judge:
        return "the policy asks for one replica and no judge"
    return ""


def _compared(replicas: Sequence[Replica], similarity: Similarity, policy: Policy, asked: Asked) -> Decision:
    copies = tuple(_copies(replicas, policy))
    copied = {finding.miner for finding in copies}
    said = [replica for replica in replicas if not says_nothing(replica.text) and replica.miner not in copied]
    empty = [finding for replica in said if (finding := _empty(replica, asked, policy)) is not None]
    rest = [replica for replica in said if replica.miner not in {finding.miner for finding in empty}]
    table = table_of([one.text for one in said], similarity, policy)
    if not empty or not _centres([[table[said.index(one)][said.index(other)] for other in rest] for one in rest], policy):
        rest, empty = said, []  # perhaps the task asked for just that
    places = [said.index(one) for one in rest]
    verdicts = _verdicts(rest, [[table[one][other] for other in places] for one in places], policy)
    found = {one.miner: one for one in verdicts}
    decided = any(one.verdict is Verdict.VALID for one in verdicts)
    findings = (*copies, *empty)
    told = {finding.miner: _no_answer(finding, decided) for finding in findings}
    order = tuple(found.get(one.miner) or told.get(one.miner) or _silent(one.miner, decided) for one in replicas)
    pairs = {
        (one.miner, other.miner): table[at][place]
        for at, one in enumerate(said)
        for place, other in enumerate(said)
        if one.miner < other.miner or (one.miner > other.miner and (policy.sentence_min or policy.order_min))
    }
    return Decision(verdicts=order, pairs=pairs, findings=findings)


def _copies(replicas: Sequence[Replica], policy: Policy) -> list[Finding]:
    """Equal long answers of miners without a common seed: whoever promised it in a later block than another had it from there."""
    found: list[Finding] = []
    for replica in replicas if policy.sampled else ():
        earlier = [one for one in replicas if one.text == replica.text and one.block < replica.block]
        count = len(signals.words(replica.text))
        if earlier and count >= policy.copy_words_min:
            found.append(Finding(miner=replica.miner, what=f"copy of {earlier[0].miner}", value=count, limit=policy.copy_words_min))
    return found


def _empty(replica: Replica, asked: Asked, policy: Policy) -> Finding | None:
    """Only the prompt again, or only itself."""
    echo, repeated = signals.echo_share(replica.text, asked.prompt), signals.repeated_share(replica.text)
    if echo > policy.echo_max:
        return Finding(miner=replica.miner, what="echo of the prompt", value=thousandths(echo), limit=thousandths(policy.echo_max))
    if repeated > policy.repeated_max:
        return Finding(miner=replica.miner, what="repeats itself", value=thousandths(repeated), limit=thousandths(policy.repeated_max))
    return None


def _centres(table: Sequence[Sequence[Closeness]], policy: Policy) -> list[int]:
    """Places of the answers that more than half of all agree with."""
    least, wanted = thousandths(policy.similarity_min), max(len(table), policy.replicas)
    agreeing = [sum(row[at].score >= least for row in table) for at in range(len(table))]  # each with itself too
    return [at for at, count in enumerate(agreeing) if 2 * count > wanted and count > 1]


def _verdicts(answers: Sequence[Replica], table: Sequence[Sequence[Closeness]], policy: Policy) -> list[MinerVerdict]:
    least = thousandths(policy.similarity_min)
    centres = _centres(table, policy)
    places = range(len(answers))
    valid = [at for at in places if any(table[at][centre].score >= least for centre in centres)]
    if not centres:
        group = _largest_group(table, least) if policy.disagreement == "best_effort" else []
        return [_undecided(answers[at].miner, at, table, group) for at in places]
    failed = policy.disagreement == "fail_hard" and len(valid) < len(answers)
    verdicts: list[MinerVerdict] = []
    for at in places:
        near = max((table[at][other] for other in (valid if at in valid else centres) if other != at), key=lambda one: one.score)
        if at not in valid:
            verdict, reason = Verdict.INVALID, f"differs, closest {share_text(near.score)}{_by(near)}"
        elif doubt := _doubt(at, valid, table, policy):
            verdict = Verdict.INVALID if policy.numbers == "reject" else Verdict.RETRY
            reason = f"agrees {share_text(near.score)}, but numbers differ: {doubt}"
        elif failed:
            verdict, reason = Verdict.RETRY, f"agrees {share_text(near.score)}, not all do"
        else:
            verdict = Verdict.VALID
            reason = "same text as another" if near.score == SCORE_MAX else f"agrees {share_text(near.score)}"
        verdicts.append(MinerVerdict(miner=answers[at].miner, verdict=verdict, score=near.score, reason=reason))
    return verdicts


def _doubt(at: int, valid: Sequence[int], table: Sequence[Sequence[Closeness]], policy: Policy) -> str:
    """The figures in which an answer differs from each that it agrees with, when these are more than half and have the same among them."""
    others = [other for other in valid if other != at]
    alike = [other for other in others if 2 * sum(not table[other][one].numbers for one in valid) > len(valid)]
    if policy.numbers == "ignore" or not alike or any(not table[at][other].numbers for other in others):
        return ""
    return ", ".join(table[at][alike[0]].numbers[:NUMBERS_SHOWN_MAX])


def _largest_group(table: Sequence[Sequence[Closeness]], least: int) -> list[int]:
    """The answers that all agree with each other and are more than any others that do; none when two such groups are equally large."""
    groups = {tuple(at for at, one in enumerate(row) if one.score >= least) for row in table}
    whole = [group for group in groups if all(table[one][other].score >= least for one in group for other in group)]
    sizes = sorted((len(group) for group in whole), reverse=True)
    if not sizes or sizes[0] < 2 or (len(sizes) > 1 and sizes[1] == sizes[0]):
        return []
    return list(next(group for group in whole if len(group) == sizes[0]))


def _undecided(miner: str, at: int, table: Sequence[Sequence[Closeness]], group: Sequence[int]) -> MinerVerdict:
    if len(table) == 1:
        return MinerVerdict(miner=miner, verdict=Verdict.RETRY, score=0, reason="only one answer")
    if at in group:
        score = max(table[at][other].score for other in group if other != at)
        return MinerVerdict(
            miner=miner, verdict=Verdict.VALID, score=score, reason=f"agrees {share_text(score)}, largest group, no majority"
        )
    near = max((one for other, one in enumerate(table[at]) if other != at), key=lambda one: one.score)
    reason = f"no majority, closest {share_text(near.score)}{_by(near)}"
    return MinerVerdict(miner=miner, verdict=Verdict.RETRY, score=near.score, reason=reason)


def _by(near: Closeness) -> str:
    return "" if near.named in ("whole", "same text") else f" by {near.named}"


def _silent(miner: str, decided: bool) -> MinerVerdict:
    return MinerVerdict(miner=miner, verdict=Verdict.INVALID if decided else Verdict.RETRY, score=0, reason="says nothing")


def _no_answer(finding: Finding, decided: bool) -> MinerVerdict:
    return MinerVerdict(miner=finding.miner, verdict=Verdict.INVALID if decided else Verdict.RETRY, score=0, reason=finding.what)


def _with_reading(compared: MinerVerdict, reading: Judged | None, policy: Policy, *, alone: bool) -> MinerVerdict:
    """alone: the comparison has nothing to say, since one answer was asked for."""
    if reading is None or compared.verdict is Verdict.INVALID or (compared.verdict is Verdict.RETRY and not alone):
        return compared
    confidence = thousandths(reading.confidence)
    why = signals.printable("; ".join(reading.reasons))
    if not reading.readable or reading.verdict == "RETRY":
        return replace(compared, verdict=Verdict.RETRY, reason=f"judge: {why or 'cannot tell'}")
    if confidence < thousandths(policy.confidence_min):
        return replace(compared, verdict=Verdict.RETRY, reason=f"judge unsure {share_text(confidence)} of {reading.verdict.value}")
    if reading.verdict == "NEEDS_SPEC":
        return replace(compared, verdict=Verdict.NEEDS_SPEC, score=0, reason=f"judge: {why}")
    if reading.verdict == "INVALID":
        return replace(compared, verdict=Verdict.INVALID, score=SCORE_MAX - confidence, reason=f"judge: {why}")
    score = confidence if alone else min(compared.score, confidence)
    words = f"judge {share_text(confidence)}"
    return replace(compared, verdict=Verdict.VALID, score=score, reason=words if alone else f"{compared.reason}; {words}")


def share_text(score: int) -> str:
    """970 -> ".97"; cut, not rounded, so that .749 is not shown as the .75 it did not reach."""
    return "1.00" if score == SCORE_MAX else f".{score // 10:02d}"
