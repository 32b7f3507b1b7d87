"""The kinds of resource that a target can hold. A new kind is one class, one row here, and its row in the conformance test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from cortops.deploy.kinds.authorized_key import AuthorizedKeyKind
from cortops.deploy.kinds.blob import BlobKind
from cortops.deploy.kinds.directory import DirectoryKind
from cortops.deploy.kinds.file import FileKind
from cortops.deploy.kinds.kind import Kind
from cortops.deploy.kinds.node_program import NodeProgramKind
from cortops.deploy.kinds.service import ServiceKind
from cortops.deploy.kinds.tree import TreeKind
from cortops.deploy.observed import Desired
from cortops.targets.supervision import Supervisor
from cortops.words.errors import BadInput
from cortops.words.resource import AuthorizedKey, Blob, Content, Directory, File, NodeProgram, Resource, Service, Tree

KINDS: tuple[tuple[type, Kind[Any]], ...] = (
    (Directory, DirectoryKind()),
    (File, FileKind()),
    (Blob, BlobKind()),
    (Tree, TreeKind()),
    (AuthorizedKey, AuthorizedKeyKind()),
    (Service, ServiceKind()),
    (NodeProgram, NodeProgramKind()),
)


def kind_of(resource: Resource) -> Kind[Any]:
    """The kind of a resource that a target can hold. BadInput for another driver's."""
    for words, kind in KINDS:
        if isinstance(resource, words):
            return kind
    raise BadInput(f"{resource.id} is no thing that a target can hold", where=resource.because)


def desire(resources: Iterable[Resource], fill: Callable[[Content], bytes], manager: Supervisor) -> tuple[Desired, ...]:
    """Resources of one target -> what is compared and sent, in the same order.

    fill: content -> bytes, secrets filled in. BadInput where what a service restarts on or reloads is no file, blob or tree given here.
    """
    given = tuple(resources)
    items = {item.key: _desired(item, fill(item.content) if isinstance(item, File) else b"", manager) for item in given}
    for item in given:
        if isinstance(item, Service):
            items[item.key] = _desired(item, _inputs(item, items), manager)
    return tuple(items[item.key] for item in given)


def _desired(resource: Resource, payload: bytes, manager: Supervisor) -> Desired:
    return Desired(resource=resource, attributes=kind_of(resource).attributes(resource, payload, manager), payload=payload)


def _inputs(service: Service, items: dict[str, Desired]) -> bytes:
    restarts = _hash(service, "restarts on", service.restart_on, items)
    return f"{restarts} {_hash(service, 'reloads', service.reload.on, items)}".encode() if service.reload else restarts.encode()


def _hash(service: Service, does: str, keys: Iterable[str], items: dict[str, Desired]) -> str:
    digest = hashlib.sha256()
    for key in sorted(keys):
        if key not in items or "sha256" not in items[key].attributes:
            raise BadInput(f"{service.id} {does} {key}, which is no file, blob or tree of {service.place}", where=service.because)
        digest.update(f"{key}\0{items[key].attributes['sha256']}\n".encode())
    return digest.hexdigest()
