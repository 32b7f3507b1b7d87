"""What the console's tests share: the example environment, pictures of it, and a View whose pictures a test shows one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from cortops.console.view import TaskLine
from cortops.contracts.explore import Block, Transaction
from cortops.contracts.path import Step, TaskPath
from cortops.environment.declared import Environment
from cortops.environment.graph import depends_on, entities
from cortops.environment.load import load, load_file
from cortops.monitor.picture import Picture
from cortops.surfaces.states import EntityState
from cortops.testing.clock import START
from cortops.words.entity import Entity
from cortops.words.errors import CortopsError, UnknownName
from cortops.words.evidence import Evidence
from cortops.words.question import Answer, Reply
from cortops.words.state import State

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BEGUN = START - 3600

Told = Mapping[str, tuple[State, str]]  # entity -> (state, reason), of those that are not just ok


def example(name: str = "local") -> Environment:
    """An environment of examples/."""
    loaded = load_file(EXAMPLES / f"{name}.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def environment(text: str) -> Environment:
    """One from a text."""
    loaded = load(text, "local.yaml")
    assert isinstance(loaded, Environment), loaded
    return loaded


def answer(question: str, body: object, *, status: int = 200, at: float = START) -> Answer:
    """What somebody answered as JSON."""
    return Answer(question=question, at=at, elapsed_s=0.01, status=status, body=json.dumps(body).encode())


def replies_of(env: Environment) -> dict[str, Reply]:
    """Health pages as the programs write them: one request under way in session 1, none waiting."""
    found: dict[str, Reply] = {}
    for name, node in env.nodes.items():
        own: dict[str, object] = {"status": "ok"}
        if node.role != "engine":
            own |= {"head": 812, "head_age_s": 2.1}
        if node.role == "router":
            own |= {"sessions": [{"id": 1, "in_flight": int(name == "router-1")}], "miners": 3}
        if node.role == "miner":
            own |= {"in_flight": 1, "routers_connected": ["router-1"], "routers_declared": 2, "last_commit_at": START - 60}
        if node.role == "oracle":
            own |= {"open_tasks": 1}
        found[f"health:{name}"] = answer(f"health:{name}", own)
    for number, name in enumerate(env.gateway.ports() if env.gateway else ()):
        members = [
            {"name": f"router-{n}", "state": "ok", "why": "", "in_flight": int(n == 1 and not number), "capacity": 1} for n in (1, 2)
        ]
        page = {"status": "ok", "own": [], "pools": {pool: {"state": "ok", "queued": number, "members": members} for pool in env.pools}}
        found[f"gateway:{name}"] = answer(f"gateway:{name}", page)
    for hostname in env.proxy:
        found[f"tls:{hostname}"] = answer(f"tls:{hostname}", {"not_after": START + 364.5 * 86_400, "names": [hostname]}, status=0)
    return found


def evidence_ids(entity: Entity) -> tuple[str, ...]:
    """The questions that an entity's state rests on, in this rig."""
    own = {"gateway": f"gateway:{entity.name}", "proxy": f"tls:{entity.name}"}.get(entity.kind, f"health:{entity.name}")
    return ("services:here", own)


def picture(env: Environment, told: Told | None = None, *, at: float = START, every_s: float = 3.0, since: float = BEGUN) -> Picture:
    """Everything ok but what is told; what is told has been so for a minute, the rest since `since`."""
    told = told or {}
    edges, replies = depends_on(env), replies_of(env)
    states = tuple(
        EntityState(
            entity=entity,
            state=told.get(str(entity), (State.OK, ""))[0],
            reason=told.get(str(entity), (State.OK, "answers and is well"))[1],
            evidence=evidence_ids(entity),
            depends_on=edges[entity],
            since=at - 60 if str(entity) in told else since,
        )
        for entity in entities(env)
    )
    ids = {item.evidence[1]: item.entity for item in states}
    evidence = tuple(
        Evidence(id=name, entity=entity, value="200 …", at=at - 0.5, how=name.partition(":")[0]) for name, entity in ids.items()
    )
    return Picture(environment=env.name, begun_at=BEGUN, at=at, every_s=every_s, entities=states, evidence=evidence, replies=replies)


ROUTER_DOWN: Told = {
    "router/router-1": (State.DOWN, "exited on here: SIGKILL"),
    "pool/smollm2": (State.DEGRADED, "1 of 2 members well, requests go on (router-1: connection refused)"),
}


class ScriptedView:
    """A View whose pictures, tasks and paths a test sets."""

    def __init__(self, env: Environment, shown: Picture | None = None) -> None:
        self.environment = env
        self.endpoints: Mapping[str, str] = {"gateway": "https://gateway.localhost:8443", "console": "http://127.0.0.1:8500"}
        self.newest: tuple[TaskLine, ...] | CortopsError = ()
        self.paths: dict[tuple[int, int], TaskPath] = {}
        self.names: Mapping[str, str] = {}
        self.chain: dict[int, Block] | CortopsError = {}
        self.readers: set[asyncio.Event] = set()
        self._picture = shown

    def show(self, shown: Picture) -> None:
        """The next picture."""
        self._picture = shown
        for reader in self.readers:
            reader.set()

    def picture(self) -> Picture | None:
        return self._picture

    async def pictures(self) -> AsyncGenerator[Picture, None]:
        reader, seen = asyncio.Event(), None
        self.readers.add(reader)
        try:
            while True:
                if self._picture is not None and self._picture is not seen:
                    seen = self._picture
                    yield seen
                else:
                    reader.clear()
                    await reader.wait()
        finally:
            self.readers.discard(reader)

    def counts(self) -> Mapping[str, int]:
        return {"rounds": 7}

    async def tasks(self, limit: int) -> tuple[TaskLine, ...] | CortopsError:
        return self.newest if isinstance(self.newest, CortopsError) else self.newest[:limit]

    async def task(self, session: int, task: int) -> TaskPath | CortopsError:
        return self.paths.get((session, task)) or UnknownName(f"there is no task {session}/{task} on this chain")

    async def blocks(self, upto: int | None) -> tuple[Block, ...] | CortopsError:
        if isinstance(self.chain, CortopsError):
            return self.chain
        return tuple(block for number, block in sorted(self.chain.items(), reverse=True) if upto is None or number <= upto)

    async def block(self, number: int) -> Block | CortopsError:
        if isinstance(self.chain, CortopsError):
            return self.chain
        return self.chain.get(number) or UnknownName(f"there is no block {number}")

    async def transaction(self, tx: str) -> Transaction | CortopsError:
        if isinstance(self.chain, CortopsError):
            return self.chain
        found = (one for block in self.chain.values() for one in block.transactions if one.tx == tx)
        return next(found, None) or UnknownName(f"there is no transaction {tx}")


def path(session: int = 1, task: int = 7) -> TaskPath:
    """A task that was validated; `by` is a node's name where one is known."""
    names = ("submitted", "assigned", "acked", "precommitted", "committed", "ended", "validated")
    by = ("router-1", "oracle-1", "miner-1", "miner-1", "miner-1", "oracle-1", "0x" + "ab" * 20)
    return TaskPath(
        session=session,
        task=task,
        state="ended",
        steps=tuple(
            Step(step=name, by=who, at=int(START) - 60 + number, block=800 + number, tx="0x" + f"{number}c" * 32, hash="", note="")
            for number, (name, who) in enumerate(zip(names, by, strict=True))
        ),
    )
