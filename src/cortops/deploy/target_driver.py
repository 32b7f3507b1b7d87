"""The target side of the deploy engine: all resources of one target, looked at in one round trip and made in one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from cortops.deploy.kinds import KINDS, kind_of
from cortops.deploy.kinds.kind import Making
from cortops.deploy.kinds.node_program import timeout_s as node_program_timeout_s
from cortops.deploy.kinds.shell import PRELUDE
from cortops.deploy.kinds.tree import timeout_s as tree_timeout_s
from cortops.deploy.observed import Absent, Desired, Observed, Present, Progress, Step, Unseen
from cortops.targets.ask import ask
from cortops.targets.quoting import command, quote
from cortops.targets.supervision import Supervisor
from cortops.targets.target import Ending, Exited, Line, Lost, Target, TimedOut
from cortops.words.change import Action
from cortops.words.errors import ArtifactUnavailable
from cortops.words.resource import Blob, NodeProgram, Resource, Service, Tree

OBSERVE_TIMEOUT_S = 60.0
STEP_TIMEOUT_S = 20.0  # of one step, beside what a stopping service or an upload may take
SLOWEST_MIB_PER_S = 0.25  # of an upload that is not given up
BLAMES_PROGRAM = 4  # the status of a step that failed by what the new program did, and by nothing else
APPLY_WAIT_S = 10  # for the end of an earlier apply that was cut off

_CHUNK_BYTES = 1 << 20
_HASHING_MIB_PER_S = 20.0  # a slow disk and processor, for deadlines only

_APPLY = r"""
mkdir -p "$apply_run" || exit 1
exec 9>>"$apply_run/apply.flock"
flock -w "$apply_wait_s" 9 || {
  # One that waits for bytes waits for somebody who is gone: the lock of this place is ours.
  read -r taking 2>/dev/null <"$apply_run/taking" && kill -s KILL -- "-$taking" 2>/dev/null && flock -w "$apply_wait_s" 9
} || { echo "an earlier apply is still working here" >&2; exit 1; }
rm -f "$apply_run/taking"
journal() { # EVENT MEMBERS
  printf '{"at":%s,"apply":%s,"event":"%s",%s}\n' "$(date +%s)" "$apply_id" "$1" "$2" >>"$apply_journal"
}
step() { # INDEX ACTION ID COMMAND...
  index=$1 about="\"step\":$1,\"action\":\"$2\",\"resource\":$3"
  shift 3
  journal intent "$about" || { printf '%s\tfailed\tthe journal cannot be written\n' "$index"; exit 3; }
  printf '%s\tbegun\t\n' "$index"
  said=$("$@" 2>&1)
  case $? in 0) event=done told=done ;; "$blames_program") event=failed told=blamed ;; *) event=failed told=failed ;; esac
  said=$(flat "$said")
  journal "$event" "$about,\"text\":\"$(printf %s "$said" | sed 's/[\\"]/\\&/g')\""
  printf '%s\t%s\t%s\n' "$index" "$told" "$said"
  [ "$event" = done ] || { sync "$apply_journal"; exit 3; }
}
"""


@dataclass(slots=True)
class _Sending:
    """What the steps of one apply read, in order; a blob waits for the offset that the target asks for."""

    makings: tuple[tuple[int, Making], ...]
    blobs: Callable[[Blob], Path]
    offsets: dict[int, asyncio.Future[int]] = field(default_factory=dict)

    async def stream(self) -> AsyncIterator[bytes]:
        for index, making in self.makings:
            if isinstance(making.sends, bytes):
                if making.sends:
                    yield making.sends
                continue
            async for chunk in _read(self.blobs(making.sends), await self.offsets[index], making.sends.size):
                yield chunk


async def _read(path: Path, offset: int, end: int) -> AsyncIterator[bytes]:
    """The file's bytes from `offset` to `end`; ArtifactUnavailable when it cannot be read so far."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while offset < end:
                chunk = await asyncio.to_thread(file.read, min(end - offset, _CHUNK_BYTES))
                if not chunk:
                    raise ArtifactUnavailable(f"{path} ends at {offset} bytes, {end} were there before")
                offset += len(chunk)
                yield chunk
    except OSError as error:
        raise ArtifactUnavailable(f"{path} cannot be read: {error.strerror}") from None


