"""Where one program reaches another, where it listens so that it can be reached, and where we who ask reach it. Pure.

Within a host everything goes over loopback. What a program on another host connects to listens on its host's declared address too, in
plain HTTP: that network is trusted. We ourselves need no such address: loopback of another host is reached through its SSH connection.
"""

from __future__ import annotations

from cortops.environment.declared import Environment
from cortops.environment.dials import needed_elsewhere
from cortops.protocol.request_text import BEHIND

LOOPBACK = "127.0.0.1"


def place(ip: str, port: int) -> str:
    """`ip:port`, with the brackets that a version 6 address needs."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def from_host(env: Environment, host: str, seen_from: str) -> str:
    """Where programs on the host `seen_from` reach those on `host`; the cross-checks see to it that there is an address."""
    return LOOPBACK if host == seen_from else env.hosts[host].address or LOOPBACK


def from_here(env: Environment, host: str) -> str:
    """Where whoever asks reaches loopback of a host: an HTTP client with ways (protocol.http.Way) knows how."""
    return LOOPBACK if host == env.here else f"{host}{BEHIND}"


def listens_on(env: Environment, program: str, host: str, *, links: bool = False) -> tuple[str, ...]:
    """Loopback, and the host's address where another host needs `program`, a node or the gateway; links: as dials.needed_elsewhere."""
    address = env.hosts[host].address
    return (LOOPBACK, address) if address is not None and program in needed_elsewhere(env, links=links, on=host) else (LOOPBACK,)
