"""A large file known by its hash: sent only where missing, from where the last attempt ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import Blob


class BlobKind:
    """Hashing 100 MB at every look would be the slowest part of an observe, so the target keeps a stamp: the hash it found, with
    inode, size, mtime and ctime of the file then. Any write changes the ctime, and the file is hashed again.
    """

    prelude = r"""
blob_sum() { # PATH IDENTITY STAMP
  if [ -r "$3" ] && read -r sum same <"$3" && [ "$same" = "$2" ]; then echo "$sum"; else hash_of "$1"; fi
}
look_blob() { # INDEX PATH STAMP
  look_at "$1" "$2" || return
  [ -f "$2" ] || { present "$1" "is=no plain file"; return; }
  [ -r "$2" ] || { unseen "$1" "$2 cannot be read by $(id -un)"; return; }
  id=$(stat -c '%a %i %s %y %z' "$2" 2>&1) || { unseen "$1" "$id"; return; }
  sum=$(blob_sum "$2" "${id#* }" "$3" 2>&1) || { unseen "$1" "$sum"; return; }
  present "$1" "sha256=$sum${tab}mode=${id%% *}"
}
make_blob() { # PATH MODE BYTES SHA256 STAMP
  no_directory "$1" || return 1
  part=$1.part
  if [ ! -e "$part" ] && [ -f "$1" ] && [ ! -L "$1" ] && [ "$(hash_of "$1")" = "$4" ]; then
    printf '%s\tsend\t%s\n' "$index" "$3" >&4
    chmod "$2" "$1" || return 1
  else
    have=0
    [ ! -f "$part" ] || have=$(stat -c %s "$part") || return 1
    [ "$have" -le "$3" ] || { rm -f "$part"; have=0; }
    printf '%s\tsend\t%s\n' "$index" "$have" >&4
    sed 's/.*) //' "/proc/$$/stat" | cut -d ' ' -f 3 >"$apply_run/taking" # our group of processes, for an apply that comes after us
    take "$(($3 - have))" >>"$part" || return 1
    rm -f "$apply_run/taking"
    [ "$(stat -c %s "$part")" = "$3" ] || { echo "only $(stat -c %s "$part") of $3 bytes arrived"; return 1; }
    fits "$part" "$4" || { rm -f "$part"; return 1; }
    settle "$part" "$1" "$2" || return 1
    [ "$have" = 0 ] || echo "resumed at $have of $3 bytes"
  fi
  mkdir -p "${5%/*}" && echo "$4 $(stat -c '%i %s %y %z' "$1")" >"$5"
}
remove_blob() { rm -f "$1" "$1.part" "$2" && rmdir "${2%/*}" 2>/dev/null; return 0; } # PATH STAMP
"""

    def attributes(self, resource: Blob, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"sha256": resource.sha256, "mode": f"{resource.mode:o}"}

    def look(self, resource: Blob, manager: Supervisor) -> Words:
        return ("look_blob", resource.path, _stamp(resource, manager))

    def make(self, resource: Blob, step: Step, manager: Supervisor) -> Making:
        """The blob is sent from where the target asks to begin."""
        words = ("make_blob", resource.path, f"{resource.mode:o}", resource.size, resource.sha256, _stamp(resource, manager))
        return Making(words, resource)

    def remove(self, resource: Blob, manager: Supervisor) -> Words:
        return ("remove_blob", resource.path, _stamp(resource, manager))


def _stamp(resource: Blob, manager: Supervisor) -> str:
    return f"{manager.root}/run/hashed/{hashlib.sha256(resource.path.encode()).hexdigest()[:16]}"
