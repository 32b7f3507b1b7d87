"""The requests of this router, from its servers to the chain and back: feeds `request.step`, carries its commands out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from cortops.contracts.abi import Event as ChainEvent
from cortops.contracts.artifact import load
from cortops.contracts.follow import Batch, decode_all
from cortops.contracts.network import result_hash
from cortops.contracts.path import find_submitted
from cortops.programs.common.chain import Chain
from cortops.programs.common.logs import Log
from cortops.programs.common.progress import Key, key_of
from cortops.programs.router import request as machine
from cortops.programs.router.lanes import Lanes
from cortops.programs.router.links import Links
from cortops.programs.router.references import LOOK_BACK_BLOCKS, References
from cortops.programs.router.refusals import refusal_of
from cortops.protocol.chat import Note
from cortops.protocol.link import Chunk, Failed, Result
from cortops.protocol.routes import TaskRequest
from cortops.words.clock import Clock
from cortops.words.errors import PAYLOAD_CODES, CallReverted, ChainError, RpcRefused

OUTPUT_WAITING_MAX = 16_384  # commands that a slow client may leave unread before it counts as gone
SETTLE_TIMEOUT_S = 30.0
UNSURE_MAX = 10_000
# The limit of a submission where the last one of its session went well: an estimate would be one more round trip before the first token.
# Of our contract 76,000 and 33 a byte are used; after a refusal an estimate tells the next reason without cost.
SUBMIT_GAS, SUBMIT_GAS_PER_BYTE = 400_000, 80

Output = machine.Open | machine.Write | machine.Answer | machine.Fail


class Client:
    """What one HTTP exchange reads; `close` it in any case."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Output] = asyncio.Queue(OUTPUT_WAITING_MAX)
        self.overrun = False

    def put(self, command: Output) -> None:
        try:
            self._waiting.put_nowait(command)
        except asyncio.QueueFull:
            self.overrun = True

    async def outputs(self) -> AsyncIterator[tuple[Output, ...]]:
        """All that is there, at least one at a time, up to the Answer or Fail."""
        while True:
            found = [await self._waiting.get()]
            while not self._waiting.empty():
                found.append(self._waiting.get_nowait())
            yield tuple(found)
            if isinstance(found[-1], machine.Answer | machine.Fail):
                return


