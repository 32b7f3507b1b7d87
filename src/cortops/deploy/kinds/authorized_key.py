"""One marked line in an account's authorized_keys: who may come in by a key, and what that key may do. No other line is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cortops.deploy.kinds.kind import Making, Words
from cortops.deploy.observed import Step
from cortops.targets.supervision import Supervisor
from cortops.words.resource import AuthorizedKey


class AuthorizedKeyKind:
    """The mark ends our line, so it is found again after a change of the key. The file keeps its owner and mode, and is replaced whole."""

    prelude = r"""
keys_of() { # ACCOUNT: sets home, owner and keys, or says why there are none
  entry=$(getent passwd "$1" 2>/dev/null || grep "^$1:" /etc/passwd) || { echo "there is no user $1"; return 1; }
  home=${entry%:*} home=${home##*:} owner=${entry#*:*:} rest=${owner#*:} owner=${owner%%:*}:${rest%%:*} keys=$home/.ssh/authorized_keys
  [ -n "$home" ] && [ -d "$home" ] || { echo "the user $1 has no home"; return 1; }
  [ ! -L "$home/.ssh" ] && [ ! -L "$keys" ] || { echo "$keys is a link, so somebody else keeps it"; return 1; }
}
look_authorized_key() { # INDEX ACCOUNT MARK
  index=$1 said=
  keys_of "$2" >/dev/null || { unseen "$1" "$(keys_of "$2")"; return; }
  look_at "$1" "$keys" || return
  [ -r "$keys" ] || { unseen "$1" "$keys cannot be read by $(id -un)"; return; }
  lines=$(grep -c " $3\$" "$keys")
  [ "$lines" != 0 ] || { absent "$1" ""; return; }
  sum=$(grep " $3\$" "$keys" | sha256sum)
  present "$1" "line=${sum%% *}"
}
put_keys() { # ACCOUNT MARK LINE: the others, and LINE unless it is empty
  keys_of "$1" || return 1
  [ -d "$home/.ssh" ] || { mkdir -m 700 "$home/.ssh" && chown "$owner" "$home/.ssh"; } || return 1
  new=$keys.cortops-new
  rm -f "$new"
  if [ -e "$keys" ]; then cp -p "$keys" "$new"; else : >"$new" && chmod 600 "$new" && chown "$owner" "$new"; fi || return 1
  if [ -e "$keys" ]; then
    grep -v " $2\$" "$keys" >"$new"
    [ $? -le 1 ] || { rm -f "$new"; return 1; }
  fi
  [ -z "$3" ] || printf '%s\n' "$3" >>"$new" || { rm -f "$new"; return 1; }
  sync "$new" && mv -f "$new" "$keys"
}
make_authorized_key() { put_keys "$@"; } # ACCOUNT MARK LINE
remove_authorized_key() { # ACCOUNT MARK
  keys_of "$1" && [ -e "$keys" ] || return 0
  put_keys "$1" "$2" "" && { [ -s "$keys" ] || rm -f "$keys"; }
}
"""

    def attributes(self, resource: AuthorizedKey, payload: bytes, manager: Supervisor) -> Mapping[str, str]:
        return {"line": hashlib.sha256(f"{line(resource)}\n".encode()).hexdigest()}

    def look(self, resource: AuthorizedKey, manager: Supervisor) -> Words:
        return ("look_authorized_key", resource.account, resource.mark)

    def make(self, resource: AuthorizedKey, step: Step, manager: Supervisor) -> Making:
        """The line is public."""
        return Making(("make_authorized_key", resource.account, resource.mark, line(resource)))

    def remove(self, resource: AuthorizedKey, manager: Supervisor) -> Words:
        """A file that then holds nothing goes too."""
        return ("remove_authorized_key", resource.account, resource.mark)


def line(resource: AuthorizedKey) -> str:
    """As authorized_keys(5) wants it: that command and no other, no terminal, no forwarding, no file of the user's run before."""
    command = resource.command.replace("\\", "\\\\").replace('"', '\\"')
    forced = f',command="{command}"' if command else ""
    return f"restrict{forced} {resource.public} {resource.mark}"
