"""Where things stand on each host, and what is public of the secrets: the two things a render needs beside the environment file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cortops.environment.declared import Environment
from cortops.environment.model import WalletNode
from cortops.words.entity import Entity
from cortops.words.resource import Directory


def cite(env: Environment, *path: str) -> str:
    """Where something is declared, as `local.yaml:12`: the file's name without its folder, so that it does not depend on who asks."""
    position = env.position(path)
    return f"{position.file.rsplit('/', 1)[-1]}:{position.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeArchive:
    """Our programs with the libraries they need, as they are sent to a host that has only Python.

    size: bytes. python, machine: what that host must have (`3.11`, `x86_64`).
    """

    sha256: str
    size: int
    python: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSite:
    """One host as renders see it.

    root: the folder that holds all that cortops puts there. python: the interpreter that runs our programs.
    nginx: the proxy's program. machine: processor name as `uname -m` gives it. user: who runs the services.
    services_script: the sh text that prints a row per service (services.facts.read), exit status 3 when the manager does not run.
    runtime: what holds `python` and is sent there first; None where our programs are there already.
    """

    name: str
    root: str
    python: str
    nginx: str
    machine: str
    user: str
    services_script: str
    runtime: RuntimeArchive | None = None

    @property
    def program_needs(self) -> tuple[str, ...]:
        """Keys of what must be there before any program of ours can start."""
        return () if self.runtime is None else (f"{self.name} tree:{runtime_folder(self.root, self.runtime.sha256)}",)

    def env_file(self, name: str) -> str:
        return f"{self.root}/etc/{name}.env"

    def log_file(self, name: str) -> str:
        return log_file(self.root, name)

    def data(self, name: str) -> str:
        return data_folder(self.root, name)

    def blob(self, release: str, sha256: str) -> str:
        """Content-addressed: another version is another file, so a running program never loses its own."""
        return f"{self.root}/blobs/{release}-{sha256[:16]}"

    def folder(self, path: str, because: str = "hosts", *, mode: int = 0o755, keep: bool = False) -> Directory:
        """A folder below the root; it needs its parent."""
        parent = path.rsplit("/", 1)[0]
        needs = () if path == self.root else (self.folder_key(parent),)
        return Directory(place=self.name, entity=Entity("host", self.name), because=because, needs=needs, path=path, mode=mode, keep=keep)

    def folder_key(self, path: str) -> str:
        return f"{self.name} directory:{path}"


def log_file(root: str, name: str) -> str:
    """The log of a service, below the root of its host."""
    return f"{root}/log/{name}.log"


def data_folder(root: str, name: str) -> str:
    """What a service keeps, below the root of its host."""
    return f"{root}/data/{name}"


def runtime_folder(root: str, sha256: str) -> str:
    """Where our programs lie on a host, below its root: another version is another folder."""
    return f"{root}/runtime/{sha256[:16]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """All hosts, and secret name -> public part (a wallet's address, a certificate). on_host: secret -> the file there that holds it."""

    hosts: Mapping[str, HostSite]
    public: Mapping[str, str]
    on_host: Mapping[str, str] = field(default_factory=dict)


def node_names(env: Environment, site: Site) -> dict[str, str]:
    """Address in lower case -> the name it is declared under."""
    return {site.public[node.wallet.secret].lower(): name for name, node in env.nodes.items() if isinstance(node, WalletNode)}
