"""Leave a host: what of ours is there, whether it may go, and its removal. Nodes keep running; nothing of the operator's is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortops.deploy.host_state import HostState, look_host
from cortops.deploy.lock import Owner
from cortops.deploy.node_programs import declared, programs
from cortops.deploy.observed import Absent, Present, Unseen
from cortops.surfaces.fleet.adopted import BASE
from cortops.targets.ask import ask
from cortops.targets.quoting import quote
from cortops.words.errors import Refused, StepFailed
from cortops.words.resource import NodeProgram

LEAVE_TIMEOUT_S = 60.0

_COUNT = '[ -d "$root" ] || exit 0; find "$root" -type f | wc -l; du -sm "$root" | cut -f 1'
_REMOVE = r"""
case $root in "$base"/?*) ;; *) echo "$root is no folder of ours" >&2; exit 1 ;; esac
for file in /etc/systemd/system/*.d/50-cortops.conf; do
  [ ! -f "$file" ] || ! grep -qF "$root/blobs/" "$file" || { echo "$file still names a program of ours" >&2; exit 1; }
done
for exe in /proc/[0-9]*/exe; do
  case $(readlink "$exe" 2>/dev/null) in "$root"/blobs/*) echo "pid $(basename "${exe%/exe}") runs a program of ours" >&2; exit 1 ;; esac
done
for file in /etc/systemd/system/*.d/50-cortops.conf.new; do # of an apply that was cut off
  [ ! -f "$file" ] || { rm -f "$file" && { rmdir "${file%/*}" 2>/dev/null || :; }; } || exit 1
done
for files in "$root"/adopted/*/*/files; do
  [ ! -f "$files" ] || while read -r number mode uid gid path; do rm -f "$path.cortops-new" || exit 1; done <"$files"
done
for entry in "$root"/* "$root"/.[!.]*; do
  case ${entry##*/} in run | lock.json) continue ;; esac
  rm -rf "$entry" || exit 1
done
rm -rf "$root/run/hashed"
"""
_LAST = 'cd / && rm -f "$root"/run/*.flock && rmdir "$root/run" "$root" && { rmdir "$base" 2>/dev/null || :; }'  # the lock, once it is free


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What of ours is on a host. files, mib: what goes; 0 files: nothing is ours. nodes: each with the program and pid that it keeps."""

    host: str
    root: str
    files: int
    mib: int
    nodes: tuple[tuple[str, str, str], ...]


async def look_leaving(state: HostState, tool_version: str) -> Leaving:
    """What would go, writing nothing. Refused while a node there runs a program of ours, or cannot be looked at."""
    said = await ask(state.target, f"root={quote(state.root)}\n{_COUNT}", LEAVE_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"{state.host} could not be looked at: {said.why}", where=state.host)
    if not said.out:
        return Leaving(host=state.host, root=state.root, files=0, mib=0, nodes=())
    look = await look_host(state, lambda record: declared(record, ()), tool_version)
    nodes: list[tuple[str, str, str]] = []
    for item in look.desired:
        resource, seen = item.resource, look.observed[item.resource.key]
        if not isinstance(resource, NodeProgram) or isinstance(seen, Absent):
            continue
        if isinstance(seen, Unseen):
            raise Refused(f"{resource.name} could not be looked at: {seen.why}", where=state.host)
        _demand_own(resource, programs(look.record.first).get(resource.name), seen, state.host)
        nodes.append((resource.name, seen.attributes.get("program", ""), seen.attributes.get("pid", "")))
    return Leaving(host=state.host, root=state.root, files=int(said.out[0]), mib=int(said.out[1]), nodes=tuple(nodes))


def _demand_own(node: NodeProgram, found: NodeProgram | None, seen: Present, host: str) -> None:
    """Refused unless the node runs, and would start, a program of its operator's. found: as generation 0 has it."""
    ours = seen.attributes.get("ours") != "no"
    if node.shape == "docker" and found is not None and seen.attributes.get("program") != found.program:
        ours = True  # the file inside of the container is the one that we put there
    if ours:
        what = f"{node.name} runs a program of ours on {host}, not the one that was found there"
        raise Refused(what, where=host, next=f"cortops rollback {node.name} --to 0")
    if seen.attributes.get("finished") != "yes":
        raise Refused(f"an apply for {node.name} on {host} was cut off", where=host, next=f"cortops rollback {node.name} --to 0")


async def leave(state: HostState, owner: Owner, apply_id: str, tool_version: str) -> Leaving:
    """Take the lock, look again, and remove our folder with all that is in it, the lock last. Raises as look_leaving, and LockHeld."""
    words = f"root={quote(state.root)} base={quote(BASE)}\n"
    async with state.lock.held(owner, apply_id):
        seen = await look_leaving(state, tool_version)
        await _run(state, words + _REMOVE)
    await _run(state, words + _LAST)
    return seen


async def _run(state: HostState, program: str) -> None:
    said = await ask(state.target, program, LEAVE_TIMEOUT_S)
    if not said.ok:
        raise StepFailed(f"our files on {state.host} could not be removed: {said.why}", where=state.host)


def left_to_write(nodes: Sequence[str], file: str) -> str:
    """What remains to be done in the environment file, for people."""
    return f"take release: out of {', '.join(nodes[:6])}{' …' if len(nodes) > 6 else ''} in {file}, or adopt them again"
