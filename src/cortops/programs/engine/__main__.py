"""`python -m cortops.programs.engine ENVFILE`: a language model behind an OpenAI-compatible URL; `/health` and `/metrics` are its own."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec

from cortops.programs.common.logs import Log
from cortops.programs.common.process import env_file, start
from cortops.protocol.settings import EngineSettings
from cortops.words.clock import SystemClock
from cortops.words.errors import ArtifactUnavailable


async def serve(settings: EngineSettings, log: Log) -> None:
    """Load the model and serve it until cancelled."""
    if find_spec("xllamacpp") is None:
        raise ArtifactUnavailable("the engine's library xllamacpp is not installed", next="Install it: pip install 'cortops[local]'.")
    from cortops.programs.engine.server import serving

    clock = SystemClock()
    began = clock.monotonic()
    async with serving(settings) as url:
        log.info("serving", url=url, model=settings.model_name, slots=settings.slots, load_s=round(clock.monotonic() - began, 2))
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(start("engine", env_file(EngineSettings), serve))
