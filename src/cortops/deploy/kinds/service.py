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
port_holder() { # PORT: sets holder to the pid that listens on it, ? for one of another user; empty when it is free
  for attempt in 1 2; do # a second time, for one that ended between the two looks
    holder= inode=$(awk -v end="$(printf ':%04X' "$1")" \
      '$4 == "0A" && substr($2, length($2) - 4) == end { print $10; exit }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    [ -n "$inode" ] || return 0
    holder=$(ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v socket="socket:[$inode]" \
      '/^\/proc\// { split($1, path, "/") } $NF == socket { print path[3]; exit }')
    [ -z "$holder" ] || return 0
  done
  holder="?"
}
looks_left=75 # at ports of programs of ours that are ending: their service manager was killed a moment ago, and they are not killed
ports_taken() { # DIRECTORY PORT...: sets taken to who has the first one; empty when all are free
  taken= directory=$(cd "$1" 2>/dev/null && pwd -P) || directory=/nowhere
  shift
  for port; do
    port_holder "$port"
    while [ -n "$holder" ] && [ "$looks_left" -gt 0 ] && [ "$(readlink "/proc/$holder/cwd" 2>/dev/null)" = "$directory" ]; do
      sleep 0.2; looks_left=$((looks_left - 1)); port_holder "$port"
    done
    case $holder in
      "") continue ;;
      "?") taken="port $port is taken by a program of another user" ;;
      *) taken="port $port is taken by pid $holder ($(cat "/proc/$holder/comm" 2>/dev/null))" ;;
    esac
    return 0
  done
}
look_service() { # INDEX NAME LOG DIRECTORY PORT...
  [ -n "${manager_loaded-}" ] || { manager_load; manager_loaded=1; }
  [ -z "$manager_silent" ] || { unseen "$1" "$manager_silent"; return; }
  index=$1 name=$2 log=$3; shift 3
  manager_state "$name"
  [ "$running" = no ] || { present "$index" "definition=$definition${tab}running=yes${tab}pid=$pid${tab}uptime_s=$uptime_s"; return; }
  ports_taken "$@"
  [ -n "$definition" ] || { absent "$index" "$taken"; return; }
  words=$(tail -n 1 "$log" 2>/dev/null)
  present "$index" "definition=$definition${tab}running=no${tab}log=$(flat "$words")${tab}blocked=$taken"
}
make_service() { # NAME BYTES SHA256 FORCE STOP_S DIRECTORY PORT...
  unit=$apply_run/unit.new name=$1 force=$4 stop_s=$5
  rm -f "$unit" && take "$2" >"$unit" && fits "$unit" "$3" || return 1
  shift 5
  manager_load; [ -z "$manager_silent" ] || { rm -f "$unit"; echo "$manager_silent"; return 1; }
  manager_state "$name"
  if [ "$running" = no ]; then
    ports_taken "$@"
    [ -z "$taken" ] || { rm -f "$unit"; echo "$taken"; return 1; }
  fi
  manager_set "$name" "$unit" "$force" "$stop_s"
}
remove_service() { manager_unset "$1" "$2"; } # NAME STOP_S
"""

    def attributes(self, resource: Service, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"definition": hashlib.sha256(_unit(resource, payload, manager)).hexdigest(), "running": "yes"}

    def look(self, resource: Service, manager: Supervisor) -> Words:
        return ("look_service", resource.name, resource.log_path, resource.directory, *resource.ports)

    def make(self, resource: Service, step: Step, manager: Supervisor) -> Making:
        """The unit is sent as data; a RESTART restarts it even if nothing changed."""
        unit = _unit(resource, step.desired.payload, manager)
        force = 1 if step.action is Action.RESTART else 0
        digest = hashlib.sha256(unit).hexdigest()
        words: Words = (
            "make_service",
            resource.name,
            len(unit),
            digest,
            force,
            resource.stop_timeout_s,
            resource.directory,
            *resource.ports,
        )
        return Making(words, unit)

    def remove(self, resource: Service, manager: Supervisor) -> Words:
        return ("remove_service", resource.name, resource.stop_timeout_s)


def _unit(resource: Service, payload: bytes, manager: Supervisor) -> bytes:
    return manager.unit(resource, payload.decode("ascii")).encode()
