"""Eyes: one question a host, one reading of the chain, and a hash only where the process is another one than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.deploy.waves.test_history import NODE
from tests.deploy.waves.test_sight import EARNED, ME, tail

from cortops.deploy.earning_gate import GateFacts, Rate, asks_of
from cortops.deploy.waves.eyes import FleetEyes
from cortops.deploy.waves.plan import Step
from cortops.probes.chain_tail import TailSeen
from cortops.testing.clock import VirtualClock
from cortops.words.question import Answer, NoAnswer, Question, Reply, Shell, Silence


@dataclass
class Stage:
    """Hosts that answer with these rows, and a chain that says this. right: what a look at the program's hash says."""

    rows: dict[str, str] = field(default_factory=dict)
    seen: TailSeen = field(default_factory=lambda: tail(*EARNED))
    right: bool | None = True
    silent: tuple[str, ...] = ()
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(start=1_900.0))
    asked: list[str] = field(default_factory=list)
    hashed: list[str] = field(default_factory=list)
    known: list[tuple[str, ...]] = field(default_factory=list)

    def eyes(self) -> FleetEyes:
        nodes = {
            name: NODE.model_copy(update={"host": host, "unit": f"{name}.service"})
            for name, host in (("a", "h1"), ("b", "h1"), ("c", "h2"))
        }
        return FleetEyes(
            nodes,
            {"a": ME, "b": "0x" + "e" * 40, "c": "0x" + "d" * 40},
            ask=self.ask,
            tail=self,  # type: ignore[arg-type]
            runs=self.runs,
            registered=self.registered,
            clock=self.clock,
        )

    async def read(self) -> TailSeen:
        return self.seen

    async def runs(self, node: str) -> bool | None:
        self.hashed.append(node)
        return self.right

    async def registered(self, addresses: Sequence[str]) -> Mapping[str, bool]:
        self.known.append(tuple(addresses))
        return dict.fromkeys(addresses, False)

    async def ask(self, questions: Sequence[Question]) -> Mapping[str, Reply]:
        replies: dict[str, Reply] = {}
        for question in questions:
            assert isinstance(question, Shell)
            self.asked.append(question.target)
            if question.target in self.silent:
                replies[question.id] = NoAnswer(question=question.id, at=0.0, elapsed_s=1.0, silence=Silence.TIMEOUT, why="no answer")
            else:
                body = self.rows.get(question.target, "").encode()
                replies[question.id] = Answer(question=question.id, at=0.0, elapsed_s=0.1, status=0, body=body)
        return replies

    def look(self, eyes: FleetEyes, *names: str) -> Mapping[str, GateFacts]:
        hosts = {"a": "h1", "b": "h1", "c": "h2"}
        asks = asks_of(Rate(1, 60.0), canary=True, selectable=True)
        steps = [Step(node=name, host=hosts[name], was="", asks=asks, every_s=None) for name in names]
        found: Mapping[str, GateFacts] = self.clock.run(eyes.look(steps))
        return found


UP = "a\trunning\t7\trestarted 0 times since it was loaded\nb\trunning\t8\trestarted 0 times since it was loaded\n"


def marked(stage: Stage) -> FleetEyes:
    eyes = stage.eyes()
    for name in ("a", "b", "c"):
        eyes.mark(name)
    stage.clock.run(stage.clock.sleep(100.0))
    return eyes


def test_each_host_is_asked_once_for_all_its_nodes() -> None:
    stage = Stage(rows={"h1": UP, "h2": "c\tstopped\t\tc.service is failed (failed)\n"})
    found = stage.look(marked(stage), "a", "b", "c")
    assert sorted(stage.asked) == ["h1", "h2"]
    assert [found[name].running for name in ("a", "b", "c")] == [True, True, False]
    assert found["c"].running_why == "c.service is failed (failed)"


def test_a_program_is_hashed_at_the_first_look_and_when_its_process_is_another_one() -> None:
    stage = Stage(rows={"h1": UP})
    eyes = marked(stage)
    stage.look(eyes, "a")
    stage.look(eyes, "a")
    assert stage.hashed == ["a"]
    stage.rows["h1"] = UP.replace("\t7\t", "\t70\t")
    assert stage.look(eyes, "a")["a"].crashes == 0, "people restarted it"
    assert stage.hashed == ["a", "a"]
    stage.rows["h1"] = UP.replace("a\trunning\t7\trestarted 0", "a\trunning\t71\trestarted 1")
    assert stage.look(eyes, "a")["a"].crashes == 1
    stage.right = False
    stage.rows["h1"] = UP.replace("\t7\t", "\t72\t")
    assert stage.look(eyes, "a")["a"].program is False


def test_only_who_has_not_committed_is_looked_up_in_the_registry() -> None:
    stage = Stage(rows={"h1": UP})
    found = stage.look(marked(stage), "a", "b")
    assert stage.known == [("0x" + "e" * 40,)]
    assert (found["a"].registered, found["b"].registered) == (None, False)


def test_a_silent_host_and_a_vanished_unit_are_unseen() -> None:
    stage = Stage(rows={"h1": "a\tgone\t\tthere is no unit a.service\n"}, silent=("h2",))
    found = stage.look(marked(stage), "a", "b", "c")
    told = {name: (one.running, one.running_why) for name, one in found.items()}
    assert told == {
        "a": (None, "there is no unit a.service"),
        "b": (None, "its host said nothing of it"),
        "c": (None, "no answer"),
    }
    assert stage.hashed == []


def test_the_moment_is_of_the_chain_and_the_process_together() -> None:
    stage = Stage(rows={"h1": UP})
    found = stage.clock.run(stage.eyes().moment("a"))
    assert (found.running, found.selectable, found.rounds) == (True, True, ())
