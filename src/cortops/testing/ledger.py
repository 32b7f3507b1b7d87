"""The ledger of a gateway under fire: what clients were answered against the rows in the database, while processes are killed and the
database goes away.

`python -m cortops.testing.ledger PORT` is a fake member.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from cortops.protocol import keys, usage
from cortops.protocol.gateway import GatewayConfig, Health, Listen, Member, Pool, Store
from cortops.protocol.http import HttpClient, HttpFailure
from cortops.testing.postgresql import Postgresql
from cortops.testing.upstream import FakeRouter, Manner
from cortops.words.clock import SystemClock
from cortops.words.errors import StepFailed

MODEL = "oss-20b"
SESSIONS = 16  # of each member
REQUEST_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
TIME_MAX_S = 1200.0
START_PAUSE_S = 0.1  # before a program that ended is started again
ROUNDS_MAX = 5  # of starting a gateway once more for what is still spooled
# Answers that belong to no key, or to a moment in which no row could be kept: they have none.
WITHOUT_ROW = frozenset(
    {"invalid_api_key", "key_store_unavailable", "limit_store_unavailable", "usage_unavailable", "too_many_connections"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of it. kill_every: least and most requests answered between two kills: a slow machine is not killed faster than it starts.
    outages: (after that share of the requests, seconds).
    """

    requests: int
    clients: int = 32
    gateways: int = 2
    members: int = 3
    kill_every: tuple[int, int] = (100, 1200)
    outages: tuple[tuple[float, float], ...] = ((0.3, 6.0), (0.7, 6.0))
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one client saw. code: of an error, "" for 200; None where the answer did not come whole. request_id: the gateway's own."""

    code: str | None
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One row: the ids, and how it ended."""

    request_id: str
    client_request_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Names of the requests at fault: answered without a row; with two; and whose rows say something else than the client saw."""

    lost: tuple[str, ...]
    double: tuple[str, ...]
    strange: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What happened. `refused`: answered whole, by code. `unanswered`: the answer did not come whole. `in_outages`: served while the
    database was away.
    """

    requests: int
    ok: int
    refused: Mapping[str, int]
    unanswered: int
    rows: int
    in_outages: int
    kills: Mapping[str, int]
    elapsed_s: float
    books: Books


def compared(seen: Mapping[str, Answered], rows: Iterable[Counted]) -> Books:
    """Every whole answer of a known key has exactly one row; one that did not come whole has one or none."""
    found: dict[str, list[Counted]] = {}
    for row in rows:
        found.setdefault(row.client_request_id, []).append(row)
    strange = [name for name in found if name not in seen]
    for name, answered in seen.items():
        if answered.code == "" and any(row.status != "ok" or row.request_id != answered.request_id for row in found.get(name, ())):
            strange.append(name)
    due = (name for name, answered in seen.items() if answered.code is not None and answered.code not in WITHOUT_ROW)
    return Books(
        lost=tuple(sorted(name for name in due if name not in found)),
        double=tuple(sorted(name for name, several in found.items() if len(several) > 1)),
        strange=tuple(sorted(strange)),
    )


async def run(folder: Path, server: Postgresql, scale: Scale, *, told: Callable[[str], None] = lambda text: None) -> Ledger:
    """Run it in `folder`, with both stores in `server`. Raises StepFailed where rows cannot be shipped
    in the end, TimeoutError after 20 minutes."""
    begun = time.monotonic()
    place = folder / "store.url"
    place.write_text(server.create(f"ledger_{scale.seed}"))
    place.chmod(0o600)
    with closing(keys.open_keys(place)) as database:
        key = keys.issue(database, environment="ledger", name="ledger", now=time.time(), random_bytes=os.urandom).key
    ports = free_ports(scale.gateways + scale.members)
    members = [Kept(f"member-{port}", ("cortops.testing.ledger", str(port)), folder) for port in ports[scale.gateways :]]
    gateways = [_gateway(folder, number, port, ports[scale.gateways :]) for number, port in enumerate(ports[: scale.gateways], start=1)]
    fire = Fire(scale, gateways, members, server, told)
    clients = Clients(scale, ports[: scale.gateways], key, fire)
    async with kept((*gateways, *members)):
        async with asyncio.timeout(TIME_MAX_S), asyncio.TaskGroup() as group:
            burning = group.create_task(fire.run())
            await clients.run()
            burning.cancel()
        await asyncio.to_thread(server.start)
        await _shipped(folder, gateways)
    rows = await asyncio.to_thread(_rows, place)
    codes = Counter(one.code for one in clients.seen.values())
    return Ledger(
        requests=len(clients.seen),
        ok=codes[""],
        refused={code: count for code, count in codes.most_common() if code},
        unanswered=codes[None],
        rows=len(rows),
        in_outages=fire.in_outages,
        kills=dict(fire.kills),
        elapsed_s=time.monotonic() - begun,
        books=compared(clients.seen, rows),
    )


class Kept:
    """A Python program that is started again whenever it ends, until it is stopped."""

    def __init__(self, name: str, words: tuple[str, ...], folder: Path) -> None:
        self.name = name
        self._words = words
        self._log = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self) -> None:
        while not self._stopping:
            await self.start()
            assert self._process is not None
            await self._process.wait()
            await asyncio.sleep(START_PAUSE_S)

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(sys.executable, "-m", *self._words, stdout=log, stderr=log)

    def kill(self) -> bool:
        """SIGKILL; False when it is not there."""
        if self._process is None or self._process.returncode is not None:
            return False
        with suppress(ProcessLookupError):
            self._process.kill()
        return True

    async def stop(self) -> None:
        """SIGTERM, and wait until it has ended by itself."""
        self._stopping = True
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            self.kill()


@asynccontextmanager
async def kept(programs: tuple[Kept, ...]) -> AsyncIterator[None]:
    """They run while inside."""
    tasks = [asyncio.ensure_future(program.run()) for program in programs]
    try:
        yield
    finally:
        for program in programs:
            await program.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(kw_only=False)
class Fire:
    """Kills at random, and takes the database away when its time has come."""

    scale: Scale
    gateways: list[Kept]
    members: list[Kept]
    server: Postgresql
    told: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    answered: int = 0  # whole answers so far
    served: int = 0  # those of them that were 200
    in_outages: int = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill())
            group.create_task(self._take_away())

    async def _kill(self) -> None:
        chance = random.Random(self.scale.seed)
        while True:
            await self._until(self.answered + chance.randint(*self.scale.kill_every))
            kind = chance.choices(("gateway", "member", "database"), (5, 4, 1))[0]
            if kind == "database":
                self.kills[kind] += self.server.kill_one(chance)
            else:
                self.kills[kind] += chance.choice(self.gateways if kind == "gateway" else self.members).kill()

    async def _take_away(self) -> None:
        for share, seconds in self.scale.outages:
            await self._until(int(share * self.scale.requests))
            await asyncio.to_thread(self.server.stop)
            self.kills["outage"] += 1
            before = self.served
            try:
                await asyncio.sleep(seconds)
            finally:  # the last request may be answered before it is over
                self.in_outages += self.served - before
                self.told(f"the database was away for {seconds:g} s; {self.served - before:,} requests were served meanwhile")
            await asyncio.to_thread(self.server.start)

    async def _until(self, answered: int) -> None:
        while self.answered < answered:  # noqa: ASYNC110 — a count, looked at now and then
            await asyncio.sleep(0.02)


class Clients:
    """Clients that never give up a gateway, and ask nothing twice. `seen`: what each request was answered."""

    def __init__(self, scale: Scale, ports: list[int], key: str, fire: Fire) -> None:
        self.seen: dict[str, Answered] = {}
        self._scale = scale
        self._ports = ports
        self._headers = [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json")]
        self._fire = fire
        self._http = HttpClient(clock=SystemClock(), idle_max_per_origin=scale.clients)
        self._next = 0

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._scale.clients):
                    group.create_task(self._one())
        finally:
            await self._http.close()

    async def _one(self) -> None:
        while self._next < self._scale.requests:
            number, self._next = self._next, self._next + 1
            answered = await self._ask(number)
            self.seen[f"c-{number}"] = answered
            self._fire.answered += answered.code is not None
            self._fire.served += answered.code == ""
            if answered.code:
                await asyncio.sleep(0.05)

    async def _ask(self, number: int) -> Answered:
        """One request, at whichever gateway listens."""
        stream = number % 2 == 1
        body = msgspec.json.encode({"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": f"{number}"}]})
        headers = [*self._headers, ("X-Request-ID", f"c-{number}")]
        turn = number
        while True:
            url = f"http://127.0.0.1:{self._ports[turn % len(self._ports)]}/v1/chat/completions"
            try:
                reply = await self._http.request("POST", url, headers=headers, body=body, timeout_s=REQUEST_TIMEOUT_S)
            except HttpFailure as failure:
                if failure.sent:
                    return Answered(code=None)
                turn += 1
                await asyncio.sleep(0.02)
                continue
            return read(reply.status, reply.body, stream=stream)


def read(status: int, body: bytes, *, stream: bool) -> Answered:
    """What an answer says; one that ends before its end is none."""
    if status != 200:
        with suppress(msgspec.DecodeError, KeyError, TypeError):
            return Answered(code=str(msgspec.json.decode(body)["error"]["code"]))
        return Answered(code=f"HTTP {status}")
    if stream:
        events = [event.removeprefix(b"data: ") for event in body.strip().split(b"\n\n")]
        if events[-1] != b"[DONE]":
            return Answered(code=None)
        body = events[0]
    found = msgspec.json.decode(body)
    return Answered(code="", request_id=str(found["id"]).removeprefix("chatcmpl-"))


def _gateway(folder: Path, number: int, port: int, members: list[int]) -> Kept:
    pool = Pool(
        members=tuple(
            Member(
                name=f"member-{at}",
                url=f"http://127.0.0.1:{member}",
                sessions=tuple(range(at * SESSIONS, (at + 1) * SESSIONS)),
                api_key="member-key",
            )
            for at, member in enumerate(members, start=1)
        ),
        return_wait_s=5.0,
        health=Health(every_s=0.5),
    )
    store = Store(
        keys_db=str(folder / "store.url"),
        usage_db=str(folder / "store.url"),
        spool_folder=str(folder / f"spool-{number}"),
        slots_file=str(folder / "slots"),
        keys_stale_max_s=600.0,  # so that requests go on while the database is away
    )
    config = GatewayConfig(
        name=f"gateway-{number}", listen=Listen(port=port), models={MODEL: "pool-1"}, pools={"pool-1": pool}, store=store
    )
    path = folder / f"gateway-{number}.json"
    path.write_bytes(config.to_json())
    path.chmod(0o600)
    return Kept(config.name, ("cortops.programs.gateway", str(path)), folder)


async def _shipped(folder: Path, gateways: list[Kept]) -> None:
    """Each gateway stops as it is told to and ships its own; what killed ones left, the first ships, started once more if need be."""
    for gateway in gateways:
        await gateway.stop()
    for _ in range(ROUNDS_MAX):
        if not (left := list(folder.glob("spool-*/*.jsonl"))):
            return
        await gateways[0].start()
        await asyncio.sleep(2.0)
        await gateways[0].stop()
    raise StepFailed(f"rows were not shipped: {', '.join(path.name for path in left)}")


def _rows(place: Path) -> list[Counted]:
    with closing(usage.open_usage(place)) as database, database.reading() as transaction:
        found = transaction.stream("SELECT request_id, client_request_id, status FROM usage")
        return [Counted(request_id=own, client_request_id=client, status=status) for own, client, status in found]


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def member(port: int) -> None:
    """A fake member, until it is told to stop."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with FakeRouter(Manner(delay_s=0.01, event_every_s=0.002)).listening(port) as router:
        while not stopped.is_set():
            router.asked.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 1.0)


if __name__ == "__main__":
    asyncio.run(member(int(sys.argv[1])))
