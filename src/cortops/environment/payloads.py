"""The section `payloads`: which sessions are private, where their sealed payloads lie, and who may open them. Source: facts F; ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from cortops.environment.cortensord import HostPath
from cortops.environment.section import Names, Owned, Secret, Section, Url, refuse

ALLOWED_MAX = 32  # miners of one session, as the contract has it
SESSIONS_MAX = 256


class PrivateSession(Section):
    """One private session of `network.sessions`."""

    miners: Names = Field(
        default=(),
        max_length=ALLOWED_MAX,
        description="Miners that may have its keys; a miner left out or taken out is given none. Without it: all of the session.",
        examples=["[miner-1]"],
    )


class Bucket(Section):
    """A bucket of an S3, or of what speaks like one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket's name.", examples=["lab-payloads"])
    prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,7})?$", description="Folder in it, without outer `/`.")
    endpoint: Url | None = Field(default=None, description="Its address, where it is not Amazon's.", examples=["https://s3.lab.example"])
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,32}$", description="Its region.")
    key_id: Secret = Field(default=Secret(secret="payloads/key-id"), description="The credential's id; it must read, write, list, delete.")
    secret_key: Secret = Field(default=Secret(secret="payloads/secret-key"), description="The credential's secret.")
    token: Secret | None = Field(default=None, description="The session token of a credential that ends.")


class Payloads(Owned):
    """Private sessions: the chain holds names, a storage holds sealed objects, and only the session's routers and miners can open them."""

    NAME: ClassVar[str] = "payloads"

    sessions: Mapping[Annotated[int, Field(ge=1, le=2**53)], PrivateSession] = Field(
        min_length=1,
        max_length=SESSIONS_MAX,
        description="Session id -> who may have its keys. Each stands in `network.sessions` too.",
        examples=["{3: {}}"],
    )
    seeds: Mapping[Annotated[int, Field(ge=1, le=999_999)], Secret] = Field(
        default={1: Secret(secret="payloads/seed-1")},
        min_length=1,
        max_length=64,
        description="Version -> the seed that keys come from. New payloads have the highest; an older one stays as long as its objects do.",
    )
    folder: HostPath | None = Field(
        default=None, description="Folder of the objects, on the one host of all that use it. Without it: below the environment's own."
    )
    bucket: Bucket | None = Field(default=None, description="Or a bucket, which hosts can share.")
    allowlist: Literal["contract", "list"] = Field(
        default="contract", description="Where routers read who may have keys: on chain, or in their env files."
    )
    key_per: Literal["task", "session"] = Field(
        default="task", description="`session`: one key opens all payloads of the session, for every miner of its list."
    )
    keep_days: int = Field(default=30, ge=1, le=3650, description="Objects older than this are deleted, by the routers.")
    object_max_mib: float = Field(default=1, gt=0, le=2, description="Largest sealed object, in MiB.")

    @model_validator(mode="after")
    def _one_storage(self) -> Payloads:
        if self.folder is not None and self.bucket is not None:
            raise refuse("has a folder and a bucket", "Give one of the two.")
        return self

    @property
    def version(self) -> int:
        """Of the seed that new payloads are sealed with."""
        return max(self.seeds)

    def secrets(self) -> tuple[Secret, ...]:
        """All that it names: seeds, then those of the bucket."""
        bucket = self.bucket
        of_bucket = () if bucket is None else (bucket.key_id, bucket.secret_key, *((bucket.token,) if bucket.token is not None else ()))
        return (*self.seeds.values(), *of_bucket)
