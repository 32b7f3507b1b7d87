"""What an adopted node needs on its host: our folder there, and the program that its own unit, start line or container runs. Pure."""

from __future__ import annotations

from dataclasses import replace

from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.surfaces.site import cite
from cortops.words.entity import Entity
from cortops.words.errors import BadInput
from cortops.words.resource import Blob, Directory, NodeProgram, Resource

BASE = "/var/lib/cortops"
PASSED_THROUGH = 0o711  # the users of nodes run programs below it, and see nothing else of it
DOCKER_START_TIMEOUT_S = 240  # the container's script registers and verifies first
START_TIMEOUT_S = 20


def host_root(environment: str) -> str:
    """The folder of an environment on a host with nodes that were there before us."""
    return f"{BASE}/{environment}"


def blob_path(environment: str, sha256: str) -> str:
    """Where a program of cortensord lies there; called so that whoever looks for cortensord finds it."""
    return f"{host_root(environment)}/blobs/cortensord-{sha256[:16]}"


def folders(host: str, environment: str, because: str) -> tuple[Directory, ...]:
    """Ours on a host, below the environment's own, which holds the lock and so is there before any plan is made."""
    root = host_root(environment)
    wanted = ((f"{root}/blobs", 0o755), (f"{root}/adopted", 0o700))
    return tuple(
        Directory(place=host, entity=Entity("host", host), because=because, path=path, mode=mode, keep=True) for path, mode in wanted
    )


def program_blob(host: str, environment: str, because: str, *, sha256: str, size: int, release: str) -> Blob:
    """A program as a file that is sent where it is missing."""
    path = blob_path(environment, sha256)
    needs = (f"{host} directory:{path.rpartition('/')[0]}",)
    return Blob(
        place=host,
        entity=Entity("host", host),
        because=because,
        needs=needs,
        path=path,
        release=release,
        sha256=sha256,
        size=size,
        mode=0o755,
    )


def node_program(env: Environment, name: str, node: CortensordNode, *, sha256: str, release: str) -> NodeProgram:
    """The program of one node; what it needs beside the folders is for whoever puts it together."""
    root = host_root(env.name)
    return NodeProgram(
        place=node.host,
        entity=Entity(node.role, name),
        because=cite(env, "nodes", name),
        needs=(f"{node.host} directory:{root}/blobs", f"{node.host} directory:{root}/adopted"),
        name=name,
        shape=node.shape,
        unit=node.unit or node.log.removeprefix("docker:") if node.shape == "docker" else node.unit,
        env_file=node.env_file,
        log=node.log,
        binary=node.binary,
        runs=node.runs,
        address=(node.address or "").lower(),
        program=sha256,
        release=release,
        blob=blob_path(env.name, sha256),
        saved=f"{root}/adopted/{name}",
        start_timeout_s=DOCKER_START_TIMEOUT_S if node.shape == "docker" else START_TIMEOUT_S,
    )


def declared_on(env: Environment, host: str) -> tuple[Resource, ...]:
    """What the file wants of the adopted nodes of a host: folders, the programs that can be sent there, and which node runs which.

    BadInput for a release that is not declared, which the cross-checks exclude.
    """
    nodes = {name: node for name, node in env.installed.items() if node.host == host and node.release is not None}
    if not nodes:
        return ()
    blobs: dict[str, Blob] = {}
    programs: list[NodeProgram] = []
    for name, node in nodes.items():
        release = env.programs.get(node.release or "")
        if release is None:
            raise BadInput(f"{name} wants the release {node.release}, which is not declared", where=cite(env, "nodes", name, "release"))
        program = node_program(env, name, node, sha256=release.sha256, release=node.release or "")
        if release.size is not None:
            because = cite(env, "releases", node.release or "")
            blob = program_blob(host, env.name, because, sha256=release.sha256, size=release.size, release=node.release or "")
            blobs[blob.key] = blob
            program = replace(program, needs=(*program.needs, blob.key))
        programs.append(program)
    return (*folders(host, env.name, cite(env, "hosts", host)), *blobs.values(), *programs)


def adopted_hosts(env: Environment) -> tuple[str, ...]:
    """The hosts with nodes that have a release, in the order of the file."""
    used = {node.host for node in env.installed.values() if node.release is not None}
    return tuple(name for name in env.hosts if name in used)
