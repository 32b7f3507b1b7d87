"""The small host: one node in one of five shapes and a bystander, with files in memory and processes of a namespace of its own.

It must be made inside of namespaces that `worker` enters: what it mounts hides the machine's units, our folder there, and its uptime.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortops.surfaces.fleet.adopted import blob_path
from cortops.testing.kills.containers import Container
from cortops.testing.kills.tools import Managers
from cortops.testing.kills.units import UNITS, Unit, on_disk, parsed
from cortops.words.entity import Entity
from cortops.words.resource import NodeProgram

SHAPES = ("systemd", "ansible", "salt", "nohup", "docker")
BUILDS: Mapping[str, Sequence[str]] = {"old": (), "new": ("-DNEW",), "bad": ("-DCRASHES",)}
COMPILE_TIMEOUT_S = 60.0
GONE_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.002
_SOURCE = Path(__file__).with_name("node.c")
_ROOT = Path("/srv")
_NODES, _CONTAINERS, _SAVED = _ROOT / "nodes", _ROOT / "containers", _ROOT / "saved"
OURS = Path("/var/lib/cortops")
_KEPT = (UNITS, OURS, _NODES, _CONTAINERS)
_INSIDE = "/home/deploy/.cortensor"
_BYSTANDER = "bystander.service"


@dataclass(frozen=True, slots=True)
class Held:
    """What a node is started with, or would be: sha256 of its program, and the marks of its env file and unit, "" where it has none."""

    program: str
    env: str
    unit: str


def compile_programs(folder: Path) -> None:
    """The three builds of the stand-in into `folder`, static. Raises CalledProcessError."""
    for name, words in BUILDS.items():
        argv = ["cc", "-O1", "-static", "-s", *words, f'-DBUILD="{name}"', "-o", str(folder / name), str(_SOURCE)]
        subprocess.run(argv, check=True, capture_output=True, timeout=COMPILE_TIMEOUT_S)
        with (folder / name).open("ab") as program:
            program.write(name.encode())  # what the compiler leaves out still makes it another file


def hide_machine() -> None:
    """Mount over what our programs write: needs root, and namespaces of mounts and processes of our own."""
    for folder in (UNITS, OURS, _ROOT):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder)], check=True)
    for folder in (_NODES, _CONTAINERS, _SAVED, _ROOT / "bin", _ROOT / "cache"):
        folder.mkdir()
    (_ROOT / "uptime").write_text("1000.00 0.00\n")
    subprocess.run(["mount", "--bind", str(_ROOT / "uptime"), "/proc/uptime"], check=True)
    (_ROOT / "bin" / "sh").symlink_to("/bin/bash")  # dash has no trap before each command
    os.environ["PATH"] = f"{_ROOT}/bin:{os.environ['PATH']}"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Place:
    """The host with its node. programs: the folder of builds."""

    def __init__(self, shape: str, programs: Path, managers: Managers) -> None:
        self.shape = shape
        self.programs = {name: programs / name for name in BUILDS}
        self.sha = {name: sha256(path) for name, path in self.programs.items()}
        self.managers = managers
        self.folder = _CONTAINERS / "cortensor-1" / "root" / _INSIDE.lstrip("/") if shape == "docker" else _NODES / "node"
        self.generation = 0  # the newest one before the operation that is killed
        self._words: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        return {"systemd": "cortensor.service", "ansible": "cortensor-7.service", "salt": "cortensord@alpha.service", "nohup": ""}.get(
            self.shape, "cortensor-1"
        )

    @property
    def env_file(self) -> Path:
        return self.folder / {"ansible": ".env-7", "salt": ".env-alpha"}.get(self.shape, ".env")

    @property
    def log(self) -> Path:
        return _CONTAINERS / "cortensor-1.log" if self.shape == "docker" else _NODES / "node.log"

    def node(self) -> NodeProgram:
        """As adopt declares it: running its old program."""
        inside = Path(_INSIDE) if self.shape == "docker" else self.folder
        return NodeProgram(
            place="h1",
            entity=Entity("miner", "n"),
            because="lab.yaml:5",
            name="n",
            shape=self.shape,
            unit=self.unit,
            env_file=str(inside / self.env_file.name),
            log=f"docker:{self.unit}" if self.shape == "docker" else str(self.log),
            binary=str(inside / "cortensord"),
            runs="minerv4",
            address="",
            program=self.sha["old"],
            release="old",
            blob=blob_path("lab", self.sha["old"]),
            saved=f"{OURS}/lab/adopted/n",
            start_timeout_s=20,
            settle_s=1,
        )

    async def build(self) -> None:
        """Everything anew: the node runs its old program, as its operator installed it."""
        await self.clear()
        self.folder.mkdir(parents=True)
        shutil.copy(self.programs["old"], self.folder / "cortensord")
        await self.operate("a", "1")
        bystander = _NODES / "bystander"
        bystander.mkdir()
        shutil.copy(self.programs["old"], bystander / "cortensord")
        (bystander / ".env").write_text("MARK=z\n")
        (UNITS / _BYSTANDER).write_text(f"[Service]\nExecStart={bystander}/cortensord .env minerv4 1\nWorkingDirectory={bystander}\n")
        await self.managers.systemd.start(_BYSTANDER)
        await self.settled(runs=True)

    async def operate(self, env: str, unit: str) -> None:
        """As its operator: other marks into env file and unit, and the node started anew with them."""
        self.env_file.write_text(f"AGENT_ROLE=minerv4\nMARK={env}\n")
        if self.shape in ("nohup", "docker"):
            for pid in self.pids():
                os.kill(pid, signal.SIGTERM)
            self._words = (str(self.env_file), "minerv4", unit, "docker")
            await self._start(str(self.folder / "cortensord"))
            return
        name = "cortensord@.service" if self.shape == "salt" else self.unit
        env_name, role = (".env-%i", "${AGENT_ROLE}") if self.shape == "salt" else (self.env_file.name, "minerv4")
        (UNITS / name).write_text(
            f"[Unit]\nDescription=Cortensor\n[Service]\nEnvironment=UNIT_MARK={unit}\nEnvironmentFile={self.env_file}\n"
            f"WorkingDirectory={self.folder}\nStandardOutput=append:{self.log}\nRestart=on-failure\nKillSignal=SIGINT\n"
            f"ExecStart={self.folder}/cortensord {env_name} {role} 1 docker\n[Install]\nWantedBy=multi-user.target\n"
        )
        await self.managers.systemd.answer(["daemon-reload"])
        await self.managers.systemd.answer(["restart", self.unit])

    async def _start(self, program: str) -> None:
        """By hand, or in its container."""
        if self.shape == "docker":
            if (known := self.managers.docker.containers.get(self.unit)) is not None:
                await known.stop(signal.SIGKILL)
            shutil.copy(self.programs["old"], _CONTAINERS / "cortensor-1" / "root" / "first")
            argv = ("/first", f"{_INSIDE}/cortensord", f"{_INSIDE}/.env", "minerv4", "1", "docker")
            container = Container(self.unit, _CONTAINERS / "cortensor-1" / "root", argv, self.log)
            self.managers.docker.containers[self.unit] = container
            await container.start()
            return
        start = 'cd "$1" && shift && log=$1 && shift && { setsid nohup "$@" >>"$log" 2>&1 </dev/null & }'
        words = (str(self.folder), str(self.log), program, *self._words)
        await (await asyncio.create_subprocess_exec("/bin/dash", "-c", start, "sh", *words)).wait()

    async def save(self, name: str) -> None:
        """Keep all files under a name, and which program runs."""
        shutil.rmtree(_SAVED / name, ignore_errors=True)
        for number, folder in enumerate(_KEPT):
            shutil.copytree(folder, _SAVED / name / str(number), symlinks=True)
        words = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode() for pid in self.pids()]
        (_SAVED / name / "runs").write_text(words[0] if words else "")

    async def restore(self, name: str) -> None:
        """All files and processes as they were kept."""
        await self.clear()
        for number, folder in enumerate(_KEPT):
            shutil.copytree(_SAVED / name / str(number), folder, symlinks=True, dirs_exist_ok=True)
        if self.shape in ("nohup", "docker"):
            await self._start((_SAVED / name / "runs").read_text())
        else:
            await self.managers.systemd.start(self.unit)
        await self.managers.systemd.start(_BYSTANDER)
        await self.settled(runs=True)

    async def clear(self) -> None:
        """No process and no file is left."""
        await self.managers.end()
        for entry in Path("/proc").glob("[0-9]*"):  # those of another shape too
            with contextlib.suppress(OSError):
                if b"\0minerv4\0" in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
        for folder in _KEPT:
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    async def settled(self, *, runs: bool = False) -> None:
        """Nothing that was asked of the stand-ins is under way, and what was started says what it was started with. runs: something was."""
        await self.managers.idle()
        for _ in range(int(GONE_TIMEOUT_S / LOOK_EVERY_S)):
            if self.told() is not None or not (runs or self.pids()):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    # --- what is there, told without our own programs

    def pids(self) -> list[int]:
        """Every process of the node, those that run another file of the same name included."""
        found = []
        names = {str(self.env_file).encode(), self.env_file.name.encode(), f"{_INSIDE}/.env".encode()}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                here = str((entry / "cwd").readlink())
                if len(words) > 2 and words[1] in names and words[2] == b"minerv4" and "bystander" not in here:
                    found.append(int(entry.name))
        return found

    @property
    def bystander(self) -> int:
        return self.managers.systemd.unit(_BYSTANDER).pid

    def told(self) -> Held | None:
        """What the running node was started with; None while it does not run, or has not said so yet."""
        pids = self.pids()
        if not pids or not self.log.exists():
            return None
        try:
            program = sha256(Path(f"/proc/{pids[0]}/exe"))
        except OSError:
            return None
        for line in reversed(self.log.read_text().splitlines()):
            words = line.split()
            if words[:1] == ["started"] and (self.shape == "docker" or int(words[1]) == pids[0]):
                return Held(program, words[2], "" if self.shape == "docker" else words[3])
        return None

    def on_disk(self) -> Held:
        """What a boot would start it with; by hand its operator's own script, so that only its env file can be another."""
        env = next((line[5:] for line in self.env_file.read_text().splitlines() if line.startswith("MARK=")), "none")
        if self.shape == "nohup":
            return Held("", env, "")
        if self.shape == "docker":
            return Held(sha256(self.folder / "cortensord"), env, "")
        unit = Unit(self.unit)
        unit.path, unit.dropins, unit.texts = on_disk(self.unit)
        unit.settings = parsed(unit.texts)
        return Held(sha256(Path(unit.argv[0])), env, unit.environ.get("UNIT_MARK", ""))

    def operators(self) -> dict[str, tuple[int, int, str]]:
        """The operator's own files: path -> (inode, mtime in ns, sha256); ours and logs are left out."""
        found: dict[str, tuple[int, int, str]] = {}
        for folder in (UNITS, _NODES, _CONTAINERS):
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.name.endswith(".log"):
                    stat = path.stat()
                    found[str(path)] = (stat.st_ino, stat.st_mtime_ns, sha256(path))
        return found

    def files(self) -> list[str]:
        """Every file there is, but for what grows with each apply."""
        grows = ("manifests/*", "hashed/*", "journal*.jsonl", "*.log", "*.flock")
        paths = (path for folder in _KEPT for path in folder.rglob("*") if not path.is_dir())
        return sorted(str(path) for path in paths if not any(path.match(pattern) for pattern in grows))

    @property
    def running(self) -> str:
        """The sha256 of the program that runs, "" for none."""
        told = self.told()
        return told.program if told is not None else ""

    def fingerprint(self) -> tuple[object, ...]:
        """Another after any change of files or of the node's processes; what only grows or counts is left out."""
        found: list[object] = [tuple(self.pids())]
        for folder in _KEPT:
            for path in folder.rglob("*"):
                stat = path.lstat()
                found.append((str(path), stat.st_mode, 0 if path.is_dir() else stat.st_ino, 0 if path.is_dir() else stat.st_size))
        return tuple(found)
