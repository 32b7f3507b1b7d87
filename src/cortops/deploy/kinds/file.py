"""A small file: content by hash, and mode."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import NEW_FILE, File


class FileKind:
    """The content travels as data, so that secrets in it are in no program text."""

    prelude = r"""
look_file() { # INDEX PATH
  look_at "$1" "$2" || return
  [ -f "$2" ] || { present "$1" "is=no plain file"; return; }
  [ -r "$2" ] || { unseen "$1" "$2 cannot be read by $(id -un)"; return; }
  mode=$(stat -c %a "$2" 2>&1) || { unseen "$1" "$mode"; return; }
  sum=$(hash_of "$2" 2>&1) || { unseen "$1" "$sum"; return; }
  present "$1" "sha256=$sum${tab}mode=$mode"
}
make_file() { # PATH MODE BYTES SHA256 [CHECK...]
  path=$1 mode=$2
  no_directory "$path" || return 1
  rm -f "$path.cortops-new" && take "$3" >"$path.cortops-new" && fits "$path.cortops-new" "$4" || return 1
  shift 4
  accepted "$@" || { rm -f "$path.cortops-new"; return 1; }
  settle "$path.cortops-new" "$path" "$mode"
}
remove_file() { rm -f "$1" "$1.cortops-new"; } # PATH
"""

    def attributes(self, resource: File, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"sha256": hashlib.sha256(payload).hexdigest(), "mode": f"{resource.mode:o}"}

    def look(self, resource: File, manager: Supervisor) -> Words:
        return ("look_file", resource.path)

    def make(self, resource: File, step: Step, manager: Supervisor) -> Making:
        """The payload is sent as data."""
        payload = step.desired.payload
        check = (f"{resource.path}.cortops-new" if word == NEW_FILE else word for word in resource.check)
        words: Words = ("make_file", resource.path, f"{resource.mode:o}", len(payload), hashlib.sha256(payload).hexdigest(), *check)
        return Making(words, payload)

    def remove(self, resource: File, manager: Supervisor) -> Words:
        return ("remove_file", resource.path)
