"""supervisord as a service manager, as pure text: units, and the sh that asks and changes it. Implements targets.supervision.Supervisor.

Under the target's root: `etc/supervisor/` holds the configuration (`conf.d/NAME.conf` is one service), `run/` the socket and pid file.
`run/defined/NAME` holds the sha256 of the unit that supervisord has taken over: while it differs from the file, the change is unfinished,
so a kill between the two is seen by the next observe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

from cortops.targets.quoting import quote
from cortops.words.errors import BadInput
from cortops.words.resource import Service

START_S = 1  # a program that ends sooner has not started
START_RETRIES = 5  # then supervisor gives up and calls it FATAL; the pauses grow by a second each
SOCKET_PATH_MAX_BYTES = 96  # 107 by the kernel, less what supervisord appends while it makes the socket

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=@,+-]")
_IDENTITY: Final = "cortops"

_MAIN_CONF = f"""\
[supervisord]
identifier={_IDENTITY}
logfile=%(here)s/../../run/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile=%(here)s/../../run/supervisord.pid
childlogdir=%(here)s/../../run
nodaemon=false
umask=077
[unix_http_server]
file=%(here)s/../../run/supervisor.sock
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files=conf.d/*.conf
"""

_SH = r"""
supervisor_etc=$supervisor_root/etc/supervisor supervisor_run=$supervisor_root/run
manager_load() {
  manager_silent=
  supervisor_status=$(supervisor_client "$supervisor_run/supervisor.sock" status 2>&1)
  case $? in
    0) ;;
    3) supervisor_status= ;;
    *) manager_silent="supervisord does not answer: $supervisor_status" supervisor_status= ;;
  esac
}
manager_state() { # NAME
  definition= running=no pid= uptime_s=
  if [ -e "$supervisor_etc/conf.d/$1.conf" ]; then
    definition=$(sha256sum <"$supervisor_etc/conf.d/$1.conf") || definition=unfinished
    definition=${definition%% *} stamp=
    [ ! -e "$supervisor_run/defined/$1" ] || read -r stamp <"$supervisor_run/defined/$1"
    [ "$stamp" = "$definition" ] || definition=unfinished
  fi
  case "$lf$supervisor_status" in
    *"$lf$1 "*)
      line=${supervisor_status#"$1 "}
      [ "$line" != "$supervisor_status" ] || line=${supervisor_status#*"$lf$1 "}
      line=${line%%"$lf"*}
      [ -n "$definition" ] || definition=none
      case $line in RUNNING*|STARTING*)
        running=yes line=${line#* } pid=${line%% *} line=${line#* } uptime_s=${line%% *}
      esac ;;
  esac
}
supervisor_start() { # does nothing when it runs
  said=$(supervisor_client "$supervisor_run/supervisor.sock" status 2>&1)
  case $? in 0) return 0 ;; 3) ;; *) echo "$said"; return 1 ;; esac
  mkdir -p "$supervisor_etc/conf.d" "$supervisor_run/defined" && chmod 700 "$supervisor_run" || return 1
  supervisor_conf >"$supervisor_etc/supervisord.conf.new" &&
    mv -f "$supervisor_etc/supervisord.conf.new" "$supervisor_etc/supervisord.conf" || return 1
  rm -f "$supervisor_run/supervisor.sock" "$supervisor_run/supervisord.pid"
  # A clean environment: what the caller carries must not reach the services.
  said=$(env -i HOME="${HOME-/}" PATH="$PATH" USER="${USER-}" LOGNAME="${LOGNAME-}" LANG=C.UTF-8 PYTHONUTF8=1 ${TMPDIR:+TMPDIR="$TMPDIR"} \
    "$supervisor_python" -m supervisor.supervisord -c "$supervisor_etc/supervisord.conf" 2>&1 >/dev/null </dev/null 4>&- 9>&-) || {
    echo "supervisord does not start: $said"; return 1; }
}
manager_set() { # NAME UNIT FORCE STOP_S
  supervisor_start || return 1
  mv -f "$2" "$supervisor_etc/conf.d/$1.conf" || return 1
  said=$(supervisor_client "$supervisor_run/supervisor.sock" converge "$1" "$3" "$4" 2>&1)
  case $? in
    0) ;;
    4) rm -f "$supervisor_etc/conf.d/$1.conf"; echo "supervisord refuses its unit: $said"; return 1 ;; # else it would read no other either
    *) echo "$said"; return 1 ;;
  esac
  stamp=$(sha256sum <"$supervisor_etc/conf.d/$1.conf") &&
    echo "${stamp%% *}" >"$supervisor_run/defined/$1.new" && mv -f "$supervisor_run/defined/$1.new" "$supervisor_run/defined/$1" || return 1
  echo "$said"
}
manager_unset() { # NAME STOP_S
  said=$(supervisor_client "$supervisor_run/supervisor.sock" remove "$1" "$2" 2>&1)
  case $? in 0|3) ;; *) echo "$said"; return 1 ;; esac
  rm -f "$supervisor_etc/conf.d/$1.conf" "$supervisor_run/defined/$1" || return 1
  for left in "$supervisor_etc"/conf.d/*.conf; do [ ! -e "$left" ] || return 0; done
  # The last service is gone: supervisord goes too, and leaves nothing.
  said=$(supervisor_client "$supervisor_run/supervisor.sock" shutdown 2>&1)
  case $? in 0|3) ;; *) echo "$said"; return 1 ;; esac
  rm -f "$supervisor_etc/supervisord.conf" "$supervisor_run"/supervisord.* "$supervisor_run/supervisor.sock"
  rmdir "$supervisor_etc/conf.d" "$supervisor_etc" "$supervisor_run/defined" 2>/dev/null
  return 0
}
"""


@dataclass(frozen=True, slots=True)
class Supervisord:
    """Services of one root folder under one supervisord.

    root: the folder on the target. python: an interpreter there that has the package `supervisor`.
    Raises BadInput for a root that supervisord cannot work in.
    """

    root: str
    python: str

    def __post_init__(self) -> None:
        if re.search(r"[\s%;#\[\]*?'\"\\]", self.root) or not self.root.startswith("/"):
            raise BadInput(f"{self.root!r} cannot be the folder of a supervisord: an absolute path of plain characters is needed")
        if len(f"{self.root}/run/supervisor.sock".encode()) > SOCKET_PATH_MAX_BYTES:
            raise BadInput(f"{self.root} is too long for the path of a socket", next="choose a shorter folder with CORTOPS_DATA")

    @property
    def prelude(self) -> str:
        """As targets.supervision.Supervisor.prelude."""
        client = (resources.files("cortops.targets") / "supervisor_client.py").read_text()
        return (
            f"supervisor_root={quote(self.root)} supervisor_python={quote(self.python)}\n"
            f'supervisor_client() {{ "$supervisor_python" -I -S - "$@" <<\'CLIENT\'\n{client}CLIENT\n}}\n'
            f"supervisor_conf() {{ cat <<'CONF'\n{_MAIN_CONF}CONF\n}}\n{_SH}"
        )

    def unit_path(self, service: Service) -> str:
        """As targets.supervision.Supervisor.unit_path."""
        return f"{self.root}/etc/supervisor/conf.d/{service.name}.conf"

    def unit(self, service: Service, inputs: str) -> str:
        """The text of conf.d/NAME.conf. BadInput where supervisor's file format cannot hold a value."""
        if not _NAME.fullmatch(service.name):
            raise BadInput(f"service name {service.name!r} has characters other than letters, digits, . _ -", where=service.because)
        lines = [
            f"; {service.entity}",
            f"[program:{service.name}]",
            f"command={_command(service)}",
            f"directory={_path(service, service.directory)}",
            f"stdout_logfile={_path(service, service.log_path)}",
            f"stdout_logfile_maxbytes={service.log_max_mib}MB",
            f"stdout_logfile_backups={service.log_keep}",
            "redirect_stderr=true",
            "autostart=false",  # a plan starts it, in its wave
            "autorestart=true",
            f"startsecs={START_S}",
            f"startretries={START_RETRIES}",
            f"stopsignal={service.stop_signal}",
            f"stopwaitsecs={service.stop_timeout_s}",
            "stopasgroup=true",
            "killasgroup=true",
            f'environment=CORTOPS_INPUTS="{inputs}"',
        ]
        if service.user:
            lines.append(f"user={service.user}")
        return "\n".join(lines) + "\n"


def _command(service: Service) -> str:
    if any("\n" in word or "\r" in word or "\0" in word for word in service.argv):
        raise BadInput(f"an argument of service {service.name} holds a line break, which supervisor cannot", where=service.because)
    return " ".join(_word(word) for word in service.argv)


def _word(word: str) -> str:
    """One argument for supervisor's `command=`: read by configparser (` ;` and ` #` start comments), then `%`, then shlex."""
    quoted = "".join(_character(character) for character in word)
    return quoted or '""'


def _character(character: str) -> str:
    if _PLAIN.match(character) or (ord(character) > 127 and not character.isspace()):
        return character
    if character == "%":
        return "%%"
    if character.isspace():
        return f'"{character}"'  # so that no comment sign ever follows a blank, and none stands at the end
    return f"\\{character}"


def _path(service: Service, path: str) -> str:
    if re.search(r"[\r\n]|\s[;#]|%\(|^\s|\s$", path):
        raise BadInput(f"supervisor's configuration cannot hold the path {path!r} of service {service.name}", where=service.because)
    return path.replace("%", "%%")
