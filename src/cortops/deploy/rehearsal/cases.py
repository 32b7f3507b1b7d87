"""What a drill on copies must show, judged from what they ran before and afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cortops.deploy.drills import DrillStep, Outcome
from cortops.deploy.rehearsal.play import Played, WentBack
from cortops.deploy.rehearsal.stage import Now
from cortops.deploy.waves.machine import Phase

SHA_CHARS = 6
_IS_TOLD = (Phase.TAKEN_BACK, Phase.HELD, Phase.NOT_SWITCHED, Phase.UNKNOWN)


def deployed(played: Played, after: Mapping[str, Now], program: str, took_s: float) -> DrillStep:
    """Every copy runs the new program, behind its gate."""
    upgrade, names = played.upgrade, [step.node for step in played.upgrade.plan.steps]
    wrong = [
        f"{name}: {upgrade.nodes[name].text or upgrade.nodes[name].phase}" for name in names if name not in upgrade.named(Phase.PASSED)
    ]
    wrong += [f"{name} runs {_short(after[name].program)}" for name in names if not wrong and after[name].program != program]
    text = f"{_nodes(names)} {_short(program)}, a switch took {_span(played.switch_s.values())}"
    return _step("the new program runs on every copy", wrong, text, took_s)


def went_back(back: WentBack, after: Mapping[str, Now], was: Mapping[str, str]) -> DrillStep:
    """Every copy runs again what it ran at first, and its start line and env file are the same, by their hashes."""
    wrong = [f"{name}: {why}" for name, why in back.failed.items()]
    wrong += [f"{name} runs {_short(after[name].program)}" for name in was if not wrong and after[name].program != was[name]]
    text = f"{_nodes(list(was))} what ran at first, with equal hashes of program, start line and env file"
    return _step("back to what ran at first", wrong, text, back.took_s)


def taken_back(does: str, played: Played, before: Mapping[str, Now], after: Mapping[str, Now], took_s: float) -> DrillStep:
    """A bad program reached one copy, was taken back from it, and no other was touched."""
    upgrade, first = played.upgrade, played.upgrade.plan.steps[0].node
    wrong = [] if upgrade.nodes[first].phase is Phase.TAKEN_BACK else [f"{first} is {upgrade.nodes[first].phase}, and not taken back"]
    wrong += [f"{name} runs {_short(after[name].program)}" for name in before if after[name].program != before[name].program]
    wrong += [f"{name} was touched" for name in before if name != first and after[name].pid != before[name].pid]
    others = len(before) - 1
    kept = f"; {others} other{'s' if others != 1 else ''} kept their processes" if others else ""
    seen = upgrade.nodes[first].text
    again = "" if " runs again" in seen else f"; {_short(after[first].program)} runs again"
    text = f"{first}: {seen}{again}{kept}"
    return _step(f"one that {does} is taken back", wrong, text, took_s)


def lingered(does: str, played: Played, back: WentBack, after: Mapping[str, Now], was: Mapping[str, str]) -> DrillStep:
    """A program that is slow to end was changed back in spite of that."""
    upgrade, first = played.upgrade, played.upgrade.plan.steps[0].node
    wrong = [] if upgrade.nodes[first].phase is Phase.PASSED else [f"{first}: {upgrade.nodes[first].text}"]
    step = went_back(back, after, was)
    wrong += [step.text] if step.outcome == "failed" else []
    text = f"{first} runs {_short(was[first])} again, after {back.took_s:.0f} s"
    return _step(f"one that {does} goes back", wrong, text, back.took_s)


def _step(what: str, wrong: Sequence[str], text: str, took_s: float) -> DrillStep:
    outcome: Outcome = "failed" if wrong else "ok"
    return DrillStep(step=what, outcome=outcome, took_s=round(took_s, 1), text="; ".join(wrong) or text)


def _nodes(names: Sequence[str]) -> str:
    return "1 copy runs" if len(names) == 1 else f"{len(names)} copies run"


def _short(sha256: str) -> str:
    return sha256[:SHA_CHARS] or "nothing"


def _span(seconds: Iterable[float]) -> str:
    found = sorted(seconds)
    if len(found) < 2:
        return f"{found[0]:.1f} s" if found else "no time"
    return f"{found[0]:.1f} to {found[-1]:.1f} s"
