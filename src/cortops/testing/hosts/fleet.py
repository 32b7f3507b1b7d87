"""A fleet of test hosts on a bridge of its own: made, started and taken away as one.

Real systemd and sshd by systemd-nspawn, each host in its own mount and network namespace and control groups, over one root. No route
leads out. Bridge, subnet and groups are named for the run, so two suites go side by side. The limit of inotify instances is raised
and stays so: each host takes six, and where they run out services fail without a word.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cortops.testing.hosts.keys import KeyPair, new_pair
from cortops.testing.hosts.machine import LOOK_EVERY_S, Machine, keep
from cortops.testing.hosts.needs import cgroup_trees, why_not
from cortops.testing.hosts.recipe import PASSWORDLESS, WITH_PASSWORD, WITHOUT_SUDO, root
from cortops.testing.hosts.scripts import JANITOR
from cortops.testing.hosts.system_host import SystemHost
from cortops.words.errors import PermissionMissing

HOSTS_MAX = 40
JANITOR_TIMEOUT_S = 30.0
INOTIFY_INSTANCES = 8192
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_SUBNETS = tuple(f"10.213.{number}" for number in range(1, 255))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The hosts, in order. gateway: this machine's address among them, where they reach what listens here.

    key, known_hosts, config: files for SSH (config names every host and the other two). password: of `asks`, for sudo.
    """

    run: str
    folder: Path
    hosts: tuple[SystemHost, ...]
    gateway: str
    password: str = field(repr=False)

    def __iter__(self) -> Iterator[SystemHost]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    def __getitem__(self, name: str | int) -> SystemHost:
        """By name, or by place."""
        return self.hosts[name] if isinstance(name, int) else next(host for host in self.hosts if host.name == name)

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def ssh_config(self) -> str:
        return self.config.read_text()


