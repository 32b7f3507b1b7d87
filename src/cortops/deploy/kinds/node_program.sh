# The program of a node that was there before us, in its own unit, start line or container. It runs after shell.py's prelude.
# np_at says of which node all np_ functions speak. Decision 0009 says why a drop-in, a start line and a file in the container.
np_dropin=50-cortops.conf np_programs_max=40 np_known= np_loaded=
np_at() { # SHAPE UNIT ENV_FILE RUNS BINARY BLOB SAVED HASHED
  np_shape=$1 np_unit=$2 np_env=$3 np_runs=$4 np_binary=$5 np_blob=$6 np_saved=$7 np_hashed=$8 np_bad=
  PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin; export PATH
  case $np_shape in docker | nohup) np_conf= ;; *) np_conf=/etc/systemd/system/$np_unit.d/$np_dropin ;; esac
}
np_short() { printf %.6s "$1"; }
np_blob_of() { printf '%s/cortensord-%.16s' "${np_blob%/*}" "$1"; } # SHA256

np_sum() { # FILE: np_sha, empty when it cannot be read; a file that was hashed before, now or by an apply, is not read again
  np_sha=
  if [ -z "$np_loaded" ]; then
    np_loaded=1
    for np_file in "$np_hashed"/*; do
      [ ! -f "$np_file" ] || ! read -r np_one np_same <"$np_file" || np_known="$np_known|$np_same=$np_one|"
    done
  fi
  np_same=$(stat -L -c '%i %s %y %z' "$1" 2>/dev/null) || return 1
  case $np_known in *"|$np_same="*) np_sha=${np_known#*"|$np_same="} np_sha=${np_sha%%"|"*}; return 0 ;; esac
  np_sha=$(hash_of "$1" 2>/dev/null) || { np_sha=; return 1; }
  np_known="$np_known|$np_same=$np_sha|"
}
np_stamp() { # FILE SHA256 NAME: so that no later look reads FILE again
  mkdir -p "$np_hashed" && echo "$2 $(stat -L -c '%i %s %y %z' "$1")" >"$np_hashed/$3"
}

# --- what it is now

np_parent() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 2; }
np_started() { # PID: seconds since 1970
  ticks=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20)
  [ -z "$ticks" ] || echo $(($(sed -n 's/^btime //p' /proc/stat) + ticks / $(getconf CLK_TCK 2>/dev/null || echo 100)))
}
np_is_node() { # PID: it is called as this node is
  word=$({ tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null | awk -v role="$np_runs" 'NR == 2 { word = $0 } NR == 3 && $0 == role { print word }')
  [ -n "$word" ] || return 1
  if [ "$np_shape" = docker ]; then
    [ "$(readlink "/proc/$1/ns/pid")" = "$(readlink "/proc/$np_first/ns/pid")" ]
  else # not one inside of a container, whose paths may look the same
    [ "$(stat -L -c %d:%i "/proc/$1/root/")" = "$(stat -L -c %d:%i /)" ] || return 1
    case $word in /*) ;; *) word=$(readlink "/proc/$1/cwd")/${word#./} ;; esac
    [ "$(readlink -f -- "$word")" = "$(readlink -f -- "$np_env")" ]
  fi
}
np_process() { # np_pid: its process, empty for none
  np_pid=
  case $np_shape in
    docker)
      np_first=$(docker inspect --type container -f '{{.State.Pid}}' -- "$np_unit" 2>/dev/null)
      case $np_first in '' | 0) return 0 ;; esac ;;
    nohup) ;;
    *)
      np_pid=$(systemctl show -p MainPID -- "$np_unit" 2>/dev/null) np_pid=${np_pid#MainPID=}
      [ "$np_pid" != 0 ] || np_pid=
      return 0 ;;
  esac
  np_pids=' ' np_leaders=
  for np_file in $(grep -lsF -e "$np_runs" /proc/[0-9]*/cmdline); do
    np_file=${np_file%/cmdline} np_file=${np_file#/proc/}
    ! np_is_node "$np_file" || np_pids="$np_pids$np_file "
  done
  for np_file in $np_pids; do
    case $np_pids in *" $(np_parent "$np_file") "*) ;; *) np_leaders="$np_leaders $np_file" ;; esac
  done
  set -- $np_leaders
  [ $# -le 1 ] || { np_bad="it runs $# times: pids $*"; return 1; }
  np_pid=${1-}
}
np_systemd() { # np_said: what systemd knows of its unit; np_files: the operator's files of it
  np_said=$(systemctl show -p LoadState -p FragmentPath -p DropInPaths -p NeedDaemonReload -p ExecStart -- "$np_unit" 2>&1) ||
    { np_bad="systemd gave no answer: $np_said"; return 1; }
  case $np_said in *LoadState=loaded*) ;; *) np_bad="there is no unit $np_unit"; return 1 ;; esac
  np_files=$(printf '%s\n' "$np_said" | sed -n 's/^FragmentPath=//p;s/^DropInPaths=//p' | tr ' ' '\n' | grep -v "/$np_dropin\$")
  [ -n "$np_files" ] || { np_bad="$np_unit has no unit file"; return 1; }
}
np_unit_text() { # the unit's files; of a start line its words; of a container what it was made of
  case $np_shape in
    docker)
      docker inspect --type container \
        -f '{{json .Path}} {{json .Args}} {{json .Image}} {{json .Config.Env}} {{json .Config.WorkingDir}} {{json .HostConfig.RestartPolicy}}' \
        -- "$np_unit" ;;
    nohup)
      if [ -n "$np_pid" ]; then np_start_line "$np_pid"; else cat "$np_saved/start" 2>/dev/null; fi ;;
    *) for np_file in $np_files; do cat "$np_file"; done ;;
  esac
}
np_start_line() { # PID: user, folder, log, umask and words of a process, a line each
  out=$(readlink "/proc/$1/fd/1")
  case $out in /dev/* | /proc/* | *:\[*\] | *" (deleted)" | '') out=- ;; esac
  printf 'user %s\nfolder %s\nlog %s\numask %s\n' "$(stat -c %U "/proc/$1")" "$(readlink "/proc/$1/cwd")" "$out" \
    "$(sed -n 's/^Umask:[^0-9]*//p' "/proc/$1/status")"
  tr '\0' '\n' <"/proc/$1/cmdline" | sed '1d;s/^/word /'
}
np_see() { # all facts of it: np_pid np_program np_starts np_own np_unit_sha np_env_sha np_ours; 1 and np_bad when it cannot be seen
  np_program= np_starts= np_own= np_unit_sha= np_env_sha= np_ours=no np_prefix= np_exe= np_path=
  case $np_shape in
    docker)
      np_said=$(docker inspect --type container -f '{{.State.Running}}' -- "$np_unit" 2>&1) ||
        { np_bad="docker has no answer about $np_unit: $np_said"; return 1; } ;;
    nohup) ;;
    *) np_systemd || return 1 ;;
  esac
  for np_try in 1 2 3; do # one that keeps ending may be gone before it is read
    np_process || return 1
    [ -n "$np_pid" ] || break
    if np_sum "/proc/$np_pid/exe"; then np_program=$np_sha np_exe=$(readlink "/proc/$np_pid/exe"); break; fi
    [ "$np_try" -lt 3 ] || [ ! -d "/proc/$np_pid" ] || { np_bad="the program of pid $np_pid cannot be read"; return 1; }
    np_pid=
    sleep 0.1
  done
  case $np_shape in
    docker)
      if [ "${np_first:-0}" != 0 ]; then
        np_prefix=/proc/$np_first/root
        np_inside "$np_binary" && np_inside "$np_env" || return 1
        np_sum "$np_prefix$np_binary"; np_own=$np_sha
      else
        np_own=$(np_from_container "$np_binary" | sha256sum) np_own=${np_own%% *}
      fi
      np_starts=$np_own ;;
    nohup)
      np_sum "$np_binary"; np_own=$np_sha np_starts=${np_program:-$np_own}
      case $np_exe in "${np_blob%/*}"/*) np_ours=yes ;; esac ;;
    *)
      np_sum "$np_binary"; np_own=$np_sha
      np_path=$(printf '%s\n' "$np_said" | sed -n 's/^ExecStart={ path=\([^;]*\) ;.*/\1/p' | head -n 1)
      np_sum "$np_path"; np_starts=${np_sha:-missing}
      [ ! -e "$np_conf" ] || np_ours=yes
      # Written and not read by systemd yet, or the other way round: what the next start would run is not what the files say.
      case $np_ours,$np_path in
        yes,*) grep -qF -- "$np_path" "$np_conf" || np_starts=unfinished ;;
        no,"${np_blob%/*}"/*) np_starts=unfinished ;;
      esac ;;
  esac
  np_unit_sha=$(np_unit_text 2>/dev/null | sha256sum) np_unit_sha=${np_unit_sha%% *}
  if [ "$np_shape" = docker ] && [ -z "$np_prefix" ]; then
    np_env_sha=$(np_from_container "$np_env" | sha256sum) np_env_sha=${np_env_sha%% *}
  else
    np_env_sha=$(hash_of "$np_prefix$np_env" 2>/dev/null) || np_env_sha=missing
  fi
  return 0
}
np_inside() { # PATH: no part of it is a link, which would lead out of the container
  np_file= np_part=${1#/}
  while [ -n "$np_part" ]; do
    np_file=$np_file/${np_part%%/*}
    [ ! -L "$np_prefix$np_file" ] || { np_bad="$np_file is a link inside of $np_unit"; return 1; }
    case $np_part in */*) np_part=${np_part#*/} ;; *) np_part= ;; esac
  done
}
np_from_container() { # FILE: what it holds, of a container that does not run; the files of a tar one after the other until a plain one
  docker cp -L "$np_unit:$1" - 2>/dev/null | while :; do
    head=$(dd bs=512 count=1 iflag=fullblock status=none | tr '\0' ' ') size=$(printf %s "$head" | cut -c 125-135 | tr -d ' ')
    case $size in '' | *[!0-7]*) break ;; esac
    size=$((0$size))
    case $(printf %s "$head" | cut -c 157) in
      x | g) dd bs=512 count=$(((size + 511) / 512)) iflag=fullblock status=none >/dev/null ;;
      *) take "$size"; break ;;
    esac
  done
}
look_node_program() { # INDEX, then as np_at
  index=$1
  shift
  np_at "$@"
  [ "$(id -u)" = 0 ] || { unseen "$index" "only root can look at an adopted node: set sudo: true for its host"; return; }
  [ -e "$np_saved/node" ] || { missing "$index" "$np_saved/node"; return; }
  np_see || { unseen "$index" "$np_bad"; return; }
  running=no finished=yes bytes=
  [ -z "$np_pid" ] || running=yes bytes=$(stat -L -c %s "/proc/$np_pid/exe")
  [ ! -e "$np_saved/pending" ] || finished=no
  told="running=$running${tab}program=$np_program${tab}starts=$np_starts${tab}finished=$finished${tab}unit=$np_unit_sha${tab}env=$np_env_sha"
  present "$index" "$told${tab}own=$np_own${tab}ours=$np_ours${tab}bytes=$bytes${tab}pid=$np_pid${tab}started_at=$(np_started "$np_pid")"
}

