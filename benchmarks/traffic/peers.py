"""Gateways of others, installed into a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.traffic.fronts import FRONT_CORE, HOST, MODEL, Front, free_ports, running, until_listening
from cortops.deploy.fetch import cache_root

LITELLM = "litellm[proxy]==1.108.7"
PORTKEY = "@portkey-ai/gateway@1.15.2"
INSTALL_TIMEOUT_S = 900.0
KEY = "sk-bench-0123456789"


@contextmanager
def peers(folder: Path, members: Sequence[int]) -> Iterator[list[Front]]:
    """Those that can be installed and started here; of the others it is said why not."""
    root = cache_root(os.environ) / "peers"
    with ExitStack() as stack:
        found = []
        for name, install, start in (("litellm", install_litellm, litellm), ("portkey", install_portkey, portkey)):
            try:
                program = install(root / name)
                found.append(stack.enter_context(start(folder, members, program)))
            except (subprocess.SubprocessError, OSError, RuntimeError) as error:
                print(f"{name} is left out: {str(error)[-500:]}")
        yield found


def install_litellm(folder: Path) -> Path:
    """Its program, by pip."""
    if not _is_done(folder, LITELLM):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=INSTALL_TIMEOUT_S)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", LITELLM]
        subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        (folder / "installed").write_text(LITELLM)
    return folder / "bin" / "litellm"


def install_portkey(folder: Path) -> Path:
    """Its server's script, by npm."""
    if not _is_done(folder, PORTKEY):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        npm = ["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", PORTKEY]
        subprocess.run(npm, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        (folder / "installed").write_text(PORTKEY)
    return folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def _is_done(folder: Path, what: str) -> bool:
    done = folder / "installed"
    return done.exists() and done.read_text() == what


@contextmanager
def litellm(folder: Path, members: Sequence[int], program: Path) -> Iterator[Front]:
    """One worker, its own key check, no database."""
    (port,) = free_ports(1)
    file, log = folder / "litellm.yaml", folder / "litellm.log"
    models = "".join(
        f"  - model_name: {MODEL}\n    litellm_params: {{model: openai/{MODEL}, api_base: 'http://{HOST}:{member}/v1', api_key: bench}}\n"
        for member in members
    )
    file.write_text(f"model_list:\n{models}general_settings:\n  master_key: {KEY}\nlitellm_settings:\n  telemetry: false\n")
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    argv = [str(program), "--config", str(file), "--host", HOST, "--port", str(port), "--num_workers", "1"]
    with running(argv, FRONT_CORE, log, env=env) as process:
        until_listening(port, process, log)
        yield Front(name="litellm", ports=(port,), pids=(process.pid,), key=KEY)


@contextmanager
def portkey(folder: Path, members: Sequence[int], program: Path) -> Iterator[Front]:
    """It has no key check of its own; where to ask stands in each request's headers."""
    (port,) = free_ports(1)
    log = folder / "portkey.log"
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TRUSTED_CUSTOM_HOSTS": f"{HOST},localhost"}
    with running(["node", str(program), f"--port={port}", "--headless"], FRONT_CORE, log, env=env) as process:
        until_listening(port, process, log)
        headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://{HOST}:{members[0]}/v1"}
        yield Front(name="portkey", ports=(port,), pids=(process.pid,), headers=headers)
