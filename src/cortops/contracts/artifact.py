"""Artifact: one compiled contract as shipped; no compiler is needed at run time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec

from cortops.words.errors import UnknownName

NAMES = ("runtime", "node_registry", "node_pool", "node_stats", "session", "session_queue", "session_queue_validation")
# Stand-ins of what an Orbit chain has: on its parent, and in the place of its precompiles.
ORBIT_PARENT = ("orbit/gas_token", "orbit/bridge", "orbit/inbox", "orbit/sequencer_inbox", "orbit/rollup")
ORBIT_CHILD = ("orbit/arb_sys", "orbit/arb_owner_public", "orbit/arb_gas_info", "orbit/arb_aggregator", "orbit/deposits")
PRIVACY = "privacy/privacy_setting_data"  # deployed only where private payloads are declared
PAYMENT = "payment/dollar"  # the token that paid calls are tried out with; deployed by tests only
NETWORK_TASKS = ("work/cognitive", "work/cognitive_level")  # deployed only where the network gives tasks of its own
ALL = (*NAMES, *NETWORK_TASKS, *ORBIT_PARENT, *ORBIT_CHILD, PRIVACY, PAYMENT)


class Artifact(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What `build.py` wrote.

    name: as in ALL. abi: the JSON ABI. init_code: 0x…, without constructor arguments. runtime_code: 0x…, exactly the code on chain
    (no immutables). code_hash: keccak256 of it. method_ids: {"ack(uint256,uint256)": "0xfaa073f8"}. event_topics: {"TaskAcked(uint256,
    uint256,address)": "0x…" 32 bytes}. compiler: name and version. source_sha256: over all sources it was built from, in order of name.
    """

    name: str
    abi: list[dict[str, Any]]
    init_code: str
    runtime_code: str
    code_hash: str
    method_ids: Mapping[str, str]
    event_topics: Mapping[str, str]
    compiler: str
    source_sha256: str

    def topic(self, event: str) -> str:
        """The topic of the event of this name; UnknownName when there is none."""
        for signature, topic in self.event_topics.items():
            if signature.partition("(")[0] == event:
                return topic
        raise UnknownName(f"{self.name} has no event {event}")


@lru_cache(maxsize=len(ALL))
def load(name: str) -> Artifact:
    """One of ALL -> its artifact (read once a process); UnknownName for any other."""
    if name not in ALL:
        raise UnknownName(f"there is no contract {name!r}; there are {', '.join(ALL)}")
    text = (resources.files("cortops.contracts") / "artifacts" / f"{name}.json").read_bytes()
    return msgspec.json.decode(text, type=Artifact)