# --- copies

np_keep_program() { # FILE SHA256: a copy in our folder, by its content
  kept=$(np_blob_of "$2")
  if np_sum "$kept" && [ "$np_sha" = "$2" ]; then return 0; fi
  set -- "$1" "$2" "${np_blob%/*}"
  [ "$(ls "$3" | wc -l)" -lt "$np_programs_max" ] || { echo "$3 holds $np_programs_max programs: remove those that no generation needs"; return 1; }
  cp "$1" "$kept.copy" && fits "$kept.copy" "$2" || { rm -f "$kept.copy"; echo "the program could not be copied to $3"; return 1; }
  ! command -v chcon >/dev/null || chcon --reference="$np_binary" "$kept.copy" 2>/dev/null
  settle "$kept.copy" "$kept" 755 && np_stamp "$kept" "$2" "$(printf %s "$kept" | sha256sum | cut -c 1-16)"
}
np_keep_files() { # KIND SHA256 FILE...: a folder KIND-SHA with the files and who may read them
  kept=$np_saved/$1-$(printf %.16s "$2")
  [ ! -d "$kept" ] || return 0
  shift 2
  rm -rf "$np_saved/new" && mkdir -p "$np_saved/new" || return 1
  number=0
  for np_file; do
    number=$((number + 1))
    np_from=$np_prefix$(readlink -f -- "$np_file")
    [ -z "$np_prefix" ] || np_from=$np_prefix$np_file
    cat "$np_from" >"$np_saved/new/$number" && echo "$number $(stat -c '%a %u %g' "$np_from") ${np_from#"$np_prefix"}" >>"$np_saved/new/files" ||
      { rm -rf "$np_saved/new"; return 1; }
  done
  sync "$np_saved"/new/* && mv "$np_saved/new" "$kept"
}
np_keep() { # what runs, its unit and its env file
  mkdir -p "$np_saved" || return 1
  if [ -n "$np_pid" ]; then np_keep_program "/proc/$np_pid/exe" "$np_program" || return 1; fi
  if [ -n "$np_own" ] && np_sum "$np_prefix$np_binary"; then np_stamp "$np_prefix$np_binary" "$np_own" "own-${np_saved##*/}" || return 1; fi
  case $np_shape in
    docker | nohup)
      if [ -n "$np_pid" ] || [ "$np_shape" = docker ]; then
        np_unit_text >"$np_saved/start.new" && mv -f "$np_saved/start.new" "$np_saved/start" || return 1
      fi
      (np_prefix=; np_keep_files unit "$np_unit_sha" "$np_saved/start") || return 1 ;;
    *) np_keep_files unit "$np_unit_sha" $np_files || return 1 ;;
  esac
  if [ "$np_shape" != docker ] || [ -n "$np_prefix" ]; then np_keep_files env "$np_env_sha" "$np_env" || return 1; fi
  [ -e "$np_saved/node" ] || { printf '%s\n' "$np_unit" "$np_env" >"$np_saved/node.new" && sync "$np_saved/node.new" &&
    mv -f "$np_saved/node.new" "$np_saved/node"; }
}
np_put_files() { # KIND SHA256: files as kept; only those that differ are written
  kept=$np_saved/$1-$(printf %.16s "$2")
  [ -d "$kept" ] || { echo "no copy of its $1 $(np_short "$2") is kept here"; return 1; }
  while read -r number mode uid gid path; do
    if [ "$np_shape" = docker ] && [ -z "$np_prefix" ]; then # it stands still: its files are reached by its engine alone
      np_put_inside "$kept/$number" || { rm -f "$np_saved/put.new"; echo "$path inside of $np_unit cannot be written"; return 1; }
      continue
    fi
    to=$np_prefix$path
    [ "$(hash_of "$to" 2>/dev/null)" != "$(hash_of "$kept/$number")" ] || continue
    cat "$kept/$number" >"$to.cortops-new" && chown "$uid:$gid" "$to.cortops-new" && settle "$to.cortops-new" "$to" "$mode" ||
      { rm -f "$to.cortops-new"; echo "$path cannot be written"; return 1; }
  done <"$kept/files"
}
np_put_inside() { # FILE: as the `path` of np_put_files in a container that does not run, with its mode and owner
  there=$(np_from_container "$path" | sha256sum)
  [ "${there%% *}" != "$(hash_of "$1")" ] || return 0
  cat "$1" >"$np_saved/put.new" && chown "$uid:$gid" "$np_saved/put.new" && chmod "$mode" "$np_saved/put.new" &&
    docker cp -a "$np_saved/put.new" "$np_unit:$path" >/dev/null </dev/null && rm -f "$np_saved/put.new"
}
np_put_back() { # UNIT-SHA256 ENV-SHA256: both as they were, empty for as they are
  if [ -n "$2" ] && [ "$2" != "$np_env_sha" ]; then np_put_files env "$2" || return 1; fi
  [ -n "$1" ] && [ "$1" != "$np_unit_sha" ] || return 0
  case $np_shape in
    docker) echo "the container $np_unit was made anew, of other parts; cortops makes no containers"; return 1 ;;
    nohup) cat "$np_saved/unit-$(printf %.16s "$1")/1" >"$np_saved/start.new" && mv -f "$np_saved/start.new" "$np_saved/start" ;;
    *)
      np_put_files unit "$1" && systemctl daemon-reload && np_systemd || return 1
      now=$(np_unit_text | sha256sum)
      [ "${now%% *}" = "$1" ] || { echo "a drop-in of $np_unit was added by hand since; remove it first"; return 1; } ;;
  esac
}

