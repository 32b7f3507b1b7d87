"""What every host holds: the folders and releases of our programs; and the nodes that were there before us, as declared."""

from __future__ import annotations

from collections.abc import Iterator

from cortops.environment.cortensord import CortensordNode
from cortops.environment.declared import Environment
from cortops.environment.model import ChainNode, EngineNode, ValidatorNode
from cortops.surfaces.site import HostSite, Site, cite, runtime_folder
from cortops.words.entity import Entity
from cortops.words.resource import Blob, Cortensord, Resource, Tree


def render(env: Environment, site: Site) -> Iterator[Resource]:
    """Folders and blobs of every host that runs our programs, and every installed node that is not adopted (those: see adopted)."""
    for name in env.own_hosts:
        host = site.hosts[name]
        because = cite(env, "hosts", name)
        yield host.folder(host.root, because, mode=0o700, keep=True)
        yield host.folder(f"{host.root}/etc", because)
        yield host.folder(f"{host.root}/log", because, keep=True)
        yield host.folder(f"{host.root}/run", because, mode=0o700)  # the service manager's socket lies there
        yield host.folder(f"{host.root}/blobs", because)
        yield host.folder(f"{host.root}/data", because, keep=True)
        yield from _runtime(host, because)
    blobs = {blob.key: blob for blob in _blobs(env, site)}
    yield from blobs.values()
    yield from (_installed(env, name, node) for name, node in env.installed.items() if node.release is None)


def _runtime(host: HostSite, because: str) -> Iterator[Resource]:
    """The archive of our programs and, unpacked, the folder that they run from."""
    if (runtime := host.runtime) is None:
        return
    entity, path = Entity("host", host.name), runtime_folder(host.root, runtime.sha256)
    folder = host.folder(path.rpartition("/")[0], because)
    blob = Blob(
        place=host.name,
        entity=entity,
        because=because,
        needs=(host.folder_key(f"{host.root}/blobs"),),
        path=host.blob("runtime", runtime.sha256),
        release="runtime",
        sha256=runtime.sha256,
        size=runtime.size,
    )
    yield folder
    yield blob
    yield Tree(
        place=host.name,
        entity=entity,
        because=because,
        needs=(folder.key, blob.key),
        path=path,
        archive=blob.path,
        sha256=runtime.sha256,
        size=runtime.size,
        python=runtime.python,
        machine=runtime.machine,
    )


def _installed(env: Environment, name: str, node: CortensordNode) -> Cortensord:
    return Cortensord(
        place=node.host,
        entity=Entity(node.role, name),
        because=cite(env, "nodes", name),
        name=name,
        shape=node.shape,
        runs=node.runs,
        unit=node.unit,
        env_file=node.env_file,
        log=node.log,
        binary=node.binary,
        address=(node.address or "").lower(),
    )


def _blobs(env: Environment, site: Site) -> Iterator[Blob]:
    for node in env.nodes.values():
        if isinstance(node, ChainNode | EngineNode):
            yield release_blob(env, site.hosts[node.host], node.release)
        if isinstance(node, ValidatorNode):
            for release in (node.release, node.tokenizer):
                yield release_blob(env, site.hosts[node.host], release)


def release_blob(env: Environment, host: HostSite, release: str) -> Blob:
    """A release's file on a host; ArtifactUnavailable where the release has none for that kind of machine."""
    artifact = env.releases[release].on(host.machine, release)
    assert artifact.sha256 is not None and artifact.size is not None
    return Blob(
        place=host.name,
        entity=Entity("host", host.name),
        because=cite(env, "releases", release),
        needs=(host.folder_key(f"{host.root}/blobs"),),
        path=host.blob(release, artifact.sha256),
        release=release,
        sha256=artifact.sha256,
        size=artifact.size,
        mode=0o755,
    )
