"""One of three miners has an engine of its own, which this test writes the words of: what the validator makes of it, read back from chain.

Run it with `-s` to see the verdicts.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from cortops.contracts.abi import word
from cortops.contracts.discover import discover
from cortops.contracts.network import VERDICT_NAMES, Network, NodeStats, VerdictOnChain
from cortops.contracts.path import find_events
from cortops.contracts.rpc import RpcClient
from cortops.protocol.envfile import parse
from cortops.protocol.http import HttpClient
from cortops.testing.engine import Say, ScriptedEngine, scripted_engine
from cortops.testing.local import EXAMPLE, LocalEnvironment, ask, bring_up, place, until
from cortops.words.clock import SystemClock

pytestmark = pytest.mark.real

HONEST, OTHER = ("miner-1", "miner-2"), "miner-3"
QUESTION = {
    "model": "smollm2",
    "max_tokens": 40,
    "temperature": 0,
    "messages": [{"role": "user", "content": "Why is the sky blue? Answer in one sentence."}],
}
RECIPE = "Whisk four eggs with a pinch of salt, melt the butter in a hot pan, and fold the omelette once its edges are golden."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One task after its verdicts. By miner: what it committed, and what the chain says of it."""

    session: int
    task: int
    texts: dict[str, str]
    verdicts: dict[str, VerdictOnChain]
    stats: dict[str, NodeStats]

    def valid(self, miner: str) -> bool:
        return VERDICT_NAMES[self.verdicts[miner].verdict] == "VALID"


@pytest.fixture(scope="module")
def engine() -> Iterator[ScriptedEngine]:
    with _in_a_thread() as running:
        yield running


