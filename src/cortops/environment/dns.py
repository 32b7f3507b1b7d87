"""The section `dns`: zones whose records we keep, the public addresses of hosts, and whom to ask whether names lead there. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from cortops.environment.section import Name, Section, refuse

PUBLISH_MAX_WORDS = 64
_HOSTNAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")

FilePath = Annotated[str, Field(pattern=r"^/?[A-Za-z0-9_.][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9_.][A-Za-z0-9._-]{0,63}){0,15}$")]
Argument = Annotated[str, Field(min_length=1, max_length=1024)]
Leads = Annotated[str, Field(min_length=1, max_length=253, examples=["203.0.113.7"])]
Server = Annotated[str, Field(max_length=64, examples=["192.0.2.53"])]


class Zone(Section):
    """One zone, and where its records are kept: a master file, or a folder of octoDNS. Of others' records none is ever changed."""

    zone_file: FilePath | None = Field(
        default=None,
        alias="zone-file",
        description="A master file (RFC 1035), beside the environment file or by its full path.",
        examples=["zones/lab.example.zone"],
    )
    octodns: FilePath | None = Field(
        default=None, description="Or the folder in which octoDNS keeps `ZONE.yaml`.", examples=["octodns/config"]
    )
    publish: tuple[Argument, ...] = Field(
        default=(),
        max_length=PUBLISH_MAX_WORDS,
        description="A program and its arguments, run here without a shell after a change, 60 seconds at most; where it fails, the file is "
        "put back. Without it people publish the file.",
        examples=["[rndc, reload, lab.example]"],
    )

    @model_validator(mode="after")
    def _one(self) -> Zone:
        if (self.zone_file is None) == (self.octodns is None):
            what = "is kept nowhere" if self.zone_file is None else "is kept in a zone file and in octoDNS"
            raise refuse(what, "Give zone-file: PATH, or octodns: FOLDER.")
        return self


class Dns(Section):
    """Names in zones that we keep: each hostname of `proxy` in one of them becomes records that lead to its host."""

    zones: Mapping[str, Zone] = Field(
        min_length=1, max_length=100, description="Zone -> where its records are kept.", examples=["{lab.example: {zone-file: lab.zone}}"]
    )
    hosts: Mapping[Name, tuple[Leads, ...]] = Field(
        default={},
        max_length=1000,
        description="Host -> the addresses at which clients reach it, or one name that leads there (then records are of type CNAME).",
        examples=['{h1: [203.0.113.7, "2001:db8::7"], h2: [edge.provider.example]}'],
    )
    ttl_s: int = Field(default=300, ge=1, le=604_800, description="How long resolvers may keep a record, in seconds.")
    servers: tuple[Server, ...] = Field(
        default=(),
        max_length=8,
        description="Servers that must know the names, `IP` or `IP:PORT`: the zone's, or resolvers. Without them: this machine's own.",
        examples=["[192.0.2.53]"],
    )

    @field_validator("zones")
    @classmethod
    def _zone_names(cls, zones: Mapping[str, Zone]) -> Mapping[str, Zone]:
        for name in zones:
            if not is_hostname(name):
                raise refuse(f"names {name[:60]!r}, which is no zone", "Write it in lower case without a final dot, as lab.example.")
        return zones

    @field_validator("hosts")
    @classmethod
    def _leads(cls, hosts: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        return {name: _led(name, leads) for name, leads in hosts.items()}

    @field_validator("servers")
    @classmethod
    def _servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for text in servers:
            if server_place(text) is None:
                raise refuse(f"names {text[:60]!r}, which is no address", "Write IP or IP:PORT, with [ ] around a version 6 address.")
        return servers


def is_hostname(text: str) -> bool:
    """Whether it is a full name, in lower case, without a final dot."""
    return _HOSTNAME.fullmatch(text) is not None


def server_place(text: str) -> tuple[str, int] | None:
    """`192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::1]:53` -> address and port (53 where none is given); None for anything else."""
    bare = text.strip("[]") if text.count(":") != 1 and "]:" not in text else ""
    ip, _, port = (bare, "", "53") if bare else text.rpartition(":")
    try:
        found = ipaddress.ip_address(ip.strip("[]"))
    except ValueError:
        return None
    return (str(found), int(port)) if port.isdecimal() and 0 < int(port) < 65_536 else None


def _led(host: str, leads: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses in one form each, or one name; refuses anything else."""
    if len(leads) == 1 and is_hostname(leads[0]) and _address(leads[0]) is None:
        return leads
    found = [_address(text) for text in leads]
    if not leads or None in found:
        wrong = next((text for text, one in zip(leads, found, strict=True) if one is None), "nothing")
        instead = f"Write for example {host}: [203.0.113.7]; of names one alone, in lower case and without a final dot."
        raise refuse(f"leads {host[:60]} to {wrong[:60]!r}, which is no address", instead)
    return tuple(str(one) for one in dict.fromkeys(found))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRecord:
    """All records of one name and type: values in order, TTL in seconds. Names without a final dot."""

    name: str
    type: str
    values: tuple[str, ...]
    ttl_s: int


def zone_of(dns: Dns, hostname: str) -> str:
    """The declared zone that a name stands in: of several the longest; "" where none fits."""
    fitting = [zone for zone in dns.zones if hostname == zone or hostname.endswith(f".{zone}")]
    return max(fitting, key=len, default="")


def records_of(dns: Dns, hostname: str, host: str) -> tuple[NamedRecord, ...]:
    """What leads `hostname` to `host`: A, then AAAA; or CNAME; nothing where it is not said how clients reach the host."""
    leads = dns.hosts.get(host, ())
    found = [(lead, _address(lead)) for lead in leads]
    types = {"A": 4, "AAAA": 6}
    kinds = {kind: tuple(sorted(lead for lead, ip in found if ip is not None and ip.version == version)) for kind, version in types.items()}
    kinds["CNAME"] = tuple(lead for lead, ip in found if ip is None)
    return tuple(NamedRecord(name=hostname, type=kind, values=values, ttl_s=dns.ttl_s) for kind, values in kinds.items() if values)
