"""cortensord installed by hand in the five ways that its operators have: operators 2.2 and facts A, D and I, in our own words.

Nothing of cortops is used to install, and nothing of `discover` was read to write this: what it must find is the `Node` given here.
"""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cortops.testing.cortensord.network import address_of
from cortops.testing.hosts import SystemHost

PROGRAM = "/usr/local/bin/cortensord"
DOCKER_FOLDER = "/usr/lib/docker-standin"
IMAGE = "cortensor"
LLM_IMAGE = "cortensor/llm"
_DOCKER = Path(__file__).parent / "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One installed node, as `discover` must find it. `name` is for tests alone. env: lines of its env file beside the usual ones.

    private_key: what stands in its env file, new in each run: no key of anything, but text that may never leave the host.
    binary: where the program lies; in a container, inside of it, and so are env_file and folder.
    """

    name: str
    host: str
    shape: str
    instance: str = ""
    role: str = "miner"
    runs: str = "minerv4"
    user: str
    unit: str = ""
    folder: str
    env_file: str
    log: str
    binary: str = PROGRAM
    address: str
    quoted: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    private_key: str = field(default_factory=lambda: "0x" + secrets.token_hex(32), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """What every env file says of the network. rpc_url: may hold an API key."""

    rpc_url: str
    chain_id: str
    runtime: str
    mainnet_url: str = "https://eth.example/v1"


def systemd(host: str, *, runs: str = "minerv4", role: str = "miner", **more: object) -> Node:
    """The installer's unit: one node of the user `deploy`."""
    home = "/home/deploy/.cortensor"
    return _node(
        host,
        "systemd",
        unit="cortensor.service",
        user="deploy",
        folder=home,
        env_file=f"{home}/.env",
        log="/var/log/cortensord.log",
        runs=runs,
        role=role,
        **more,
    )


def nohup(host: str, *, user: str = "ops", **more: object) -> Node:
    """The installer's start script: a pid file in the user's own folder, and the old role that the script still has."""
    home = f"/home/{user}/.cortensor"
    places = {"env_file": f"{home}/.env", "log": f"{home}/logs/cortensord.log", "binary": f"{home}/bin/cortensord"}
    return _node(host, "nohup", user=user, folder=home, runs="minerv2", **places, **more)


def ansible(host: str, number: int, **more: object) -> Node:
    """The Ansible roles: cortensor-<N> of the user `cortensor`, addresses without quotes, env file for its owner's eyes only."""
    home = _HOME
    places = {"env_file": f"{home}/.env-{number}", "log": f"/var/log/cortensord-{number}.log", "unit": f"cortensor-{number}.service"}
    return _node(host, "ansible", instance=str(number), user="cortensor", folder=home, quoted=False, **places, **more)


def salt(host: str, instance: str, **more: object) -> Node:
    """Salt's template unit: a folder for each instance, the role from the env file."""
    folder = f"/opt/cortensor/nodes/{instance}"
    places = {"env_file": f"{folder}/.env-{instance}", "log": f"/var/log/cortensor/cortensord-{instance}.log"}
    return _node(host, "salt", instance=instance, unit=f"cortensord@{instance}.service", user="cortensor", folder=folder, **places, **more)


def docker(host: str, number: int, **more: object) -> Node:
    """The compose file's container, its env file inside, started by a script that registers first."""
    home, name = "/home/deploy/.cortensor", f"cortensor-{number}"
    places = {"env_file": f"{home}/.env", "log": f"docker:{name}", "binary": f"{home}/cortensord", "unit": name}
    return _node(host, "docker", instance=str(number), user="root", folder=home, quoted=False, **places, **more)


_HOME = "/home/" + "cortensor/.cortensor"


def _node(host: str, shape: str, **fields: object) -> Node:
    name = str(fields.pop("name", "")) or "-".join(filter(None, (host, shape, str(fields.get("instance", "")))))
    fields.setdefault("address", address_of(name))
    return Node(name=name, host=host, shape=shape, **fields)  # type: ignore[arg-type]


