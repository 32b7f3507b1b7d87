"""The anvil child: its arguments, its start, its end."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cortops.contracts.rpc import RpcClient
from cortops.programs.common.logs import Log
from cortops.protocol.settings import DevchainSettings
from cortops.words.clock import Clock
from cortops.words.errors import ArtifactDamaged, ArtifactUnavailable, ChainUnreachable, PortTaken, StepFailed

READY_TIMEOUT_S = 60.0  # a large state takes seconds to load
LOOK_EVERY_S = 0.01
PORT_FREE_TIMEOUT_S = 5.0  # the anvil of a killed predecessor is on its way out
STOP_TIMEOUT_S = 2.0
OUTPUT_LINES_KEPT = 20
# Later hardforks keep every block's hash in a contract's storage (EIP-2935): 8,191 slots, which each block costs time for.
HARDFORK = "cancun"


class AnvilEnded(StepFailed):
    """Read the last lines of its output in the log; the supervisor starts the chain again from its newest snapshot."""


class AnvilKilled(AnvilEnded):
    """Find out who ended anvil from outside (memory, a person); the supervisor starts the chain again from its newest snapshot."""


def arguments(settings: DevchainSettings, state: Path | None) -> list[str]:
    """anvil's command line. See decision 0003 for why these."""
    line = [
        *(settings.anvil_path, "--silent", "--no-mining", "--prune-history"),
        *("--hardfork", HARDFORK),
        *("--accounts", "0", "--gas-price", "0", "--block-base-fee-per-gas", "0"),
        *("--chain-id", str(settings.chain_id), "--host", ",".join(settings.bind_ips), "--port", str(settings.port)),
    ]
    return [*line, "--load-state", str(state)] if state else line


def local_url(settings: DevchainSettings) -> str:
    """Where this machine reaches the chain."""
    return f"http://{settings.bind_ips[0]}:{settings.port}"


@asynccontextmanager
async def running(settings: DevchainSettings, state: Path | None, rpc: RpcClient, clock: Clock, log: Log) -> AsyncIterator[Process]:
    """An anvil that answers, ended on leaving; what it says goes into `log`.

    Raises AnvilEnded when it does not come up, AnvilKilled when somebody ended it meanwhile, PortTaken, ArtifactUnavailable.
    """
    check_program(settings.anvil_path)
    await _until_free(settings.bind_ips[0], settings.port, clock)
    # In a session of its own: a signal to our group must not end it before the last snapshot. The leash covers our own death.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cortops.programs.leash", *arguments(settings, state)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    said: deque[str] = deque(maxlen=OUTPUT_LINES_KEPT)
    listener = asyncio.create_task(_listen(process, said, log))
    try:
        await _until_ready(process, rpc, clock, said)
        yield process
    finally:
        await _end(process)
        await listener


def ended(process: Process) -> AnvilEnded:
    return AnvilEnded(f"anvil ended by itself, status {process.returncode}")


def check_program(path: str) -> None:
    """ArtifactUnavailable or ArtifactDamaged when `path` is no program this user may run."""
    if not Path(path).is_file():
        raise ArtifactUnavailable(f"the chain's program is not at {path}", where=path)
    if not os.access(path, os.X_OK):
        raise ArtifactDamaged(f"{path} is not executable", where=path)


async def _until_free(ip: str, port: int, clock: Clock) -> None:
    deadline = clock.monotonic() + PORT_FREE_TIMEOUT_S
    while not _is_free(ip, port):
        if clock.monotonic() > deadline:
            raise PortTaken(f"port {port} on {ip} is taken by another program", where=f"{ip}:{port}")
        await clock.sleep(0.05)


def _is_free(ip: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


async def _listen(process: Process, said: deque[str], log: Log) -> None:
    """Under --silent anvil speaks only when something is wrong: each line is one of the log, the last ones are kept for the error."""
    assert process.stdout is not None
    while chunk := await process.stdout.read(4096):
        for line in chunk.decode("utf-8", "replace").splitlines():
            if line.strip():
                said.append(line[:300])
                log.warning("library", logger="anvil", words=line[:300])


async def _until_ready(process: Process, rpc: RpcClient, clock: Clock, said: deque[str]) -> None:
    deadline = clock.monotonic() + READY_TIMEOUT_S
    while clock.monotonic() < deadline:
        if process.returncode in (-signal.SIGKILL, -signal.SIGTERM):
            raise AnvilKilled(f"anvil was ended while it started, status {process.returncode}")
        if process.returncode is not None:
            raise AnvilEnded(f"anvil did not start, status {process.returncode}", why=" ".join(said)[:500])
        try:
            await rpc.call("eth_chainId")
            return
        except ChainUnreachable:
            await clock.sleep(LOOK_EVERY_S)
    raise AnvilEnded(f"anvil did not answer within {READY_TIMEOUT_S:g} s", why=" ".join(said)[:500])


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
