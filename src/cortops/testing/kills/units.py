"""A stand-in for systemd: units as files, read when systemd would read them, and processes. Only what our programs ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import os
import shlex
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

UNITS = Path("/etc/systemd/system")
RESTART_AFTER_S = 0.02
STOP_TIMEOUT_S = 2.0

Answer = tuple[int, str]  # exit status, what is printed


@dataclass(slots=True)
class Unit:
    """One unit as systemd has read it. settings: key of [Service] or [Unit] -> values, resets applied."""

    name: str
    path: str = ""
    dropins: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    settings: dict[str, list[str]] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    wanted: bool = False
    watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None and self.process.returncode is None else 0

    @property
    def argv(self) -> list[str]:
        """Of the process that a start makes, instance and variables filled in."""
        line = (self.settings.get("ExecStart") or [""])[-1]
        environ = self.environ
        return [self._filled(word, environ) for word in shlex.split(line)]

    @property
    def environ(self) -> dict[str, str]:
        """What a start reads of `Environment=` and `EnvironmentFile=` now."""
        found: dict[str, str] = {}
        for value in self.settings.get("Environment", ()):
            found |= dict(word.split("=", 1) for word in shlex.split(self._filled(value, {})))
        for value in self.settings.get("EnvironmentFile", ()):
            path = Path(self._filled(value, {}))
            lines = path.read_text().splitlines() if path.is_file() else []
            found |= dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return found

    def one(self, key: str) -> str:
        return self._filled((self.settings.get(key) or [""])[-1], {})

    def _filled(self, text: str, environ: Mapping[str, str]) -> str:
        instance = self.name.partition("@")[2].removesuffix(".service")
        for key, value in environ.items():
            text = text.replace(f"${{{key}}}", value)
        return text.replace("%i", instance).replace("%%", "%")


def on_disk(name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A unit's file ("" where there is none), its drop-ins, and the text of each, as they are now."""
    template = f"{name.partition('@')[0]}@.service" if "@" in name else name
    path = next((path for path in (UNITS / name, UNITS / template) if path.is_file()), None)
    dropins = tuple(sorted(str(file) for folder in {template, name} for file in (UNITS / f"{folder}.d").glob("*.conf")))
    files = ([str(path)] if path is not None else []) + list(dropins)
    return (str(path) if path is not None else "", dropins, tuple(Path(file).read_text() for file in files))


def parsed(texts: Sequence[str]) -> dict[str, list[str]]:
    """The settings of a unit's files in order; an empty value takes back those before."""
    found: dict[str, list[str]] = {}
    for line in "\n".join(texts).splitlines():
        key, equals, value = line.partition("=")
        if not equals or line.startswith(("#", ";")):
            continue
        if value.strip():
            found.setdefault(key.strip(), []).append(value.strip())
        else:
            found[key.strip()] = []
    return found


