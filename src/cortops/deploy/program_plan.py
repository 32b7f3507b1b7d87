"""What to do about the program of an adopted node: observed x desired -> action and reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cortops.deploy.observed import Absent, Present
from cortops.words.change import Action
from cortops.words.resource import NodeProgram

SHA_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Decision:
    """action: None when there is nothing to do. differs: it is not as recorded, and no plan that was asked for changes that."""

    action: Action | None
    reason: str
    differs: bool = False


def decide(resource: NodeProgram, wanted: Mapping[str, str], seen: Present | Absent) -> Decision:
    """A node that runs another program is restarted, one that stands still is started; the rest is set right without either.

    What was edited by hand is told in every case, and put back only where the resource is wanted as a whole. An untouched one is only told.
    """
    if resource.untouched:
        return Decision(None, "another node of this host; left as it is")
    if isinstance(seen, Absent):
        return Decision(Action.CREATE, "adopted: its program, unit and env file are copied here, and nothing is restarted")
    attributes = seen.attributes
    drift = drifted(resource, attributes)
    differing = {name for name, value in wanted.items() if attributes.get(name) != value}
    if not differing:
        told = f"runs {short(resource.program)} as declared{_since(attributes)}"
        return Decision(None, "; ".join((told, *drift)), differs=bool(drift))
    action, reason = _act(resource, attributes, differing)
    return Decision(action, "; ".join((reason, *drift)))


def _act(resource: NodeProgram, attributes: Mapping[str, str], differing: set[str]) -> tuple[Action, str]:
    release = f"{resource.release} is {short(resource.program)} ({resource.because})"
    runs = attributes.get("program", "")
    put_back = [noun for name, noun in (("unit", "unit"), ("env", "env file")) if name in differing]
    tail = f", and its {' and '.join(put_back)} put back as recorded" if put_back else ""
    if "running" in differing:
        return Action.START, f"does not run; {release}{tail}"
    if "program" in differing:
        return Action.RESTART, f"runs {short(runs)}, {release}{tail}"
    if put_back:
        return Action.RESTART, f"its {' and '.join(put_back)} {'is' if len(put_back) == 1 else 'are'} put back as recorded"
    if "finished" in differing:
        return Action.RESTART, "an apply was cut off after it put files back; started anew with them"
    return Action.UPDATE, f"runs {short(runs)}, and its next start would take {_next(attributes)}: set right without a restart"


def _next(attributes: Mapping[str, str]) -> str:
    starts = attributes.get("starts", "")
    return short(starts) if len(starts) == 64 else "what an apply left half done" if starts == "unfinished" else "a file that is not there"


def drifted(resource: NodeProgram, attributes: Mapping[str, str]) -> tuple[str, ...]:
    """What its operator changed by hand since the newest generation; nothing of what a plan puts back."""
    if resource.whole:
        return ()
    pairs = (("unit", resource.unit_sha256, "unit"), ("env", resource.env_sha256, "env file"))
    return tuple(
        f"its {noun} was edited by hand since it was recorded ({short(known)} -> {short(attributes[name])}), and is kept as it is"
        for name, known, noun in pairs
        if known and attributes.get(name) and attributes[name] != known
    )


def short(sha256: str) -> str:
    """The first digits, as people tell programs apart."""
    return sha256[:SHA_SHOWN] or "nothing"


def _since(attributes: Mapping[str, str]) -> str:
    pid, started_at = attributes.get("pid", ""), attributes.get("started_at", "")
    if not pid:
        return ""
    return f", pid {pid}" + (f" since {datetime.fromtimestamp(float(started_at), UTC):%Y-%m-%d %H:%M} UTC" if started_at else "")
