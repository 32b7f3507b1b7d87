"""An archive unpacked into a folder of its own, with the host's Python linked into it where it holds programs of ours."""

from __future__ import annotations

from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import Tree


class TreeKind:
    """Unpacked beside its place, synced, stamped and renamed: a folder without the stamp of its archive is none. The files in it are not
    looked at again: who edits them by hand edits libraries. A Python that went away (a new one of the distribution) is seen.
    """

    prelude = r"""
tree_python() { # VERSION MACHINE: sets interpreter, or says why the archive cannot run here
  [ "$(uname -m)" = "$2" ] || { echo "its libraries are for $2, and this host is $(uname -m)"; return 1; }
  interpreter=$(PATH=/usr/bin:/usr/local/bin:$PATH command -v "python$1") || {
    has=$(PATH=/usr/bin:/usr/local/bin:$PATH python3 -c 'import sys; print("has Python %d.%d" % sys.version_info[:2])' 2>/dev/null)
    echo "it needs Python $1, and this host ${has:-has none}: install python$1 here, or run cortops where Python is as here"
    return 1
  }
  lacks=$("$interpreter" -I -c 'import asyncio, ctypes, decimal, sqlite3, ssl' 2>&1) || {
    echo "$interpreter is not whole (${lacks##*"$lf"}): install the full package, python3 for example"; return 1
  }
}
look_tree() { # INDEX PATH PYTHON
  look_at "$1" "$2" || return
  [ -d "$2" ] || { present "$1" "is=no folder"; return; }
  [ -x "$2" ] || { unseen "$1" "$2 cannot be searched by $(id -un)"; return; }
  sum=; [ ! -r "$2/.tree" ] || read -r sum <"$2/.tree"
  runs=yes; [ -z "$3" ] || [ -x "$2/bin/python" ] || runs="no: its Python is gone"
  present "$1" "sha256=$sum${tab}runs=$runs"
}
make_tree() { # PATH ARCHIVE SHA256 PYTHON MACHINE
  new=$1.new
  [ ! -e "$1" ] || [ -d "$1" ] || { echo "$1 is no folder"; return 1; }
  [ -z "$4" ] || tree_python "$4" "$5" || return 1
  fits "$2" "$3" || return 1
  rm -rf "$new" && (umask 022; mkdir -p "$new") && (umask 022; tar -xzpf "$2" -C "$new") || { rm -rf "$new"; return 1; }
  if [ -n "$4" ]; then
    (umask 022; mkdir "$new/bin" && ln -s "$interpreter" "$new/bin/python" &&
      printf 'home = %s\ninclude-system-site-packages = false\n' "${interpreter%/*}" >"$new/pyvenv.cfg") || { rm -rf "$new"; return 1; }
  fi
  echo "$3" >"$new/.tree" && chmod 644 "$new/.tree" && { sync -f "$new" 2>/dev/null || sync; } || return 1
  rm -rf "$1.old" && { [ ! -d "$1" ] || mv "$1" "$1.old"; } && mv "$new" "$1" && rm -rf "$1.old"
}
remove_tree() { rm -rf "$1" "$1.new" "$1.old"; } # PATH
"""

    def attributes(self, resource: Tree, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"sha256": resource.sha256, "runs": "yes"}

    def look(self, resource: Tree, manager: Supervisor) -> Words:
        return ("look_tree", resource.path, resource.python)

    def make(self, resource: Tree, step: Step, manager: Supervisor) -> Making:
        """Nothing is sent: the archive is a blob of the same host, which it needs."""
        return Making(("make_tree", resource.path, resource.archive, resource.sha256, resource.python, resource.machine))

    def remove(self, resource: Tree, manager: Supervisor) -> Words:
        return ("remove_tree", resource.path)


def timeout_s(resource: Tree) -> float:
    """How long unpacking may take beside a usual step, on a slow disk."""
    return resource.size / (1 << 20)
