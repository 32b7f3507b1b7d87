"""The sections about traffic: pools, the gateway in front of them, and the hostnames of the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from cortops.environment.certificates import RouteTls
from cortops.environment.families import ELSEWHERE, FAMILIES, SERVED, FamilyRules, Network, PerClient, RouteFamily
from cortops.environment.section import Model, Name, Names, OneOrMore, Owned, Port, Secret, Section


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
    return_ramp_s: float = Field(
        default=30.0, ge=0, le=3600, description="Seconds in which the share of a member grows that came back or was added."
    )
    health: PoolHealth = Field(default=PoolHealth(), description="How members are asked.")


class GatewayModel(Section):
    """A model that clients may name."""

    pool: Name = Field(description="The pool that serves it.", examples=["smollm2"])


class GatewayStore(Section):
    """A PostgreSQL database for keys, limits, drains and usage, so that several hosts share them."""

    url: Secret = Field(
        description="The secret that holds its address, postgresql://USER:PASSWORD@HOST:PORT/DATABASE.",
        examples=["{secret: gateway/store}"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One process of the gateway. number: from 1 over all hosts; local: from 1 on its own host."""

    name: str
    host: str
    port: int
    number: int
    local: int


class KeyAllowance(Section):
    """What each key may take that has no such limit of its own."""

    requests_per_min: int | None = Field(default=None, ge=1, le=10**15, description="Requests in a minute of the clock.")
    tokens_per_min: int | None = Field(default=None, ge=1, le=10**15, description="Prompt and answer tokens in a minute of the clock.")
    streams_max: int | None = Field(default=None, ge=1, le=10**15, description="Answers that stream at once.")
    tokens_per_month: int | None = Field(default=None, ge=1, le=10**15, description="Prompt and answer tokens in a month, UTC.")


class Gateway(Owned):
    """The OpenAI-compatible address in front of all pools."""

    NAME: ClassVar[str] = "gateway"

    hosts: OneOrMore = Field(
        alias="on", min_length=1, max_length=64, description="The host that it runs on, or several that share `store`.", examples=["here"]
    )
    port: Port = Field(description="TCP port of its first process; each further one takes the next.", examples=["8400"])
    processes: int = Field(
        default=1, ge=1, le=64, description="How many processes of each host share the work; nginx spreads requests over all of them."
    )
    store: GatewayStore | None = Field(
        default=None,
        description="Where keys, limits, drains and usage lie: a PostgreSQL database. Without it: files on its host.",
        examples=["{url: {secret: gateway/store}}"],
    )
    models: Mapping[Model, GatewayModel] = Field(
        min_length=1, description="Model -> where it is served.", examples=["{smollm2: {pool: smollm2}}"]
    )
    families: tuple[Literal["completion"], ...] = Field(
        default=("completion",), min_length=1, description="Route families that it answers."
    )
    request_timeout_s: int = Field(default=480, ge=5, le=3600, description="Longest time of one request.")
    limits: KeyAllowance = Field(
        default=KeyAllowance(),
        description="What each key may take that has no such limit of its own.",
        examples=["{requests_per_min: 120}"],
    )

    @property
    def on(self) -> str:
        """Its first host."""
        return self.hosts[0]

    def instances(self) -> tuple[Instance, ...]:
        """Every process: `gateway-1`, `gateway-2`, ... on the first host, `gateway-HOST-1`, ... on each other one."""
        named = [(host, f"{self.NAME}-" if host == self.on else f"{self.NAME}-{host}-") for host in self.hosts]
        return tuple(
            Instance(name=f"{name}{local}", host=host, port=self.port + local - 1, number=index * self.processes + local, local=local)
            for index, (host, name) in enumerate(named)
            for local in range(1, self.processes + 1)
        )

    def ports(self) -> Mapping[str, int]:
        """Process name -> its port, in order."""
        return {each.name: each.port for each in self.instances()}


class Route(Owned):
    """One public hostname, served by nginx."""

    on: Name = Field(description="The host whose nginx serves it.", examples=["here"])
    port: Port = Field(default=443, description="TCP port.")
    to: str = Field(
        pattern=rf"^(gateway|portal|console|rpc|pool/[a-z0-9][a-z0-9-]{{0,30}}|{ELSEWHERE})$",
        description="Where requests go: `gateway`, `pool/NAME` (its routers, past the gateway), `portal`, `console`, `rpc`, or "
        "`http://HOST:PORT` (a router of others).",
        examples=["gateway"],
    )
    tls: RouteTls = Field(
        description="Where its certificate comes from: `local-ca` (an authority that lives on this machine), `acme`, or files.",
        examples=["local-ca"],
    )
    body_max_mib: float = Field(default=4, gt=0, le=1024, description="Largest request body, in MiB.")
    read_timeout_s: int = Field(
        default=480, ge=5, le=3600, description="Longest silence of the other side; for the gateway at least its request_timeout_s."
    )
    families: tuple[RouteFamily, ...] = Field(
        default=(),
        max_length=len(FAMILIES),
        description="Route families let through; all else is 404. Without it: the gateway's, or a router's `info` and `completion`.",
        examples=["[info, completion, validate]"],
    )
    per_family: Mapping[RouteFamily, FamilyRules] = Field(
        default={}, description="What is different for one of them.", examples=["{trial: {read_timeout_s: 120, body_max_mib: 1}}"]
    )
    per_client: PerClient = Field(default=PerClient(), description="What one client may ask of each family that says nothing else.")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        max_length=64,
        description="Networks of proxies in front, whose X-Forwarded-For is believed. Without them nobody's is.",
        examples=["[10.0.0.0/24]"],
    )

    @property
    def kind(self) -> str:
        """What it leads to: `gateway`, `portal`, `console`, `rpc`, `pool` or `url`."""
        return "pool" if self.pool is not None else "url" if "://" in self.to else self.to

    def lets_through(self, gateway: Gateway | None) -> tuple[RouteFamily, ...]:
        """Its families, in the order of the file; none where all that one program answers is let through (console, portal, rpc)."""
        if self.families or self.kind not in SERVED:
            return self.families
        if self.kind == "gateway":
            return gateway.families if gateway is not None else ()
        return ("info", "completion")

    @property
    def pool(self) -> str | None:
        """The pool that it leads to, None for another destination."""
        kind, _, name = self.to.partition("/")
        return name if kind == "pool" else None