class Systemd:
    """All units. A job that was begun goes on to its end, whatever becomes of who asked for it."""

    def __init__(self) -> None:
        self._units: dict[str, Unit] = {}
        self._jobs = asyncio.Lock()
        self._verbs: Mapping[str, Callable[[list[str], list[str]], Awaitable[Answer]]] = {
            "show": self._show,
            "daemon-reload": self._reload,
            "start": self._start,
            "restart": self._restart,
            "stop": self._stop,
            "kill": self._kill,
            "enable": self._enable,
            "disable": self._disable,
            "reset-failed": self._reset,
        }

    async def answer(self, words: Sequence[str]) -> Answer:
        """The words after `systemctl` -> exit status and output."""
        verb, *rest = words
        taken = {number + 1 for number, word in enumerate(rest) if word in ("-p", "-s")}  # each takes the word after it
        names = [word for number, word in enumerate(rest) if not word.startswith("-") and number not in taken]
        options = [word for number, word in enumerate(rest) if number in taken or (word.startswith("--") and word != "--")]
        return await self._verbs[verb](options, names)

    def unit(self, name: str) -> Unit:
        """As systemd has it; read from its files when it is asked for the first time."""
        if name not in self._units:
            self._units[name] = self._read(Unit(name))
        return self._units[name]

    async def start(self, name: str) -> None:
        await self._start([], [name])

    async def idle(self) -> None:
        """Return when no job is under way."""
        async with self._jobs:
            return

    async def end(self) -> None:
        """Kill all, and forget what was read."""
        for unit in self._units.values():
            unit.wanted = False
            if unit.watching is not None:
                unit.watching.cancel()
            await self._ended(unit, signal.SIGKILL)
        self._units.clear()

    @staticmethod
    def _read(unit: Unit) -> Unit:
        unit.path, unit.dropins, unit.texts = on_disk(unit.name)
        unit.settings = parsed(unit.texts)
        return unit

    async def _show(self, options: list[str], names: list[str]) -> Answer:
        wanted = [word.removeprefix("--property=") for word in options if not word.startswith("-") or word.startswith("--property=")]
        keys = [key for word in wanted for key in word.split(",")]
        if any("*" in name for name in names):  # only what is loaded, and what runs is
            known = {path.name for path in UNITS.glob("*.service")} | set(self._units)
            names = sorted(unit for unit in known for name in names if fnmatch.fnmatch(unit, name))
        values = [self._properties(self.unit(name), keys) for name in names]
        if "--value" in options:
            return 0, "\n".join(value for one in values for value in one.values())
        return 0, "\n\n".join("\n".join(f"{key}={value}" for key, value in one.items()) for one in values)

    def _properties(self, unit: Unit, keys: Sequence[str]) -> dict[str, str]:
        stale = on_disk(unit.name) != (unit.path, unit.dropins, unit.texts)
        argv = unit.argv if unit.path and unit.settings.get("ExecStart") else []
        found = {
            "Id": unit.name,
            "LoadState": "loaded" if unit.path else "not-found",
            "FragmentPath": unit.path,
            "DropInPaths": " ".join(unit.dropins),
            "NeedDaemonReload": "yes" if stale else "no",
            "ExecStart": f"{{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no ; pid=0 }}" if argv else "",
            "MainPID": str(unit.pid),
            "NRestarts": str(unit.restarts),
            "ActiveState": "active" if unit.pid else "inactive",
            "SubState": "running" if unit.pid else "dead",
            "ExecMainStartTimestampMonotonic": "1000000",
        }
        return {key: found[key] for key in keys}

    async def _reload(self, options: list[str], names: list[str]) -> Answer:
        async with self._jobs:
            for unit in self._units.values():
                self._read(unit)
        return 0, ""

    async def _start(self, options: list[str], names: list[str]) -> Answer:
        async with self._jobs:
            return await self._begin(self.unit(names[0]))

    async def _restart(self, options: list[str], names: list[str]) -> Answer:
        async with self._jobs:
            unit = self.unit(names[0])
            await self._halt(unit)
            return await self._begin(unit)

    async def _stop(self, options: list[str], names: list[str]) -> Answer:
        async with self._jobs:
            await self._halt(self.unit(names[0]))
        return 0, ""

    async def _kill(self, options: list[str], names: list[str]) -> Answer:
        unit = self.unit(names[0])
        if unit.pid:
            os.killpg(unit.pid, signal.SIGKILL)
        return 0, ""

    async def _enable(self, options: list[str], names: list[str]) -> Answer:
        for name in names:
            folder = UNITS / ("timers.target.wants" if name.endswith(".timer") else "multi-user.target.wants")
            folder.mkdir(exist_ok=True)
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(UNITS / name)
        return 0, ""

    async def _disable(self, options: list[str], names: list[str]) -> Answer:
        for name in names:
            for folder in UNITS.glob("*.wants"):
                (folder / name).unlink(missing_ok=True)
        return 0, ""

    async def _reset(self, options: list[str], names: list[str]) -> Answer:
        return 0, ""

    async def _begin(self, unit: Unit) -> Answer:
        if unit.pid:
            return 0, ""
        if not unit.path:
            return 5, f"Unit {unit.name} not found."
        if unit.watching is not None:
            unit.watching.cancel()
        unit.restarts = 0
        unit.wanted = True
        await self._spawn(unit)
        unit.watching = asyncio.create_task(self._watch(unit))
        return 0, ""

    async def _spawn(self, unit: Unit) -> None:
        log = unit.one("StandardOutput").removeprefix("append:") or "/dev/null"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            environ = unit.environ
            argv = unit.argv
            unit.process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                cwd=unit.one("WorkingDirectory") or "/",
                env=environ,
            )
        except OSError:
            unit.process = None
        finally:
            os.close(descriptor)

    async def _watch(self, unit: Unit) -> None:
        """Starts it again, as its policy says, until it is not wanted any more."""
        while unit.wanted:
            status = await unit.process.wait() if unit.process is not None else 203
            policy = unit.one("Restart")
            if not unit.wanted or policy not in ("always", "on-failure") or (policy == "on-failure" and status in (0, -2, -15)):
                return
            await asyncio.sleep(RESTART_AFTER_S)
            if unit.wanted:
                unit.restarts += 1
                await self._spawn(unit)

    async def _halt(self, unit: Unit) -> None:
        unit.wanted = False
        if unit.watching is not None:
            unit.watching.cancel()
        number = getattr(signal, unit.one("KillSignal") or "SIGTERM")
        await self._ended(unit, number)

    @staticmethod
    async def _ended(unit: Unit, number: int) -> None:
        process = unit.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
