# Tells how a host and the nodes on it stand, as lines KEY TAB VALUE under records that begin with @. It reads only: it writes no file,
# starts nothing, signals nothing, and opens no env file. $cortops_root, in tests, stands before every path.
exec 2>/dev/null 3>&1
LC_ALL=C PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
root=${cortops_root-}
failed_max=20 listen_max=300 tell_max=400

put() { # KEY VALUE: a line; a value that no line can hold is told as ?
  case $2 in *[![:print:]]*) printf '%s\t?\n' "$1" >&3 ;; *) printf '%s\t%.'$tell_max's\n' "$1" "$2" >&3 ;; esac
}
have() { command -v "$1" >/dev/null; }
sd() { timeout 5 systemctl "$@"; } # a manager that hangs must not cost us the rest
dk() { timeout 5 docker "$@" </dev/null; }
lines() { while IFS= read -r line; do put "$1" "$line"; done; } # KEY: each line of the input

host() {
  put @host "$(uname -n)"
  put uid "$(id -u)"
  for tool in awk sed grep sha256sum stat head tail cut sort df date id readlink; do have "$tool" || put no_tool "$tool"; done
  for tool in curl docker systemctl timedatectl; do have "$tool" && put tool "$tool"; done
  timeout 5 df -Pk "$root/" "$root/home" "$root/opt" "$root/var" "$root/var/log" "$root/var/lib/docker" "$root/tmp" | sort -u |
    awk '$2 ~ /^[0-9]+$/ && !seen[$6]++ { print $4, $2, $6 }' | lines disk
  timeout 5 df -Pi "$root/" "$root/home" "$root/opt" "$root/var" "$root/var/log" "$root/var/lib/docker" "$root/tmp" | sort -u |
    awk '$2 ~ /^[0-9]+$/ && $2 > 0 && !seen[$6]++ { print $4, $2, $6 }' | lines inodes
  awk '$1 ~ /^(MemTotal|MemAvailable|SwapTotal|SwapFree):$/ { sub(/:/, "", $1); print $1, $2 }' "$root/proc/meminfo" | lines memory
  awk '$1 == "oom_kill" { print $2 }' "$root/proc/vmstat" | lines oom_kills
  for name in max_user_instances max_user_watches; do put "inotify_$name" "$(head -c 20 "$root/proc/sys/fs/inotify/$name")"; done
  ls -ln "$root"/proc/[0-9]*/fd | awk '/anon_inode:inotify/ { n[$3]++ } END { for (uid in n) if (n[uid] > most) most = n[uid]; print most + 0 }' |
    lines inotify_used
  awk '{ print $1, $3 }' "$root/proc/sys/fs/file-nr" | lines files
  awk '$4 == "0A" { print $2 }' "$root/proc/net/tcp" "$root/proc/net/tcp6" | sort -u | head -n "$listen_max" | lines listen
  [ -e "$root/dev/nvidia0" ] || [ -e "$root/proc/driver/nvidia/version" ] || [ -e "$root/dev/kfd" ] && put gpu 1
  ps_names=$(cat "$root"/proc/[0-9]*/comm | grep -xE 'chronyd|ntpd|ntpd-rs|openntpd|systemd-timesyn' | sort -u | head -n 1)
  put time_program "$ps_names"
  [ ! -d "$root/run/systemd/system" ] || ! have systemctl || systemd
  have timedatectl && put time_synchronized "$(timeout 5 timedatectl show -p NTPSynchronized --value || timeout 5 timedatectl | awk -F ': ' '/synchronized/ { print $2 }')"
  virt=
  have systemd-detect-virt && virt=$(systemd-detect-virt -c)
  put container "$virt"
}
clock() { put @clock "$(date +%s.%N)"; }
systemd() {
  put systemd_state "$(sd is-system-running)"
  sd list-units --state=failed --plain --no-legend --no-pager | awk '{ print $1 }' | head -n "$failed_max" | lines failed
}

rotates() { # LOG: is it named, or meant by a pattern, in a file of logrotate
  sed 's/#.*//; s/[{}"]/ /g' "$root"/etc/logrotate.conf "$root"/etc/logrotate.d/* | tr -s ' \t' '\n' | grep '^/' | sort -u | {
    set -f
    while IFS= read -r pattern; do
      case $1 in $pattern) echo yes ;; esac
    done
  } | head -n 1
}
node() { # NAME LOG UNIT BINARY PID CONTAINER
  put @node "$1"
  log=$2 unit=$3 binary=$4 pid=$5 container=$6 in=$root
  [ -z "$container" ] || { in=$root/proc/$pid/root; [ -n "$pid" ] || in=/nowhere; }
  case $log in
    '') ;;
    docker:*)
      have docker && put docker_log "$(dk inspect --type container \
        --format '{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config "max-size"}}' "${log#docker:}")"
      path=$(dk inspect --type container --format '{{.LogPath}}' "${log#docker:}")
      [ -z "$path" ] || put log_bytes "$(stat -L -c %s "$root$path")" ;;
    *)
      put log_bytes "$(stat -L -c %s "$root$log")"
      modified=$(stat -L -c %Y "$root$log")
      [ -z "$modified" ] || put log_age_s "$(($(date +%s) - modified))"
      put log_rotates "$(rotates "$log")"
      timeout 5 df -Pk "$root${log%/*}" | awk 'NR == 2 { print $4, $2, $6 }' | lines log_disk ;;
  esac
  if [ -z "$container" ] && [ -n "$unit" ] && have systemctl && [ -d "$root/run/systemd/system" ]; then
    sd show -p ActiveState,SubState,Result,NRestarts,NeedDaemonReload,UnitFileState,LoadState "$unit" | sed 's/^/unit_/; s/=/ /' | lines show
  fi
  if [ -n "$binary" ]; then
    for file in "$in$binary"*bak* "$in${binary%/*}"/*.bak*; do [ ! -f "$file" ] || stat -c '%i %s' "$file"; done | sort -u |
      awk '{ count++; bytes += $2 } END { print count + 0, bytes + 0 }' | lines old_copies
  fi
  if [ -n "$pid" ] && [ -d "$root/proc/$pid" ]; then
    awk '/^Max open files/ { print $4 }' "$root/proc/$pid/limits" | lines files_max
    put files_open "$(ls "$root/proc/$pid/fd" | grep -c .)"
    tr '\0' '\n' <"$root/proc/$pid/cmdline" | awk '
      found && /^[a-z0-9]+$/ && length($0) <= 12 && count++ < 4 { words = words " " $0 }
      /^[a-z]+v[0-9][0-9]?$/ { found = 1 }
      END { print words }' | lines words_after_role
  fi
}
