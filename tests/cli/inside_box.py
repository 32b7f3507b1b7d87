"""One adopted node that was started by hand, in a box: `cortops` runs in there too, so nothing of this machine is touched."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.deploy.rehearsal.copied import demand_box, old_program

from cortops.deploy.rehearsal.box import Box, box
from cortops.targets.ask import Said, ask
from cortops.targets.quoting import command, quote
from cortops.testing import cortensord

FILE = """format: 1
environment: {name}
owners: {{default: ops@lab.example}}
hosts: {{here: {{local: true}}}}
network:
  chain_id: 31338
  rpc: {{url: "http://127.0.0.1:9"}}
  contracts: {{runtime: "0xb2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"}}
nodes:
  m1: {{program: cortensord, role: miner, runs: minerv2, host: here, shape: nohup,
       env_file: {folder}/.env, log: {folder}/log, binary: {folder}/cortensord}}
"""
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class Inside:
    """folder: of the node and of the environment file lab.yaml, the same in there and out here."""

    folder: Path
    run: Callable[[str], Said]

    def cortops(self, *words: str) -> Said:
        at = quote(str(self.folder))
        places = f"export CORTOPS_HOME={at}/cache CORTOPS_DATA={at}/data TMPDIR={at}"
        return self.run(f"cd {quote(str(self.folder))}; {places}; {command(f'{sys.prefix}/bin/cortops', *words)}")


@contextmanager
def adopted(folder: Path, name: str = "lab") -> Iterator[Inside]:
    """The node runs and is adopted; skips where that cannot be."""
    demand_box(folder)
    if os.geteuid() != 0:
        pytest.skip("only root adopts nodes")
    program = old_program(folder)
    home = folder / "home"
    home.mkdir()
    (home / "cortensord").write_bytes(program.read_bytes())
    (home / "cortensord").chmod(0o755)
    (home / ".env").write_text(f"NODE_PUBLIC_KEY=0x{'cd' * 20}\nAPI_KEY=kept-to-itself\nCHAINID=31338\nSTANDIN_ROUND_EVERY_S=60\n")
    (home / "lab.yaml").write_text(FILE.format(name=name, folder=home))
    with asyncio.Runner() as loop:
        opened = box("here", folder)
        place: Box = loop.run(opened.__aenter__())
        try:
            inside = Inside(home, lambda script: loop.run(ask(place.target, script, DEADLINE_S)))
            start = f"cd {home} && setsid nohup {home}/cortensord {home}/.env minerv2 1 docker >>log 2>&1 </dev/null &"
            assert inside.run(start).ok
            done = inside.cortops("adopt", "lab.yaml", "--yes")
            assert done.ok, (done.out, done.err)
            yield inside
        finally:
            loop.run(opened.__aexit__(None, None, None))


def program_known(inside: Inside, build: cortensord.Build, name: str) -> str:
    """Names a build in the file; returns its sha256."""
    program = cortensord.compiled(build, inside.folder.parent)
    added = inside.cortops("releases", "add", name, str(program), "--write", "lab.yaml")
    assert added.ok, (added.out, added.err)
    return cortensord.sha256(program)
