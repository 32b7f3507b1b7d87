"""systemd as a service manager, as pure text: units, and the sh that asks and changes it. Implements targets.supervision.Supervisor.

A service NAME is the unit `PREFIXNAME.service` in /etc/systemd/system, enabled, so that it comes back after a reboot. Under the target's
root, `run/defined/NAME` holds the sha256 of the unit that was put in force: while it differs from the file, the change is unfinished, so a
kill between the two is seen by the next observe. Drop-ins are the operator's: they are neither made, looked at, nor removed.

systemd appends a service's output to its log and does not rotate it. `PREFIXrotate.timer` does: every ROTATE_EVERY_MIN minutes a log above
its limit is copied aside and cut to nothing, so it may grow beyond the limit by what is written in between, and a line written at that very
moment may be lost. A log in a folder that is not root's is left alone: whoever owns the folder could lead root elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cortops.targets.quoting import quote
from cortops.words.errors import BadInput
from cortops.words.resource import Service

UNITS: Final = "/etc/systemd/system"
RESTART_S = 2  # pause before a service that ended is started again; without an end, since what it waits for may be away for hours
ROTATE_EVERY_MIN = 5
ROTATE: Final = "rotate"  # so no service may have this name
WORD_MAX_KIB = 128  # of one argument: the kernel's own limit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}[.-]")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+-]+")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+-]*")

_ROTATE_SH = r"""
for unit in "$1/$2"*.service; do
  log=$(sed -n 's/^Log=//p' "$unit") max_mib=$(sed -n 's/^LogMaxMib=//p' "$unit") keep=$(sed -n 's/^LogKeep=//p' "$unit")
  [ -n "$log" ] && [ -f "$log" ] && [ ! -L "$log" ] || continue
  [ "$(stat -c %u "${log%/*}/")" = 0 ] || continue
  [ "$(stat -c %s "$log")" -gt $((max_mib * 1048576)) ] || continue
  number=$keep
  while [ "$number" -gt 1 ]; do
    [ ! -e "$log.$((number - 1))" ] || mv -fT "$log.$((number - 1))" "$log.$number"
    number=$((number - 1))
  done
  if [ "$keep" -gt 0 ]; then
    cp -p "$log" "$log.1.new" && mv -fT "$log.1.new" "$log.1" || { rm -f "$log.1.new"; continue; }
  fi
  truncate -s 0 "$log"
done
"""

_LOAD_SH = r"""
systemd_load_awk='
  function told() { if (id != "") print id, active, sub_state, pid, reload, since; id = "" }
  { at = index($0, "="); key = substr($0, 1, at - 1); value = substr($0, at + 1) }
  $0 == "" { told() }
  key == "Id" { id = value } key == "ActiveState" { active = value } key == "SubState" { sub_state = value }
  key == "MainPID" { pid = value } key == "NeedDaemonReload" { reload = value } key == "ExecMainStartTimestampMonotonic" { since = value }
  END { told() }'
manager_load() {
  manager_silent=
  systemd_status=$(systemctl show --property=Id,ActiveState,SubState,MainPID,NeedDaemonReload,ExecMainStartTimestampMonotonic \
    "$systemd_prefix*.service" 2>&1) || { manager_silent="systemd does not answer: $systemd_status" systemd_status=; return; }
  systemd_status=$(printf '%s\n' "$systemd_status" | awk "$systemd_load_awk")
  read -r systemd_now systemd_idle </proc/uptime
}
"""

_STATUS_SH = r"""
manager_load
[ -z "$manager_silent" ] || { printf '%s\n' "$manager_silent"; exit 1; }
printf '%s\n' "$systemd_status" | awk -v prefix="$systemd_prefix" -v now="${systemd_now%%.*}" '
  $1 !~ /\.service$/ || index($1, prefix) != 1 || $1 == prefix "rotate.service" { next }
  { name = substr($1, length(prefix) + 1); sub(/\.service$/, "", name); uptime = 0 }
  $2 == "active" || $2 == "reloading" { state = "RUNNING"; uptime = now - int($6 / 1000000) }
  $2 == "activating" { state = $3 == "auto-restart" ? "BACKOFF" : "STARTING" }
  $2 == "deactivating" { state = "STOPPING" }
  $2 == "failed" { state = "FATAL" }
  $2 == "inactive" { state = "STOPPED" }
  { print name, state, $4, uptime < 0 ? 0 : uptime; found = 1 }
  END { exit found ? 0 : 3 }'
"""

_STOP_SH = r"""
set --
for unit in "$systemd_units/$systemd_prefix"*.service "$systemd_units/$systemd_prefix"*.timer; do
  [ ! -e "$unit" ] || set -- "$@" "${unit##*/}"
done
[ $# -gt 0 ] || exit 0
[ -z "$(systemctl list-units --no-legend --plain --state=active,activating "$systemd_prefix*.service")" ] || echo stopped
said=$(systemctl stop "$@" 2>&1 && systemctl disable --quiet "$@" 2>&1) || { echo "$said" >&2; exit 1; }
"""

_PURGE_SH = r"""
rm -f "$systemd_units/$systemd_prefix"*.service "$systemd_units/$systemd_prefix"*.timer && systemctl daemon-reload || exit 1
[ -d "$systemd_root" ] || exit 0
[ -d "$systemd_root/run" ] || { echo "$systemd_root does not look like an environment of cortops" >&2; exit 1; }
rm -rf "$systemd_root" && { rmdir "${systemd_root%/*}" 2>/dev/null || :; }
"""

_SH = r"""
manager_state() { # NAME
  definition= running=no pid= uptime_s=
  systemd_unit=$systemd_prefix$1.service
  if [ -e "$systemd_units/$systemd_unit" ]; then
    definition=$(sha256sum <"$systemd_units/$systemd_unit") || definition=unfinished
    definition=${definition%% *} systemd_stamp=
    [ ! -e "$systemd_root/run/defined/$1" ] || read -r systemd_stamp <"$systemd_root/run/defined/$1"
    [ "$systemd_stamp" = "$definition" ] && [ -L "$systemd_units/multi-user.target.wants/$systemd_unit" ] || definition=unfinished
  fi
  case "$lf$systemd_status" in *"$lf$systemd_unit "*) ;; *) return 0 ;; esac
  systemd_line=${systemd_status#"$systemd_unit "}
  [ "$systemd_line" != "$systemd_status" ] || systemd_line=${systemd_status#*"$lf$systemd_unit "}
  set -- ${systemd_line%%"$lf"*}
  [ "$4" != yes ] || [ -z "$definition" ] || definition=unfinished # systemd has an older text than the file
  case $1/$2 in
    active/*|reloading/*|activating/start)
      running=yes pid=$3 uptime_s=0
      [ "${#5}" -le 6 ] || uptime_s=$((${systemd_now%%.*} - ${5%??????}))
      [ "$uptime_s" -ge 0 ] || uptime_s=0
      [ -n "$definition" ] || definition=none ;;
  esac
}
systemd_words() { # SAID: why the unit did not start, from its journal since systemd_begun, else what systemctl said
  for systemd_try in 1 2 3 4 5; do # its journal may come a moment later
    journalctl --sync 2>/dev/null
    systemd_why=$(journalctl --unit="$systemd_unit" --since="@$systemd_begun" --no-pager --quiet --output=cat --lines=30 2>/dev/null |
      grep -E 'Failed (at step|to )' | grep -v 'Failed to start' | tail -n 1)
    [ -z "$systemd_why" ] || break
    sleep 0.2
  done
  [ -n "$systemd_why" ] || systemd_why=$1
  printf '%s\n' "$systemd_why"
}
systemd_put() { # FILE TARGET: as TARGET in one step, readable as units are
  cp "$1" "$2.new" && chmod 644 "$2.new" && sync "$2.new" && mv -fT "$2.new" "$2"
}
systemd_rotation() { # does nothing when it is there
  mkdir -p "$systemd_root/etc" "$systemd_root/run/defined" || return 1
  systemd_new=$systemd_root/run/rotation.new systemd_rotate=$systemd_units/${systemd_prefix}rotate
  for systemd_part in "$systemd_root/etc/rotate.sh" "$systemd_rotate.service" "$systemd_rotate.timer"; do
    systemd_rotation_text "${systemd_part##*.}" >"$systemd_new" || return 1
    cmp -s "$systemd_new" "$systemd_part" || systemd_put "$systemd_new" "$systemd_part" || return 1
  done
  rm -f "$systemd_new"
  [ -L "$systemd_units/timers.target.wants/${systemd_prefix}rotate.timer" ] || {
    systemctl daemon-reload && systemctl enable --quiet --now "${systemd_prefix}rotate.timer"; }
}
systemd_not_started() { # SAID: of a unit that systemd refuses, what runs goes on running, and a reboot finds it too
  systemd_loaded=$(systemctl show --property=LoadState --value "$systemd_unit")
  if [ "$systemd_loaded" != loaded ]; then
    if [ -e "$systemd_root/run/unit.old" ]; then mv -f "$systemd_root/run/unit.old" "$systemd_place"
    else rm -f "$systemd_place" "$systemd_wants/$systemd_unit"; fi
    systemctl daemon-reload
    set -- "systemd refuses the unit: $systemd_loaded"
  fi
  rm -f "$systemd_root/run/unit.old"
  systemd_words "$1"
}
manager_set() { # NAME UNIT FORCE STOP_S
  systemd_unit=$systemd_prefix$1.service systemd_place=$systemd_units/$systemd_prefix$1.service systemd_verb=start systemd_stamp=
  systemd_begun=$(date +%s)
  said=$(systemd_rotation 2>&1) || { echo "${said:-the log rotation cannot be set up}"; return 1; }
  systemd_new=$(sha256sum <"$2") && systemd_new=${systemd_new%% *} || return 1
  [ ! -e "$systemd_root/run/defined/$1" ] || read -r systemd_stamp <"$systemd_root/run/defined/$1"
  [ "$3" = 0 ] && [ "$systemd_stamp" = "$systemd_new" ] && cmp -s "$2" "$systemd_place" || systemd_verb=restart
  [ ! -e "$systemd_place" ] || cp -p "$systemd_place" "$systemd_root/run/unit.old" || return 1
  systemd_put "$2" "$systemd_place" || return 1
  rm -f "$2"
  # The link is what `systemctl enable` would make, without its own daemon-reload.
  systemd_wants=$systemd_units/multi-user.target.wants
  mkdir -p "$systemd_wants" && ln -sfn "$systemd_place" "$systemd_wants/$systemd_unit" || return 1
  said=$(systemctl daemon-reload 2>&1) || { echo "$said"; return 1; }
  said=$(systemctl "$systemd_verb" "$systemd_unit" 2>&1) || { systemd_not_started "$said"; return 1; }
  rm -f "$systemd_root/run/unit.old"
  systemd_pid=$(systemctl show --property=MainPID --value "$systemd_unit")
  [ "${systemd_pid:-0}" != 0 ] || { systemd_words "it ended at once"; return 1; }
  echo "$systemd_new" >"$systemd_root/run/defined/$1.new" &&
    mv -f "$systemd_root/run/defined/$1.new" "$systemd_root/run/defined/$1" || return 1
  echo "pid $systemd_pid"
}
manager_unset() { # NAME STOP_S
  systemd_unit=$systemd_prefix$1.service
  said=$(systemctl stop "$systemd_unit" 2>&1)
  case $? in 0|5) ;; *) echo "$said"; return 1 ;; esac # 5: it is not known
  if [ -e "$systemd_units/$systemd_unit" ]; then
    said=$(systemctl disable --quiet "$systemd_unit" 2>&1) || { echo "$said"; return 1; }
  fi
  rm -f "$systemd_units/$systemd_unit" "$systemd_root/run/defined/$1" || return 1
  systemctl reset-failed "$systemd_unit" 2>/dev/null
  for systemd_left in "$systemd_units/$systemd_prefix"*.service; do
    [ -e "$systemd_left" ] && [ "$systemd_left" != "$systemd_units/${systemd_prefix}rotate.service" ] || continue
    systemctl daemon-reload
    return
  done
  # The last service is gone: the rotation goes too.
  systemctl disable --quiet --now "${systemd_prefix}rotate.timer" 2>/dev/null
  rm -f "$systemd_units/${systemd_prefix}rotate.timer" "$systemd_units/${systemd_prefix}rotate.service" "$systemd_root/etc/rotate.sh"
  rmdir "$systemd_root/etc" "$systemd_root/run/defined" 2>/dev/null
  systemctl daemon-reload
}
"""


@dataclass(frozen=True, slots=True)
class Systemd:
    """Services of one root folder under the systemd of a host, as root.

    root: the folder on the target. prefix: begins the names of our units, other for each environment of a host.
    Raises BadInput for a root or prefix that units cannot name.
    """

    root: str
    prefix: str = "cortops-"

    def __post_init__(self) -> None:
        if not _PLAIN_PATH.fullmatch(self.root):
            raise BadInput(f"{self.root!r} cannot be the folder of units: an absolute path of plain characters is needed")
        if not _PREFIX.fullmatch(self.prefix):
            raise BadInput(f"{self.prefix!r} cannot begin the names of units: letters, digits, . _ - are needed, and . or - at the end")

    @property
    def prelude(self) -> str:
        """As targets.supervision.Supervisor.prelude."""
        return (
            f"{self._names}systemd_rotation_text() {{ case $1 in\nsh) cat <<'ROTATE'\n{_ROTATE_SH}ROTATE\n;;\n"
            f"service) cat <<'SERVICE'\n{self._rotate_service}SERVICE\n;;\ntimer) cat <<'TIMER'\n{_ROTATE_TIMER}TIMER\n;;\nesac; }}\n"
            f"{_LOAD_SH}{_SH}"
        )

    @property
    def status_script(self) -> str:
        """The sh text that prints `NAME STATE PID UPTIME_S` for each service that systemd knows; exit status 3 where it knows none."""
        return f"{self._names}{_LOAD_SH}{_STATUS_SH}"

    @property
    def _names(self) -> str:
        return f"systemd_root={quote(self.root)} systemd_prefix={quote(self.prefix)} systemd_units={UNITS}\n"

    @property
    def stop_program(self) -> str:
        """Stops every service and lets none come back with a reboot; prints `stopped` where one ran. Units stay, for the next apply."""
        return f"{self._names}{_STOP_SH}"

    @property
    def purge_program(self) -> str:
        """Removes the units and the root folder with all data; only after `stop_program`."""
        return f"{self._names}{_PURGE_SH}"

    def unit_path(self, service: Service) -> str:
        """As targets.supervision.Supervisor.unit_path."""
        return f"{UNITS}/{self.prefix}{service.name}.service"

    def unit(self, service: Service, inputs: str) -> str:
        """The text of the unit. BadInput where systemd's file format cannot hold a value."""
        if not _NAME.fullmatch(service.name) or service.name == ROTATE:
            raise BadInput(
                f"service name {service.name!r} is taken, or has characters other than letters, digits, . _ -", where=service.because
            )
        if not service.argv:
            raise BadInput(f"service {service.name} has no program", where=service.because)
        lines = [
            f"# {service.entity}",
            "[Unit]",
            f"Description={service.entity} (cortops)",
            "After=network.target",
            "StartLimitIntervalSec=0",
            "[Service]",
            "Type=exec",
            f"ExecStart={_command(service)}",
            f"WorkingDirectory={_path(service, service.directory)}",
            f"StandardOutput=append:{_path(service, service.log_path)}",
            "StandardError=inherit",
            "Restart=always",
            f"RestartSec={RESTART_S}",
            f"KillSignal=SIG{service.stop_signal}",
            f"TimeoutStopSec={service.stop_timeout_s}",
            "NoNewPrivileges=yes",
            "ProtectSystem=full",
            f"Environment=CORTOPS_INPUTS={inputs}",
        ]
        if service.user:
            lines.append(f"User={service.user}")
        lines += ["[Install]", "WantedBy=multi-user.target"]
        lines += ["[X-Cortops]", f"Log={service.log_path}", f"LogMaxMib={service.log_max_mib}", f"LogKeep={service.log_keep}"]
        return "\n".join(lines) + "\n"

    @property
    def _rotate_service(self) -> str:
        return (
            "[Unit]\nDescription=Rotate the logs of cortops services\n[Service]\nType=oneshot\n"
            f"ExecStart=/bin/sh {self.root}/etc/rotate.sh {UNITS} {self.prefix}\n"
        )


_ROTATE_TIMER = (
    "[Unit]\nDescription=Rotate the logs of cortops services\n[Timer]\n"
    f"OnActiveSec={ROTATE_EVERY_MIN}min\nOnUnitActiveSec={ROTATE_EVERY_MIN}min\nAccuracySec=30s\n[Install]\nWantedBy=timers.target\n"
)


def _command(service: Service) -> str:
    """`ExecStart=`: each word quoted; systemd.syntax(7), and specifiers and variables of systemd.service(5) taken literally."""
    program, *words = service.argv
    if not program or re.search(r"[\0-\x1f$\x7f]", program) or program[0] in "@-:+!|" or any(map(_is_no_text, program)):
        raise BadInput(f"systemd cannot start a program of the name {program!r} (service {service.name})", where=service.because)
    if any("\0" in word or len(word.encode()) >= WORD_MAX_KIB << 10 for word in words):
        raise BadInput(f"an argument of service {service.name} holds a zero byte or is too long", where=service.because)
    return " ".join([_word(program), *(_word(word) for word in words)])


def _word(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return '"' + "".join(_character(character) for character in word) + '"'


def _character(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character in "%$":
        return character * 2
    if character < " " or character == "\x7f" or _is_no_text(character):
        return "".join(f"\\x{byte:02x}" for byte in character.encode())
    return character


def _is_no_text(character: str) -> bool:
    """The noncharacters of Unicode, for which systemd leaves out the whole line."""
    return 0xFDD0 <= ord(character) <= 0xFDEF or ord(character) & 0xFFFE == 0xFFFE


def _path(service: Service, path: str) -> str:
    if re.search(r"[\0-\x1f\x7f\\\"]|\s$", path) or not path.startswith("/") or any(map(_is_no_text, path)):
        raise BadInput(f"systemd's units cannot hold the path {path!r} of service {service.name}", where=service.because)
    return path.replace("%", "%%")
