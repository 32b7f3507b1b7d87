"""The gateway's configuration: one JSON file, rendered by a surface, read by the gateway. It holds secrets: mode 0600."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from cortops.protocol.limits import NO_LIMITS, KeyLimits
from cortops.words.errors import BadInput

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
FIXED = ("name", "listen", "store")  # of a configuration, what a process is born with; all else it takes while it runs
SESSION_MAX = 2**53
IN_FLIGHT_MAX = 64  # requests at once in one session
# What a router's 503 says when its task may be on chain, or may get there yet: the same router, asked again under the same
# X-Request-ID, adopts it. Asking another one could run it twice.
ASK_AGAIN = frozenset({"router_stopping", "chain_unreachable", "chain_error", "chain_rewound"})
# A name travels in URLs, headers and logs.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=128)]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where clients (nginx) connect; port 0 takes a free one."""

    ips: Annotated[tuple[str, ...], Meta(min_length=1, max_length=4)] = ("127.0.0.1",)
    port: Port


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How members are asked: `bad_after` failures in a row take one out, `good_after` successes bring it back.

    eject_s: how long as many failures in a row of requests take a member out that its status page speaks well of; twice as long each time.
    """

    path: Annotated[str, Meta(pattern=r"^/[!-~]*$", max_length=256)] = "/api/v1/status"
    every_s: Seconds = 5.0
    timeout_s: Seconds = 3.0
    bad_after: Count = 3
    good_after: Count = 2
    eject_s: Seconds = 10.0


class Member(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One router of a pool: its base URL, the sessions it serves for us, and its API key."""

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+$", max_length=512)]
    sessions: Annotated[tuple[Annotated[int, Meta(ge=0, le=SESSION_MAX)], ...], Meta(min_length=1, max_length=4096)]
    api_key: Annotated[str, Meta(pattern=r"^[!-~]+$", max_length=512)]

    def __repr__(self) -> str:
        return f"Member(name={self.name!r}, url={self.url!r}, sessions={self.sessions!r})"


class Pool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Members that serve the same models. One request in flight a session by default (facts B: two at once can fail).

    queue_max: requests that wait in this process. return_wait_s: how long a request that its member may have submitted waits for that
    member to come back; no other one is asked. return_ramp_s: how long the share of a member grows that came back or was added, from one
    request to its capacity.
    """

    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=1024)]
    in_flight_per_session: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)] = 1
    queue_max: Annotated[int, Meta(ge=0, le=100_000)] = 64
    queue_wait_s: Seconds = 20.0
    return_wait_s: Seconds = 60.0
    return_ramp_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    health: Health = Health()


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one client may take."""

    body_max_mib: Annotated[float, Meta(gt=0, le=256)] = 4.0
    header_max_kib: Annotated[int, Meta(ge=1, le=1024)] = 32
    header_timeout_s: Seconds = 10.0
    idle_timeout_s: Seconds = 75.0  # between requests; also for a body to arrive
    request_timeout_s: Seconds = 480.0  # facts B: what public clients wait
    connections_max: Count = 4096


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where keys are read, and where usage goes: first the spool folder, then the usage database.

    spool_folder: of this process; those of the gateway's other processes stand beside it, named `spool*`, and what an ended process left
    in one is shipped by any other. slots_file: the same for all processes, so that a session's requests in flight are counted once;
    "" for a process that is alone.
    """

    keys_db: Annotated[str, Meta(min_length=1)]
    usage_db: Annotated[str, Meta(min_length=1)]
    spool_folder: Annotated[str, Meta(min_length=1)]
    slots_file: str = ""
    spool_fsync: Literal["never", "always"] = "never"  # never: a power loss may lose 50 ms; kill -9 loses nothing in either
    spool_segment_max_mib: Annotated[int, Meta(ge=1, le=1024)] = 16
    ship_every_s: Seconds = 0.25
    keys_stale_max_s: Seconds = 2.0  # with the key store out of reach longer than this, nobody is let in: a key may be revoked


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything one gateway process knows at its start. `models` maps the alias that clients ask for to a pool's name; `key_limits` are
    those of each key that has no such limit of its own.
    """

    name: Name = "gateway"
    listen: Listen
    models: Annotated[dict[Name, Name], Meta(min_length=1, max_length=1024)]
    pools: Annotated[dict[Name, Pool], Meta(min_length=1, max_length=1024)]
    limits: Limits = Limits()
    key_limits: KeyLimits = NO_LIMITS
    store: Store

    def to_json(self) -> bytes:
        """The file's text, indented; equal configurations give equal bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes | str, *, where: str = "gateway configuration") -> GatewayConfig:
        """Read the file's text. BadInput names every wrong field and every broken reference at once."""
        try:
            raw = msgspec.json.decode(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where} is not JSON: {error}", where=where) from error
        reasons = list(_misfits(raw, cls, "$"))
        if not reasons:
            config = msgspec.convert(raw, cls)
            reasons = list(config.contradictions())
            if not reasons:
                return config
        raise BadInput(f"{where}: " + "; ".join(reasons), where=where)

    def contradictions(self) -> Iterator[str]:
        """What no single field shows: models without pool, a name or session served twice."""
        for alias, pool in self.models.items():
            if pool not in self.pools:
                yield f"$.models.{alias}: there is no pool {pool!r}"
        served: dict[int, str] = {}
        for pool_name, pool_spec in self.pools.items():
            names = [member.name for member in pool_spec.members]
            yield from (f"$.pools.{pool_name}: two members are named {name!r}" for name in sorted({n for n in names if names.count(n) > 1}))
            for member in pool_spec.members:
                for session in member.sessions:
                    place = f"{pool_name}/{member.name}"
                    if session in served:
                        yield f"$.pools.{pool_name}: session {session} is served by both {served[session]} and {place}"
                    served[session] = place


def _misfits(value: Any, kind: Any, path: str) -> Iterator[str]:
    """Every place where `value` does not fit `kind`: msgspec stops at the first, so go down where it does not fit."""
    try:
        msgspec.convert(value, kind)
        return
    except msgspec.ValidationError as error:
        whole = str(error).partition(" - at `")[0]
    found: list[str] = []
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(bare, type) and issubclass(bare, Struct) and isinstance(value, Mapping):
        specs = {spec.encode_name: spec for spec in msgspec.structs.fields(bare)}
        found += [f"{path}.{key}: no such field; known are {', '.join(specs)}" for key in value if key not in specs]
        found += [f"{path}.{name}: missing" for name, spec in specs.items() if spec.required and name not in value]
        for key, spec in specs.items():
            if key in value:
                found += _misfits(value[key], spec.type, f"{path}.{key}")
    elif get_origin(bare) is dict and isinstance(value, Mapping):
        name_kind, item_kind = get_args(bare)
        for key, item in value.items():
            found += [f"{path}: the name {key!r} is not allowed" for _ in _misfits(key, name_kind, path)]
            found += _misfits(item, item_kind, f"{path}.{key}")
    elif get_origin(bare) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            found += _misfits(item, get_args(bare)[0], f"{path}[{index}]")
    yield from found or [f"{path}: {whole}"]
