"""Adopt: what nodes that were there before us run today becomes generation 0, so that the first change of ours can be undone. Pure.

Copies are made on the host, of the program that runs, of its unit and of its env file. Nothing of the operator's is changed, nothing is
restarted. `leave` takes only our own files away again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cortops.deploy.node_programs import HostRecord, programs
from cortops.deploy.observed import Observed, Present
from cortops.environment.cortensord import CORTENSORD, CortensordNode
from cortops.environment.declared import Environment
from cortops.environment.release import MACHINES
from cortops.surfaces.fleet.adopted import folders, node_program
from cortops.surfaces.fleet.found.discover import HostFound
from cortops.surfaces.fleet.found.installed import Installed
from cortops.surfaces.fleet.found.match import Missing, match
from cortops.surfaces.site import cite
from cortops.words.errors import UnknownName
from cortops.words.resource import NodeProgram, Resource

NAME_DIGITS = 8  # of a hash, in the name of a release that was found


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What is adopted, and what cannot be.

    nodes: host -> their programs as they run now. refused: node -> why it is left alone. builds: the releases that the file has not yet,
    name -> what it says of them but for the size. named: node -> the release that its entry gets; a node that names one keeps it.
    """

    nodes: Mapping[str, tuple[NodeProgram, ...]]
    refused: Mapping[str, str]
    builds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)


def chosen(env: Environment, words: Sequence[str]) -> tuple[str, ...]:
    """Names of nodes and hosts -> nodes, in the order of the file; all of them without a word. UnknownName for a word that is neither."""
    for word in words:
        if word not in env.installed and word not in env.hosts:
            known = ", ".join([*env.installed, *env.hosts][:8])
            raise UnknownName(f"{word} is neither a cortensord node nor a host of {env.file}", next=f"It has: {known}")
    return tuple(name for name, node in env.installed.items() if not words or name in words or node.host in words)


def adoption(env: Environment, names: Collection[str], found: Mapping[str, HostFound], silent: Mapping[str, str]) -> Adoption:
    """What to adopt of these nodes. found: host -> what was found there; silent: host -> why it gave no answer."""
    nodes: dict[str, list[NodeProgram]] = {}
    refused: dict[str, str] = {}
    builds: dict[str, Mapping[str, str]] = {}
    named: dict[str, str] = {}
    for name in names:
        node = env.installed[name]
        host = found.get(node.host)
        here = match(node, host) if host is not None else Missing("unseen", silent.get(node.host, "it was not asked"))
        if host is None or isinstance(here, Missing):
            refused[name] = here.why if isinstance(here, Missing) and here.why else f"it was not found on {node.host}"
            continue
        if why := _unfit(node, here, host):
            refused[name] = why
            continue
        release = _release(env, builds, here.running_sha256, host)
        if node.release is None:
            named[name] = release
        nodes.setdefault(node.host, []).append(node_program(env, name, node, sha256=here.running_sha256, release=release))
    return Adoption(nodes={host: tuple(group) for host, group in nodes.items()}, refused=refused, builds=builds, named=named)


def _unfit(node: CortensordNode, here: Installed, host: HostFound) -> str:
    """Why a node cannot be adopted, "" where it can."""
    if not host.root:
        return f"{node.host} was asked as {host.user}, and only root may copy its program, unit and env file: set hosts.{node.host}.sudo"
    if not here.running:
        return "it does not run, so there is no program to come back to: start it first"
    several = next((note for note in here.notes if note.startswith("runs ")), "")
    if several:
        return f"it {several}: end all but one first"
    if not here.running_sha256:
        return "the program that it runs cannot be read"
    if not here.env_sha256:
        return f"its env file {here.env_file} cannot be read"
    differing = [f"{key} is {getattr(here, key)}" for key in ("env_file", "runs", "shape") if str(getattr(here, key)) != getattr(node, key)]
    if differing:
        return f"its {', '.join(differing)}, declared otherwise: let cortops discover --write correct the file first"
    return ""


def _release(env: Environment, builds: dict[str, Mapping[str, str]], sha256: str, host: HostFound) -> str:
    """The name of a program: the one that the file has for its hash, else a new one, which is noted in `builds`."""
    for name, program in env.programs.items():
        if program.program == CORTENSORD and program.sha256 == sha256:
            return name
    name = f"found-{sha256[:NAME_DIGITS]}"
    if name not in builds:
        machine = {"machine": host.machine} if host.machine in MACHINES else {}
        builds[name] = {"program": CORTENSORD, "sha256": sha256, "from": f"found@{host.host}", **machine}
    return name


def adopted(record: HostRecord, env: Environment, host: str, nodes: Sequence[NodeProgram]) -> tuple[Resource, ...]:
    """What the host should hold: what its newest generation holds, and these nodes as they run now."""
    known = {name: replace(node, whole=False, untouched=True) for name, node in programs(record.latest).items()}
    now = {
        node.name: replace(node, unit_sha256=known[node.name].unit_sha256, env_sha256=known[node.name].env_sha256)
        if node.name in known
        else node
        for node in nodes
    }
    others = [item.resource for item in record.latest.resources if not isinstance(item.resource, NodeProgram)] if record.latest else []
    made = folders(host, env.name, cite(env, "hosts", host))
    keys = {resource.key for resource in made}
    return (*made, *(resource for resource in others if resource.key not in keys), *(known | now).values())


def with_sizes(builds: Mapping[str, Mapping[str, str]], observed: Sequence[Mapping[str, Observed]]) -> dict[str, dict[str, str]]:
    """The releases to write, each with the bytes of its program as a host told them after it was adopted."""
    sizes: dict[str, str] = {}
    for seen in (one for group in observed for one in group.values() if isinstance(one, Present)):
        if (program := seen.attributes.get("program", "")) and (size := seen.attributes.get("bytes", "")):
            sizes.setdefault(program, size)
    return {name: dict(body) | ({"size": sizes[body["sha256"]]} if body["sha256"] in sizes else {}) for name, body in builds.items()}
