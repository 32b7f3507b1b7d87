"""A small environment for the tests of the monitor: three services on a host, a chain, and what depends on what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from cortops.monitor.picture import Picture
from cortops.monitor.restarts import Restart
from cortops.monitor.store import Store
from cortops.monitor.watch import Watch, nobody
from cortops.surfaces.readings import answered_by_chain, bad, healthy, ok
from cortops.surfaces.services.checks import running
from cortops.surfaces.states import EntityState
from cortops.testing.clock import VirtualClock
from cortops.testing.world import World
from cortops.words.entity import Entity
from cortops.words.evidence import Check, Verdict
from cortops.words.question import Http, Question, Reply, Rpc, Shell, Tls

T = TypeVar("T")

RPC, CONTRACT = Entity("rpc", "c1"), Entity("contract", "queue")
ROUTER, MINER, GATEWAY = Entity("router", "r1"), Entity("miner", "m1"), Entity("gateway", "g1")
OWN = Entity("monitor", "watch")
ENTITIES = (RPC, CONTRACT, MINER, ROUTER, GATEWAY)
DEPENDS_ON = {CONTRACT: (RPC,), MINER: (RPC,), ROUTER: (MINER, CONTRACT), GATEWAY: (ROUTER,)}
QUESTIONS: tuple[Question, ...] = (
    Shell(id="services:h1", target="h1", script="s", timeout_s=3),
    Rpc(id="code:queue", url="http://127.0.0.1:8545", method="eth_call", timeout_s=3),
    Http(id="health:c1", url="http://127.0.0.1:8546", timeout_s=3),
    Http(id="health:m1", url="http://127.0.0.1:5011", timeout_s=3),
    Http(id="health:r1", url="http://127.0.0.1:5010", timeout_s=3),
    Http(id="health:g1", url="http://127.0.0.1:8400", timeout_s=3),
    Tls(id="tls:g1", host="127.0.0.1", port=8443, server_name="g1", timeout_s=3),
)
SERVICES = {"c1": 11, "m1": 12, "r1": 13, "g1": 14}


def _code(replies: Mapping[str, Reply], now: float) -> Verdict:
    answer = answered_by_chain(replies, "code:queue")
    return answer if isinstance(answer, Verdict) else (ok if answer.status == 0 else bad)(f"said {answer.status}")


def _process_and_health(entity: Entity) -> tuple[Check, Check]:
    asked = f"health:{entity.name}"
    return running(entity, entity.name, "h1", "ops"), Check(entity=entity, name="health", asks=(asked,), judge=healthy(asked), owner="ops")


CHECKS = (
    *_process_and_health(RPC),
    Check(entity=CONTRACT, name="code", asks=("code:queue",), judge=_code, owner="ops"),
    *_process_and_health(MINER),
    *_process_and_health(ROUTER),
    *_process_and_health(GATEWAY),
    Check(entity=GATEWAY, name="certificate", asks=("tls:g1",), judge=healthy("tls:g1", "it holds"), owner="ops", makes="degraded"),
)


def rows(uptime_s: int = 60, **pids: int) -> tuple[int, bytes]:
    """What the service manager says; pid 0: the service has ended."""
    found = SERVICES | pids
    return 0, "".join(f"{name} {'RUNNING' if pid else 'EXITED'} {pid} {uptime_s if pid else 0}\n" for name, pid in found.items()).encode()


async def inline(work: Callable[[], T]) -> T:
    """A Thread that is none, so that a virtual clock waits for it."""
    return work()


class Stage:
    """A watch over the small environment, with the world it sees and the clock it goes by."""

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: VirtualClock | None = None,
        intended: Callable[[Sequence[Restart]], Awaitable[Mapping[str, str]]] = nobody,
        redact: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.world = World(self.clock, said={"services:h1": rows(), "code:queue": (0, b"0x60")})
        self.log: list[tuple[str, Mapping[str, str]]] = []
        self.store = Store(path, redact=redact) if path else None
        self.watch = Watch(
            ask=self.world.ask,
            questions=QUESTIONS,
            checks=CHECKS,
            entities=ENTITIES,
            depends_on=DEPENDS_ON,
            store=self.store,
            clock=self.clock,
            every_s=3.0,
            environment="lab",
            chance=lambda: 0.5,
            redact=redact,
            intended=intended,
            tell=lambda event, fields: self.log.append((event, fields)),
            thread=inline,
        )

    async def __aenter__(self) -> Stage:
        self._task = asyncio.ensure_future(self.watch.run())
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled() and (error := self._task.exception()):
            raise error

    @property
    def picture(self) -> Picture:
        assert self.watch.picture is not None
        return self.watch.picture

    def state(self, entity: Entity) -> EntityState:
        return next(item for item in self.picture.entities if item.entity == entity)

    def states(self) -> dict[str, str]:
        """What is not ok."""
        return {str(item.entity): str(item.state) for item in self.picture.entities if item.state != "ok"}
