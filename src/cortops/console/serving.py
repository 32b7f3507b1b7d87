"""`serve(app, ip, port)`: the console, on loopback while inside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from starlette.applications import Starlette

from cortops.console.board import STREAMS_MAX
from cortops.protocol import site
from cortops.words.errors import BadInput, Refused

CONNECTIONS_MAX = 4 * STREAMS_MAX
IDLE_S_MAX = 5


@asynccontextmanager
async def serve(app: Starlette, ip: str, port: int) -> AsyncIterator[int]:
    """Serve the console on `ip`:`port` while inside; yields the port (a free one for 0).

    Raises PortTaken, BadInput for what is no address, and Refused for an address that others can reach: that needs TLS and a login.
    When left, open streams end at once, other answers within 2 s.
    """
    _demand_loopback(ip, port)
    closing = app.state.board.closing.set
    async with site.serve(app, (ip,), port, connections_max=CONNECTIONS_MAX, idle_s_max=IDLE_S_MAX, closing=closing) as found:
        yield found


def _demand_loopback(ip: str, port: int) -> None:
    try:
        address = ip_address(ip)
    except ValueError as error:
        raise BadInput(f"{ip!r} is no IP address", next="use 127.0.0.1") from error
    if not address.is_loopback:
        why = "without TLS and a login everyone on that network could read it"
        raise Refused(
            f"the console does not listen on {ip}", where=f"{ip}:{port}", why=why, next="use 127.0.0.1, and ssh -L from elsewhere"
        )
