"""Nodes and hosts as values, well unless told otherwise: what the tests of doctor judge."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from cortops.environment.networks import known_networks
from cortops.surfaces.fleet.doctor.ailments import HostSeen, MachineSeen, NetworkSeen, NodeSeen, Seen
from cortops.surfaces.fleet.doctor.examine import HostLook, Listening, NodeLook, Offset, Room
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.flags import Named, flags
from cortops.surfaces.fleet.found.installed import Installed, Shape
from cortops.surfaces.fleet.found.naming import identity
from cortops.surfaces.nodes.log_facts import LogFacts
from cortops.surfaces.nodes.logs import HostLogs, NodeLog, RpcProbe
from cortops.testing.installed import installed as as_found
from cortops.words.question import Answer, Reply

SHA = "3f2a9c81" + "0" * 56
ADDRESS = "0x" + "a1" * 20
RUNTIME = "0x" + "b2" * 20
URL_SHA = "c" * 64


def installed(**fields: Any) -> Installed:
    """A well miner, installed with the installer's unit."""
    well = as_found(
        shape=Shape.SYSTEMD,
        instance="",
        user="deploy",
        unit="cortensor.service",
        env_file="/home/deploy/.cortensor/.env",
        log="/var/log/cortensord.log",
        address=ADDRESS,
        pid=None,
        started_at=1_000.0,
        binary_sha256=SHA,
        running_sha256=SHA,
        unit_sha256="",
        env_sha256="",
        env={"CONTRACT_ADDRESS_RUNTIME": RUNTIME, "CHAINID": "31338", "HOST": f"https://rpc.example#sha256:{URL_SHA[:16]}"},
    )
    return replace(well, **fields)


NOW = 1_800_000_000.0
CHAIN_ID = 31338
URLS = ("https://rpc.example/v1/a-key-in-the-path", "https://other.example")


def host_found(*nodes: Installed, **fields: Any) -> HostFound:
    """What discover found on a well host."""
    well = HostFound(
        host="h1",
        hostname="h1",
        machine="x86_64",
        system="Debian",
        user="root",
        root=True,
        systemd=True,
        docker="none",
        python="3.11",
        disk_free_mib=20_000,
        clock_offset_s=0.0,
        complete=True,
        unseen=(),
        blind=False,
        timers=(),
        nodes=nodes or (installed(),),
    )
    return replace(well, **fields)


def host_look(**fields: Any) -> HostLook:
    """What a well host says of itself."""
    well = HostLook(
        name="h1",
        uid=0,
        missing_tools=(),
        tools=frozenset(("curl", "systemctl")),
        rooms=(Room(folder="/", free=20_480, total=40_960),),
        inodes=(Room(folder="/", free=900_000, total=1_000_000),),
        memory={"MemTotal": 8_192, "MemAvailable": 4_096},
        oom_kills=0,
        inotify_used=5,
        inotify_max=128,
        files_open=1_000,
        files_max=1_000_000,
        listening=(Listening(address="0.0.0.0", port=22), Listening(address="127.0.0.1", port=8090)),
        gpu=False,
        systemd_state="running",
        failed_units=(),
        synchronized=True,
        time_program="chronyd",
        container="",
    )
    return replace(well, **fields)


def node_look(**fields: Any) -> NodeLook:
    """What a host says of a well node."""
    well = NodeLook(
        log_bytes=1_000_000,
        log_age_s=5,
        rotates=True,
        log_room=None,
        unit={"SubState": "running", "NeedDaemonReload": "no"},
        old_copies=0,
        old_copies_bytes=0,
        files_open=20,
        files_max=1_000_000,
        words_after_role=("1", "docker"),
    )
    return replace(well, **fields)


def host_logs(
    node: str = "m1", *, log: Mapping[str, Any] = MappingProxyType({}), probe: Mapping[str, Any] = MappingProxyType({})
) -> HostLogs:
    """What the log and the RPC of one well node say."""
    facts = LogFacts(pack="one-line/3", lines=300, unknown=0)
    well = NodeLog(facts=facts, size_bytes=1_000_000, modified_at=NOW - 5, rpcs=(URL_SHA,), rpc_hosts={URL_SHA: "https://rpc.example"})
    asked = RpcProbe(at=NOW, latency_s=0.05, error="", number=100, head_at=NOW - 2, chain_id=CHAIN_ID)
    return HostLogs(nodes={node: replace(well, **log)}, probes={URL_SHA: replace(asked, **probe)})


def fleet(
    *nodes: Installed,
    found: Mapping[str, Any] = MappingProxyType({}),
    look: Mapping[str, Any] = MappingProxyType({}),
    host: Mapping[str, Any] = MappingProxyType({}),
    node: Mapping[str, Any] = MappingProxyType({}),
    logs: HostLogs | None = None,
    **fields: Any,
) -> Seen:
    """One host with these nodes, m1, m2 ..., and all that was seen of them."""
    there = host_found(*nodes, **found)
    seen_host = HostSeen(
        **{
            "name": "h1",
            "way": "ssh me@h1",
            "word": "me@h1",
            "sudo": True,
            "found": there,
            "look": host_look(**look),
            "offset": Offset(least_s=-0.1, most_s=0.1),
            **host,
        }
    )
    names = {identity(one): f"m{number}" for number, one in enumerate(there.nodes, start=1)}
    kept = tuple(
        NodeSeen(
            named=Named(name=names[identity(one)], node=one, way=seen_host.way),
            host=seen_host,
            declared=None,
            look=node_look(**node),
            logs=logs or host_logs(names[identity(one)]),
            now=NOW,
        )
        for one in there.nodes
    )
    well = Seen(
        name="lab",
        machine=MachineSeen(file="lab.yaml", keys={"~/.ssh/id_ed25519": 0o600}, agent=True, ssh_hosts=1),
        hosts=(seen_host,),
        nodes=kept if seen_host.found is not None else (),
        gone={},
        flags=flags([there], names, {"h1": "ssh me@h1"}, known_networks()) if seen_host.found is not None else (),
        network=NetworkSeen(name="lab", chain_id=CHAIN_ID, runtime=RUNTIME, urls=URLS),
        releases=frozenset((SHA,)),
        now=NOW,
    )
    return replace(well, **fields)


def network_replies(
    *, chain_ids: Sequence[int] = (CHAIN_ID, CHAIN_ID), ages_s: Sequence[float] = (2, 3), code: str = "0x60"
) -> dict[str, Reply]:
    """What the RPCs say that are asked from here."""

    def answer(question: str, value: object) -> Answer:
        return Answer(question=question, at=NOW, elapsed_s=0.1, status=0, body=json.dumps(value).encode())

    replies: dict[str, Reply] = {f"runtime:{RUNTIME}": answer("code", code)}
    for number, (chain_id, age_s) in enumerate(zip(chain_ids, ages_s, strict=True)):
        head = {"number": hex(100), "timestamp": hex(int(NOW - age_s))}
        replies |= {f"chain-id:{number}": answer("id", hex(chain_id)), f"head:{number}": answer("head", head)}
    return replies
