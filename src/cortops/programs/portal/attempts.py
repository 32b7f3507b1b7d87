"""What is remembered between requests, in bounded memory: who has tried wrong keys, and which sessions and forms are used up."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address

ADDRESSES_MAX = 4096
SPENT_MAX = 16_384
NETWORK_BITS = 64  # of an IPv6 address: one subscriber has all the rest


class Attempts:
    """At most `most` failures of an address in `window_s`; then it waits. Keys are too long to guess: this spares the store and the log."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str, now: float) -> int:
        """Whole seconds until the address may try again, 0 for now. `now` is monotonic."""
        times = self._failed.get(network_of(address))
        if times is None or len(times) < self._most or times[0] + self._window_s <= now:
            return 0
        return int(times[0] + self._window_s - now) + 1

    def failed(self, address: str, now: float) -> None:
        """Remember it; of more addresses than there is room for, the one that failed longest ago is forgotten."""
        times = self._failed.setdefault(network_of(address), deque(maxlen=self._most))
        times.append(now)
        self._failed.move_to_end(network_of(address))
        while len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)


class Spent:
    """Ids that count no more: sessions that were signed out, forms that were sent. The oldest is forgotten first."""

    def __init__(self, most: int = SPENT_MAX) -> None:
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def spend(self, id: str) -> bool:
        """Whether it was still good; it is not any more."""
        fresh = id not in self._ids
        self._ids[id] = None
        while len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return fresh

    def __contains__(self, id: str) -> bool:
        return id in self._ids


def network_of(address: str) -> str:
    """The address, of IPv6 its /64; what is no address stands for itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> (128 - NETWORK_BITS) << (128 - NETWORK_BITS)))
