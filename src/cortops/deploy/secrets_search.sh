# Patterns stay in the variable `all` and in pipes: printf is part of the shell, so no argument list and no file ever holds one.
tab=$(printf '\t')
forms() { printf '%s\n' "$all" | cut -f2-; }
names() { printf '%s\n' "$all" | cut -f1 | sort -u | grep .; }
forms_of() { printf '%s\n' "$all" | awk -v name="$1" '{ at = index($0, "\t") } substr($0, 1, at - 1) == name { print substr($0, at + 1) }'; }
add() { [ -z "$1" ] || all=$(printf '%s\n%s' "$all" "$1" | grep .); }

take_env() { # NODE ENV_FILE: its secrets, without a 0x before them
  [ -r "$2" ] && [ -f "$2" ] || { printf 'unread\t%s\n' "$1"; return; }
  add "$(awk -v node="$1" '
    function one_digit(text) { gsub(substr(text, 1, 1), "", text); return text == "" }
    { gsub(/\r/, ""); sub(/^[ \t]+/, ""); sub(/^export[ \t]+/, ""); at = index($0, "=") }
    /^#/ || at < 2 { next }
    { key = substr($0, 1, at - 1); sub(/[ \t]+$/, "", key); value = substr($0, at + 1); gsub(/^[ \t]+|[ \t]+$/, "", value) }
    key !~ /^[A-Za-z0-9_]+$/ || key !~ /PRIVATE_KEY|API_KEY|SECRET|SEED|PASSWORD|MNEMONIC|TOKEN/ { next }
    { quote = substr(value, 1, 1)
      if (quote == "\"" || quote == "\047") { value = substr(value, 2); sub(quote ".*", "", value) } else sub(/[ \t]+#.*/, "", value)
      sub(/^0x/, "", value) }
    length(value) < 16 || one_digit(value) || tolower(value) ~ /^(your|change|replace|example|placeholder|todo|xxx|default|dummy|test|<)/ { next }
    { print node " " key "\t" value }
    value ~ /^[0-9A-Fa-f]+$/ { print node " " key "\t" tolower(value); print node " " key "\t" toupper(value) }' "$2")"
}
take_key() { # SECRET FILE: the whole of it; told are its mode, and whether it has the form of a wallet's key
  [ -r "$2" ] && [ -f "$2" ] || { printf 'unread\t%s\n' "$1"; return; }
  printf 'key\t%s\t%s\t%s\n' "$1" "$(stat -c %a -- "$2")" "$(grep -cEx '[[:space:]]*(0x)?[0-9a-fA-F]{64}[[:space:]]*' -- "$2")"
  add "$(awk -v name="$1" 'NF { gsub(/[ \t\r]/, ""); sub(/^0x/, ""); if (length($0) >= 16) for (i = 0; i < 3; i++) print name "\t" (i ? i > 1 ? toupper($0) : tolower($0) : $0) }' "$2")"
}
searched_for() { names | while IFS= read -r name; do printf 'for\t%s\n' "$name"; done; }

tell_file() { # PATH, which holds at least one
  mode=$(stat -c %a -- "$1" 2>/dev/null) || return 0
  names | while IFS= read -r name; do
    forms_of "$name" | grep -qFs -f - -- "$1" && printf 'file\t%s\t%s\t%s\n' "$name" "$mode" "$1"
  done
}
grep_files() { # PATHS on standard input, 200 at a time
  set --
  while IFS= read -r path; do
    set -- "$@" "$path"
    [ $# -lt 200 ] || { forms | grep -lFs -f - -- "$@"; set --; }
  done
  [ $# = 0 ] || forms | grep -lFs -f - -- "$@"
}
tell_files() { while IFS= read -r path; do tell_file "$path"; done; }
in_places() { # our programs' binaries and the binary journal are left out: the first are known by their hash, the second is read below
  [ -n "$all" ] || return 0
  find "$@" -xdev \( -name blobs -o -name runtime -o -name artifacts -o -path /var/log/journal \) -prune -o -type f -size -"${file_max_kib}k" -print 2>/dev/null |
    grep_files | tell_files
}
in_shallow() {
  [ -n "$all" ] || return 0
  find "$@" -xdev -maxdepth "$shallow" -type f -size -2048k -print 2>/dev/null | head -n 2000 | grep_files | tell_files
}
in_processes() {
  [ -n "$all" ] || return 0
  for one in /proc/[0-9]*/cmdline; do echo "$one"; done | grep_files | while IFS= read -r path; do
    pid=${path#/proc/} pid=${pid%/cmdline}
    read -r comm <"/proc/$pid/comm" 2>/dev/null || continue
    names | while IFS= read -r name; do
      forms_of "$name" | grep -qFs -f - -- "$path" && printf 'process\t%s\tpid %s (%s)\n' "$name" "$pid" "$comm"
    done
  done
}
in_journal() {
  [ -n "$all" ] && command -v journalctl >/dev/null || return 0
  journalctl -q --no-pager -o cat --since="-${days}d" 2>/dev/null | head -c 268435456 | {
    # The patterns come by descriptor 3, since standard input is the journal.
    lines=$( { forms | { exec 3<&0 0<&4; grep -F -f /dev/fd/3; } } 4<&0 | head -n 1000)
    [ -n "$lines" ] && names | while IFS= read -r name; do
      forms_of "$name" | { exec 3<&0; printf '%s\n' "$lines" | grep -qF -f /dev/fd/3 && printf 'journal\t%s\n' "$name"; }
    done
  }
  return 0
}
