"""`python -m cortops.programs.engine ENVFILE`: a language model behind an OpenAI-compatible URL; `/health` and `/metrics` are its own."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from typing import Any, NoReturn

from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.protocol.settings import EngineSettings
from cortops.words.clock import SystemClock
from cortops.words.errors import ArtifactUnavailable


def main() -> NoReturn:
    """Serve until stopped; running answers get 6 s to end."""
    held: list[Any] = []  # until the very end: see server.opened

    async def serve(settings: EngineSettings, log: Log) -> None:
        if find_spec("xllamacpp") is None:
            raise ArtifactUnavailable("the engine's library xllamacpp is not installed", next="Install it: pip install 'cortops[local]'.")
        from cortops.programs.engine.outcry import relayed
        from cortops.programs.engine.server import drained, opened

        clock = SystemClock()
        began = clock.monotonic()
        with relayed(log):
            server = await opened(settings)
            held.append(server)
            load_s = round(clock.monotonic() - began, 2)
            log.info("serving", url=str(server.listening_address), model=settings.model_name, slots=settings.slots, load_s=load_s)
            try:
                await asyncio.Event().wait()
            finally:
                if not await drained(server, clock):
                    log.warning("running answers were cut off")

    status = start("engine", env_file(EngineSettings), serve)
    sys.stdout.flush()
    os._exit(status)  # nothing is left to write, and the server's destructor may not end in time


if __name__ == "__main__":
    main()
