"""The sh that all kinds share. It runs under dash, bash or busybox with dd, stat, sha256sum, sync and /proc."""

from __future__ import annotations

PRELUDE = r"""
LC_ALL=C; export LC_ALL; umask 077
exec 4>&1
tab=$(printf '\t') lf='
'
flat() { printf %s "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | cut -c1-400; }
present() { printf '%s\tpresent\t%s\n' "$1" "$2"; } # INDEX name=value[TAB name=value]...
absent() { printf '%s\tabsent\t%s\n' "$1" "$2"; } # INDEX WHY-BLOCKED
unseen() { printf '%s\tunseen\t%s\n' "$1" "$(flat "$2")"; } # INDEX WHY
missing() { # INDEX PATH: absent only if we can look where it would be
  near=${2%/*}
  while [ -n "$near" ] && [ ! -e "$near" ]; do near=${near%/*}; done
  if [ -x "${near:-/}" ]; then absent "$1" ""; else unseen "$1" "$near cannot be searched by $(id -un)"; fi
}
look_at() { # INDEX PATH: stops the caller unless PATH is there and no link
  if [ -L "$2" ]; then present "$1" "is=a link"; return 1; fi
  [ -e "$2" ] || { missing "$1" "$2"; return 1; }
}
hash_of() { hashed=$(sha256sum <"$1") && printf %s "${hashed%% *}"; }
take() { dd bs=65536 count="$1" iflag=fullblock,count_bytes status=none; } # BYTES
fits() { # FILE SHA256
  found=$(hash_of "$1") || return 1
  [ "$found" = "$2" ] || { echo "what arrived has sha256 $found, not $2"; return 1; }
}
accepted() { # [CHECK...]: whether that program says yes; without one, always
  [ $# -gt 0 ] || return 0
  said=$(cd / && "$@" 2>&1 </dev/null) && return 0
  echo "refused by ${1##*/}: $said"
  return 1
}
no_directory() { # PATH
  if [ -d "$1" ] && [ ! -L "$1" ]; then echo "$1 is a directory"; return 1; fi
}
settle() { # NEW PATH MODE: NEW becomes PATH, whole or not at all
  chmod "$3" "$1" && sync "$1" && mv -f "$1" "$2"
}
"""