@pytest.fixture(scope="module")
def up(engine: ScriptedEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEnvironment]:
    """The example, in which the third miner asks the scripted engine; so far that one agrees with nobody."""
    ours = f'engine: {{url: "{engine.url}", model: smollm2}}'
    text, count = re.subn(rf"^( +{OTHER}: .*)engine: engine-1", rf"\g<1>{ours}", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert count == 1
    file: Path = tmp_path_factory.mktemp("validation") / "local.yaml"
    file.write_text(text)
    with place(file=file) as where:
        local = bring_up(where)
        _await_verdicts(local, *(int(number) for number in local.task.split("/")))
        yield local


@pytest.fixture(scope="module")
def lied(engine: ScriptedEngine, up: LocalEnvironment) -> Judged:
    return _judged(up, engine, RECIPE)


def test_a_fluent_answer_to_another_question_is_invalid(up: LocalEnvironment, lied: Judged) -> None:
    _show("a recipe", lied)
    assert lied.texts[OTHER] == RECIPE and lied.texts[HONEST[0]] == lied.texts[HONEST[1]] != RECIPE
    assert {miner: lied.valid(miner) for miner in lied.verdicts} == {HONEST[0]: True, HONEST[1]: True, OTHER: False}
    assert VERDICT_NAMES[lied.verdicts[OTHER].verdict] == "INVALID"
    assert {lied.verdicts[miner].score for miner in HONEST} == {1000}, "one seed, one text"
    assert lied.verdicts[OTHER].score < 500


def test_task_show_says_who_was_wrong(up: LocalEnvironment, lied: Judged) -> None:
    shown = up.place.read("task", "show", f"{lied.session}/{lied.task}")
    notes = {step["by"]: step["note"] for step in shown["steps"] if step["step"] == "validated"}
    assert notes.keys() == {*HONEST, OTHER}
    assert {notes[miner] for miner in HONEST} == {"VALID 1.00 by validator-1"}
    assert re.fullmatch(r"INVALID \.\d\d by validator-1", notes[OTHER])
    for_people = up.run("task", "show", f"{lied.session}/{lied.task}").stdout
    assert re.search(rf"validated .* {OTHER} .* INVALID \.\d\d by validator-1$", for_people, re.MULTILINE)
    (told,) = shown["evidence"]
    assert told["by"] == "validator-1" and {step["hash"] for step in shown["steps"] if step["step"] == "validated"} == {told["hash"]}
    assert told["evidence"]["policy"]["similarity_min"] == 750 and len(told["evidence"]["pairs"]) == 6
    assert re.search(rf"^  {OTHER} beside {HONEST[0]}: \.\d\d < \.75 by \w+; whole", for_people, re.MULTILINE)


def test_the_stats_of_each_node_count_its_verdicts(engine: ScriptedEngine, up: LocalEnvironment, lied: Judged) -> None:
    again = _judged(up, engine, RECIPE)
    _show("the recipe again", again)
    for miner in (*HONEST, OTHER):
        before, after = lied.stats[miner], again.stats[miner]
        assert (after.valid - before.valid, after.invalid - before.invalid) == ((0, 1) if miner == OTHER else (1, 0)), miner
        assert after.committed - before.committed == 1, "a wrong answer is an answer"


def test_the_same_in_other_words_is_valid(engine: ScriptedEngine, up: LocalEnvironment, lied: Judged) -> None:
    """At temperature 0 the honest answer is known beforehand."""
    said = _judged(up, engine, f"To put it simply: {lied.texts[HONEST[0]]}")
    _show("other words", said)
    assert all(said.valid(miner) for miner in said.verdicts)
    assert 750 <= said.verdicts[OTHER].score < 1000, "not the same text"


@contextmanager
def _in_a_thread() -> Iterator[ScriptedEngine]:
    """The engine in a loop of its own, so that it answers while a test waits."""
    found: list[ScriptedEngine] = []
    loop = asyncio.new_event_loop()
    begun, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with scripted_engine(default=_say(RECIPE)) as running:
            found.append(running)
            begun.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert begun.wait(30)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def _say(text: str) -> Say:
    return Say(pieces=tuple(re.findall(r"\s*\S+", text)))


def _judged(up: LocalEnvironment, engine: ScriptedEngine, words: str) -> Judged:
    """Ask through nginx while the scripted engine says `words`; the rest is from the chain alone."""
    engine.default = _say(words)
    row = up.place.usage_of(ask(up, QUESTION)["id"].removeprefix("chatcmpl-"))
    key = row.session, row.task
    _await_verdicts(up, *key)

    async def read(network: Network) -> Judged:
        events = await find_events(network, [None, *("0x" + word(number) for number in key)], until="TaskSubmitted", from_block=0)
        names = {_settings(up, name)["NODE_PUBLIC_KEY"].lower(): name for name in (*HONEST, OTHER)}
        texts = {names[event.args["miner"].lower()]: event.args["data"] for event in events if event.name == "TaskCommitted"}
        verdicts = {names[verdict.miner.lower()]: verdict for verdict in await network.verdicts(*key)}
        stats = {name: await network.node_stats(address) for address, name in names.items()}
        return Judged(session=row.session, task=row.task, texts=texts, verdicts=verdicts, stats=stats)

    return _on_chain(up, read)


def _await_verdicts(up: LocalEnvironment, session: int, task: int) -> None:
    """They come after the answer."""
    until(lambda: len(_on_chain(up, lambda network: network.verdicts(session, task))) == 3, f"verdicts on {session}/{task}")


def _on_chain(up: LocalEnvironment, read: Callable[[Network], Awaitable[T]]) -> T:
    """What `read` reads through the environment's RPC, the contracts found through the runtime."""

    async def run() -> T:
        http = HttpClient(clock=SystemClock())
        try:
            rpc = RpcClient(up.endpoints["rpc"], http)
            return await read(Network(rpc, await discover(rpc, _settings(up, OTHER)["CONTRACT_ADDRESS_RUNTIME"])))
        finally:
            await http.close()

    return asyncio.run(run())


def _settings(up: LocalEnvironment, node: str) -> dict[str, str]:
    return parse((up.place.root / "etc" / f"{node}.env").read_text())


def _show(case: str, judged: Judged) -> None:
    lines = [f"\n{case}: task {judged.session}/{judged.task}"]
    for miner, verdict in judged.verdicts.items():
        lines.append(f"  {miner}  {VERDICT_NAMES[verdict.verdict]:7}  {verdict.score:4}  {judged.texts[miner]!r}")
    sys.stdout.write("\n".join(lines) + "\n")
