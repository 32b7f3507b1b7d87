"""What a host's service manager says of its services: one question a host, read for each service."""

from __future__ import annotations

from dataclasses import dataclass

from cortops.surfaces.site import HostSite
from cortops.words.question import Shell

NO_MANAGER = 3  # the script's exit status when the service manager itself does not run


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One row: `state` is the manager's own word (RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL); pid 0 when it does not run."""

    name: str
    state: str
    pid: int
    uptime_s: int
    rest: str


def question_id(host: str) -> str:
    return f"services:{host}"


def question(host: HostSite) -> Shell:
    """One question for all services of a host."""
    return Shell(id=question_id(host.name), target=host.name, script=host.services_script, timeout_s=5)


def read(text: str) -> dict[str, ServiceState]:
    """Rows of `NAME STATE PID UPTIME_S REST` -> {name: state}; lines that are not rows are passed over."""
    states: dict[str, ServiceState] = {}
    for line in text.splitlines():
        name, state, pid, uptime_s, *rest = [*line.split(" ", 4), "", "", "", ""]
        if state.isupper() and pid.isdigit() and uptime_s.isdigit():
            states[name] = ServiceState(name=name, state=state, pid=int(pid), uptime_s=int(uptime_s), rest=" ".join(rest).strip())
    return states