def env_text(node: Node, net: Net) -> str:
    """Its env file: comments, quotes and keys as the example of the installer has them (facts D, operators 2.6)."""
    quote = '"' if node.quoted else ""
    lines = {
        "HOST": net.rpc_url,
        "CHAINID": net.chain_id,
        "HOST_MAINNET": net.mainnet_url,
        "CONTRACT_ADDRESS_RUNTIME": f"{quote}{net.runtime}{quote}",
        "NODE_PUBLIC_KEY": node.address,
        "NODE_PRIVATE_KEY": node.private_key,
        "WS_HOST_ROUTER": '"192.0.2.7"',
        "WS_PORT_ROUTER": '"9001"',
        "LLM_HOST": '"127.0.0.1"',
        "LLM_PORT": '"8090"',
        "LOG_FILE_NAME": '"agent_miner.log"',
        "DOCKER_IPFS": "0 # Not used",
        "AGENT_ROLE": node.runs if node.shape == "salt" else "minerv1    # Not used",
        "ENABLE_DEDICATED_NODE": "0",
        "MINER_PULLING_INTERVAL_SECONDS": "5",
        "IS_L3": "0",
    }
    lines |= {key: value for key, value in node.env.items() if value}
    wanted = {key: value for key, value in lines.items() if node.env.get(key, value)}  # "" takes a line away
    return "#=====\n# Cortensor Node Configuration\n#=====\n" + "".join(f"{key}={value}\n" for key, value in wanted.items())


def unit_text(node: Node) -> str:
    """Its unit file, for the three shapes that have one."""
    place = "%i" if node.shape == "salt" else node.instance
    env_name, folder = node.env_file.rpartition("/")[2], node.folder
    log, role = node.log, node.runs
    if node.shape == "salt":
        env_name, folder, role = ".env-%i", "/opt/cortensor/nodes/%i", "${AGENT_ROLE}"
        log = "/var/log/cortensor/cortensord-%i.log"
    environment = f"{folder}/.env" if node.shape == "salt" else f"{folder}/{env_name}"
    return (
        f"[Unit]\nDescription=Cortensor Daemon {place}\nAfter=network.target\n\n"
        f"[Service]\nType=simple\nUser={node.user}\nGroup={node.user}\nStateDirectory=cortensor\nLimitNOFILE=1000000\n"
        f'MemorySwapMax=0\nTimeoutStartSec=infinity\nWorkingDirectory={folder}\nEnvironment=CORTENSOR_PATH="{folder}"\n'
        f"EnvironmentFile={environment}\nStandardOutput=append:{log}\nStandardError=append:{log}\n"
        f"ExecStart={node.binary} {env_name} {role} 1 docker\n"
        f"Restart=on-failure\n{'RestartSec=10' if node.shape == 'salt' else ''}\nKillSignal=SIGINT\n\n"
        f"[Install]\nWantedBy={'default' if node.shape == 'systemd' else 'multi-user'}.target\n"
    )


_ROTATION = "/var/log/cortensor/*.log {\n  daily\n  rotate 7\n  copytruncate\n  missingok\n  notifempty\n}\n"
_RUN_SH = (
    "#!/bin/bash\n/home/deploy/.cortensor/cortensord .env tool register\n/home/deploy/.cortensor/cortensord .env tool verify\n"
    "/home/deploy/.cortensor/cortensord .env minerv4 1 docker\n"
)
_ENGINE_UNIT = (
    "[Unit]\nDescription=Docker Application Container Engine\n\n[Service]\nType=exec\n"
    f"ExecStart=/usr/bin/python3 -S -E {DOCKER_FOLDER}/engine.py\nKillMode=mixed\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n"
)


class _Files:
    """A tar of files with owners by name, to be unpacked on a host."""

    def __init__(self) -> None:
        self.data = io.BytesIO()
        self.archive = tarfile.TarFile(fileobj=self.data, mode="w")

    def add(self, path: str, content: bytes | str, *, owner: str = "root", mode: int = 0o644) -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        data = content.encode() if isinstance(content, str) else content
        info.size, info.mode, info.uname, info.gname = len(data), mode, owner, owner
        self.archive.addfile(info, io.BytesIO(data))

    def link(self, path: str, target: str, *, owner: str = "root") -> None:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.type, info.linkname, info.uname, info.gname = tarfile.SYMTYPE, target, owner, owner
        self.archive.addfile(info)

    def packed(self) -> bytes:
        self.archive.close()
        return self.data.getvalue()


