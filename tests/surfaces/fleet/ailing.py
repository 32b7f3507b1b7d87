"""Each thing that may be wrong with a host or a node: what to change in a well one, and the finding that it makes.

name -> what differs, check, part of its text, part of its cure; of a node: fields of the node first, then what else differs.
"""

from __future__ import annotations

from typing import Any

from tests.surfaces.fleet.stage import ADDRESS, NOW, RUNTIME, host_logs, installed

from cortops.surfaces.fleet.doctor.examine import Listening, Offset, Room
from cortops.surfaces.fleet.found.discover import Timer
from cortops.surfaces.fleet.found.installed import Shape
from cortops.surfaces.nodes.log_facts import LogFacts


def facts(**fields: Any) -> dict[str, Any]:
    return {"log": {"facts": LogFacts(pack="one-line/3", lines=300, unknown=0, **fields)}}


HOST_FAULTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "root is refused": ({"look": {"uid": 1000}}, "answers", "we are not root there", "ssh me@h1 sudo -n true"),
    "a tool is missing": ({"look": {"missing_tools": ("sha256sum",)}}, "tools", "lacks sha256sum", "apt-get install"),
    "the disk is full": (
        {"look": {"rooms": (Room(folder="/var", free=300, total=40_000),)}},
        "disk",
        "300 MiB free of 39.1 GiB at /var",
        "du -xm",
    ),
    "no inodes": ({"look": {"inodes": (Room(folder="/", free=9, total=1_000),)}}, "disk", "9 files of 1000 left at /", "du -x --inodes"),
    "no memory": ({"look": {"memory": {"MemTotal": 8_192, "MemAvailable": 90}}}, "memory", "90 MiB of 8.0 GiB free", "--sort=-rss"),
    "two hours off": ({"host": {"offset": Offset(least_s=7_199, most_s=7_200)}}, "clock", "7199 s ahead of", "set-ntp true"),
    "behind": ({"host": {"offset": Offset(least_s=-61, most_s=-60)}}, "clock", "60 s behind", "set-ntp true"),
    "time is not kept": ({"look": {"synchronized": False}}, "time sync", "nothing keeps its time in step", "set-ntp true"),
    "a unit failed": (
        {"look": {"failed_units": ("nginx.service",)}},
        "units",
        "nginx.service failed",
        "sudo systemctl restart nginx.service",
    ),
    "a port is open": (
        {"look": {"listening": (Listening(address="0.0.0.0", port=5001),)}},
        "ports",
        "5001 (IPFS's API",
        "ipfs config Addresses.API /ip4/127.0.0.1/tcp/5001",
    ),
    "inotify is used up": ({"look": {"inotify_used": 120}}, "limits", "120 of 128 inotify instances", "max_user_instances=1024"),
    "files are used up": ({"look": {"files_open": 990_000}}, "limits", "990000 of 1000000 files", "fs.file-max"),
    "a timer restarts nodes": (
        {
            "found": {
                "timers": (
                    Timer(
                        name="cortensord-restart.timer",
                        schedule="04:00",
                        enabled=True,
                        restarts=("cortensord.service",),
                        missing=("cortensord.service",),
                    ),
                )
            }
        },
        "timers",
        "there is no such unit",
        "systemctl disable --now cortensord-restart.timer",
    ),
}


ROUTER = {"role": "router", "runs": "routerv1", "kept": {"NODE_PRIVATE_KEY": "set", "API_KEY": "set"}}
ROUTER_ENV = installed().env | {"API_ENABLE": "1", "API_PORT": "5010", "ROUTER_EXTERNAL_DOMAIN": "r1.lab.example"}

