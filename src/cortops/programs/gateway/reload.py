"""Another configuration without a restart: on SIGHUP the file is read again. New requests get what it says, those under way go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cortops.programs.common.logs import Log
from cortops.programs.common.process import read_input
from cortops.protocol.gateway import FIXED, GatewayConfig
from cortops.words.errors import BadInput, CortopsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A configuration and the file that it came from."""

    path: Path
    config: GatewayConfig

    @property
    def name(self) -> str:
        return self.config.name


def load(path: Path) -> Settings:
    """The configuration file at `path`. Raises BadInput, PermissionMissing."""
    return Settings(path=path, config=GatewayConfig.from_json(read_input(path), where=str(path)))


def changed(path: Path, before: GatewayConfig) -> GatewayConfig:
    """What the file says now. Raises BadInput for what no running process can take either, PermissionMissing."""
    config = load(path).config
    if born_with := [name for name in FIXED if getattr(config, name) != getattr(before, name)]:
        what = f"{path}: {', '.join(born_with)} cannot change while it runs"
        raise BadInput(what, where=str(path), next="restart it: cortops apply does where needed")
    return config


class Reload:
    """`ask` for it at any time; `run` does it. `trouble`: why the file could not be taken, and the configuration of before holds."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._path = settings.path
        self._config = settings.config
        self._log = log
        self._asked = asyncio.Event()
        self.trouble = ""

    def ask(self) -> None:
        self._asked.set()

    async def run(self, take: Callable[[GatewayConfig], None]) -> None:
        """Until cancelled; `take` gets what is new."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.step(take)

    async def step(self, take: Callable[[GatewayConfig], None]) -> None:
        """Read the file and take what it says, or keep what is."""
        try:
            config = await asyncio.to_thread(changed, self._path, self._config)
        except CortopsError as error:
            self.trouble = error.what
            self._log.error("reload_refused", **error.as_dict())
            return
        take(config)
        self._config, self.trouble = config, ""
        self._log.info("reloaded", models=len(config.models), pools=len(config.pools))
