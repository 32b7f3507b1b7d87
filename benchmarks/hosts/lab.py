"""Test hosts for `benchmarks.deploy`, and an operator's home with an environment file that puts the workload on each of them."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import ROOT, run
from benchmarks.hosts.chain import answering_chain
from benchmarks.peers.workload import FILES
from cortops.testing.hosts import Fleet, hosts

FILE = "bench.yaml"
STORE_PORT = 9000
TIMEOUT_S = 600.0
_BASE = "/var/lib/cortops-programs/bench"
# Not timed: the service and its files, as the other tools' are taken away; our programs and the record of the environment stay.
RESET = (
    "systemctl disable --quiet --now 'cortops-bench.store*' 2>/dev/null; for unit in /etc/systemd/system/cortops-bench.store*.service; do "
    'systemctl disable --quiet --now "${unit##*/}" 2>/dev/null; rm -f "$unit"; done; '
    f"rm -rf {_BASE}/etc/store* {_BASE}/data/store* {_BASE}/run/defined/store*; systemctl daemon-reload"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """home: the operator's, where the file is. mark: stands in one of the files, so that another one is another configuration."""

    fleet: Fleet
    home: Path
    chain: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.home / "package"),
            "CORTOPS_DATA": str(self.home / "data"),
            "CORTOPS_HOME": str(self.home / "cache"),
        }

    def write(self, mark: str) -> None:
        """The environment file, with a mark in one of the three files of the service."""
        names = [host.name for host in self.fleet]
        rows = [f"  {name}: {{ssh: {name}, sudo: true}}" for name in names]
        lines = ["format: 1", "environment: bench", "owners: {default: ops@bench.example}", "hosts:", *rows]
        lines += ["network:", "  chain_id: 31338", f"  rpc: {{url: '{self.chain}'}}"]
        lines += ["  contracts: {runtime: '0xa438cE917a5740267e0f7217f81cbbAA23E7e106'}", "nodes:"]
        for number, name in enumerate(names, start=1):
            lines += [f"  store-{number}:", "    role: object-store", f"    host: {name}", f"    port: {STORE_PORT}"]
            lines += ["    program: /usr/bin/python3"]
            lines += ['    arguments: [-m, http.server, --directory, "{files}", --bind, "{address}", "{port}"]', "    files:"]
            for title, text in FILES.items():
                lines += [f"      {title}: |", *(f"        {line}" for line in (text + (mark if title == "a.conf" else "")).splitlines())]
        (self.home / FILE).write_text("\n".join(lines) + "\n")

    def cortops(self, *words: str, statuses: tuple[int, ...] = (0,)) -> str:
        """Standard output of one command."""
        return run(self.argv(*words), env=self.env, timeout_s=TIMEOUT_S, statuses=statuses)

    def argv(self, verb: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "cortops.cli", verb, str(self.home / FILE), *words]

    def everywhere(self, script: str) -> None:
        """Run it as root on every host."""
        for host in self.fleet:
            host.do(script)


@contextmanager
def lab(count: int) -> Iterator[Lab]:
    """So many hosts, with a chain that answers; nothing of it is left."""
    with hosts(count) as fleet, answering_chain() as chain, tempfile.TemporaryDirectory(prefix="cortops-bench-") as folder:
        home = Path(folder)
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh" / "config").write_text(fleet.ssh_config)
        shutil.copy(fleet.known_hosts, home / ".ssh" / "known_hosts")
        _package(home / "package")
        made = Lab(fleet=fleet, home=home, chain=chain)
        made.write("")
        yield made


def _package(folder: Path) -> None:
    """A copy of our package, compiled: a working tree that is edited meanwhile would be another one, and be packed anew for the hosts."""
    shutil.copytree(ROOT / "src" / "cortops", folder / "cortops", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples", folder / "cortops" / "examples", dirs_exist_ok=True)
    compileall.compile_dir(folder, quiet=1)