# --- which program the next start takes

np_exec_line() { # the one ExecStart that the files of the unit give
  cat $np_files | awk '
    { sub(/\r$/, "") }
    held != "" { $0 = held " " $0; held = "" }
    /^[ \t]*[#;]/ { next }
    /\\$/ { held = substr($0, 1, length($0) - 1); next }
    /^[ \t]*\[/ { section = $0; gsub(/[ \t]/, "", section); next }
    section == "[Service]" && /^[ \t]*ExecStart[ \t]*=/ {
      value = $0; sub(/^[^=]*=[ \t]*/, "", value)
      if (value == "") count = 0; else { count++; line = value }
    }
    END { if (count != 1) exit 1; print line }'
}
np_point() { # SHA256: the next start takes this program; nothing is restarted
  case $np_shape in
    docker) np_point_container "$1" ;;
    nohup) ;; # its start line is ours only while it is started
    *) np_point_unit "$1" ;;
  esac
}
np_point_unit() { # SHA256
  line=$(np_exec_line) || { echo "$np_unit has not one ExecStart"; return 1; }
  rest=${line#"${line%%[!-@:+!|]*}"}
  before=${line%"$rest"}
  case $rest in
    \"*) word=${rest#\"} tail=${word#*\"} word=${word%%\"*} ;;
    \'*) word=${rest#\'} tail=${word#*\'} word=${word%%\'*} ;;
    *) word=${rest%%[ "$tab"]*} tail=${rest#"$word"} ;;
  esac
  case $word in
    *%*) ;;
    *) [ "$(readlink -f -- "$word")" = "$(readlink -f -- "$np_binary")" ] || { echo "$np_unit starts $word, not $np_binary"; return 1; } ;;
  esac
  if [ "$np_own" = "$1" ]; then # the operator's own file is that program: nothing of ours is needed
    [ -e "$np_conf" ] || [ -e "$np_conf.new" ] || [ "$np_starts" = unfinished ] || return 0
    rm -f "$np_conf.new" "$np_conf" && { rmdir "${np_conf%/*}" 2>/dev/null || :; } && systemctl daemon-reload
    return
  fi
  blob=$(np_blob_of "$1")
  [ -x "$blob" ] || { echo "$blob cannot be executed: is it on a file system mounted noexec?"; return 1; }
  (umask 022; mkdir -p "${np_conf%/*}") || return 1
  rm -f "$np_conf.new"
  printf '# By cortops: %s runs a program of ours in place of its own. The unit itself is as it was.\n[Service]\nExecStart=\nExecStart=%s\n' \
    "$np_unit" "$before$blob$tail" >"$np_conf.new" && settle "$np_conf.new" "$np_conf" 644 ||
    { rm -f "$np_conf.new"; rmdir "${np_conf%/*}" 2>/dev/null; echo "$np_conf cannot be written"; return 1; }
  systemctl daemon-reload && np_systemd || return 1
  case $np_said in *"path=$blob ;"*) ;; *) echo "another drop-in of $np_unit sets ExecStart after ours"; return 1 ;; esac
}
np_point_container() { # SHA256: beside the file and then in its place, so that no start ever finds half of one
  [ "$np_own" != "$1" ] || return 0
  blob=$(np_blob_of "$1")
  if [ -z "$np_prefix" ]; then docker cp "$blob" "$np_unit:$np_binary" >/dev/null; return; fi
  to=$np_prefix$np_binary
  rm -f "$to.cortops-new" && cp "$blob" "$to.cortops-new" && fits "$to.cortops-new" "$1" &&
    chown "$(stat -c %u:%g "$to")" "$to.cortops-new" && settle "$to.cortops-new" "$to" "$(stat -c %a "$to")" ||
    { rm -f "$to.cortops-new"; echo "$np_binary inside of $np_unit cannot be written"; return 1; }
}