@dataclass(slots=True, eq=False)
class _Live:
    task: TaskRequest
    state: machine.Request
    client: Client
    began_at: float
    promised: dict[str, tuple[str, Note | None]] = field(default_factory=dict)
    held: list[ChainEvent] | None = None  # events that wait until the look back is done
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """`begin` and `tell` are for Chain.follow, `deliver` for Links, `ask` and `leave` for the server."""

    def __init__(self, chain: Chain, clock: Clock, log: Log, group: asyncio.TaskGroup) -> None:
        self._chain = chain
        self._clock = clock
        self._log = log
        self._group = group
        self._lanes: Lanes[_Live] = Lanes()
        self._references = References()
        self._by_reference: dict[tuple[int, str], _Live] = {}
        self._by_task: dict[Key, _Live] = {}
        self._unsure: dict[tuple[int, str], None] = {}  # references whose submission may or may not have been taken, oldest first
        self._taken: set[int] = set()  # sessions whose last submission the chain took
        self.links: Links  # set by the composition root: links deliver to us, and we watch through them
        self.ready = False

    def in_flight(self, session: int) -> int:
        """Requests of the session at this router, waiting ones included."""
        return sum(1 for at, _ in self._by_reference if at == session)

    # --- from the server ---

    def ask(self, task: TaskRequest, *, stream: bool, with_tools: bool, timeout_s: float) -> Client:
        """Begin a request, or take over the one that is under way with this reference."""
        key = (task.session, task.reference)
        client = Client()
        live = self._by_reference.get(key)
        if live is not None:
            live.client.put(machine.Fail(status=409, code="superseded", message="a newer request with the same id has taken this one over"))
            live.client = client
            self._feed(live, machine.ClientBack(stream=stream))
            return client
        live = _Live(task, machine.Request(stream=stream, with_tools=with_tools), client, self._clock.monotonic())
        self._by_reference[key] = live
        self._group.create_task(self._drive(live, timeout_s))
        return client

    def leave(self, task: TaskRequest, client: Client) -> None:
        """The client has its answer or is gone."""
        live = self._by_reference.get((task.session, task.reference))
        if live is not None and live.client is client:
            self._feed(live, machine.ClientGone())

    def stop(self) -> None:
        """This process ends: every client is told so, and that a retry will find its task."""
        for live in self._by_reference.values():
            live.client.put(
                machine.Fail(status=503, code="router_stopping", message="the router stops; ask again with the same request id")
            )

    # --- from the chain ---

    async def begin(self, head: int) -> None:
        """Read the references of the last blocks, once nothing of ours waits to be mined. Raises ChainError."""
        await self._chain.settled()
        head = max(head, int(await self._chain.rpc.call("eth_blockNumber"), 16))
        network = self._chain.network
        query = {
            "fromBlock": hex(max(0, head - LOOK_BACK_BLOCKS + 1)),
            "toBlock": hex(head),
            "address": network.addresses.session,
            "topics": [load("session").topic("TaskParameters")],
        }
        contracts = {address.lower(): artifact for address, artifact in network.contracts.items()}
        for event in decode_all(contracts, await self._chain.rpc.call("eth_getLogs", query)):
            self._references.note(event)
        self.ready = True
        for live in list(self._by_task.values()):
            self._group.create_task(self._check(live))

    async def tell(self, batch: Batch) -> None:
        """Take the chain's next events."""
        if batch.rewound:
            self._references.rewound(batch.first)
        for event in batch.events:
            if event.name == "TaskParameters":
                self._references.note(event)
            elif event.name == "TaskSubmitted":
                live = self._by_reference.get((event.args["sessionId"], event.args["clientReference"]))
                if live is not None:
                    self._submitted(live, event.args["taskId"])
            key = key_of(event)
            live = self._by_task.get(key) if key is not None else None
            if live is not None:
                self._on_event(live, event)
        if batch.rewound:
            for live in list(self._by_task.values()):
                self._group.create_task(self._check(live))

    def _submitted(self, live: _Live, task: int) -> None:
        if live.state.task is None and not live.state.over:
            self._by_task[live.task.session, task] = live
            self._feed(live, machine.Submitted(task=task))
            self._log.info(
                "task_open", session=live.task.session, task=task, after_ms=round((self._clock.monotonic() - live.began_at) * 1000)
            )

    def _on_event(self, live: _Live, event: ChainEvent) -> None:
        if live.held is not None:
            live.held.append(event)
            return
        args = event.args
        match event.name:
            case "TaskAssigned":
                self._feed(live, machine.Assigned(miners=args["miners"]))
            case "TaskPrecommitted":
                live.promised[args["miner"]] = (args["hash"], Note.parse(args["data"]))
            case "TaskCommitted":
                promised, note = live.promised.get(args["miner"], ("", None))
                text = args["data"]
                told = machine.Committed(
                    miner=args["miner"], text=text, text_hash=result_hash(text), promised_hash=promised, note=note
                )  # fmt: skip
                self._feed(live, told)
            case "TaskEnded":
                self._feed(live, machine.Ended())

    # --- from miners ---

    def deliver(self, miner: str, frame: Chunk | Result | Failed) -> None:
        """A frame of a linked miner; of a task that is not ours any more it is dropped."""
        live = self._by_task.get((frame.session, frame.task))
        if live is None:
            return
        match frame:
            case Chunk(index=index, data=data):
                self._feed(live, machine.ChunkCame(miner=miner, index=index, chunk=data))
            case Result(text=text, finish_reason=finish, usage=usage):
                self._feed(live, machine.ResultCame(miner=miner, text=text, finish_reason=finish, usage=usage))
            case Failed(why=why, code=code):
                self._feed(live, machine.MinerFailed(miner=miner, why=why[:200], code=code if code in PAYLOAD_CODES else ""))

    # --- inside ---

    async def _drive(self, live: _Live, timeout_s: float) -> None:
        """One request from its first to its last moment."""
        session = live.task.session
        try:
            async with asyncio.timeout(timeout_s):
                if not await self._adopted(live):
                    turn = self._lanes.enter(session, live)
                    if turn is None:
                        why = f"session {session} is busy and {self._lanes.waiting(session)} requests wait already"
                        self._feed(live, machine.SubmitFailed(status=503, code="session_busy", message=why))
                    elif turn:
                        self._feed(live, machine.Began())
                await live.over.wait()
        except TimeoutError:
            self._feed(live, machine.DeadlinePassed(after_s=timeout_s))

    def _close(self, live: _Live) -> None:
        """Forget it, and give the turn to the next."""
        live.over.set()
        session = live.task.session
        self._by_reference.pop((session, live.task.reference), None)
        if live.state.task is not None:
            self._by_task.pop((session, live.state.task), None)
            self.links.forget((session, live.state.task))
        following = self._lanes.leave(session, live)
        if following is not None:
            self._feed(following, machine.Began())
        took_ms = round((self._clock.monotonic() - live.began_at) * 1000)
        self._log.info("request_over", session=session, task=live.state.task, phase=live.state.phase, took_ms=took_ms)

    async def _adopted(self, live: _Live) -> bool:
        """Whether the reference has a task already; then all that happened to it is told anew."""
        session, reference = live.task.session, live.task.reference
        try:
            task = self._references.task(session, reference)
            if task is None and (session, reference) in self._unsure:
                task = await self._made_sure(session, reference)
            if task is None:
                return False
            await self._retell(live, task)
        except (ChainError, TimeoutError) as error:
            self._feed(live, refusal_of(error))
        return True

    async def _made_sure(self, session: int, reference: str) -> int | None:
        """What became of a submission whose fate we did not see."""
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            await self._chain.settled()
        head = int(await self._chain.rpc.call("eth_blockNumber"), 16)
        task = await find_submitted(self._chain.network, session, reference, from_block=max(0, head - LOOK_BACK_BLOCKS))
        self._unsure.pop((session, reference), None)
        return task

    async def _retell(self, live: _Live, task: int) -> None:
        live.held = []
        try:
            self._submitted(live, task)
            before = await self._chain.events((live.task.session, task))
        finally:
            held, live.held = live.held, None
        for event in sorted({(event.order, event.name): event for event in (*before, *held)}.values(), key=lambda event: event.order):
            self._on_event(live, event)

    async def _check(self, live: _Live) -> None:
        """After the head went back: is the task still there?"""
        try:
            events = await self._chain.events((live.task.session, live.state.task or 0))
        except ChainError:
            return  # unknown is not "gone": the deadline holds
        if not any(event.name == "TaskSubmitted" and event.args["clientReference"] == live.task.reference for event in events):
            self._feed(live, machine.Vanished())

    def _feed(self, live: _Live, event: machine.Event) -> None:
        live.state, commands = machine.step(live.state, event)
        for command in commands:
            match command:
                case machine.Submit():
                    self._group.create_task(self._submit(live))
                case machine.Watch(miner=miner, task=task):
                    self.links.watch(miner, (live.task.session, task))
                case machine.Forget():
                    self._close(live)
                case _:
                    live.client.put(command)
        if live.client.overrun and live.state.client:
            self._feed(live, machine.ClientGone())

    async def _submit(self, live: _Live) -> None:
        """Send once. What is not certain to have failed is marked, so that a retry looks before it submits."""
        task = live.task
        key = (task.session, task.reference)
        call = self._chain.network.submit(
            task.session,
            task_data=task.text,
            prompt_type=task.prompt_type,
            client_reference=task.reference,
            prompt_template=task.template,
            llm_params=task.llm_params,
            request_params=task.request_params,
        )
        self._unsure[key] = None
        while len(self._unsure) > UNSURE_MAX:
            del self._unsure[next(iter(self._unsure))]
        try:
            await self._chain.write(call, gas=self._submit_gas(task), session=task.session, reference=task.reference, step="submit")
        except (CallReverted, RpcRefused) as error:
            self._unsure.pop(key, None)  # the chain has said no: nothing of it can be mined later
            self._feed(live, refusal_of(error))
        except ChainError as error:
            self._feed(live, refusal_of(error))
        else:
            self._unsure.pop(key, None)
            self._taken.add(task.session)
            return
        self._taken.discard(task.session)

    def _submit_gas(self, task: TaskRequest) -> int | None:
        """The limit of gas; None = estimate."""
        return SUBMIT_GAS + SUBMIT_GAS_PER_BYTE * len((task.text + task.template).encode()) if task.session in self._taken else None
