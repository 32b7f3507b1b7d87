"""llama.cpp's server in this process: its settings, its start, its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import xllamacpp

from cortops.programs.engine import gguf
from cortops.protocol.settings import EngineSettings
from cortops.words.clock import Clock
from cortops.words.errors import ArtifactDamaged, PortTaken

ERRORS_ONLY = 1  # llama.cpp's verbosity; its debug level would print prompts
PROMPT_CACHE_MIB = 64  # its own default is 8 GiB
IO_TIMEOUT_S = 600
HTTP_THREADS_SPARE = 6  # a stream holds a thread; health and metrics must get one too

DRAIN_TIMEOUT_S = 6.0  # of the 9 that a stop may take
DRAIN_LOOK_EVERY_S = 0.1
RUNNING = ("llamacpp:requests_processing ", "llamacpp:requests_deferred ")


def params(settings: EngineSettings) -> Any:
    """EngineSettings -> llama.cpp's parameters. No page, no slot listing (it shows prompts), bounded caches."""
    wanted = xllamacpp.CommonParams()
    wanted.model.path = settings.model_path
    wanted.model_alias = {settings.model_name}
    wanted.hostnames = list(settings.bind_ips)
    wanted.port = settings.port
    wanted.n_parallel = settings.slots
    wanted.n_ctx = settings.slots * settings.context_tokens
    wanted.cpuparams.n_threads = settings.threads
    wanted.cpuparams_batch.n_threads = settings.threads
    wanted.n_threads_http = settings.slots + HTTP_THREADS_SPARE
    wanted.timeout_read = wanted.timeout_write = IO_TIMEOUT_S
    wanted.cache_ram_mib = PROMPT_CACHE_MIB
    wanted.ui = False
    wanted.endpoint_slots = False
    wanted.endpoint_metrics = True
    wanted.verbosity = ERRORS_ONLY
    return wanted


async def opened(settings: EngineSettings) -> Any:
    """The server with its model loaded, answering at `.listening_address`.

    Raises what gguf.check does, ArtifactDamaged when the model does not load, PortTaken.
    Its destructor holds Python's lock until the last running answer has ended, minutes perhaps: keep a reference until os._exit.
    """
    gguf.check(Path(settings.model_path))
    return await asyncio.to_thread(_load, settings)


async def drained(server: Any, clock: Clock, timeout_s: float = DRAIN_TIMEOUT_S) -> bool:
    """Wait until no request runs; False when some still do after `timeout_s`."""
    deadline = clock.monotonic() + timeout_s
    while running_requests(str(server.handle_metrics())):
        if clock.monotonic() >= deadline:
            return False
        await clock.sleep(DRAIN_LOOK_EVERY_S)
    return True


def running_requests(metrics: str) -> int:
    """llama.cpp's metrics text -> requests that are being answered or wait for a slot."""
    counts = [line.split()[-1] for line in metrics.splitlines() if line.startswith(RUNNING)]
    return sum(int(float(count)) for count in counts)


def _load(settings: EngineSettings) -> Any:
    with _standard_error() as output:
        try:
            return xllamacpp.Server(params(settings))
        except RuntimeError as error:
            output.seek(0)
            why = gguf.failure_reason(output.read(64 * 1024).decode("utf-8", "replace"))
            if "bind" in why:
                place = " or ".join(settings.bind_ips)
                raise PortTaken(f"port {settings.port} on {place} cannot be had", where=f"{place}:{settings.port}", why=why) from error
            raise ArtifactDamaged(
                f"the model file {settings.model_path} does not load: {why or error}", where=settings.model_path
            ) from error


@contextmanager
def _standard_error() -> Iterator[BinaryIO]:
    """What C code writes to standard error while inside: only there does llama.cpp say why it refuses."""
    kept = os.dup(2)
    with os.fdopen(os.memfd_create("engine-errors"), "w+b") as output:
        os.dup2(output.fileno(), 2)
        try:
            yield output
        finally:
            os.dup2(kept, 2)
            os.close(kept)
