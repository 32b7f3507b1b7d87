"""Whether the installed nodes of a host run: one light question a host, for every round of the watch; nothing is hashed. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from cortops.surfaces.fleet.found.match import Declared
from cortops.words.question import Shell

RunState = Literal["running", "stopped", "gone", "unseen"]
TIMEOUT_S = 20.0
TEXT_MAX_CHARS = 200

_STATES: Mapping[str, RunState] = {"running": "running", "stopped": "stopped", "gone": "gone", "unseen": "unseen"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One node now. text: what its manager says of it, or why nobody could see."""

    state: RunState
    pid: int | None
    text: str

    @property
    def restarts(self) -> int | None:
        """How often its manager has started it again by itself; None where none counts."""
        found = re.match(r"restarted ([0-9]{1,9}) times", self.text)
        return int(found[1]) if found else None


def question_id(host: str) -> str:
    return f"running:{host}"


def question(host: str, nodes: Mapping[str, Declared]) -> Shell:
    """One read-only question for those nodes, by name, that stand on a host."""
    text = resources.files(__package__).joinpath("running.sh").read_text()
    calls = [shlex.join(_call(name, node)) for name, node in nodes.items()]
    return Shell(id=question_id(host), target=host, script="\n".join([text, *calls, "exit 0"]), timeout_s=TIMEOUT_S)


def _call(name: str, node: Declared) -> tuple[str, ...]:
    if node.shape == "docker":
        return "by_container", name, node.unit or node.log.removeprefix("docker:")
    return ("by_unit", name, node.unit) if node.unit else ("by_process", name, node.env_file, node.runs)


def read(text: str) -> dict[str, Running]:
    """Rows of the answer by node; what is no row is passed over."""
    found: dict[str, Running] = {}
    for line in text.splitlines():
        name, state, pid, told, *_ = [*line.split("\t"), "", "", "", ""]
        if state in _STATES:
            found[name] = Running(
                state=_STATES[state], pid=int(pid) if pid.isdecimal() and len(pid) < 10 else None, text=told[:TEXT_MAX_CHARS]
            )
    return found
