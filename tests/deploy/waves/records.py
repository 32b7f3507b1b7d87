"""What hosts record of nodes, in few words: generations in which each node runs a letter."""

from __future__ import annotations

from cortops.deploy.journal import Entry
from cortops.deploy.manifest import Manifest
from cortops.deploy.observed import Desired
from cortops.deploy.waves.history import HostHistory
from cortops.words.entity import Entity
from cortops.words.resource import NodeProgram

DAY = 1_800_000_000.0


def sha(letter: str) -> str:
    """The hash of the build that a letter stands for."""
    return (letter.lower() * 64)[:64]


def node_program(name: str, letter: str, host: str = "h1", env: str = "e1") -> NodeProgram:
    return NodeProgram(
        place=host,
        entity=Entity("miner", name),
        because="lab.yaml:3",
        name=name,
        shape="systemd",
        unit=f"{name}.service",
        env_file=f"/opt/{name}/.env",
        log=f"/var/log/{name}.log",
        binary="/usr/local/bin/cortensord",
        runs="minerv4",
        address="",
        program=sha(letter),
        release=f"build-{letter.lower()}",
        blob=f"/var/lib/cortops/lab/blobs/cortensord-{letter}",
        saved=f"/var/lib/cortops/lab/adopted/{name}",
        unit_sha256="u1",
        env_sha256=env,
    )


def manifest(generation: int, nodes: dict[str, str], host: str = "h1", env: str = "e1") -> Manifest:
    """nodes: name -> letter."""
    return Manifest(
        generation=generation,
        apply=f"apply-{generation}",
        at=DAY + 100 * generation,
        by="ops@laptop",
        environment="lab",
        digest="d" * 64,
        tool_version="1",
        resources=tuple(Desired(resource=node_program(name, letter, host, env), attributes={}) for name, letter in nodes.items()),
    )


def history(runs: dict[str, str], host: str = "h1", judged: tuple[Entry, ...] = (), first: int = 0) -> HostHistory:
    """runs: node -> what it ran in each generation, a letter each, `.` where it was not adopted yet: {"a": "XYX"}."""
    length = max((len(letters) for letters in runs.values()), default=0)
    kept = [{name: letters[place] for name, letters in runs.items() if letters[place] != "."} for place in range(length)]
    return HostHistory(
        host=host, generations=tuple(manifest(first + number, nodes, host) for number, nodes in enumerate(kept)), judged=judged
    )


def entry(node: str, letter: str, outcome: str, text: str = "") -> Entry:
    """How a gate ended."""
    return Entry(
        at=1, apply="x", event="judged", resource=f"node-program:{node}", digest=sha(letter), outcome=outcome, text=text, by="ops@laptop"
    )