class TargetDriver:
    """Implements deploy.observed.Driver for a machine.

    blobs: where a blob's file is on this side, asked only while applying.
    """

    def __init__(self, target: Target, manager: Supervisor, blobs: Callable[[Blob], Path]) -> None:
        self.place = target.name
        self._target = target
        self._manager = manager
        self._blobs = blobs

    async def observe(self, desired: Sequence[Desired]) -> Mapping[str, Observed]:
        """Key -> what is there; writes nothing on the target. What gave no answer is unseen."""
        if not desired:
            return {}
        said = await ask(self._target, self.observe_program(desired), _observe_timeout_s(desired))
        seen: dict[int, Observed] = {}
        for line in said.out:
            index, _, rest = line.partition("\t")
            if index.isdigit():
                seen[int(index)] = read_look(rest)
        silence = Unseen(said.why if not said.ok else "it gave no answer for this one")
        return {item.resource.key: seen.get(index, silence) for index, item in enumerate(desired)}

    def observe_program(self, desired: Sequence[Desired]) -> str:
        """The read-only sh text of an observe: one line a resource."""
        looks = [kind_of(item.resource).look(item.resource, self._manager) for item in desired]
        lines = [command(words[0], index, *words[1:]) for index, words in enumerate(looks)]
        return "\n".join([self._preludes([item.resource for item in desired]), *lines, "exit 0"])

    async def apply(self, steps: Sequence[Step], apply_id: str) -> AsyncGenerator[Progress, None]:
        """Make the steps in order, in one run; the last event of a run that was cut off is `failed` with what is known."""
        if (missing := self._missing_blob(steps)) is not None:
            yield missing
            return
        makings = tuple((index, self._making(step)) for index, step in enumerate(steps))
        sending = _Sending(makings, self._blobs)
        loop = asyncio.get_running_loop()
        sending.offsets.update({index: loop.create_future() for index, making in makings if isinstance(making.sends, Blob)})
        program = self.apply_program(steps, apply_id)
        keys = [step.desired.resource.key for step in steps]
        current, complaint, finished = 0, "", 0
        async with aclosing(self._target.run(program, sending.stream(), apply_timeout_s(steps))) as items:
            async for item in items:
                if isinstance(item, Line):
                    if item.stream == "err":
                        complaint = item.text
                        continue
                    number, event, text = item.text.split("\t", 2)
                    current = int(number)
                    if event == "send":
                        sending.offsets[current].set_result(int(text))
                        continue
                    finished += event != "begun"
                    yield (progress := _progress(keys[current], event, text))
                    if progress.event == "failed":
                        return
                elif finished < len(steps):
                    yield Progress(key=keys[finished], event="failed", text=_cut_off(item, complaint))

    def apply_program(self, steps: Sequence[Step], apply_id: str) -> str:
        """The sh text of an apply: one line a step."""
        root = self._manager.root
        header = (
            f"apply_run={quote(root + '/run')} apply_journal={quote(root + '/journal.jsonl')} "
            f"apply_id={quote(json.dumps(apply_id))} apply_wait_s={APPLY_WAIT_S} blames_program={BLAMES_PROGRAM}"
        )
        lines = [
            command("step", index, step.action.value, json.dumps(step.desired.resource.id), *self._making(step).words)
            for index, step in enumerate(steps)
        ]
        preludes = self._preludes([step.desired.resource for step in steps])
        return "\n".join([preludes, header, _APPLY, *lines, 'sync "$apply_journal"'])

    def _preludes(self, resources: Sequence[Resource]) -> str:
        used = [kind.prelude for words, kind in KINDS if any(isinstance(resource, words) for resource in resources)]
        return "\n".join([PRELUDE, self._manager.prelude, *used])

    def _making(self, step: Step) -> Making:
        resource = step.desired.resource
        if step.action is Action.DELETE:
            return Making(kind_of(resource).remove(resource, self._manager))
        return kind_of(resource).make(resource, step, self._manager)

    def _missing_blob(self, steps: Sequence[Step]) -> Progress | None:
        for step in steps:
            blob = step.desired.resource
            if isinstance(blob, Blob) and step.action is not Action.DELETE:
                path = self._blobs(blob)
                size = path.stat().st_size if path.is_file() else 0
                if size != blob.size:
                    return Progress(key=blob.key, event="failed", text=f"{path} has {size} bytes here, {blob.release} has {blob.size}")
        return None


def read_look(rest: str) -> Observed:
    """The line of a look, without its index -> what was seen."""
    verb, _, text = rest.partition("\t")
    if verb == "present":
        pairs = (part.partition("=") for part in text.split("\t"))
        attributes = {name: value for name, _, value in pairs}
        return Present(attributes, blocked=attributes.pop("blocked", ""))
    if verb == "absent":
        return Absent(blocked=text)
    return Unseen(text)


def apply_timeout_s(steps: Sequence[Step]) -> float:
    """How long an apply of these steps may take before the target ends it."""
    total = APPLY_WAIT_S + STEP_TIMEOUT_S * (1 + len(steps))
    for step in steps:
        resource = step.desired.resource
        if isinstance(resource, Service):
            total += 2 * resource.stop_timeout_s
        elif isinstance(resource, NodeProgram):
            total += node_program_timeout_s(resource)
        elif isinstance(resource, Tree):
            total += tree_timeout_s(resource)
        elif isinstance(resource, Blob):
            total += resource.size / (1 << 20) * (1 / SLOWEST_MIB_PER_S + 1 / _HASHING_MIB_PER_S)
    return total


def _observe_timeout_s(desired: Sequence[Desired]) -> float:
    mib = sum(item.resource.size for item in desired if isinstance(item.resource, Blob)) / (1 << 20)
    return OBSERVE_TIMEOUT_S + mib / _HASHING_MIB_PER_S


def _progress(key: str, event: str, text: str) -> Progress:
    if event == "begun":
        return Progress(key=key, event="begun")
    return Progress(key=key, event="done" if event == "done" else "failed", text=text, blames_program=event == "blamed")


def _cut_off(ending: Ending, complaint: str) -> str:
    match ending:
        case Exited(status):
            return complaint or f"the target's sh ended with status {status}"
        case TimedOut(after_s):
            return f"not done within {after_s:.0f} s; the next plan looks at what was left"
        case Lost(why):
            return f"outcome unknown: {why}; the next plan looks at what was left"
