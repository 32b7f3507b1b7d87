"""Nodes that run programs of others: a database, an object store, an RPC relay, an IPFS node. One mechanism, and a check for each role."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cortops.environment.cortensord import HostPath
from cortops.environment.placed import Placed
from cortops.environment.section import Name, Secret, refuse

FILE_MAX_CHARS = 65_536
WORDS_MAX = 256  # of one argument line

Word = Annotated[str, Field(max_length=4096, examples=["-D"])]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")]
FileText = Annotated[str, Field(max_length=FILE_MAX_CHARS)]
StopSignal = Literal["TERM", "INT", "QUIT"]

PLACEHOLDERS = ("data", "files", "port", "address")

_SYSTEM_FOLDERS = ("usr/bin", "usr/lib", "usr/local", "usr/sbin", "usr/share", "var/cache", "var/lib", "var/log", "var/run", "var/tmp")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")


class ForeignNode(Placed):
    """A program of others under our service manager.

    In `arguments`, `first_start`, `env` and `files` these stand for what only we know: `{data}` its data folder, `{files}` the folder
    of `files`, `{port}`, `{address}` to listen on (where another host needs it two, `127.0.0.1,IP`), and `{NODE}` for `IP:PORT` of one
    in `depends_on`. In `files` the name of one of `secrets` stands for its value: `{DB_PASSWORD}`.
    """

    program: HostPath | None = Field(
        default=None, description="The program's path on its host.", examples=["/usr/lib/postgresql/15/bin/postgres"]
    )
    release: Name | None = Field(default=None, description="Or the release that holds the program, which is then sent there.")
    arguments: tuple[Word, ...] = Field(
        default=(),
        max_length=WORDS_MAX,
        description="Its argument line. `{data}`, `{files}`, `{port}`, `{address}` and `{NODE}`, one of `depends_on`, stand for what only "
        "we know. Everybody on the host can read it, so no secret is put there.",
    )
    first_start: tuple[Word, ...] = Field(
        default=(),
        max_length=WORDS_MAX,
        description="A command that fills `{data}` once, before the first start. Cut off, it begins anew with an empty folder.",
        examples=["[/usr/lib/postgresql/15/bin/initdb, -D, '{data}']"],
    )
    files: Mapping[FileName, FileText] = Field(
        default={}, max_length=32, description="File name -> its text; written to `{files}`, mode 0600."
    )
    env: Mapping[Variable, Word] = Field(default={}, max_length=128, description="Environment variable -> value.")
    secrets: Mapping[Variable, Secret] = Field(
        default={},
        max_length=32,
        description="Environment variable -> the secret that is its value; made by the first apply where nobody has set it.",
        examples=["{MINIO_ROOT_PASSWORD: {secret: store-1/password}}"],
    )
    data: HostPath | None = Field(
        default=None,
        description="The folder on its host for its data, never deleted. Without it: below the environment's own, closed to other users.",
        examples=["/var/lib/lab-database-1"],
    )
    user: str = Field(
        default="",
        pattern=r"^([a-z_][a-z0-9_-]{0,31})?$",
        description="The account of its host that it runs as. Without it: whoever runs the services there.",
        examples=["postgres"],
    )
    stop_signal: StopSignal = Field(default="TERM", description="What asks it to end.")
    stop_timeout_s: int = Field(default=30, ge=1, le=3600, description="After the signal it is killed.")

    @property
    def texts(self) -> Iterator[tuple[str, Iterable[str]]]:
        """Key -> its texts in which placeholders are replaced; what stands in `files` may hold any other braces."""
        yield "arguments", self.arguments
        yield "first_start", self.first_start
        yield "env", self.env.values()

    @model_validator(mode="after")
    def _one_program(self) -> ForeignNode:
        if (self.program is None) == (self.release is None):
            what = "names neither a program nor a release" if self.program is None else "names a program and a release"
            raise refuse(what, "Give one of the two, for example: program: /usr/lib/postgresql/15/bin/postgres")
        if self.user and self.data is None:
            raise refuse(f"runs as {self.user} and has no data folder that {self.user} can enter", "Add for example: data: /var/lib/NAME")
        return self

    @model_validator(mode="after")
    def _own_folder(self) -> ForeignNode:
        """Its folder gets a mode of ours, so it must be nobody else's."""
        parts = (self.data or "/srv/own").strip("/").split("/")
        if len(parts) < 2 or "/".join(parts) in _SYSTEM_FOLDERS or {"", ".", ".."} & {*parts}:
            raise refuse(f"takes {self.data} as its data folder, which belongs to the system", "Name a folder of its own: /var/lib/NAME")
        return self

    @model_validator(mode="after")
    def _known_placeholders(self) -> ForeignNode:
        for key, texts in self.texts:
            for name in (name for text in texts for name in _BRACED.findall(text)):
                if name in self.secrets:
                    raise refuse(f"would show the secret {name} in {key}", f"The program finds it in its environment as {name}.")
                if name not in (*PLACEHOLDERS, *self.depends_on):
                    known = ", ".join(f"{{{known}}}" for known in (*PLACEHOLDERS, *self.depends_on))
                    raise refuse(f"holds {{{name}}} in {key}, which stands for nothing", f"Write one of {known}.")
        if both := sorted({*self.env} & {*self.secrets}):
            raise refuse(f"has {both[0]} in env and in secrets", "Keep one of the two.")
        return self


class DatabaseNode(ForeignNode):
    """A PostgreSQL server, or what speaks as one. Well: it takes connections."""

    role: Literal["database"]
    stop_signal: StopSignal = Field(default="INT", description="What asks it to end; INT: PostgreSQL ends sessions and stops.")


class ObjectStoreNode(ForeignNode):
    """An object store that speaks S3. Well: it answers `health_path` with 200, or with 403 to one who has no key."""

    role: Literal["object-store"]
    health_path: str = Field(
        default="/", pattern=r"^/[A-Za-z0-9._~/-]{0,127}$", description="Asked by GET.", examples=["/minio/health/live"]
    )


class RpcRelayNode(ForeignNode):
    """Stands before RPCs of the chain; `network.rpc` may name it. Well: its chain id is the network's, and its head is not behind."""

    role: Literal["rpc-relay"]
    behind_max_s: int = Field(default=30, ge=1, le=3600, description="So much older than the network's other RPCs its head may be.")


class IpfsNode(ForeignNode):
    """An IPFS node; `port` is that of its RPC API. Well: it tells its peer id."""

    role: Literal["ipfs"]


FOREIGN_ROLES: Mapping[str, type[DatabaseNode | ObjectStoreNode | RpcRelayNode | IpfsNode]] = {
    "database": DatabaseNode,
    "object-store": ObjectStoreNode,
    "rpc-relay": RpcRelayNode,
    "ipfs": IpfsNode,
}
