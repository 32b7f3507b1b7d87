"""The sections about traffic: pools, the gateway in front of them, and the hostnames of the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from cortops.environment.section import Model, Name, Names, Owned, Port, Section


class PoolHealth(Section):
    """How a member is asked whether it is well."""

    every_s: float = Field(default=2, ge=0.1, le=3600, description="Seconds between two questions to one member.")
    path: str = Field(default="/api/v1/status", pattern=r"^/[A-Za-z0-9._~/-]{0,127}$", description="Asked by GET; 200 is well.")


class Pool(Section):
    """Routers that can serve the same model."""

    members: Names = Field(min_length=1, description="Nodes of role router.", examples=["[router-1]"])
    in_flight_per_session: int = Field(default=1, ge=1, le=64, description="Requests at once in one session of a member.")
    queue_max: int = Field(
        default=64, ge=0, le=100_000, description="Requests that may wait, over all of the gateway's processes; others get 429."
    )
    queue_wait_s: float = Field(default=20, ge=0, le=3600, description="Longest wait in the queue.")
    health: PoolHealth = Field(default=PoolHealth(), description="How members are asked.")


class GatewayModel(Section):
    """A model that clients may name."""

    pool: Name = Field(description="The pool that serves it.", examples=["smollm2"])


class Gateway(Owned):
    """The OpenAI-compatible address in front of all pools."""

    NAME: ClassVar[str] = "gateway"

    on: Name = Field(description="The host that it runs on.", examples=["here"])
    port: Port = Field(description="TCP port of its first process; each further one takes the next.", examples=["8400"])
    processes: int = Field(default=1, ge=1, le=64, description="How many processes share the work; nginx spreads requests over them.")
    models: Mapping[Model, GatewayModel] = Field(
        min_length=1, description="Model -> where it is served.", examples=["{smollm2: {pool: smollm2}}"]
    )
    families: tuple[Literal["completion"], ...] = Field(
        default=("completion",), min_length=1, description="Route families that it answers."
    )
    request_timeout_s: int = Field(default=480, ge=5, le=3600, description="Longest time of one request.")

    def ports(self) -> Mapping[str, int]:
        """Process name -> its port: `gateway-1`, `gateway-2`, ... in order."""
        return {f"{self.NAME}-{number + 1}": self.port + number for number in range(self.processes)}


class Route(Owned):
    """One public hostname, served by nginx."""

    on: Name = Field(description="The host whose nginx serves it.", examples=["here"])
    port: Port = Field(default=443, description="TCP port.")
    to: str = Field(
        pattern=r"^(gateway|console|rpc|pool/[a-z0-9][a-z0-9-]{0,30})$",
        description="Where requests go: `gateway`, `pool/NAME` (its routers, past the gateway), `console`, or `rpc`.",
        examples=["gateway"],
    )
    tls: Literal["local-ca"] = Field(
        description="`local-ca`: a certificate of an authority that lives on this machine.", examples=["local-ca"]
    )
    body_max_mib: float = Field(default=4, gt=0, le=1024, description="Largest request body, in MiB.")
    read_timeout_s: int = Field(
        default=480, ge=5, le=3600, description="Longest silence of the other side; for the gateway at least its request_timeout_s."
    )

    @property
    def pool(self) -> str | None:
        """The pool that it leads to, None for another destination."""
        kind, _, name = self.to.partition("/")
        return name if kind == "pool" else None
