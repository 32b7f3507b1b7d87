"""What a host's service manager says of its services: one question a host, read for each service."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from cortops.surfaces.site import HostSite
from cortops.words.question import Shell

_ROW = re.compile(r"^(?P<name>\S+)\s+(?P<state>[A-Z]+)\s*(?:pid (?P<pid>\d+), uptime (?P<uptime>.+))?(?P<rest>.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One row: `state` is the manager's own word (RUNNING, STARTING, BACKOFF, STOPPED, EXITED, FATAL)."""

    name: str
    state: str
    pid: int | None
    uptime_s: int | None
    rest: str


def question_id(host: str) -> str:
    return f"services:{host}"


def question(host: HostSite) -> Shell:
    """One `supervisorctl status` for all services of a host; its exit status is 3 as soon as one of them does not run."""
    command = shlex.join([host.python, "-m", "supervisor.supervisorctl", "-c", host.supervisor_conf, "status"])
    return Shell(id=question_id(host.name), target=host.name, script=command, timeout_s=5)


def read(text: str) -> dict[str, ServiceState]:
    """`supervisorctl status` -> {name: state}; lines that are not rows are passed over."""
    states: dict[str, ServiceState] = {}
    for line in text.splitlines():
        row = _ROW.match(line)
        if row and row["state"] in ("RUNNING", "STARTING", "BACKOFF", "STOPPED", "STOPPING", "EXITED", "FATAL", "UNKNOWN"):
            pid = int(row["pid"]) if row["pid"] else None
            uptime_s = _seconds(row["uptime"]) if row["uptime"] else None
            states[row["name"]] = ServiceState(name=row["name"], state=row["state"], pid=pid, uptime_s=uptime_s, rest=row["rest"].strip())
    return states


def _seconds(uptime: str) -> int:
    """`1 day, 0:01:02` -> seconds."""
    days = re.match(r"(\d+) days?, ", uptime)
    hours, minutes, seconds = (int(part) for part in uptime.rsplit(" ", 1)[-1].split(":"))
    return (int(days[1]) * 86_400 if days else 0) + hours * 3600 + minutes * 60 + seconds