NODE_FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str]] = {
    "stopped": (
        {"running": False},
        {"node": {"unit": {"SubState": "failed", "Result": "exit-code"}}},
        "process",
        "systemd says failed, exit-code",
        "systemctl start cortensor.service",
    ),
    "crash loop": ({}, {"node": {"unit": {"SubState": "auto-restart"}}}, "process", "does not run", "systemctl start"),
    "container stopped": (
        {"running": False, "shape": Shape.DOCKER, "unit": "cortensor-1", "log": "docker:cortensor-1"},
        {"node": {"unit": {}}},
        "process",
        "does not run",
        "docker start cortensor-1",
    ),
    "disabled": ({"enabled": False}, {}, "starts at boot", "does not start with its host", "systemctl enable cortensor.service"),
    "pid file": (
        {"shape": Shape.NOHUP, "unit": "", "enabled": None, "restarts": None},
        {},
        "starts at boot",
        "kept by a pid file",
        "systemctl enable --now cortensor",
    ),
    "restarts": ({"restarts": 7, "started_at": NOW - 60}, {}, "restarts", "restarted it 7 times", "tail -n 60 /var/log/cortensord.log"),
    "unit not loaded": ({}, {"node": {"unit": {"NeedDaemonReload": "yes"}}}, "unit", "not in force yet", "daemon-reload"),
    "router's env file": (
        {"env": installed().env | {"API_ENABLE": "1"}},
        {},
        "role",
        "use-testnet1.sh does that",
        "systemctl edit --full cortensor.service",
    ),
    "agent role": (
        {"env": installed().env | {"AGENT_ROLE": "routerv1"}},
        {},
        "role",
        "of a routerv1 (AGENT_ROLE)",
        "systemctl edit --full",
    ),
    "gpu as cpu": ({"env": installed().env | {"LLM_OPTION_GPU": "1"}}, {}, "role", "for a GPU", "systemctl edit --full"),
    "no wallet": ({"address": ""}, {}, "wallet", "names no wallet", "sudoedit"),
    "files": ({}, {"node": {"files_open": 1_000, "files_max": 1_024}}, "open files", "1000 files open, and 1024", "LimitNOFILE"),
    "old role": ({"runs": "minerv2"}, {}, "old roles", "starts as minerv2", "systemctl edit"),
    "key readable": ({"env_mode": "644"}, {}, "key files", "mode 644", "chmod 600"),
    "env readable": ({"env_mode": "644", "kept": {}}, {}, "env file", "every user may read", "chmod 600"),
    "no key": ({"kept": {"NODE_PRIVATE_KEY": "placeholder"}}, {}, "keys", "NODE_PRIVATE_KEY", "sudoedit"),
    "loopback": (
        ROUTER | {"env": ROUTER_ENV | {"ROUTER_EXTERNAL_DOMAIN": "127.0.0.1"}},
        {},
        "published address",
        "publishes 127.0.0.1",
        "sudoedit",
    ),
    "router lines": (
        ROUTER | {"env": {key: value for key, value in ROUTER_ENV.items() if key != "API_ENABLE"}},
        {},
        "router lines",
        "API_ENABLE",
        "sudoedit",
    ),
    "development key": (
        ROUTER | {"env": ROUTER_ENV, "kept": {"NODE_PRIVATE_KEY": "set", "API_KEY": "default"}},
        {},
        "router keys",
        "development key",
        "sudoedit",
    ),
    "dummy allowlist": (
        ROUTER | {"env": ROUTER_ENV, "kept": {"NODE_PRIVATE_KEY": "set", "API_KEY": "set", "ENCRYPTION_ALLOWED_LIST": "placeholder"}},
        {},
        "encryption",
        "ENCRYPTION_ALLOWED_LIST",
        "sudoedit",
    ),
    "unquoted": ({"quoted": frozenset()}, {}, "quotes", "has no quotes", "sed -i"),
    "replaced": ({"running_sha256": "9" * 64}, {"releases": frozenset()}, "replaced", "99999999", "systemctl restart"),
    "missing": ({"binary_kind": "missing", "binary_sha256": "", "running_sha256": ""}, {}, "binary", "is not there", "git lfs pull"),
    "unknown release": ({"running_sha256": "9" * 64, "binary_sha256": "9" * 64}, {}, "known", "99999999 is none of the 1 declared", "tail"),
    "pointer": (
        {"binary_kind": "lfs-pointer", "binary_sha256": "", "running_sha256": "", "lfs_oid": "e" * 64},
        {},
        "pointers",
        "Git LFS pointer",
        "git lfs pull",
    ),
    "version": (
        {},
        {"logs": host_logs(**facts(version_mismatch="version mismatch: 1 < 2"))},
        "version",
        "a version that does not fit",
        "git pull",
    ),
    "version check": (
        {"env": installed().env | {"DISABLE_VERSION_CHECK": "true"}},
        {},
        "version check",
        "DISABLE_VERSION_CHECK",
        "sudoedit",
    ),
    "old copies": (
        {},
        {"node": {"old_copies": 9, "old_copies_bytes": 9 * 127_000_000}},
        "old copies",
        "9 old copies beside it, 1.1 GiB",
        '-name "*.bak*"',
    ),
    "quiet log": ({}, {"node": {"log_age_s": 7_300}}, "grows", "nothing for 2 h to /var/log/cortensord.log", "tail -n 60"),
    "large log": (
        {},
        {"node": {"log_bytes": 3 << 30, "rotates": False}},
        "rotation",
        "3072 MiB, and nothing rotates it",
        "/etc/logrotate.d/var-log-cortensord-log",
    ),
    "ipfs lock": ({}, {"logs": host_logs(**facts(ipfs_locked=True))}, "ipfs", "IPFS repository is locked", "ENABLE_IPFS_SERVER=0"),
    "python fault": ({}, {"logs": host_logs(**facts(traceback_lines=120))}, "fault", "nothing has moved since", "tail -n 60"),
    "rpc does not answer": (
        {},
        {"logs": host_logs(probe={"error": "refused"})},
        "rpc",
        "https://rpc.example does not answer its host: refused",
        "sudoedit",
    ),
    "rpc of another chain": (
        {},
        {"logs": host_logs(probe={"chain_id": 421614})},
        "rpc",
        "CHAINID 31338, and https://rpc.example is of chain 421614",
        'CHAINID="421614"',
    ),
    "rpc stands still": ({}, {"logs": host_logs(probe={"head_at": NOW - 900})}, "rpc", "is 15 min old", "sudoedit"),
    "another runtime": (
        {"env": installed().env | {"CONTRACT_ADDRESS_RUNTIME": ADDRESS}},
        {},
        "runtime",
        "names the runtime 0xa1a1…a1a1, and lab has 0xb2b2…b2b2",
        f'CONTRACT_ADDRESS_RUNTIME="{RUNTIME}"',
    ),
}
