"""Single rounds: what a subject is, what is resumed, what is doubted, and what is asked again soon."""

from __future__ import annotations

from dataclasses import replace

from tests.monitor.stage import CHECKS, DEPENDS_ON, ENTITIES, OWN, QUESTIONS, ROUTER, rows
from tests.surfaces.stage import example, site_of

from cortops import surfaces
from cortops.environment.graph import entities
from cortops.monitor.eyes import Eyes
from cortops.monitor.record import Begun, Recalled
from cortops.monitor.rounds import AS_OF_MAX_S, Heard, Memory, Turn, resume, subject, turn
from cortops.monitor.state import CheckMemory, Policy
from cortops.surfaces.services.checks import running
from cortops.words.evidence import Check
from cortops.words.question import Answer, NoAnswer, Reply, Silence
from cortops.words.state import State

NOW = 1_800_000_000.0
ABOUT = subject(entities=ENTITIES, depends_on=DEPENDS_ON, questions=QUESTIONS, checks=CHECKS, own=OWN, every_s=3.0)


def answered(**said: tuple[int, bytes] | Silence) -> dict[str, Reply]:
    """All questions answered well, but for those said otherwise (`__` for the colon)."""
    words: dict[str, tuple[int, bytes] | Silence] = {question.id: (200, b"{}") for question in QUESTIONS}
    words |= {"services:h1": rows(), "code:queue": (0, b"")} | {name.replace("__", ":"): value for name, value in said.items()}
    return {name: _reply(name, value) for name, value in words.items()}


def _reply(name: str, said: tuple[int, bytes] | Silence) -> Reply:
    if isinstance(said, Silence):
        return NoAnswer(question=name, at=NOW, elapsed_s=1, silence=said, why=f"{said}")
    return Answer(question=name, at=NOW, elapsed_s=0.1, status=said[0], body=said[1])


def turned(memory: Memory, replies: dict[str, Reply], *, fresh: dict[str, Reply] | None = None, troubles: tuple[str, ...] = ()) -> Turn:
    heard = Heard(fresh=replies if fresh is None else fresh, replies=replies, restarts=(), troubles=troubles, now=NOW)
    return turn(ABOUT, Policy(), memory, heard, str)


def states(found: Turn) -> dict[str, str]:
    return {str(item.entity): str(item.state) for item in found.states if item.state is not State.OK}


def test_only_fresh_answers_are_judged_again() -> None:
    first = turned(Memory(), answered())
    assert len(first.judged) == len(CHECKS) and not first.restless
    late = answered(health__r1=Silence.TIMEOUT)
    second = turned(first.memory, late, fresh={"health:r1": late["health:r1"]})
    assert [(item.check.entity, item.check.name) for item in second.judged] == [(ROUTER, "health")]
    assert second.restless == {"health:r1"}
    third = turned(second.memory, late, fresh={})
    assert third.judged == () and states(third) == {}, "one answer is one verdict, however many rounds it is old"
    assert states(turned(third.memory, late, fresh={"health:r1": late["health:r1"]})) == {"router/r1": "down"}


def test_counts_are_by_question() -> None:
    counts = turned(Memory(), answered(health__r1=(503, b""))).counts
    assert (counts["services:h1"].ok, counts["health:r1"].bad, counts["health:r1"].ok) == (4, 1, 0)


def test_while_we_doubt_ourselves_only_what_is_certain_counts() -> None:
    well = turned(Memory(), answered()).memory
    doubting = replace(well, eyes=Eyes(round=1, trouble="our own eyes", heard={}, silent={}))
    quiet = {f"health__{name}": Silence.TIMEOUT for name in ("c1", "m1", "g1")}
    found = turned(doubting, answered(code__queue=Silence.TIMEOUT, tls__g1=Silence.TIMEOUT, health__r1=Silence.REFUSED, **quiet))
    assert found.memory.eyes.trouble and states(found) == {"router/r1": "down", "monitor/watch": "degraded"}
    assert [item.verdict.outcome for item in found.judged if item.check.name == "health"] == ["inconclusive"] * 2 + ["bad", "inconclusive"]


def test_troubles_of_the_watch_are_its_own() -> None:
    found = turned(Memory(), answered(), troubles=("the history cannot be kept: full",))
    assert states(found) == {"monitor/watch": "degraded"}
    assert found.states[-1].reason == "the history cannot be kept: full"


def test_the_watch_may_be_declared_like_any_other() -> None:
    own = running(OWN, "watch", "h1", "ops")
    about = subject(entities=(*ENTITIES, OWN), depends_on=DEPENDS_ON, questions=QUESTIONS, checks=(*CHECKS, own), own=OWN, every_s=3.0)
    replies = answered(services__h1=rows(watch=5))
    heard = Heard(fresh=replies, replies=replies, restarts=(), troubles=(), now=NOW)
    assert turn(about, Policy(), Memory(), heard, str).states[-1].reason == "runs as pid 5 for 60 s"
    ill = Heard(fresh=replies, replies=replies, restarts=(), troubles=("disk full",), now=NOW)
    assert turn(about, Policy(), Memory(), ill, str).states[-1].reason == "disk full"


def test_what_is_resumed_is_what_is_still_declared() -> None:
    gone = replace(CHECKS[0], name="old")
    kept = CheckMemory(recent=("ok",), settled="ok", told=True)
    left = Recalled(
        at=NOW - 10,
        states={ROUTER: Begun(entity=ROUTER, state=State.DOWN, since=NOW - 100, reason="refused")},
        checks={(gone.entity, gone.name): kept, (CHECKS[0].entity, CHECKS[0].name): kept},
    )
    memory, shown = resume(ABOUT, left, NOW)
    assert set(memory.checks) == {(CHECKS[0].entity, CHECKS[0].name)} and set(memory.states) == {ROUTER}
    found = {item.entity: item for item in shown}
    assert (found[ROUTER].state, found[ROUTER].reason, found[ROUTER].since) == (State.DOWN, "refused (as of 07:59:50 UTC)", NOW - 100)
    assert found[OWN].state is State.UNKNOWN and len(found) == len(ENTITIES) + 1


def test_who_was_unknown_before_the_pause_stays_so_since_then() -> None:
    states_ = {ROUTER: Begun(entity=ROUTER, state=State.UNKNOWN, since=NOW - 5000, reason="cannot tell")}
    memory, _ = resume(ABOUT, Recalled(at=NOW - AS_OF_MAX_S - 1, states=states_), NOW)
    assert memory.states[ROUTER].since == NOW - 5000


def test_the_bundled_environment_can_be_watched() -> None:
    """Names of checks are unique per entity (memory goes by them), and every question can be placed."""
    env = example()
    site = site_of(env)
    checks: tuple[Check, ...] = surfaces.checks(env, site)
    names = [(check.entity, check.name) for check in checks]
    assert len(set(names)) == len(names)
    about = subject(entities=entities(env), depends_on={}, questions=surfaces.questions(env, site), checks=checks, own=OWN, every_s=3.0)
    assert {name for check in checks for name in check.asks} <= set(about.asked)
