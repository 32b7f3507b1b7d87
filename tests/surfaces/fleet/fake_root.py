"""A folder that looks to the discover program like the file tree of a host: units, env files, processes, containers, made by a test."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cortops.surfaces.fleet.found.discover import script

BINARY = "/usr/local/bin/cortensord"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 127004624\n"


def address(number: int) -> str:
    """A public address of a test: plainly none that anybody has."""
    return f"0x{number:040x}".replace("0x00", "0xa0", 1)


@dataclass(slots=True)
class FakeRoot:
    """`path` stands for /; programs in `path`/stand-in-bin come before those of this machine."""

    path: Path
    pids: int = 100

    def __post_init__(self) -> None:
        self.put("/proc/stat", "cpu 1\nbtime 1700000000\n")
        self.put("/etc/os-release", 'PRETTY_NAME="Fake 1"\n')
        (self.path / "proc/1").mkdir()
        self.put(BINARY, "the program\n", mode=0o755)
        self.program("docker", "exit 1\n")
        self.program("python3", "echo Python 3.11.2\n")

    def put(self, path: str, text: str, *, mode: int = 0o644) -> Path:
        """A file."""
        place = self.path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode("utf-8", "surrogateescape"))
        place.chmod(mode)
        return place

    def link(self, path: str, to: str) -> None:
        place = self.path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(to)

    def process(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        exe: str = BINARY,
        out: str = "/dev/null",
        group: str = "/user.slice/user-1000.slice/session-1.scope",
        parent: int = 1,
        prefix: str = "",
    ) -> int:
        """One that runs; its pid. `exe` may be a file that is gone: then it ends in " (deleted)" and its text is "gone"."""
        self.pids += 1
        pid, folder = self.pids, f"/proc/{self.pids}"
        self.put(f"{folder}/cmdline", "".join(f"{word}\0" for word in argv))
        self.put(f"{folder}/stat", f"{pid} (cor) ten) S {parent} " + " ".join(["0"] * 17) + " 4200 0 0\n")
        self.put(f"{folder}/cgroup", f"0::{group}\n")
        self.link(f"{folder}/cwd", f"{self.path if not prefix else ''}{cwd}")
        self.link(f"{folder}/exe", f"{self.path}{f'{folder}/root' if prefix else ''}{exe}")
        self.link(f"{folder}/fd/1", f"{self.path}{out}" if out.startswith("/var") or out.startswith("/home") else out)
        if prefix:
            self.link(f"{folder}/root", f"{self.path}{prefix}")
        return pid

    def program(self, name: str, text: str) -> None:
        """A stand-in for a program of the host."""
        self.put(f"/stand-in-bin/{name}", f"#!/bin/sh\n{text}", mode=0o755)

    def systemd(self, states: Mapping[str, Mapping[str, str]]) -> None:
        """A systemctl that knows these units: name -> ActiveState, MainPID, NRestarts, UnitFileState."""
        (self.path / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        listed = "".join(f"printf '%s\\n' {shlex.quote(f'{name} loaded active running x')}\n" for name in states)
        blocks = []
        for name, values in states.items():
            lines = "\n".join([*(f"{key}={value}" for key, value in values.items()), f"Id={name}"])
            blocks.append(f"case \" $* \" in *' {name} '*) printf '%s\\n\\n' {shlex.quote(lines)} ;; esac\n")
        self.program(
            "systemctl", f'case $1 in list-units) {listed or ":"} ;; show) {"".join(blocks) or ":"} ;; *) echo "$*" >&2; exit 1 ;; esac\n'
        )

    def docker(self, containers: Mapping[str, str], files: Mapping[str, str] | None = None) -> None:
        """A docker that knows containers: `ID NAME IMAGE` -> what inspect says. `files`: `ID:PATH` -> text, for docker cp."""
        listed = "".join("printf '%s\\t%s\\t%s\\n' " + " ".join(map(shlex.quote, known.split())) + "\n" for known in containers)
        shown = "".join(f"{known.split()[0]}) printf %s {shlex.quote(said)} ;;\n" for known, said in containers.items())
        copied = "".join(
            f"{shlex.quote(place)}) printf '%512s' ''; printf %s {shlex.quote(text)} ;;\n" for place, text in (files or {}).items()
        )
        self.program(
            "docker",
            f"case $1 in ps) {listed or ':'} ;; inspect) for id; do :; done; case $id in {shown} *) exit 1 ;; esac ;;\n"
            f"cp) case $3 in {copied} *) exit 1 ;; esac ;; *) exit 1 ;; esac\n",
        )

    def tell(self, shell: Sequence[str] = ("sh",)) -> str:
        """What the program says of it."""
        environ = {"PATH": f"{self.path}/stand-in-bin:{os.environ['PATH']}", "HOME": "/"}
        done = subprocess.run(
            [*shell, "-c", script(str(self.path))], env=environ, capture_output=True, text=True, errors="replace", check=True, timeout=60
        )
        assert done.stderr == ""
        return done.stdout
