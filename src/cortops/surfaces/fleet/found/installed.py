"""A cortensord node as it was found on a host: public facts only. The five install shapes: operators 2.2, facts D and I."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

BinaryKind = Literal["program", "lfs-pointer", "missing", "unreadable"]


class Shape(StrEnum):
    """How a node was installed: by the installer with systemd or with a pid file, by the Ansible roles, by Salt, or as a container."""

    SYSTEMD = "systemd"
    NOHUP = "nohup"
    ANSIBLE = "ansible"
    SALT = "salt"
    DOCKER = "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One cortensord node as found on a host now.

    instance: which of several on its host, "" where there is one. runs: the role as on its command line (`minerv4`), role: what that is.
    unit: the systemd unit or the container, "" where it is kept by a pid file. log: a path, or `docker:CONTAINER`.
    address: "" where the env file has none. started_at: seconds since 1970 by the host's clock. restarts: by its manager, so far.
    binary_sha256 and running_sha256 (of /proc/PID/exe): "" where unreadable. lfs_oid: of a pointer, the hash of the program it stands for.
    unit_sha256: of the unit's file and its drop-ins, one after the other.
    env: whitelisted public keys only (public_keys); RPC addresses as `https://host#sha256:abcd…`, since the whole of one holds a key.
    "?" stands for a value that has not the form of its key, and was not told. kept: secret key -> one word about its value, which stayed
    on the host: `empty`, `set`, `default` or `placeholder`. quoted: keys whose value stands in quotes. env_mode: its permissions, octal.
    """

    host: str
    shape: Shape
    instance: str
    role: str
    runs: str
    user: str
    unit: str
    env_file: str
    log: str
    binary: str
    address: str
    pid: int | None
    running: bool
    enabled: bool | None
    started_at: float | None
    restarts: int | None
    binary_sha256: str
    binary_kind: BinaryKind
    lfs_oid: str
    running_sha256: str
    unit_sha256: str
    env_sha256: str
    env: Mapping[str, str]
    notes: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)
    quoted: frozenset[str] = frozenset()
    env_mode: str = ""
