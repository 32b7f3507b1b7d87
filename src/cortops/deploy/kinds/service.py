"""A supervised program: its unit's hash, what it is restarted on included, and whether it runs. The manager's words come from targets.

Of one that takes some files by a reload, `run/loaded/NAME` under the manager's root holds the hash of those that the running process has
read. It is written after the signal, or the start: a kill between a file and the signal is seen by the next observe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.change import Action
from cortops.words.resource import Service


class ServiceKind:
    """The payload of a service is the hash of what restarts it, and after a blank that of what it reloads (kinds.desire makes it)."""

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
loaded_of() { # STAMP: sets loaded to the hash of what the process has read
  loaded=none
  [ ! -e "$1" ] || read -r loaded <"$1" || :
}
look_service() { # INDEX NAME LOG STAMP DIRECTORY PORT...
  [ -n "${manager_loaded-}" ] || { manager_load; manager_loaded=1; }
  [ -z "$manager_silent" ] || { unseen "$1" "$manager_silent"; return; }
  index=$1 name=$2 log=$3; loaded_of "$4"; shift 4
  manager_state "$name"
  if [ "$running" = yes ]; then
    present "$index" "definition=$definition${tab}running=yes${tab}loaded=$loaded${tab}pid=$pid${tab}uptime_s=$uptime_s"
    return
  fi
  ports_taken "$@"
  [ -n "$definition" ] || { absent "$index" "$taken"; return; }
  words=$(tail -n 1 "$log" 2>/dev/null)
  present "$index" "definition=$definition${tab}running=no${tab}loaded=$loaded${tab}log=$(flat "$words")${tab}blocked=$taken"
}
make_service() { # NAME BYTES SHA256 FORCE STOP_S DIRECTORY PORTS STAMP LOADS SIGNAL [CHECK...]
  unit=$apply_run/unit.new name=$1 force=$4 stop_s=$5 directory=$6 ports=$7 loaded_at=$8 loads=$9 reload=0
  [ "$force" != 2 ] || force=0 reload=1
  rm -f "$unit" && take "$2" >"$unit" && fits "$unit" "$3" || return 1
  shift 9
  signal=$1; shift
  accepted "$@" || { rm -f "$unit"; return 1; }
  manager_load; [ -z "$manager_silent" ] || { rm -f "$unit"; echo "$manager_silent"; return 1; }
  manager_state "$name"
  if [ "$running" = no ]; then
    ports_taken "$directory" $ports
    [ -z "$taken" ] || { rm -f "$unit"; echo "$taken"; return 1; }
  fi
  was=$pid
  told=$(manager_set "$name" "$unit" "$force" "$stop_s") || { echo "$told"; return 1; }
  [ -z "$loads" ] || has_loaded || return 1
  echo "$told"
}
has_loaded() { # tells the process of before, if it still runs, to read its files again
  loaded_of "$loaded_at"
  if [ "$told" = "pid $was" ] && { [ "$reload" = 1 ] || [ "$loaded" != "$loads" ]; }; then
    kill -s "$signal" "$was" || return 1
    told="$told reads its files again"
  fi
  mkdir -p "${loaded_at%/*}" && echo "$loads" >"$loaded_at.new" && mv -f "$loaded_at.new" "$loaded_at"
}
remove_service() { # NAME STOP_S STAMP
  manager_unset "$1" "$2" || return 1
  rm -f "$3" && { rmdir "${3%/*}" 2>/dev/null || :; }
}
"""

    def attributes(self, resource: Service, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        loads = _hashes(payload)[1]
        definition = hashlib.sha256(_unit(resource, payload, manager)).hexdigest()
        return {"definition": definition, "running": "yes", **({"loaded": loads} if loads else {})}

    def look(self, resource: Service, manager: Supervisor) -> Words:
        return ("look_service", resource.name, resource.log_path, _stamp(resource, manager), resource.directory, *resource.ports)

    def make(self, resource: Service, step: Step, manager: Supervisor) -> Making:
        """The unit is sent as data. A RESTART restarts it even if nothing changed, and a RELOAD makes it read its files even then."""
        unit, reload = _unit(resource, step.desired.payload, manager), resource.reload
        words: Words = (
            "make_service",
            resource.name,
            len(unit),
            hashlib.sha256(unit).hexdigest(),
            {Action.RESTART: 1, Action.RELOAD: 2}.get(step.action, 0),
            resource.stop_timeout_s,
            resource.directory,
            " ".join(map(str, resource.ports)),
            _stamp(resource, manager),
            _hashes(step.desired.payload)[1],
            reload.signal if reload else "",
            *(reload.check if reload else ()),
        )
        return Making(words, unit)

    def remove(self, resource: Service, manager: Supervisor) -> Words:
        return ("remove_service", resource.name, resource.stop_timeout_s, _stamp(resource, manager))


def _stamp(resource: Service, manager: Supervisor) -> str:
    return f"{manager.root}/run/loaded/{resource.name}"


def _hashes(payload: bytes) -> tuple[str, str]:
    """Of what a change of restarts it, and of what it takes by a reload ("" without one)."""
    restarts, _, loads = payload.decode("ascii").partition(" ")
    return restarts, loads


def _unit(resource: Service, payload: bytes, manager: Supervisor) -> bytes:
    return manager.unit(resource, _hashes(payload)[0]).encode()
