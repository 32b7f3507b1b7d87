"""Who a client is by its address, and how often it may come. Pure: the peer, the header and the time are arguments."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from cortops.words.errors import BadInput

CLIENTS_MAX = 20_000  # that are remembered at once
HOPS_MAX = 16  # of an X-Forwarded-For that are looked at, from the end
IPV6_PREFIX = 64  # what one subscriber has

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises BadInput for what is no network or address."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise BadInput(f"{error}: name networks as 10.0.0.0/24", where="env file") from error


def client_of(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The client's address, IPv6 by its /64. peer: the other side of the connection. forwarded: X-Forwarded-For, "" for none.

    The header is read from its end, as far as the one who wrote the next entry is trusted; what is no address ends the reading.
    """
    found = _address(peer)
    if found is None:
        return ""
    for hop in reversed(forwarded.split(",")[-HOPS_MAX:]) if forwarded else ():
        before = _address(hop.strip())
        if before is None or not any(found in network for network in trusted):
            break
        found = before
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
    return str(found)


@dataclass(slots=True, kw_only=True)
class Window:
    """At most `requests_max` of one client in any `window_s` seconds. `now` is monotonic seconds, never less than before."""

    requests_max: int
    window_s: float
    clients_max: int = CLIENTS_MAX
    _times: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)  # by the newest, so that the oldest are first

    def take(self, client: str, now: float) -> float:
        """0 when it may come, and that counts; else the seconds until it may. A full table lets no new client in: nobody is forgotten."""
        self._forget(now)
        times = [at for at in self._times.get(client, ()) if now - at < self.window_s]
        if len(times) >= self.requests_max:
            return self.window_s - (now - times[0]) if times else math.inf
        if client not in self._times and len(self._times) >= self.clients_max:
            oldest = next(iter(self._times.values()))
            return self.window_s - (now - oldest[-1])
        self._times[client] = [*times, now]
        self._times.move_to_end(client)
        return 0.0

    def give_back(self, client: str) -> None:
        """The newest request of this client ran nothing, so it does not count."""
        times = self._times.get(client, [])
        if times:
            times.pop()
        if not times:
            self._times.pop(client, None)

    def __len__(self) -> int:
        return len(self._times)

    def _forget(self, now: float) -> None:
        while self._times and now - next(iter(self._times.values()))[-1] >= self.window_s:
            self._times.popitem(last=False)


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found