def install(host: SystemHost, nodes: Sequence[Node], program: bytes, net: Net, *, start: bool = True) -> None:
    """Install these nodes on the host and start them, in one go. program: the file of cortensord that all of them get."""
    files = _Files()
    if any(node.binary == PROGRAM for node in nodes):
        files.add(PROGRAM, program, mode=0o755)
    for node in nodes:
        _FILES[node.shape](files, node, program, net)
    users = {node.user for node in nodes if node.shape != "docker"}
    units = [node.unit for node in nodes if node.shape in ("systemd", "ansible", "salt")]
    script = ["set -eu"]
    script += [f"id {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}" for user in sorted(users)]
    if any(node.shape == "docker" for node in nodes):
        script.append("getent group docker >/dev/null || groupadd --system docker")
        units.insert(0, "docker.service")
    script.append("tar --extract --preserve-permissions --same-owner --directory=/ --file=-")
    for node in nodes:
        if node.user != "root":
            script.append(f"chown {node.user}: $(dirname {node.env_file})")
    script.append("systemctl daemon-reload")
    if units:
        script.append(f"systemctl enable --quiet {'--now' if start else ''} {' '.join(units)}")
    if start:
        script += [_START[node.shape](node) for node in nodes if node.shape in _START]
    host.do("\n".join(script), data=files.packed())


def _systemd_files(files: _Files, node: Node, program: bytes, net: Net) -> None:
    name = node.unit if node.shape != "salt" else "cortensord@.service"
    files.add(f"/etc/systemd/system/{name}", unit_text(node))
    files.add(node.env_file, env_text(node, net), owner=node.user, mode=0o644 if node.shape == "systemd" else 0o600)
    if node.binary != PROGRAM:
        files.add(node.binary, program, mode=0o755)
    if node.shape == "salt":
        files.link(f"{node.folder}/.env", node.env_file, owner=node.user)
        files.add("/var/log/cortensor/.keep", "")
        files.add("/etc/logrotate.d/cortensord", _ROTATION)


def _nohup_files(files: _Files, node: Node, program: bytes, net: Net) -> None:
    files.add(node.binary, program, owner=node.user, mode=0o755)
    files.add(node.env_file, env_text(node, net), owner=node.user)
    files.add(f"{node.folder}/logs/cortensord.log", "", owner=node.user)


def _docker_files(files: _Files, node: Node, program: bytes, net: Net) -> None:
    image = f"/var/lib/docker/images/{IMAGE}-{node.instance}"
    files.add(f"{image}{node.binary}", program, mode=0o755)
    files.add(f"{image}{node.env_file}", env_text(node, net))
    files.add(f"{image}{node.folder}/run.sh", _RUN_SH.replace("minerv4", node.runs), mode=0o755)
    files.add(f"/var/lib/docker/images/{LLM_IMAGE}/opt/llm", "a model would be here\n")
    for name in ("engine", "commands", "template", "client"):
        files.add(f"{DOCKER_FOLDER}/{name}.py", (_DOCKER / f"{name}.py").read_bytes())
    files.add("/usr/bin/docker", f'#!/bin/sh\nexec /usr/bin/python3 -S -E {DOCKER_FOLDER}/client.py "$@"\n', mode=0o755)
    files.add("/etc/systemd/system/docker.service", _ENGINE_UNIT)


def _start_nohup(node: Node) -> str:
    command = f"nohup {node.binary} {node.env_file} {node.runs} 1 docker > {node.log} 2>&1"
    start = f"cd {node.folder} && {{ {command} & echo $! > {node.folder}/cortensord.pid; }}"
    return f"chown -R {node.user}: {node.folder} && runuser --login {node.user} --command '{start}'"


def _start_docker(node: Node) -> str:
    again = "--restart unless-stopped"
    return (
        "until docker info >/dev/null 2>&1; do sleep 0.05; done\n"
        f"docker run -d --name {node.unit} {again} -w {node.folder} {IMAGE}-{node.instance} /bin/bash -c {node.folder}/run.sh >/dev/null\n"
        f"docker run -d --name cts-llm-{node.instance} {again} {LLM_IMAGE} /bin/sleep infinity >/dev/null"
    )


_FILES = {
    "systemd": _systemd_files,
    "ansible": _systemd_files,
    "salt": _systemd_files,
    "nohup": _nohup_files,
    "docker": _docker_files,
}
_START = {"nohup": _start_nohup, "docker": _start_docker}
