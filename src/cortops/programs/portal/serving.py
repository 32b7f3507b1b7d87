"""`serve(app, ips, port)`: plain HTTP for nginx while inside."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp

from cortops.protocol import site

CONNECTIONS_MAX = 128
IDLE_S_MAX = 75  # longer than nginx keeps its own idle connections, so it never sends into a closing one


def serve(app: ASGIApp, ips: Sequence[str], port: int) -> AbstractAsyncContextManager[int]:
    """Serve on `port` of every one of `ips` while inside; gives the port (a free one for 0). Raises PortTaken."""
    return site.serve(app, ips, port, connections_max=CONNECTIONS_MAX, idle_s_max=IDLE_S_MAX)
