"""What the gateway's `/metrics` says: pools and members as numbers. Pools and members by name only, sessions and addresses stay inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cortops.programs.common.metrics import Reading
from cortops.programs.gateway.member import MemberView

CODES_MAX = 64  # different ones; members bring codes of their own, and each is a time series
OTHER_CODES = "other"


class Refusals:
    """How often clients saw each error code: {code: times}, those beyond CODES_MAX together."""

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()

    def add(self, code: str) -> None:
        """One more client saw it."""
        self.by_code[code if code in self.by_code or len(self.by_code) < CODES_MAX else OTHER_CODES] += 1


def reading(
    *,
    well: bool,
    views: Mapping[str, list[MemberView]],
    queued: Mapping[str, int],
    requests: Mapping[str, int],
    refusals: Mapping[str, int],
) -> Reading:
    """well: /health answers 200. queued: {pool: requests that wait}. requests: {HTTP status: POST requests answered so far}.
    refusals: {error code: clients that saw it so far}.

    Make one `Metrics` of it and answer `GET /metrics` with its page and CONTENT_TYPE (both programs.common.metrics).
    """
    members = {(pool, member.name): member for pool, found in views.items() for member in found}
    facts = {
        "in_flight": sum(member.in_flight for member in members.values()),
        "requests": requests,
        "refusals": refusals,
        "queued": queued,
        "member_up": {key: member.state == "ok" for key, member in members.items() if member.state != "unknown"},
        "member_drained": {key: member.drained for key, member in members.items()},
        "member_in_flight": {key: member.in_flight for key, member in members.items()},
        "member_capacity": {key: member.capacity for key, member in members.items()},
    }
    return well, facts
