"""A directory with its mode."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import Directory


class DirectoryKind:
    """Removing takes only an empty one; what others left in it stays, and is said."""

    prelude = r"""
look_directory() { # INDEX PATH
  look_at "$1" "$2" || return
  [ -d "$2" ] || { present "$1" "is=no directory"; return; }
  mode=$(stat -c %a "$2" 2>&1) || { unseen "$1" "$mode"; return; }
  present "$1" "mode=$mode"
}
make_directory() { # PATH MODE
  [ -d "$1" ] || (umask 022; mkdir -p "$1") || return 1
  chmod "$2" "$1"
}
remove_directory() { # PATH
  [ -d "$1" ] || return 0
  said=$(rmdir "$1" 2>&1) && return 0
  case $said in
    *"not empty"*) echo "left in place: not empty" ;;
    *) echo "$said"; return 1 ;;
  esac
}
"""

    def attributes(self, resource: Directory, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"mode": f"{resource.mode:o}"}

    def look(self, resource: Directory, manager: Supervisor) -> Words:
        return ("look_directory", resource.path)

    def make(self, resource: Directory, step: Step, manager: Supervisor) -> Making:
        return Making(("make_directory", resource.path, f"{resource.mode:o}"))

    def remove(self, resource: Directory, manager: Supervisor) -> Words:
        return ("remove_directory", resource.path)
