# Tells what of cortops lies and runs on this host, and what it is made of, as lines KEY TAB VALUE under records that begin with @.
# It reads only. $cortops_places: folders of environments, a line each, ending in /* where every folder in it is one.
exec 2>/dev/null 3>&1
LC_ALL=C PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
places_max=40 journal_lines=5000

put() { # KEY VALUE: a line; a value that no line can hold is told as ?
  case $2 in *[![:print:]]*) printf '%s\t?\n' "$1" >&3 ;; *) printf '%s\t%.1500s\n' "$1" "$2" >&3 ;; esac
}
put @clock "$(date +%s.%N)"
put @made_of "$(uname -n)"
put cpus "$(grep -c ^processor /proc/cpuinfo)"
put load "$(cut -d ' ' -f 1 /proc/loadavg)"
if [ "$(id -u)" = 0 ]; then put sudo root
elif ! command -v sudo >/dev/null; then put sudo missing
elif sudo -n true; then put sudo free
else put sudo asks; fi
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
  timeout 5 systemctl list-units --all --plain --no-legend --no-pager 'cortops-*.service' | awk '{ print $1 "\t" $3 }' |
    while IFS=$(printf '\t') read -r unit state; do put service "$unit $state"; done
fi
count=0 newest=
IFS='
'
for place in $cortops_places; do
  [ -d "$place" ] || continue
  count=$((count + 1))
  [ "$count" -le "$places_max" ] || { put more 1; break; }
  put @place "$place"
  [ -r "$place" ] && [ -x "$place" ] || { put unreadable 1; continue; }
  put mib "$(du -sxm "$place" | cut -f 1)"
  [ ! -e "$place/lock.json" ] || put lock "$(head -c 1500 "$place/lock.json")"
  [ ! -e "$place/upgrade/lock.json" ] || put upgrade "$(head -c 1500 "$place/upgrade/lock.json")"
  tail -n "$journal_lines" "$place/journal.jsonl" | grep -E '"event": ?"(begun|finished)"' | tail -n 2 | while IFS= read -r line; do put journal "$line"; done
  for file in "$place"/manifests/[0-9]*.json; do [ ! -e "$file" ] || newest=${file##*/}; done
  [ -z "$newest" ] || put generation "${newest%.json}"
  newest=
done
put @end 1
