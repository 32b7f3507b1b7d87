"""The section `rules`: who may change an environment and how much at once, and where its secrets come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from cortops.environment.cortensord import Address, HostPath
from cortops.environment.section import Section, refuse

WHO = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}$"

Argument = Annotated[str, Field(min_length=1, max_length=1024)]
Recipient = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$", examples=["age1" + "q" * 58])]
SecretName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}(/[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}){0,3}$", examples=["miner-1/key"]),
]
Who = Annotated[str, Field(pattern=WHO, examples=["alice@laptop"])]


class ApplyRules(Section):
    """Who may change the environment, and from which size on a plan must be accepted by name.

    Nothing here stops a first apply: what is made anew counts nowhere.
    """

    by: tuple[Who, ...] = Field(
        default=(),
        max_length=100,
        description="Who may apply, upgrade, roll back, adopt, leave and set secrets, each as `USER@MACHINE`. Without it: everyone.",
        examples=["[alice@laptop, bob@ops]"],
    )
    deletes_max: int = Field(default=20, ge=0, le=100_000, description="Resources that one plan may delete.")
    restarts_share_max: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of what runs that one wave may restart or delete; up to 20 at once are never counted as too many.",
    )
    hosts_max: int = Field(default=50, ge=1, le=100_000, description="Hosts on which one plan may change what is there.")


class SecretSource(Section):
    """Where one secret comes from, when not from the age file: one of `env`, `command` and `on-host`."""

    env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        description="A variable of the environment in which cortops runs.",
        examples=["LAB_API_KEY"],
    )
    command: tuple[Argument, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="A program and its arguments, run here without a shell; what it prints is the value. 20 seconds and 64 KiB at most.",
        examples=['[vault, kv, get, -field=key, "lab/{*}"]'],
    )
    on_host: HostPath | None = Field(
        default=None,
        alias="on-host",
        description="A file on the node's own host that holds its wallet's key and nothing else; it is never read from here.",
        examples=["/etc/cortops-keys/miner-1"],
    )
    address: Address | None = Field(default=None, description="The wallet's address; only with `on-host`, and needed there.")

    @model_validator(mode="after")
    def _one(self) -> SecretSource:
        given = [key for key, value in (("env", self.env), ("command", self.command), ("on-host", self.on_host)) if value is not None]
        if len(given) != 1:
            raise refuse(f"names {' and '.join(given) or 'no source'}", "Give one of env, command and on-host.")
        if (self.on_host is None) != (self.address is None):
            what = "has an on-host key and no address" if self.address is None else "has an address without an on-host key"
            raise refuse(what, "Give address beside on-host, and nowhere else: of other keys it is worked out.")
        return self


class SecretRules(Section):
    """Where secrets come from. Without this section all of them lie sealed in this machine's data folder."""

    file: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,63}){0,3}$",
        description="An age file beside the environment file, which every recipient can open with an identity of their own.",
        examples=["lab.secrets.age"],
    )
    recipients: tuple[Recipient, ...] = Field(
        default=(), max_length=50, description="Who can open it: the lines that `cortops secrets identity` prints for each of you."
    )
    sources: Mapping[SecretName, SecretSource] = Field(
        default={},
        alias="from",
        max_length=1000,
        description="Secret -> where it comes from instead. One `*` in a name stands for any text without `/`, and `{*}` for that text.",
        examples=['{"*/key": {command: [vault, kv, get, -field=key, "lab/{*}"]}}'],
    )

    @model_validator(mode="after")
    def _sealed_for_someone(self) -> SecretRules:
        if (self.file is None) == bool(self.recipients):
            what = "names recipients and no file" if self.file is None else "names a file and nobody who can open it"
            raise refuse(what, "Give file and recipients, or neither; cortops secrets identity prints your own recipient.")
        if len(set(self.recipients)) != len(self.recipients):
            raise refuse("names a recipient twice", "Keep one of the two.")
        if several := [name for name in self.sources if name.count("*") > 1]:
            raise refuse(f"has more than one * in {several[0]}", "Write one, and name what the others stand for.")
        if many := [name for name, source in self.sources.items() if "*" in name and source.on_host is not None]:
            raise refuse(f"gives one address to all that {many[0]} fits", "Name each secret whose key stays on its host.")
        return self


class Rules(Section):
    """What holds for every change of the environment."""

    apply: ApplyRules = Field(default=ApplyRules(), description="Who may apply, and how much at once.")
    secrets: SecretRules = Field(default=SecretRules(), description="Where secrets come from.")