@contextmanager
def hosts(count: int = 3, *, names: Sequence[str] = ()) -> Iterator[Fleet]:
    """So many hosts (or one for each name), started and reachable; nothing of them is left afterwards, however the process ends.

    Names default to h1, h2, ...; at most HOSTS_MAX. Raises PermissionMissing where none can boot (see needs.why_not).
    """
    if why := why_not():
        raise PermissionMissing(why, where="test hosts")
    trees = cgroup_trees()
    assert trees
    names = tuple(names) or tuple(f"h{number}" for number in range(1, count + 1))
    assert len(names) <= HOSTS_MAX, f"at most {HOSTS_MAX} test hosts"
    lower = root()
    if int(_INOTIFY.read_text()) < INOTIFY_INSTANCES:
        _INOTIFY.write_text(str(INOTIFY_INSTANCES))
    run = f"ct{secrets.token_hex(3)}"
    folder = Path(tempfile.mkdtemp(prefix="cortops-hosts-"))
    for tree in trees:
        (tree / run).mkdir()
    with ExitStack() as stack:
        janitor = _janitor(run, folder, trees)
        keepers: list[subprocess.Popen[bytes]] = []
        stack.callback(_take_away, janitor, keepers, run, folder, trees)
        subnet = _bridge(run)
        made = _Plan(run=run, folder=folder, lower=lower, trees=trees, subnet=subnet, names=names)
        fleet = made.start(keepers)
        for host in fleet.hosts:
            host.machine.wait_started()
            host.do("chpasswd", data=f"{WITH_PASSWORD}:{fleet.password}\n".encode())
        yield fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What the hosts of a fleet share, and how each is made of it."""

    run: str
    folder: Path
    lower: Path
    trees: tuple[Path, ...]
    subnet: str
    names: Sequence[str]

    def start(self, keepers: list[subprocess.Popen[bytes]]) -> Fleet:
        """Every keeper started, and the files that SSH reads written."""
        user, password = new_pair(), secrets.token_urlsafe(12)
        identities = {name: new_pair() for name in self.names}
        fleet = Fleet(run=self.run, folder=self.folder, hosts=(), gateway=f"{self.subnet}.1", password=password)
        fleet.key.write_text(user.private)
        fleet.key.chmod(0o600)
        lines = {name: f"{name},{self._address(name)} {pair.public}" for name, pair in identities.items()}
        fleet.known_hosts.write_text("".join(f"{line}\n" for line in lines.values()))
        fleet.config.write_text("".join(self._entry(name, fleet) for name in self.names))
        found = []
        for name in self.names:
            machine = self._machine(name, identities[name], user, keepers)
            address = self._address(name)
            host = SystemHost(name=name, address=address, key=fleet.key, known_hosts=lines[name], config=fleet.config, machine=machine)
            found.append(host)
        return Fleet(run=self.run, folder=self.folder, hosts=tuple(found), gateway=fleet.gateway, password=password)

    def _address(self, name: str) -> str:
        return f"{self.subnet}.{11 + self.names.index(name)}"

    def _entry(self, name: str, fleet: Fleet) -> str:
        words = {
            "HostName": self._address(name),
            "User": PASSWORDLESS,
            "IdentityFile": fleet.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": fleet.known_hosts,
            "GlobalKnownHostsFile": os.devnull,
            "StrictHostKeyChecking": "yes",
        }
        return f"Host {name}\n" + "".join(f"  {word} {value}\n" for word, value in words.items())

    def _machine(self, name: str, identity: KeyPair, user: KeyPair, keepers: list[subprocess.Popen[bytes]]) -> Machine:
        groups = tuple(tree / self.run / name for tree in self.trees)
        for group in groups:
            (group / "machine").mkdir(parents=True)
        place, number = self.folder / name, self.names.index(name) + 1
        files = {
            "etc/hostname": (f"{name}\n", 0o644),
            "etc/machine-id": (f"{uuid.uuid4().hex}\n", 0o444),
            "etc/hosts": ("127.0.0.1 localhost\n" + "".join(f"{self._address(other)} {other}\n" for other in self.names), 0o644),
            "etc/ssh/ssh_host_ed25519_key": (identity.private, 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (f"{identity.public}\n", 0o644),
            "root/.ssh/authorized_keys": (f"{user.public}\n", 0o600),
        }
        files |= {f"home/{who}/.ssh/authorized_keys": (f"{user.public}\n", 0o600) for who in (PASSWORDLESS, WITHOUT_SUDO, WITH_PASSWORD)}
        _lay(self.lower, place / "files", files)
        link = f"{self.run}v{number}"
        environ = {
            "GROUPS": " ".join(map(str, groups)),
            "LOWER": str(self.lower),
            "NAME": name,
            "LINK": link,
            "BRIDGE": self.run,
            "ADDRESS": self._address(name),
        }
        keeper = keep(environ, place)
        keepers.append(keeper)
        return Machine(name=name, place=place, groups=groups, link=link, keeper=keeper)


def _lay(lower: Path, upper: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """Write path -> (text, mode) below `upper`; folders are as in `lower`, files belong to whom their folder belongs."""
    upper.mkdir(parents=True)
    for path, (text, mode) in files.items():
        folder = upper
        for part in Path(path).parts[:-1]:
            folder = folder / part
            like = (lower / folder.relative_to(upper)).stat()
            folder.mkdir(exist_ok=True)
            os.chown(folder, like.st_uid, like.st_gid)
            folder.chmod(like.st_mode & 0o7777)
        (upper / path).write_text(text)
        (upper / path).chmod(mode)
        os.chown(upper / path, folder.stat().st_uid, folder.stat().st_gid)


def _bridge(run: str) -> str:
    """Make the run's bridge, with the first address of a /24 that nothing here uses; the subnet's first three numbers."""
    shown = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], capture_output=True, check=True).stdout)
    taken = {info["local"].rpartition(".")[0] for link in shown for info in link.get("addr_info", ())}
    start = secrets.randbelow(len(_SUBNETS))  # two suites that begin at once do not choose the same
    subnet = next(subnet for subnet in (*_SUBNETS[start:], *_SUBNETS[:start]) if subnet not in taken)
    for words in (["link", "add", run, "type", "bridge"], ["addr", "add", f"{subnet}.1/24", "dev", run], ["link", "set", run, "up"]):
        subprocess.run(["ip", *words], check=True)
    return subnet


def _janitor(run: str, folder: Path, trees: Sequence[Path]) -> subprocess.Popen[bytes]:
    environ = {"RUN": run, "FOLDER": str(folder), "TREES": " ".join(map(str, trees))}
    return subprocess.Popen(
        ["sh", "-c", JANITOR],
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _take_away(
    janitor: subprocess.Popen[bytes], keepers: Sequence[subprocess.Popen[bytes]], run: str, folder: Path, trees: Sequence[Path]
) -> None:
    """End the fleet and prove that nothing of it is left: process, mount, namespace, control group, link, file."""
    networks = [name for keeper in keepers if (name := _network(keeper.pid))]
    with ExitStack() as kept:  # open as long as we look, so that no other fleet gets a name of ours
        for keeper in keepers:
            with suppress(OSError):  # it ended already
                kept.callback(os.close, os.open(f"/proc/{keeper.pid}/ns/net", os.O_RDONLY))
        _end(janitor, keepers)
        end = time.monotonic() + JANITOR_TIMEOUT_S
        while (left := leftovers(run, folder, trees, networks)) and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)  # PID 1 buries what was killed
    assert not left, f"left of the test hosts: {left}"


def _end(janitor: subprocess.Popen[bytes], keepers: Sequence[subprocess.Popen[bytes]]) -> None:
    assert janitor.stdin
    janitor.stdin.close()
    janitor.wait(JANITOR_TIMEOUT_S)
    for keeper in keepers:
        with suppress(BrokenPipeError):
            assert keeper.stdin
            keeper.stdin.close()
        keeper.wait(JANITOR_TIMEOUT_S)


def leftovers(run: str, folder: Path, trees: Sequence[Path], networks: Sequence[str] = ()) -> list[str]:
    """What still exists of a fleet: one line for each process, mount, namespace, control group, link, folder; empty when all is gone."""
    found = [f"folder {folder}"] if folder.exists() else []
    found += [f"control group {tree / run}" for tree in trees if (tree / run).exists()]
    found += [f"link {link.name}" for link in Path("/sys/class/net").glob(f"{run}*")]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if f"/{run}/" in (entry / "cgroup").read_text():
                found.append(f"process {entry.name}")
            if _network(int(entry.name)) in networks:
                found.append(f"network namespace of process {entry.name}")
    return found


def _network(pid: int) -> str:
    """The network namespace of a process; "" when it has ended, or shares ours."""
    try:
        name = str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""
    return "" if name == str(Path("/proc/self/ns/net").readlink()) else name
