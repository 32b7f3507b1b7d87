"""`python -m cortops.programs.devchain ENVFILE`: anvil with a sequencer and crash-safe snapshots. Not for production: anyone may mint."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cortops.contracts.rpc import RpcClient
from cortops.programs.common.health import Health, serve_health
from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.programs.devchain import anvil, predeploys, store
from cortops.programs.devchain.generation import Damaged, Snapshot, compact, note, told
from cortops.programs.devchain.pace import Pace
from cortops.programs.devchain.sequencer import Sequencer
from cortops.protocol.http import HttpClient
from cortops.protocol.settings import LOOPBACK, DevchainSettings
from cortops.words.clock import Clock, SystemClock
from cortops.words.errors import ArtifactDamaged

CALL_TIMEOUT_S = 10.0
DUMP_TIMEOUT_S = 60.0
DUMP_MAX_MIB = 512  # as hexadecimal digits
LAST_SAVE_TIMEOUT_S = 6.0  # of the 9 that a stop may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A running anvil and the generation it came from: its number, the sentence about it, and the note when newer ones are damaged."""

    process: Process
    generation: int | None
    words: str
    note: str = ""


async def serve(settings: DevchainSettings, log: Log) -> None:
    """Run the chain until cancelled. Raises AnvilEnded when anvil ends by itself: the supervisor starts all of it again."""
    clock = SystemClock()
    folder = Path(settings.data_path)
    http = HttpClient(clock=clock)
    rpc = RpcClient(anvil.local_url(settings), http, timeout_s=CALL_TIMEOUT_S)
    slow_rpc = RpcClient(anvil.local_url(settings), http, timeout_s=DUMP_TIMEOUT_S, body_max_mib=DUMP_MAX_MIB)
    read = _starting
    notes: tuple[str, ...] = ()  # kept until the process ends: who looks later must still learn that the chain went back
    try:
        with store.owned(folder):
            async with serve_health(LOOPBACK, settings.health_port, lambda: read()):
                while True:
                    async with restored(settings, folder, rpc, clock, log) as chain:
                        notes += (chain.note,) if chain.note else ()
                        await predeploys.put(rpc, settings, log)
                        sequencer = Sequencer(
                            *(rpc, slow_rpc, _pace(settings), folder, clock, log),
                            restored_from=chain.words,
                            good=chain.generation,
                            saved=chain.generation is not None,
                            notes=notes,
                        )
                        read = sequencer.health
                        await _live(chain.process, sequencer, log)
                        log.info("renewing anvil", why="its history has grown; older empty blocks are dropped")
    finally:
        await http.close()


@asynccontextmanager
async def restored(settings: DevchainSettings, folder: Path, rpc: RpcClient, clock: Clock, log: Log) -> AsyncIterator[Restored]:
    """anvil on the newest generation that is whole and that it takes, or on a new chain when there is none at all.

    Raises ArtifactDamaged when there are generations and none can be used: a new chain in their place is for a person to decide.
    AnvilKilled says nothing of a generation: it is passed on, and the next start tries the same one.
    """
    damaged: list[Damaged] = []
    for number in store.generations(folder):
        usable = _usable(folder, number)
        if isinstance(usable, Damaged):
            damaged.append(usable)
            log.warning("generation damaged", generation=number, block=usable.block, why=usable.why)
            continue
        snapshot, state = usable
        loading = folder / store.LOADING
        loading.write_bytes(state)
        entered = False
        try:
            async with anvil.running(settings, loading, rpc, clock, log) as process:
                entered = True
                loading.unlink()
                chain = Restored(process=process, generation=number, words=told(snapshot, damaged), note=note(snapshot, damaged))
                say = log.warning if damaged else log.info
                age_s = round(clock.now() - snapshot.at, 1)
                told_note = chain.note or "later blocks, if any, are gone"
                say("restored", restored_from=chain.words, block=snapshot.block, age_s=age_s, note=told_note)
                yield chain
            return
        except anvil.AnvilEnded as error:
            if entered or isinstance(error, anvil.AnvilKilled):
                raise
            damaged.append(Damaged(f"was refused by anvil ({error.why[:200] or error.what})", snapshot.block))
            log.warning("generation refused", generation=number, block=snapshot.block, why=damaged[-1].why)
    if damaged:
        raise ArtifactDamaged(
            f"no snapshot in {folder} can be used: the newest {damaged[0].why}",
            where=str(folder),
            next=f"Remove {folder} to begin a new chain; contracts and history of this one are then gone.",
        )
    async with anvil.running(settings, None, rpc, clock, log) as process:
        log.info("new chain", chain_id=settings.chain_id)
        yield Restored(process=process, generation=None, words=told(None, ()))


def _usable(folder: Path, number: int) -> tuple[Snapshot, bytes] | Damaged:
    snapshot = store.read(folder, number)
    if isinstance(snapshot, Damaged):
        return snapshot
    state = compact(snapshot.state)
    return Damaged(state.why, snapshot.block) if isinstance(state, Damaged) else (snapshot, state)


async def _live(process: Process, sequencer: Sequencer, log: Log) -> None:
    """Until anvil should be started afresh; when cancelled, a last snapshot is taken. Raises AnvilEnded, ChainError."""
    work = asyncio.create_task(sequencer.run())
    death = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED)
        if death.done():
            raise anvil.ended(process)
        work.result()
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait({work})
        try:
            async with asyncio.timeout(LAST_SAVE_TIMEOUT_S):
                await sequencer.save()
        except TimeoutError:
            log.error("stopped without a last snapshot", why=f"it takes more than {LAST_SAVE_TIMEOUT_S:g} s")
        raise
    finally:
        work.cancel()
        death.cancel()
        await asyncio.wait({work, death})


def _pace(settings: DevchainSettings) -> Pace:
    return Pace(
        block_every_s=settings.block_every_ms / 1000,
        heartbeat_every_s=float(settings.heartbeat_every_s),
        snapshot_every_s=float(settings.snapshot_every_s),
    )


def _starting() -> Health:
    return Health.judge(("the chain is starting",))


if __name__ == "__main__":
    sys.exit(start("chain", env_file(DevchainSettings), serve))
