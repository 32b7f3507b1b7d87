"""What a host with adopted nodes should hold, from what its newest generation holds and what is to change. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cortops.deploy.journal import ApplyRecord
from cortops.deploy.manifest import Manifest
from cortops.surfaces.fleet.adopted import blob_path, program_blob
from cortops.words.errors import Refused, UnknownName
from cortops.words.resource import Blob, NodeProgram, Resource

BLOBS_KEPT_MAX = 6  # programs that were sent to a host and that no node runs; those found on it are never removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One build of cortensord. size: in bytes, None where only what is on the host already can be used. release: its name in the file."""

    sha256: str
    release: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What a host knows of its adopted nodes. latest: the newest generation, first: generation 0; None before any node was adopted.

    cut_off: the last apply, if nobody wrote its end.
    """

    host: str
    environment: str
    latest: Manifest | None
    first: Manifest | None
    cut_off: ApplyRecord | None


def programs(manifest: Manifest | None) -> dict[str, NodeProgram]:
    """Node name -> its program in a generation."""
    items = manifest.resources if manifest is not None else ()
    return {item.resource.name: item.resource for item in items if isinstance(item.resource, NodeProgram)}


def switched(record: HostRecord, changes: Mapping[str, Program]) -> tuple[Resource, ...]:
    """As the newest generation, with the programs of these nodes replaced; every other node stays as it is, and as it is recorded.

    Refused for a node that was not adopted there.
    """
    nodes = _untouched(record)
    sent: list[Blob] = []
    for name, program in changes.items():
        node = nodes.get(name)
        if node is None:
            raise not_adopted(name, record.host)
        blob = blob_path(record.environment, program.sha256)
        nodes[name] = replace(node, program=program.sha256, release=program.release, blob=blob, untouched=False)
        if program.size is not None:
            sent.append(
                program_blob(
                    record.host, record.environment, node.because, sha256=program.sha256, size=program.size, release=program.release
                )
            )
    return _together(record, nodes.values(), sent)


def restored(record: HostRecord, earlier: Manifest, nodes: Collection[str] | None = None) -> tuple[Resource, ...]:
    """As the newest generation, with these nodes (None: all that `earlier` has) as they were then: program, unit text and env file.

    UnknownName for a node that was not adopted by then.
    """
    then = programs(earlier)
    now = _untouched(record)
    for name in sorted(then) if nodes is None else nodes:
        if name not in then:
            raise UnknownName(
                f"{name} is not in generation {earlier.generation} of {record.host}",
                next=f"It has: {', '.join(sorted(then)) or 'no node'}. See: cortops generations",
            )
        now[name] = replace(then[name], whole=True, untouched=False)
    sent = [item.resource for item in earlier.resources if isinstance(item.resource, Blob)]
    wanted = {node.blob for node in now.values()}
    return _together(record, now.values(), [blob for blob in sent if blob.path in wanted])


def declared(record: HostRecord, wanted: Sequence[Resource]) -> tuple[Resource, ...]:
    """What the environment file wants of a host, of nodes that are adopted; nodes that it says nothing of stay as they are recorded."""
    recorded = programs(record.latest)
    nodes = {name: replace(node, whole=False) for name, node in recorded.items()}
    for resource in wanted:
        if isinstance(resource, NodeProgram) and resource.name in recorded:
            known = recorded[resource.name]
            nodes[resource.name] = replace(resource, unit_sha256=known.unit_sha256, env_sha256=known.env_sha256)
    used = {node.blob for node in nodes.values()}
    return _together(record, nodes.values(), [item for item in wanted if isinstance(item, Blob) and item.path in used])


def _untouched(record: HostRecord) -> dict[str, NodeProgram]:
    """The nodes of the newest generation, for a plan that is about others."""
    return {name: replace(node, whole=False, untouched=True) for name, node in programs(record.latest).items()}


def strangers(record: HostRecord, wanted: Sequence[Resource]) -> tuple[str, ...]:
    """Nodes that the file gives a release, and that were never adopted on this host."""
    known = programs(record.latest)
    return tuple(item.name for item in wanted if isinstance(item, NodeProgram) and item.name not in known)


def not_adopted(name: str, host: str) -> Refused:
    """The refusal to change a node whose own program, unit and env file nobody has copied yet."""
    return Refused(f"{name} is not adopted on {host}, so there is no way back from a change", where=host, next=f"cortops adopt {name}")


def _together(record: HostRecord, nodes: Iterable[NodeProgram], sent: Sequence[Blob]) -> tuple[Resource, ...]:
    """Folders, blobs and nodes, each node after its blob. The blobs of the newest generation stay, so that it can come back at once."""
    kept = [item.resource for item in record.latest.resources if isinstance(item.resource, Blob)] if record.latest else []
    folders = (
        [item.resource for item in record.latest.resources if not isinstance(item.resource, Blob | NodeProgram)] if record.latest else []
    )
    wanted = list(nodes)
    blobs = _retained({blob.path: blob for blob in (*kept, *sent)}, {node.blob for node in (*programs(record.latest).values(), *wanted)})
    needs = {blob.path: blob.key for blob in blobs}
    ordered = [
        replace(
            node,
            needs=tuple(key for key in (*(need for need in node.needs if " blob:" not in need), needs.get(node.blob, "")) if key),
        )
        for node in wanted
    ]
    return (*folders, *blobs, *ordered)


def _retained(blobs: Mapping[str, Blob], used: Collection[str]) -> tuple[Blob, ...]:
    """Those in use, and the newest of the others."""
    idle = [path for path in blobs if path not in used]
    gone = set(idle[: max(len(idle) - BLOBS_KEPT_MAX, 0)])
    return tuple(blob for path, blob in blobs.items() if path not in gone)
