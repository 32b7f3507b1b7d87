"""The generations of an environment's own programs in words and as JSON, and who made each generation: from where, with what accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from cortops.cli.output import joined, table
from cortops.deploy.journal import ApplyRecord, Entry, last_apply
from cortops.deploy.manifest import Manifest

HEAD = ("", "GEN", "AT", "BY", "TOOL", "CHANGED")
_NOBODY = Entry(at=0, apply="", event="begun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What is recorded of our own programs. generations, journal: the oldest first. silent: why it could not be read, "" when it could."""

    environment: str
    generations: tuple[Manifest, ...] = ()
    journal: tuple[Entry, ...] = ()
    silent: str = ""

    @property
    def unfinished(self) -> ApplyRecord | None:
        """The newest apply, if it did not end well."""
        last = last_apply(self.journal)
        return last if last is not None and last.finished != "ok" else None


def begun_of(journal: Sequence[Entry]) -> dict[str, Entry]:
    """Apply -> what the journal says of its begin; of what it has forgotten nothing."""
    return {entry.apply: entry for entry in journal if entry.event == "begun"}


def who(manifest: Manifest, begun: Mapping[str, Entry]) -> str:
    """`ops@laptop (ssh from 203.0.113.9)`."""
    via = begun.get(manifest.apply, _NOBODY).via
    return f"{manifest.by} ({via})" if via else manifest.by


def accepted(manifest: Manifest, begun: Mapping[str, Entry]) -> str:
    """`accepted --accept-large`, or nothing."""
    flags = begun.get(manifest.apply, _NOBODY).accepted
    return f"accepted {', '.join(flags)}" if flags else ""


def audit_json(manifest: Manifest, begun: Mapping[str, Entry]) -> dict[str, object]:
    """The members that every generation has: which, when, by whom, from where, with which tool, and what people accepted."""
    entry = begun.get(manifest.apply, _NOBODY)
    return {
        "generation": manifest.generation,
        "at": manifest.at,
        "by": manifest.by,
        "via": entry.via,
        "apply": manifest.apply,
        "tool_version": manifest.tool_version,
        "accepted": list(entry.accepted),
    }


def as_lines(found: Recorded, file: str) -> list[str]:
    """A table, the newest first, then an apply that did not end well; empty where nothing was ever recorded."""
    if found.silent:
        return [f"{found.environment}  the generations of our own programs could not be read: {found.silent}"]
    kept, begun, lines = found.generations, begun_of(found.journal), []
    if kept:
        changes = ["the oldest that is kept" if kept[0].generation > 1 else f"{len(kept[0].resources)} resources made"]
        changes += [_changed(before, later) for before, later in pairwise(kept)]
        rows = [_row(one, text, begun, newest=one is kept[-1]) for one, text in zip(kept, changes, strict=True)]
        count = f"{len(kept)} generation{'' if len(kept) == 1 else 's'}"
        lines = [f"{found.environment}  {count} of our own programs", table([HEAD, *reversed(rows)], "  ")]
    if (last := found.unfinished) is not None:
        how = "failed" if last.finished else "was cut off"
        lines.append(f"  the apply {last.apply} by {last.by} {how} after {len(last.steps)} steps and left no generation")
        back = "takes it back" if last.to is None else f"finishes going back to {last.to}"
        lines.append(f"  next: cortops plan {file} shows what is left" + (f"; cortops rollback {file} {back}" if kept else ""))
    return lines


def _row(manifest: Manifest, changed: str, begun: Mapping[str, Entry], *, newest: bool) -> tuple[str, ...]:
    at = datetime.fromtimestamp(manifest.at, UTC)
    parts = [f"back to {manifest.restores}" if manifest.restores is not None else "", changed, accepted(manifest, begun)]
    told = "; ".join(part for part in parts if part)
    when = f"{at.day} {at:%b %H:%M:%S} UTC"
    return ("*" if newest else "", str(manifest.generation), when, who(manifest, begun), manifest.tool_version, told)


def _changed(before: Manifest, later: Manifest) -> str:
    then = {item.resource.key: item for item in before.resources}
    now = {item.resource.key: item for item in later.resources}
    new = [item.resource.id for key, item in now.items() if key not in then]
    gone = [item.resource.id for key, item in then.items() if key not in now]
    other = [item.resource.id for key, item in now.items() if key in then and dict(then[key].attributes) != dict(item.attributes)]
    parts = [f"{word} {joined(map(_short, ids), 3)}" for word, ids in (("new", new), ("gone", gone), ("changed", other)) if ids]
    return "; ".join(parts) or "nothing that is compared"


def _short(id: str) -> str:
    """`file:/srv/lab/etc/router-1.env` -> `file:router-1.env`."""
    kind, _, name = id.partition(":")
    return f"{kind}:{name.rpartition('/')[2]}" if name.startswith("/") else id


def as_json(found: Recorded) -> dict[str, object]:
    """One element of `generations --json`: of the environment itself, so without a host."""
    begun, last = begun_of(found.journal), found.unfinished
    return {
        "host": "",
        "silent": found.silent,
        "generations": [
            {**audit_json(one, begun), "restores": one.restores, "resources": [item.resource.key for item in one.resources]}
            for one in reversed(found.generations)
        ],
        "unfinished": None if last is None else {"apply": last.apply, "by": last.by, "steps": len(last.steps), "to": last.to},
        "gates": [],
    }
