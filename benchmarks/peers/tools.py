"""Tools of others: Ansible as it comes tuned, the same with Mitogen, and pyinfra, installed into a folder of their own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.workload import ANSWERS, FILES, FOLDER, NAME, UNIT, UNIT_TEXT

PACKAGES = ("ansible-core==2.19.14", "mitogen==0.3.54", "pyinfra==3.10.0")
INSTALL_TIMEOUT_S = 900.0
_MITOGEN = "import ansible_mitogen, pathlib; print(pathlib.Path(ansible_mitogen.__file__).parent / 'plugins' / 'strategy')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """How one tool applies the workload: its words and what its environment has besides."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


def install(folder: Path) -> Path:
    """Their programs' folder; installed by pip when it is not there. CalledProcessError without a package index."""
    done = folder / "installed"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, timeout=INSTALL_TIMEOUT_S)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *PACKAGES]
        subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)
        done.write_text(" ".join(PACKAGES))
    return folder / "bin"


def peers(programs: Path, home: Path, config: Path, known_hosts: Path, hosts: Sequence[str]) -> list[Peer]:
    """Each tool, ready to be run from any folder; its files are written to `home`."""
    (home / "playbook.json").write_text(json.dumps(playbook()))
    (home / "inventory").write_text("".join(f"{host} ansible_python_interpreter=/usr/bin/python3\n" for host in hosts))
    (home / "deploy.py").write_text(pyinfra_text())
    strategies = subprocess.run([str(programs / "python"), "-c", _MITOGEN], check=True, capture_output=True, text=True).stdout.strip()
    tuned = {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": "20",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_SSH_ARGS": f"-F {config} -o ControlMaster=auto -o ControlPersist=60s",
    }
    mitogen = tuned | {"ANSIBLE_STRATEGY_PLUGINS": strategies, "ANSIBLE_STRATEGY": "mitogen_linear"}
    ansible = (str(programs / "ansible-playbook"), "-i", str(home / "inventory"), str(home / "playbook.json"))
    data = ("--data", f"ssh_config_file={config}", "--data", f"ssh_known_hosts_file={known_hosts}")
    pyinfra = (str(programs / "pyinfra"), "-y", "--sudo", *data, ",".join(hosts), str(home / "deploy.py"))
    return [
        Peer(name="ansible tuned", argv=ansible, env=tuned),
        Peer(name="ansible and mitogen", argv=ansible, env=mitogen),
        Peer(name="pyinfra", argv=pyinfra, env={key: tuned[key] for key in ("HOME", "PATH", "LC_ALL")}),
    ]


def playbook() -> list[dict[str, object]]:
    """The workload for Ansible."""
    tasks: list[dict[str, object]] = [{"ansible.builtin.file": {"path": FOLDER, "state": "directory", "mode": "0755"}}]
    tasks += [{"ansible.builtin.copy": {"dest": f"{FOLDER}/{name}", "content": text, "mode": "0644"}} for name, text in FILES.items()]
    tasks += [
        {"ansible.builtin.copy": {"dest": UNIT, "content": UNIT_TEXT, "mode": "0644"}, "register": "unit"},
        {"ansible.builtin.systemd": {"name": NAME, "enabled": True, "state": "started", "daemon_reload": "{{ unit is changed }}"}},
        {"ansible.builtin.shell": {"cmd": ANSWERS, "executable": "/bin/bash"}, "changed_when": False},
    ]
    return [{"hosts": "all", "gather_facts": False, "become": True, "tasks": tasks}]


def pyinfra_text() -> str:
    """The workload for pyinfra."""
    quoted = shlex.quote(ANSWERS).replace('"', '\\"')
    return f"""from io import StringIO

from pyinfra.operations import files, server, systemd

files.directory(path={FOLDER!r}, mode="755")
for name, text in {FILES!r}.items():
    files.put(src=StringIO(text), dest={FOLDER!r} + "/" + name, mode="644")
unit = files.put(src=StringIO({UNIT_TEXT!r}), dest={UNIT!r}, mode="644")
systemd.service(service={NAME!r}, running=True, enabled=True, daemon_reload=unit.will_change)
server.shell(commands=["timeout 20 bash -c {quoted}"])
"""
