"""A supervised program: its unit's hash, what it is restarted on included, and whether it runs. The manager's words come from targets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.change import Action
from cortops.words.resource import Service


class ServiceKind:
    """The payload of a service is the hash of what it is restarted on (kinds.desire makes it)."""

    prelude = r"""
port_holder() { # PORT: prints who listens on it; nothing when it is free
  inode=$(awk -v end="$(printf ':%04X' "$1")" \
    '$4 == "0A" && substr($2, length($2) - 4) == end { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  [ -n "$inode" ] || return 0
  pid=$(ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v socket="socket:[$inode]" \
    '/^\/proc\// { split($1, path, "/") } $NF == socket { print path[3]; exit }')
  if [ -n "$pid" ]; then echo "port $1 is taken by pid $pid ($(cat "/proc/$pid/comm" 2>/dev/null))"
  else echo "port $1 is taken by a program of another user"; fi
}
ports_taken() { # PORT...: prints the first one's holder
  for port; do holder=$(port_holder "$port"); [ -z "$holder" ] || { printf %s "$holder"; return 0; }; done
}
look_service() { # INDEX NAME LOG PORT...
  [ -n "${manager_loaded-}" ] || { manager_load; manager_loaded=1; }
  [ -z "$manager_silent" ] || { unseen "$1" "$manager_silent"; return; }
  index=$1 name=$2 log=$3; shift 3
  manager_state "$name"
  [ "$running" = no ] || { present "$index" "definition=$definition${tab}running=yes${tab}pid=$pid${tab}uptime_s=$uptime_s"; return; }
  blocked=$(ports_taken "$@")
  [ -n "$definition" ] || { absent "$index" "$blocked"; return; }
  words=$(tail -n 1 "$log" 2>/dev/null)
  present "$index" "definition=$definition${tab}running=no${tab}log=$(flat "$words")${tab}blocked=$blocked"
}
make_service() { # NAME BYTES SHA256 FORCE STOP_S PORT...
  unit=$apply_run/unit.new name=$1 force=$4 stop_s=$5
  rm -f "$unit" && take "$2" >"$unit" && fits "$unit" "$3" || return 1
  shift 5
  manager_load; [ -z "$manager_silent" ] || { rm -f "$unit"; echo "$manager_silent"; return 1; }
  manager_state "$name"
  if [ "$running" = no ]; then
    taken=$(ports_taken "$@")
    [ -z "$taken" ] || { rm -f "$unit"; echo "$taken"; return 1; }
  fi
  manager_set "$name" "$unit" "$force" "$stop_s"
}
remove_service() { manager_unset "$1" "$2"; } # NAME STOP_S
"""

    def attributes(self, resource: Service, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"definition": hashlib.sha256(_unit(resource, payload, manager)).hexdigest(), "running": "yes"}

    def look(self, resource: Service, manager: Supervisor) -> Words:
        return ("look_service", resource.name, resource.log_path, *resource.ports)

    def make(self, resource: Service, step: Step, manager: Supervisor) -> Making:
        """The unit is sent as data; a RESTART restarts it even if nothing changed."""
        unit = _unit(resource, step.desired.payload, manager)
        force = 1 if step.action is Action.RESTART else 0
        digest = hashlib.sha256(unit).hexdigest()
        return Making(("make_service", resource.name, len(unit), digest, force, resource.stop_timeout_s, *resource.ports), unit)

    def remove(self, resource: Service, manager: Supervisor) -> Words:
        return ("remove_service", resource.name, resource.stop_timeout_s)


def _unit(resource: Service, payload: bytes, manager: Supervisor) -> bytes:
    return manager.unit(resource, payload.decode("ascii")).encode()
