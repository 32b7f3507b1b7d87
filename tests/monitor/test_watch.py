"""The watch as a whole, against a world that the test owns, on a virtual clock: what is named, when, and what a restart loses."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.monitor.stage import CONTRACT, ENTITIES, GATEWAY, MINER, OWN, QUESTIONS, ROUTER, RPC, Stage, rows

from cortops.monitor.history import history
from cortops.monitor.picture import Picture
from cortops.monitor.restarts import RESTART_SHOWN_S, Restart
from cortops.monitor.rounds import AS_OF_MAX_S
from cortops.testing.clock import START, VirtualClock
from cortops.words.errors import StoreUnavailable
from cortops.words.question import Answer, Silence
from cortops.words.state import State


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_the_first_picture_comes_when_all_have_answered() -> None:
    async def story() -> None:
        async with Stage() as stage:
            assert stage.watch.picture is None
            await stage.clock.advance(0.3)
            assert stage.states() == {}
            assert [item.entity for item in stage.picture.entities] == [*ENTITIES, OWN]
            assert stage.state(GATEWAY).reason == "runs as pid 14 for 60 s; answers and is well; it holds"
            assert stage.state(GATEWAY).depends_on == (ROUTER,)
            assert stage.state(GATEWAY).evidence == ("services:h1", "health:g1", "tls:g1")
            assert stage.state(OWN).reason == f"asks {len(QUESTIONS)} questions, a round every 3 s"
            assert {item.id for item in stage.picture.evidence} == {question.id for question in QUESTIONS}
            assert {item.since for item in stage.picture.entities} == {stage.picture.at}
            assert (stage.picture.begun_at, stage.picture.every_s, stage.picture.state) == (START, 3.0, State.OK)

    run(story())


def test_a_round_comes_on_time_however_slow_one_is() -> None:
    async def story() -> None:
        async with Stage() as stage:
            stage.world.takes_s["health:m1"] = 2.9
            await stage.clock.advance(3.1)
            for _ in range(10):
                at = stage.picture.at
                await stage.clock.advance(3.0)
                assert stage.picture.at == pytest.approx(at + 3.0)
            assert stage.states() == {}
            asked = [name for _, name in stage.world.asked]
            assert asked.count("health:r1") >= 11
            assert asked.count("tls:g1") <= 2, "it is calm and costs much"

    run(story())


def killed(seconds: float, **said: tuple[int, bytes] | Silence) -> dict[str, str]:
    """What is not ok so long after something happened to a well environment."""
    found: dict[str, str] = {}

    async def story() -> None:
        async with Stage() as stage:
            await stage.clock.advance(10.0)
            stage.world.said |= {name.replace("__", ":"): reply for name, reply in said.items()}
            await stage.clock.advance(seconds)
            found.update(stage.states())

    run(story())
    return found


@pytest.mark.parametrize(
    ("seconds", "said", "expected"),
    [
        (6.5, {"health__r1": Silence.REFUSED}, {"router/r1": "down"}),  # certain
        (9.5, {"services__h1": rows(r1=0)}, {"router/r1": "down"}),
        (12.5, {"health__r1": Silence.TIMEOUT}, {"router/r1": "down"}),
        (3.0, {"health__r1": Silence.TIMEOUT}, {}),
        (12.5, {"health__r1": (503, b'{"why": ["no head"]}')}, {"router/r1": "down"}),
        (60.0, {"tls__g1": Silence.REFUSED}, {"gateway/g1": "degraded"}),
        (6.5, {"code__queue": Silence.REFUSED}, {}),  # the chain's silence says nothing of the contract, yet
        (30.0, {"code__queue": Silence.REFUSED}, {"contract/queue": "unknown"}),
        (9.5, {"services__h1": Silence.LOST}, {}),
        (
            60.0,
            {"services__h1": Silence.LOST},
            {"rpc/c1": "unknown", "miner/m1": "unknown", "router/r1": "unknown", "gateway/g1": "unknown"},
        ),
    ],
)
def test_what_is_named_and_when(seconds: float, said: dict[str, tuple[int, bytes] | Silence], expected: dict[str, str]) -> None:
    assert killed(seconds, **said) == expected


def test_a_killed_service_manager_is_no_fault_of_our_eyes() -> None:
    async def story() -> None:
        async with Stage() as stage:
            await stage.clock.advance(10.0)
            for question in QUESTIONS:
                stage.world.said[question.id] = Silence.REFUSED
            stage.world.said["services:h1"] = (3, b"")
            await stage.clock.advance(9.5)
            down = {"rpc/c1", "miner/m1", "router/r1", "gateway/g1"}
            assert {name for name, state in stage.states().items() if state == "down"} == down
            assert stage.state(ROUTER).reason == "not started: the service manager of h1 does not run"
            assert stage.state(OWN).state is State.OK

    run(story())


def test_when_most_fall_silent_at_once_we_blame_ourselves() -> None:
    async def story() -> None:
        async with Stage() as stage:
            await stage.clock.advance(10.0)
            for question in QUESTIONS:
                stage.world.said[question.id] = Silence.TIMEOUT
                stage.world.takes_s[question.id] = 3.0
            seen: list[dict[str, str]] = []
            for _ in range(20):
                await stage.clock.advance(3.0)
                seen.append(stage.states())
            assert all("down" not in states.values() for states in seen), "nobody is accused"
            assert {"monitor/watch": "degraded"} in seen, "states keep"
            assert "our own eyes: " in stage.state(OWN).reason
            assert stage.state(ROUTER).state is State.UNKNOWN, "and not for ever"
            assert [event for event, fields in stage.log if "our own eyes" in fields.get("what", "")] == ["watch_trouble"], "said once"
            stage.world.said.clear()
            stage.world.takes_s.clear()
            stage.world.said |= {"services:h1": rows(), "code:queue": (0, b"")}
            await stage.clock.advance(15.0)
            assert stage.states() == {}

    run(story())


def test_a_restart_is_named_for_a_while() -> None:
    async def story() -> None:
        async with Stage() as stage:
            await stage.clock.advance(10.0)
            since = stage.state(ROUTER).since
            stage.world.said["services:h1"] = rows(1, r1=99)
            await stage.clock.advance(9.0)
            found = stage.state(ROUTER)
            assert found.state is State.DEGRADED
            assert found.reason.startswith("restarted ") and found.reason.endswith(" s ago (pid 13 ended, now pid 99)")
            assert stage.states() == {"router/r1": "degraded"}
            stage.world.said["services:h1"] = rows(60, r1=99)
            await stage.clock.advance(RESTART_SHOWN_S + 6)
            assert stage.states() == {}
            assert stage.state(ROUTER).since != since

    run(story())


@pytest.mark.parametrize("how", ["meant", "nobody", "unavailable", "late"])
def test_a_restart_that_an_apply_made_is_none(how: str) -> None:
    asked: list[Restart] = []
    clock = VirtualClock()

    async def intended(found: Sequence[Restart]) -> Mapping[str, str]:
        asked.extend(found)
        if how == "unavailable":
            raise StoreUnavailable("the journal cannot be read")
        if how == "late":
            await clock.sleep(100)
        return {"r1": "apply 7"} if how == "meant" else {}

    async def story() -> None:
        async with Stage(clock=clock, intended=intended) as stage:
            await stage.clock.advance(10.0)
            stage.world.said["services:h1"] = rows(1, r1=99)
            await stage.clock.advance(12.0)
            reason = stage.state(ROUTER).reason
            assert (stage.states() == {}) == (how == "meant")
            assert ("could not be asked" in reason) == (how in ("unavailable", "late"))

    run(story())
    assert [(item.service, item.pid_before, item.pid) for item in asked] == [("r1", 13, 99)]


def test_pictures_come_each_once_and_slow_readers_skip() -> None:
    async def story() -> None:
        fast: list[Picture] = []
        slow: list[Picture] = []
        async with Stage() as stage:

            async def read(into: list[Picture], pause_s: float) -> None:
                async for picture in stage.watch.pictures():
                    into.append(picture)
                    await stage.clock.sleep(pause_s)

            readers = [asyncio.ensure_future(read(fast, 0)), asyncio.ensure_future(read(slow, 10))]
            await stage.clock.advance(30.5)
            rounds = stage.watch.figures.rounds
        await stage.clock.advance(20)
        await asyncio.wait_for(asyncio.gather(*readers), 5)
        assert len(fast) == rounds == len({id(picture) for picture in fast})
        assert 3 <= len(slow) <= 5 and slow[-1] is fast[-1]

    run(story())


def test_an_ask_that_fails_or_hangs_accuses_nobody() -> None:
    async def story() -> None:
        async with Stage() as stage:
            ask = stage.world.ask

            async def broken(questions: Sequence[Any]) -> Any:
                if questions[0].id == "health:m1":
                    raise StoreUnavailable("cannot ask")
                if questions[0].id == "health:r1":
                    await stage.clock.sleep(1e6)
                return await ask(questions)

            stage.watch._asking._ask = broken
            await stage.clock.advance(60.0)
            assert stage.states() == {"miner/m1": "unknown", "router/r1": "unknown"}
            assert stage.state(MINER).reason == "could not be asked: cannot ask"
            assert stage.state(ROUTER).reason == "our own question did not end in time"
            assert stage.watch.figures.given_up > 5

    run(story())


def test_secrets_are_in_no_text_that_is_shown_or_stored(tmp_path: Path) -> None:
    def redact(body: bytes) -> bytes:
        return body.replace(b"hunter2", b"<redacted>")

    async def story() -> None:
        async with Stage(tmp_path / "h.db", redact=redact) as stage:
            stage.world.said["health:r1"] = (503, b'{"why": ["no luck with hunter2"]}')
            await stage.clock.advance(20.0)
            assert stage.state(ROUTER).reason.endswith("no luck with <redacted>")
            assert not any("hunter2" in item.value for item in stage.picture.evidence)
            reply = stage.picture.replies["health:r1"]
            assert isinstance(reply, Answer) and b"hunter2" in reply.body, "checks read what came"

    run(story())
    assert all(b"hunter2" not in path.read_bytes() for path in tmp_path.iterdir())


def after_a_pause(tmp_path: Path, pause_s: float, **said: tuple[int, bytes] | Silence) -> tuple[Stage, list[Picture]]:
    """A router is ill; the watch ends; later another begins, and sees what is said then. Its pictures."""
    clock = VirtualClock()
    pictures: list[Picture] = []
    last: list[Stage] = []

    async def story() -> None:
        async with Stage(tmp_path / "h.db", clock=clock) as stage:
            await clock.advance(10.0)
            stage.world.said["health:r1"] = Silence.REFUSED
            await clock.advance(20.0)
        await clock.advance(pause_s)
        async with Stage(tmp_path / "h.db", clock=clock) as stage:
            last.append(stage)
            stage.world.said |= {name.replace("__", ":"): reply for name, reply in said.items()}
            pictures.append(stage.picture)
            await clock.advance(0.5)
            pictures.append(stage.picture)
            await clock.advance(30)
            pictures.append(stage.picture)

    run(story())
    return last[0], pictures


def test_a_restart_of_the_watch_loses_no_state(tmp_path: Path) -> None:
    stage, (first, second, third) = after_a_pause(tmp_path, 5.0, health__r1=Silence.REFUSED)
    states = [{item.entity: item for item in picture.entities} for picture in (first, second, third)]
    assert states[0][ROUTER].state is State.DOWN and " (as of 08:00:30 UTC)" in states[0][ROUTER].reason
    assert first.at == START + 30.0, "as of then"
    assert [found[ROUTER].since for found in states] == [states[0][ROUTER].since] * 3
    assert [found[MINER].since for found in states] == [states[0][MINER].since] * 3
    assert second.at > first.at and "as of" not in states[1][ROUTER].reason
    past = history(tmp_path / "h.db", ROUTER, since=0, limit=10)
    assert [(item.state, item.until is None) for item in past] == [(State.DOWN, True), (State.OK, False)]
    assert not stage.log or all(event != "watch_trouble" for event, _ in stage.log)


def test_what_recovered_meanwhile_needs_its_two_looks(tmp_path: Path) -> None:
    _, pictures = after_a_pause(tmp_path, 5.0)
    states = [next(item.state for item in picture.entities if item.entity == ROUTER) for picture in pictures]
    assert states == [State.DOWN, State.DOWN, State.OK]


def test_after_a_long_pause_nobody_knows(tmp_path: Path) -> None:
    _, (first, second, _) = after_a_pause(tmp_path, AS_OF_MAX_S + 60)
    assert {item.state for item in first.entities} == {State.UNKNOWN}
    assert first.entities[0].reason == "nobody looked since 08:00:30 UTC"
    assert {item.since for item in first.entities} == {START + 30.0}
    assert {item.state for item in second.entities} == {State.OK}
    past = history(tmp_path / "h.db", RPC, since=0, limit=10)
    assert [(item.state, item.since) for item in past] == [
        (State.OK, second.at),
        (State.UNKNOWN, START + 30.0),
        (State.OK, pytest.approx(START, abs=1)),
    ]
    assert past[1].until == second.at and past[2].until == START + 30.0


def test_a_history_that_cannot_be_kept_does_not_stop_the_watch(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "file").write_text("no folder")
        async with Stage(tmp_path / "file" / "h.db") as stage:
            await stage.clock.advance(30.0)
            assert stage.states() == {"monitor/watch": "degraded"}
            assert "the history cannot be kept: " in stage.state(OWN).reason
            (tmp_path / "file").unlink()
            await stage.clock.advance(40.0)
            assert stage.states() == {}
            assert stage.watch.figures.waiting <= 1

    run(story())
    assert history(tmp_path / "file" / "h.db", CONTRACT, since=0, limit=1)


def test_a_damaged_history_is_moved_aside_and_said_aloud(tmp_path: Path) -> None:
    (tmp_path / "h.db").write_bytes(b"not a database at all, " * 1000)

    async def story() -> None:
        async with Stage(tmp_path / "h.db") as stage:
            await stage.clock.advance(10.0)
            assert stage.states() == {"monitor/watch": "degraded"}
            assert "the history was damaged" in stage.state(OWN).reason

    run(story())
    assert (tmp_path / "h.db.damaged-20270115T080000").exists()
    assert history(tmp_path / "h.db", CONTRACT, since=0, limit=1)


def test_the_log_tells_of_changes_only() -> None:
    async def story() -> None:
        async with Stage() as stage:
            await stage.clock.advance(30.0)
            assert [event for event, _ in stage.log] == ["state_changed"] * (len(ENTITIES) + 1)
            stage.log.clear()
            stage.world.said["health:r1"] = Silence.REFUSED
            await stage.clock.advance(30.0)
            assert stage.log == [
                ("state_changed", {"entity": "router/r1", "state": State.DOWN, "reason": "refused by the test"}),
            ]

    run(story())


@pytest.mark.parametrize("body", [b'{"why": ["\\ud800"]}', b"[" * 100_000, b"\xff\x00", b'{"why": {"a": 1e999}}'])
def test_no_answer_ends_the_watch(tmp_path: Path, body: bytes) -> None:
    async def story() -> None:
        async with Stage(tmp_path / "h.db") as stage:
            stage.world.said |= {question.id: (503, body) for question in QUESTIONS}
            await stage.clock.advance(20.0)
            assert stage.state(ROUTER).state is not State.OK and stage.watch.figures.rounds > 5

    run(story())
    assert history(tmp_path / "h.db", ROUTER, since=0, limit=1)
