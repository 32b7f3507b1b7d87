"""Resource: one thing that should exist. Its driver is a target, the chain, DNS or a certificate authority.

How each kind of a target is observed and made lives in deploy.kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cortops.words.entity import Entity

PUBLIC: Final = "public:"  # before the name of a secret: its public part
NEW_FILE: Final = "{new}"  # in the words of a File's check: where its new content lies


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Stands for a secret's value inside content; a spec, plan or manifest holds only this name."""

    name: str

    @property
    def is_public(self) -> bool:
        """Whether it stands for the public part only, a certificate."""
        return self.name.startswith(PUBLIC)


def public_ref(name: str) -> SecretRef:
    """Stands for the public part of a secret, as it is when the content is filled in: a certificate beside its key, today's like that."""
    return SecretRef(PUBLIC + name)


Content = tuple[str | SecretRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    """What every resource has.

    place: the target's name, or `chain`, where its driver acts.
    entity: whom it serves. because: where it is declared, for the plan's reason.
    needs: keys of resources that must be there first (the plan's only source of order).
    """

    place: str
    entity: Entity
    because: str
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Kind and name, unique in its place: `file:/etc/x`."""
        raise AssertionError("every kind names itself")

    @property
    def key(self) -> str:
        """Place and id, unique in the environment: `h1 file:/etc/x`."""
        return f"{self.place} {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(_Resource):
    """A folder."""

    path: str
    mode: int = 0o755
    keep: bool = False  # holds data: never deleted by a plan

    @property
    def id(self) -> str:
        return f"directory:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class File(_Resource):
    """A file with its content; secrets are references in it.

    check: a program that must accept the new content before it takes the place of the old, which stays where it does not. NEW_FILE among
    its words is where that lies meanwhile, beside the old. It runs as whoever applies.
    """

    path: str
    content: Content
    mode: int = 0o644
    check: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob(_Resource):
    """A large file known by its hash; sent only where it is missing."""

    path: str
    release: str
    sha256: str
    size: int
    mode: int = 0o644

    @property
    def id(self) -> str:
        return f"blob:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(_Resource):
    """An archive (.tar.gz) unpacked into a folder of its own; what it holds is known by the archive's hash.

    path: the folder, which nothing else is put into. archive: where the archive lies on the same host: a Blob that this one needs.
    size: of the archive, bytes, for deadlines. python, machine: of an archive with programs of ours, the Python (`3.11`) and the processor
    that it needs; its `bin/python` is then the host's. Empty where it holds none.
    """

    path: str
    archive: str
    sha256: str
    size: int
    python: str = ""
    machine: str = ""

    @property
    def id(self) -> str:
        return f"tree:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedKey(_Resource):
    """One line of an account's authorized_keys: who holds its other half may run `command` there and nothing else; any program
    where that is empty, but with no terminal and no forwarding.

    public: the public half, `ssh-ed25519 AAAA…`. mark: the comment that tells our line from others; letters, digits and : . _ - only.
    """

    account: str
    public: str
    command: str
    mark: str

    @property
    def id(self) -> str:
        return f"authorized-key:{self.account}:{self.mark}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """How a running program takes changed files without a restart: by a signal to its main process.

    on: keys of those files. check: a program that must accept them, in their places, first; where it does not, nothing is signalled,
    started or restarted, and what runs goes on with what it read before. It runs as whoever applies.
    """

    on: tuple[str, ...]
    check: tuple[str, ...] = ()
    signal: str = "HUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(_Resource):
    """A supervised program. Its unit, restart policy, owner and log are one thing.

    restart_on: keys of files or blobs whose change restarts it; reload: of those that it takes without one.
    ports: TCP ports it listens on, checked free before the first start.
    stop_timeout_s: after the stop signal it is killed. log_max_mib: the log is rotated at this size, `log_keep` old ones stay.
    """

    name: str
    argv: tuple[str, ...]
    directory: str
    log_path: str
    user: str = ""
    owner: str = ""
    ports: tuple[int, ...] = ()
    restart_on: tuple[str, ...] = ()
    reload: Reload | None = None
    stop_signal: str = "TERM"
    stop_timeout_s: int = 10
    log_max_mib: int = 20
    log_keep: int = 3

    @property
    def id(self) -> str:
        return f"service:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract(_Resource):
    """A contract whose code must be exactly the artifact's, at the address that deployer, salt and init code give (CREATE2, EIP-1014)."""

    name: str
    rpc_url: str
    address: str
    init_code: str  # 0x…, constructor arguments included
    salt: str  # 0x…, 32 bytes
    code_hash: str  # keccak256 of the code expected on chain
    signer: SecretRef

    @property
    def id(self) -> str:
        return f"contract:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractState(_Resource):
    """A value that a contract should hold: `read` must return `expect` (32-byte words, 0x…), and `write` makes it so."""

    name: str
    rpc_url: str
    to: str
    read: str  # calldata, 0x…
    expect: str
    write: str  # calldata, 0x…
    signer: SecretRef

    @property
    def id(self) -> str:
        return f"contract-state:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Funded(_Resource):
    """A wallet that holds at least `at_least_wei`; on a development chain it is topped up there, elsewhere only reported.

    bridged: what it needs was sent over a bridge, and is waited for.
    """

    name: str
    rpc_url: str
    address: str
    at_least_wei: int
    bridged: bool = False

    @property
    def id(self) -> str:
        return f"funded:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRecord(_Resource):
    """All records of one name and type in a zone that we keep; its place is that zone.

    name, values: names without a final dot. type: A, AAAA or CNAME. ttl_s: how long resolvers may keep it.
    """

    name: str
    type: str
    values: tuple[str, ...]
    ttl_s: int

    @property
    def id(self) -> str:
        return f"record:{self.name}/{self.type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate(_Resource):
    """A certificate that an authority gives by ACME (RFC 8555) for one hostname; its files are resources of their own.

    secret: where key and certificate are kept. host: whose nginx answers the authority.
    """

    hostname: str
    secret: str
    host: str

    @property
    def id(self) -> str:
        return f"certificate:{self.hostname}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cortensord(_Resource):
    """A cortensord node that its operator installed, as declared: looked at, never made, changed or deleted before it is adopted.

    shape: how it was installed. runs: the role as on its command line. unit: its unit or container. log: a path, or `docker:CONTAINER`.
    address: in lower case. Of these, what is empty is not declared.
    """

    name: str
    shape: str
    runs: str
    unit: str
    env_file: str
    log: str
    binary: str
    address: str

    @property
    def id(self) -> str:
        return f"cortensord:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgram(_Resource):
    """The program that an adopted cortensord node runs, of the operator's own unit, container or start line.

    shape, unit, env_file, log, binary, runs, address: as declared. binary: the operator's own file, which is never written, but for the one
    inside a container. program: sha256 that must run; release: its name. blob: where that program lies on the host, by its content.
    saved: the folder of copies of unit text and env file. unit_sha256, env_sha256: as the newest generation has them, empty where none has;
    whole: they are compared too, and put back from the copies. untouched: whatever it runs, the plan leaves it as it is.
    stop_timeout_s: after the unit's own stop signal it is killed. start_timeout_s: until it must run. settle_s: as long it must stay.
    """

    name: str
    shape: str
    unit: str
    env_file: str
    log: str
    binary: str
    runs: str
    address: str
    program: str
    release: str
    blob: str
    saved: str
    unit_sha256: str = ""
    env_sha256: str = ""
    whole: bool = False
    untouched: bool = False
    stop_timeout_s: int = 100
    start_timeout_s: int = 20
    settle_s: int = 3

    @property
    def id(self) -> str:
        return f"node-program:{self.name}"


Resource = (
    Directory
    | File
    | Blob
    | Tree
    | AuthorizedKey
    | Service
    | Contract
    | ContractState
    | Funded
    | DnsRecord
    | Certificate
    | Cortensord
    | NodeProgram
)