# --- stop and start

np_signal() { # PID: the signal that it ends on: SIGINT, unless it was started so that it ignores that one
  ignored=$(sed -n 's/^SigIgn:[^0-9a-f]*//p' "/proc/$1/status" 2>/dev/null)
  case $ignored in *[2367abef]) echo TERM ;; *) echo INT ;; esac
}
np_end() { # PID
  kill -s "$(np_signal "$1")" "$1" 2>/dev/null
  left=$((np_stop_s * 5))
  while readlink "/proc/$1/exe" >/dev/null 2>&1; do
    [ "$left" -gt 0 ] || { kill -s KILL "$1" 2>/dev/null; left=10; }
    left=$((left - 1))
    sleep 0.2
  done
}
np_stop_container() { # asked first, so that no restart policy starts it between; then its processes, since a script as the first passes no signal on
  docker stop -t "$np_stop_s" "$np_unit" >/dev/null 2>&1 4>&- 9>&- &
  stopping=$! signalled=' '
  while sleep 0.2; readlink "/proc/$stopping/exe" >/dev/null 2>&1; do
    np_process
    for np_file in $np_pid $(cat "/proc/${np_first:-0}/task/${np_first:-0}/children" 2>/dev/null); do
      case $signalled in *" $np_file "*) continue ;; esac
      signalled="$signalled$np_file " # once each: a second one may cut its ending short
      kill -s "$(np_signal "$np_file")" "$np_file" 2>/dev/null
    done
  done
  wait "$stopping"
}
np_restart() { # SHA256; of a start line it prints the pid
  case $np_shape in
    docker) np_stop_container && docker start "$np_unit" 2>&1 >/dev/null ;;
    nohup)
      [ -z "$np_pid" ] || np_end "$np_pid"
      np_start "$1" ;;
    *)
      systemctl reset-failed -- "$np_unit" 2>/dev/null
      np_how=restart
      [ -n "$np_pid" ] || np_how=start
      timeout -k 5 "$np_stop_s" systemctl "$np_how" -- "$np_unit" 2>&1 && return
      systemctl kill -s KILL -- "$np_unit" 2>/dev/null
      timeout -k 5 30 systemctl restart -- "$np_unit" 2>&1 ;;
  esac
}
np_quoted() { printf "'"; printf %s "$1" | sed "s/'/'\\\\''/g"; printf "'"; }
np_start() { # SHA256: as its start line says, with that program
  program=$(np_blob_of "$1")
  [ "$np_own" != "$1" ] || program=$np_binary
  user= folder= out=- mask=0022 words=
  while read -r key value; do
    case $key in user) user=$value ;; folder) folder=$value ;; log) out=$value ;; umask) mask=$value ;; word) words="$words $(np_quoted "$value")" ;; esac
  done <"$np_saved/start"
  [ "$out" != - ] || out=$np_log
  pids=${np_env%/*}/cortensord.pid
  [ -e "$pids" ] || pids=/dev/null
  line="umask $mask; cd $(np_quoted "$folder") && {
    setsid nohup $(np_quoted "$program")$words >>$(np_quoted "$out") 2>&1 </dev/null &
    echo \$! >$(np_quoted "$pids"); echo \$!
  }"
  if command -v runuser >/dev/null; then said=$(runuser -l "$user" -s /bin/sh -c "$line" 2>&1 </dev/null 4>&- 9>&-)
  else said=$(su -l -s /bin/sh -c "$line" "$user" 2>&1 </dev/null 4>&- 9>&-); fi || { echo "$said"; return 1; }
  printf '%s\n' "$said" | tail -n 1
}
np_restarted() { # how often its manager started it again, since we did
  case $np_shape in
    docker) docker inspect --type container -f '{{.RestartCount}}' -- "$np_unit" 2>/dev/null ;;
    nohup) echo 0 ;;
    *) systemctl show -p NRestarts -- "$np_unit" 2>/dev/null | sed 's/^NRestarts=//' ;;
  esac
}
np_uptime() { sed 's/[. ].*//' /proc/uptime; }
np_up() { # SHA256 PID-OR-WORDS-OF-ITS-START: it runs as that and stays for a while; else np_why
  last= again=$(np_restarted) since=$(np_uptime)
  while sleep 0.2; do
    waited=$(($(np_uptime) - since))
    if [ -n "$last" ]; then
      readlink "/proc/$last/exe" >/dev/null 2>&1 || { np_why="it ended by itself"; return 1; }
      if [ "$waited" -gt "$np_settle_s" ]; then np_pid=$last; return 0; fi
      continue
    fi
    np_process
    if [ -n "$np_pid" ] && np_sum "/proc/$np_pid/exe" && [ "$np_sha" = "$1" ]; then last=$np_pid since=$(np_uptime); continue; fi
    [ "$(np_restarted)" = "$again" ] || { np_why="it ended and was started again"; return 1; }
    [ "$np_shape" != nohup ] || readlink "/proc/${2:-0}/exe" >/dev/null 2>&1 || { np_why="it ended by itself"; return 1; }
    [ "$waited" -le "$np_start_s" ] || { np_why="it did not run after $np_start_s s"; return 1; }
  done
}
np_stays() { [ -n "$np_pid" ] && [ $(($(date +%s) - $(np_started "$np_pid"))) -gt "$np_settle_s" ]; } # it runs for a while already
np_last_words() { # the last line of its log, without what may be a key
  case $np_shape in docker) docker logs --tail 1 "$np_unit" 2>&1 ;; *) tail -n 1 "$np_log" 2>/dev/null ;; esac |
    tr -d '\000-\010\013-\037' | sed 's#://[^ ]*#://…#g;s/[0-9a-fA-F]\{40,\}/…/g' | cut -c 1-160
}
make_node_program() { # PROGRAM copy|set|start UNIT-SHA256 ENV-SHA256 STOP_S START_S SETTLE_S LOG, then as np_at
  np_wanted=$1 np_task=$2 np_unit_wanted=$3 np_env_wanted=$4 np_stop_s=$5 np_start_s=$6 np_settle_s=$7 np_log=$8
  shift 8
  np_at "$@"
  [ "$(id -u)" = 0 ] || { echo "only root can change an adopted node: set sudo: true for its host"; return 1; }
  np_see || { echo "$np_bad"; return 1; }
  np_keep || return 1
  if [ "$np_task" = copy ]; then
    [ "$np_program" = "$np_wanted" ] || { echo "it runs $(np_short "$np_program") now, not $(np_short "$np_wanted")"; return 1; }
    echo "copied; $(np_short "$np_program") runs on as pid $np_pid"
    return 0
  fi
  if np_sum "$np_blob" && [ "$np_sha" = "$np_wanted" ]; then :
  elif [ "$np_own" = "$np_wanted" ] && [ "$np_shape" != docker ]; then np_keep_program "$np_binary" "$np_wanted" || return 1
  else echo "the program $(np_short "$np_wanted") is not on this host; it runs $(np_short "$np_program")"; return 1; fi
  was=$np_program was_pid=$np_pid was_unit=$np_unit_sha was_env=$np_env_sha was_starts=$np_starts
  # Where an apply was cut off and what it had started has not stayed up, this one goes back to what ran before that.
  [ ! -s "$np_saved/before" ] || np_stays || read -r was <"$np_saved/before"
  if [ -n "$np_unit_wanted$np_env_wanted" ] && [ "$np_unit_wanted,$np_env_wanted" != "$was_unit,$was_env" ]; then
    : >"$np_saved/pending" && sync "$np_saved/pending" || return 1
    np_put_back "$np_unit_wanted" "$np_env_wanted" || { np_undo; return 1; }
  fi
  np_point "$np_wanted" || { np_undo; return 1; }
  if [ "$was" = "$np_wanted" ] && [ "$np_task" = set ] && [ ! -e "$np_saved/pending" ]; then
    echo "runs $(np_short "$was") as pid $was_pid, not restarted"
    return 0
  fi
  [ -z "$was" ] || { echo "$was" >"$np_saved/before.new" && sync "$np_saved/before.new" && mv -f "$np_saved/before.new" "$np_saved/before"; } ||
    return 1
  if np_why=$(np_restart "$np_wanted") && np_up "$np_wanted" "$np_why"; then
    rm -f "$np_saved/pending" "$np_saved/before"
    np_see && np_keep || return 1
    echo "runs $(np_short "$np_wanted") as pid $np_pid${was_pid:+ (was $(np_short "$was"), pid $was_pid)}"
    return 0
  fi
  words=$(np_last_words)
  printf 'it did not stay up with %s: %s%s' "$(np_short "$np_wanted")" "$np_why" "${words:+; its log ends: $words}"
  np_undo
  return "$blames_program"
}
np_undo() { # all as before; what ran runs again
  if [ "$np_shape" = docker ]; then # one that keeps ending would be gone while its files are written
    np_process
    [ -n "$np_pid" ] && [ "$np_pid" = "$was_pid" ] || docker stop -t "$np_stop_s" "$np_unit" >/dev/null 2>&1
  fi
  np_see && np_put_back "$was_unit" "$was_env" >/dev/null && np_see || { echo "; $np_bad"; return 1; }
  if [ -z "$was" ]; then # it stood still before
    case $np_shape in
      docker) docker stop -t "$np_stop_s" "$np_unit" >/dev/null 2>&1 ;;
      nohup) [ -z "$np_pid" ] || np_end "$np_pid" ;;
      *) timeout -k 5 "$np_stop_s" systemctl stop -- "$np_unit" 2>/dev/null ;;
    esac
    np_see && case $was_starts in *[!0-9a-f]* | '') ;; *) np_point "$was_starts" ;; esac
    rm -f "$np_saved/pending"
    return
  fi
  np_point "$was" || return 1
  if [ "$np_program" = "$was" ] && [ "$np_pid" = "$was_pid" ]; then rm -f "$np_saved/pending"; return; fi
  if np_why=$(np_restart "$was") && np_up "$was" "$np_why"; then
    rm -f "$np_saved/pending"
    echo "; $(np_short "$was") runs again as pid $np_pid"
  else
    echo "; $(np_short "$was") does not run again: $np_why"
  fi
  rm -f "$np_saved/before"
}
remove_node_program() { # as np_at
  np_at "$@"
  case $np_saved in */adopted/?*) ;; *) echo "$np_saved is no folder of ours"; return 1 ;; esac
  [ -e "$np_saved" ] || return 0
  np_see || { echo "$np_bad"; return 1; }
  [ "$np_ours" = no ] || { echo "it runs a program of ours, not $np_binary: roll it back first"; return 1; }
  rm -rf "$np_saved"
}
