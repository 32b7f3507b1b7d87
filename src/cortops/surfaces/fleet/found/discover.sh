# Tells what is public about every cortensord node of this host, as lines KEY TAB VALUE under records that begin with @.
# It reads only: it writes no file (no here-document either: some shells keep those in /tmp), starts nothing, signals nothing.
# Wanted before it: the awk programs $find_command, $read_env and $read_unit; $cortops_public, which keys of an env file may be told and
# in which form; $cortops_roles, a pattern. $cortops_root, in tests, stands before every path.
exec 2>/dev/null 3>&1
LC_ALL=C PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
root=${cortops_root-} tab=$(printf '\t') uid=$(id -u)
processes_max=400 units_max=400 containers_max=200 env_files_max=200 homes_max=200 timers_max=40
env_max_kib=256 hash_max_mib=1024 # of one file; a larger one is not hashed
unit_dirs="/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system"
[ -L "$root/lib" ] || unit_dirs="$unit_dirs /lib/systemd/system"

put() { # KEY VALUE: a line; a value that no line can hold is told as ?
  case $2 in *[![:print:]]*) printf '%s\t?\n' "$1" >&3 ;; *) printf '%s\t%.400s\n' "$1" "$2" >&3 ;; esac
}
at_most() { # MAX WHAT: the first lines of the input, and a record where there were more
  awk -v max="$1" 'NR <= max { print } END { exit NR > max }' || { put @limit "$2"; put max "$1"; }
}
real() { # PREFIX PATH: $path is the file that PATH, as seen below PREFIX, leads to
  path=$2 hops=0
  while [ -L "$1$path" ] && [ "$hops" -lt 8 ]; do
    to=$(readlink "$1$path") hops=$((hops + 1))
    case $to in '') return ;; /*) path=${to#"$root"} ;; *) path=${path%/*}/$to ;; esac
  done
}
state_of() { # PREFIX PATH: $state is ok, missing or unreadable
  state=missing up=$2
  if [ -f "$1$2" ]; then
    [ -r "$1$2" ] && state=ok || state=unreadable
  elif [ ! -e "$1$2" ]; then
    while [ -n "$up" ] && [ ! -d "$1$up" ]; do up=${up%/*}; done
    [ -x "$1$up/" ] || state=unreadable
  fi
}



public_env() { # an env file on the input -> the lines of it that are public
  awk -v public="$cortops_public" "$read_env" | while IFS=$tab read -r what key quote value url; do
    [ "$what" = env ] || value="$value#sha256:$(printf %s "$url" | sha256sum | cut -c 1-16)"
    put "env.$key" "$quote $value"
  done
}

as_command() { binary=$1 env_file=$2 role=$3 number=$4 first=$5; }
tell_command() { # PREFIX PLACE FOLDER EXE WORD...: what starts a node, and (on the output) which files we have to look at for it
  in=$1 place=$2 folder=$3 exe=$4
  shift 4
  as_command "$@"
  put role "$role"; put number "$number"; put first "$first"
  env_file=${env_file#./}
  put env_word "$env_file"
  case $env_file in /*) ;; *) env_file=${folder:+$folder/$env_file} ;; esac
  if [ -n "$env_file" ]; then
    real "$in" "$env_file"
    put env_file "$path"
    printf 'env\t%s\t%s\t%s\n' "$place" "$path" "$in"
  fi
  base=${binary##*/}
  case $binary in
    /*) ;;
    */*) binary=${folder:+$folder/${binary#./}} ;;
    *) case $exe in
      */"$base" | */"$base (deleted)") binary=${exe% (deleted)} ;;
      *)
        binary=
        for bin in "$folder/bin" "$folder" "${folder%/.cortensor}/bin" /usr/local/bin /usr/bin /opt/cortensor/bin; do
          [ -n "$binary" ] || [ ! -f "$in$bin/$base" ] || binary=$bin/$base
        done ;;
    esac ;;
  esac
  put binary "$binary"
  [ -z "$binary" ] || printf 'bin\t%s\t%s\t%s\n' "$place" "$binary" "$in"
}

processes() {
  grep -lE "$cortops_roles" "$root"/proc/[0-9]*/cmdline |
    at_most "$processes_max" processes | while IFS= read -r file; do
      process=${file%/cmdline}
      found=$(tr '\0' '\n' <"$file" | awk -v roles="$cortops_roles" "$find_command")
      [ -n "$found" ] || continue
      one_process "$(cat "$process/stat" "$process/status" "$process/cgroup" | awk '
        NR == 1 && /^[0-9]+ [(]/ { sub(/.*[)] /, ""); parent = $2; ticks = $20 }
        $1 == "NSpid:" { depth = NF - 1 }
        /^[0-9]+:(name=systemd)?:/ { sub(/^[^:]*:[^:]*:/, ""); if (length($0) > length(group)) group = $0 }
        END {
          for (rest = group; match(rest, /[0-9a-f]+/); rest = substr(rest, RSTART + RLENGTH))
            if (RLENGTH == 64) container = substr(rest, RSTART, 64)
          print parent + 0, ticks + 0, (container == "" ? "-" : container), depth + 0, ((group == "" || group ~ /[ *?[]/) ? "-" : group)
        }')"
    done
}
as_facts() { parent=$1 ticks=$2 place=$3 depth=$4 group=$5; }
one_process() { # FACTS: tells of $process, whose command is $found
  as_facts $1
  # A machine within this one (LXC, nspawn) has process ids of its own, as containers have, and no container id.
  if [ "$depth" -gt 2 ] || { [ "$depth" -gt 1 ] && [ "$place" = - ]; }; then put @within "${process##*/}"; return; fi
  put @process "${process##*/}"
  put parent "$parent"; put ticks "$ticks"; put place "$place"; put group "$group"
  cwd=$(readlink "$process/cwd") exe=$(readlink "$process/exe") out=$(readlink "$process/fd/1")
  in=$root
  [ "$place" = - ] || in=$process/root
  cwd=${cwd#"$root"} exe=${exe#"$in"}
  put cwd "$cwd"; put exe "$exe"; put out "${out#"$root"}"; put user "$(stat -c %U "$process")"
  tell_command "$in" "$place" "$cwd" "$exe" $found
  printf 'exe\t%s\t%s\t%s\n' "$place" "/${process##*/}" "$process/exe"
}

unit_names() { # every service that speaks of cortensord, templates with each instance that is enabled or loaded
  {
    for dir in $unit_dirs; do
      grep -lE "cortensor|$cortops_roles" "$root$dir"/*.service "$root$dir"/*.service.d/*.conf | while IFS= read -r file; do
        case $file in *.d/*.conf) file=${file%/*} file=${file%.d} ;; esac
        printf '%s\n' "${file##*/}"
      done
      for file in "$root$dir"/*.wants/*@?*.service; do [ ! -L "$file" ] || printf '%s\n' "${file##*/}"; done
      for file in "$root$dir"/*cortensor*@.service; do # an instance that is neither loaded nor enabled still has its folder
        folder=$(sed -n 's/^WorkingDirectory=\(.*\)\/%i\/*$/\1/p' "$file" | tail -n 1) file=${file##*/}
        for env_file in ${folder:+"$root$folder"/*/.env*}; do
          env_file=${env_file%/*}
          [ ! -d "$env_file" ] || printf '%s\n' "${file%.service}${env_file##*/}.service"
        done
      done
    done
    if [ "$systemd" = 1 ]; then
      timeout 20 systemctl list-units --all --plain --no-legend --no-pager --type=service '*cortensor*' | awk '{ print $1 }'
    fi
  } | sort -u
}
unit_files() { # UNIT: its file and drop-ins, as systemd reads them; nothing for one that is masked or not there
  template=$1
  case $1 in *@?*.service) template=${1%%@*}@.service ;; esac
  for dir in $unit_dirs; do
    for name in "$1" "$template"; do
      [ ! -c "$root$dir/$name" ] || return
      [ -f "$root$dir/$name" ] || continue
      printf '%s\n' "$root$dir/$name"
      for dir in $unit_dirs; do for name in "$template" "$1"; do
        for file in "$root$dir/$name".d/*.conf; do
          case $file in */50-cortops.conf) continue ;; esac # of an adopted node; the operator's own files are told
          [ ! -f "$file" ] || printf '%s %s\n' "${file##*/}" "$file"
        done
      done; done | awk '!($1 in seen) { seen[$1]; print }' | sort | cut -d ' ' -f 2-
      return
    done
  done
}
all_of() { while IFS= read -r file; do [ ! -r "$file" ] || cat "$file"; done; }
as_unit() { # USER FOLDER ENVFILE LOG ROLE LIFETIME
  put user "$1"; put cwd "$2"; put log "$4"; put agent_role "$5"; put lifetime "$6"
  folder=${2#-}
  [ "$3" = - ] || { real "$root" "$3"; put environment_file "$path"; }
}
units() {
  unit_names | at_most "$units_max" units | while IFS= read -r unit; do
    case $unit in *[!A-Za-z0-9@._:-]* | *@.service) continue ;; esac
    stem=${unit%.service} instance=
    case $stem in *@*) instance=${stem#*@} stem=${stem%%@*} ;; esac
    files=$(unit_files "$unit")
    [ -n "$files" ] || continue
    told=$(printf '%s\n' "$files" | all_of | awk -v unit="$unit" -v stem="$stem" -v instance="$instance" "$read_unit")
    found=$(printf '%s\n' "$told" | tail -n +2 | awk -v roles="$cortops_roles" "$find_command")
    case $unit in *cortensor*) ;; *) [ -n "$found" ] || continue ;; esac
    put @unit "$unit"
    put place -; put instance "$instance"; put sha256 "$(printf '%s\n' "$files" | all_of | sha256sum | cut -c 1-64)"
    wanted=0
    for dir in $unit_dirs; do for file in "$root$dir"/*.wants/"$unit" "$root$dir"/*.requires/"$unit"; do [ ! -L "$file" ] || wanted=1; done; done
    put wanted "$wanted"
    as_unit $(printf '%s\n' "$told" | head -n 1)
    printf 'unit\t%s\n' "$unit"
    [ -z "$found" ] || tell_command "$root" - "$folder" '' $found
  done
}

containers() {
  [ "$docker" = ok ] || return
  timeout 20 docker ps -a --no-trunc --format '{{.ID}}\t{{.Names}}\t{{.Image}}' | awk -F "$tab" '
    $2 $3 !~ /llm/ && $2 $3 ~ /cortensor/ { print $1, $2, $3 }' | at_most "$containers_max" containers | while read -r id name image; do
      told=$(timeout 20 docker inspect --type container --format "$inspected" "$id")
      [ -n "$told" ] || continue
      put @container "$id"
      put name "$name"; put image "$image"
      printf '%s\n' "$told" | awk -F "$tab" '$1 ~ /^(pid|running|started|restarts|policy|workdir)$/ { print $1 "\t" $2 }' >&3
      printf '%s\n' "$told" | sed -n "s/^env$tab//p" | public_env
      found=$(printf '%s\n' "$told" | sed -n "s/^word$tab//p" | tr ' ' '\n' | awk -v roles="$cortops_roles" "$find_command")
      workdir=$(printf '%s\n' "$told" | sed -n "s/^workdir$tab//p")
      [ -n "$found" ] || found=$(printf '%s\n' "$told" | sed -n "s/^word$tab\(\/.*\.sh\)$/\1/p" | tail -n 1 | started_by "$id")
      [ -z "$found" ] || tell_command "/~" "$id" "$workdir" '' $found
    done
}
inspected='{{printf "pid\t%d\nrunning\t%t\nstarted\t%s\nrestarts\t%d\npolicy\t%s\nworkdir\t%s\n" .State.Pid .State.Running .State.StartedAt .RestartCount .HostConfig.RestartPolicy.Name .Config.WorkingDir}}{{printf "word\t%s\n" .Path}}{{range .Args}}{{printf "word\t%s\n" .}}{{end}}{{range .Config.Env}}{{printf "env\t%s\n" .}}{{end}}'
from_container() { timeout 20 docker cp -L "$1:$2" - | tail -c +513 | tr -d '\000'; } # CONTAINER FILE: the first file of a tar, without its head
started_by() { # CONTAINER: the path of a script on the input -> the last command in it that starts a node
  read -r script || return
  from_container "$1" "$script" | head -c 65536 | while IFS= read -r line; do
    printf '%s\n' "$line" | tr ' ' '\n' | awk -v roles="$cortops_roles" "$find_command"
  done | tail -n 1
}

homes() { { awk -F : '($3 == 0 || $3 >= 1000) && $6 ~ /^\/./ { print $6 }' "$root/etc/passwd"; for home in "$root"/home/* "$root/root"; do printf '%s\n' "${home#"$root"}"; done; } | sort -u; }
pid_files() { # what the installer starts by hand leaves a pid file; and env files in homes, so that none is missed
  homes | at_most "$homes_max" homes | while IFS= read -r home; do
    [ -d "$root$home" ] || continue
    if [ ! -x "$root$home/" ]; then put @unseen "$home"; continue; fi
    at=$home/.cortensor
    [ -d "$root$at" ] || continue
    for file in "$root$at"/.env "$root$at"/.env-[0-9]*; do
      [ -f "$file" ] || continue
      file=${file#"$root"}
      put @home "$file"
      real "$root" "$file"
      put env_file "$path"; put user "$(stat -c %U "$root$file")"
      printf 'env\t-\t%s\t%s\n' "$path" "$root"
      [ "${file##*/}" = .env ] || continue
      found=$(grep -hv '^[[:space:]]*#' "$root$at/bin/start-cortensor.sh" "$root$home/bin/start-cortensor.sh" | grep -E 'cortensord.*env.*[a-z]v[0-9]' |
        tail -n 1 | tr ' "' '\n\n' | awk -v roles="$cortops_roles" "$find_command" | cut -f 3)
      put role "$found"
      [ ! -s "$root$at/logs/cortensord.log" ] || put log "$at/logs/cortensord.log"
      [ ! -f "$root$at/cortensord.pid" ] || put pid "$(head -c 16 "$root$at/cortensord.pid" | tr -dc 0-9)"
      for file in "$root$at/bin/cortensord" "$root$home/bin/cortensord" "$root/usr/local/bin/cortensord"; do
        [ -f "$file" ] || continue
        put binary "${file#"$root"}"
        printf 'bin\t-\t%s\t%s\n' "${file#"$root"}" "$root"
        break
      done
    done
  done
}

timers() { # what restarts nodes by the clock: systemd timers and lines of cron
  for dir in $unit_dirs; do grep -lE '^ExecStart.*(systemctl|service|kill|docker).*cortensor' "$root$dir"/*.service; done |
    at_most "$timers_max" timers | while IFS= read -r service; do
      {
        for dir in $unit_dirs; do grep -lE "^Unit=${service##*/}" "$root$dir"/*.timer; done
        for dir in $unit_dirs; do [ -f "$root$dir/$(basename "$service" .service).timer" ] && printf '%s\n' "$root$dir/$(basename "$service" .service).timer"; done
      } | head -n 1 | while IFS= read -r timer; do
        put @timer "${timer##*/}"
        put schedule "$(sed -n 's/^On[A-Za-z]*= *//p' "$timer" | sed 's/ *#.*//' | head -n 1)"
        wanted=0
        for dir in $unit_dirs; do for link in "$root$dir"/*.wants/"${timer##*/}"; do [ ! -L "$link" ] || wanted=1; done; done
        put wanted "$wanted"
        restarted "$(sed -n 's/^ExecStart=//p' "$service")"
      done
    done
  for file in "$root"/etc/crontab "$root"/etc/cron.d/* "$root"/var/spool/cron/crontabs/* "$root"/var/spool/cron/*; do
    [ -f "$file" ] || continue
    grep -E '^[ 	]*[0-9*@].*(restart|kill|stop).*cortensor' "$file" | head -n 5 | while IFS= read -r line; do
      put @timer "${file#"$root"}"
      put schedule "$(printf '%s\n' "$line" | awk '{ at = $1 ~ /^@/ ? $1 : $1 " " $2 " " $3 " " $4 " " $5; print at ~ /^[-0-9*\/, @a-zA-Z]+$/ && length(at) < 60 ? at : "?" }')"
      put wanted 1
      restarted "$line"
    done
  done
}
restarted() { # COMMAND: the units that it names, and whether there is such a unit
  printf '%s\n' "$1" | tr -c 'A-Za-z0-9@._-' '\n' | grep -E '^cortensord?([-@][A-Za-z0-9_-]+)?([.]service)?$' | head -n 20 | while IFS= read -r unit; do
    unit=${unit%.service}.service there=missing
    [ -z "$(unit_files "$unit")" ] || there=there
    put restarts "$unit $there"
  done
}

hashed=
hash_of() { # FILE: $sha, "" when it cannot be read or is too large; a file that was hashed before is not read again
  sha='' id=$(stat -L -c '%d:%i:%s:%Y' "$1")
  size=${id#*:*:} size=${size%%:*}
  case $hashed in *" $id="*) sha=${hashed#*" $id="} sha=${sha%% *}; return ;; esac
  [ "${size:-0}" -le $((hash_max_mib * 1048576)) ] || return
  sha=$(sha256sum <"$1") sha=${sha%% *}
  [ -z "$id" ] || hashed="$hashed $id=$sha "
}
env_of() { # PLACE PATH PREFIX
  put @env "$2"
  put place "$1"
  sha=
  state_of "$3" "$2"
  if [ "$state" = ok ]; then
    put mode "$(stat -L -c %a "$3$2")"; put id "$(stat -L -c %d:%i "$3$2")"
    hash_of "$3$2"
    head -c $((env_max_kib * 1024)) "$3$2" | public_env
  elif [ "$1" != - ] && [ "$docker" = ok ]; then
    sha=$(from_container "$1" "$2" | head -c $((env_max_kib * 1024)) | sha256sum | cut -c 1-64)
    case $sha in e3b0c442*) sha= ;; *) state=ok ;; esac # of nothing
    from_container "$1" "$2" | head -c $((env_max_kib * 1024)) | public_env
  fi
  put state "$state"; put sha256 "$sha"
}
bin_of() { # PLACE PATH PREFIX
  put @bin "$2"
  put place "$1"
  real "$3" "$2"
  state_of "$3" "$path"
  [ "$3" != '/~' ] || state=unreadable
  sha=
  if [ "$state" = ok ]; then
    set -- "$1" "$path" "$3"
    hash_of "$3$2"
    put size "$size"
    [ "${size:-0}" -gt 1024 ] || put lfs_oid "$(sed -n '1{/^version https:\/\/git-lfs/!q;};s/^oid sha256:\([0-9a-f]*\)$/\1/p' "$3$2")"
  fi
  put state "$state"; put sha256 "$sha"
}

systemd=0 docker=none python=
[ ! -d "$root/run/systemd/system" ] || ! command -v systemctl >/dev/null || systemd=1
if command -v docker >/dev/null; then docker=silent; timeout 20 docker ps -q >/dev/null && docker=ok; fi
python=$(python3 -V | cut -d ' ' -f 2)
put @host "$(uname -n)"
put format 1; put epoch "$(date +%s)"; put machine "$(uname -m)"; put uid "$uid"; put user "$(id -un)"
put system "$(sed -n 's/^PRETTY_NAME=//p' "$root/etc/os-release" | tr -d '"')"
put systemd "$systemd"; put docker "$docker"; put python "$python"
put disk_free_mib "$(df -Pm "$root/" | awk 'NR == 2 { print $4 }')"
put boot "$(sed -n 's/^btime //p' "$root/proc/stat")"; put hz "$(getconf CLK_TCK || echo 100)"
[ -d "$root/proc/1" ] || put blind processes

refs=$(processes; units; containers; pid_files)
timers
names=$(printf '%s\n' "$refs" | sed -n "s/^unit$tab//p")
if [ "$systemd" = 1 ] && [ -n "$names" ]; then
  timeout 20 systemctl show --no-pager -p Id -p ActiveState -p MainPID -p NRestarts -p UnitFileState -p NeedDaemonReload $names | awk '
    function flush() { if (id != "") printf "@state\t%s\n%s", id, held; id = held = "" }
    /^Id=/ { id = substr($0, 4) }
    /^(ActiveState|MainPID|NRestarts|UnitFileState|NeedDaemonReload)=[a-z0-9-]*$/ { sub(/=/, "\t"); held = held $0 "\n" }
    /^$/ { flush() }
    END { flush() }' >&3
fi
printf '%s\n' "$refs" | sort | awk -F "$tab" '!(($1, $2, $3) in seen) { seen[$1, $2, $3]; print }' | {
  count=0
  while IFS=$tab read -r what place path in; do
    case $what in
      env) count=$((count + 1)); [ "$count" -gt "$env_files_max" ] || env_of "$place" "$path" "$in" ;;
      bin) bin_of "$place" "$path" "$in" ;;
      exe) hash_of "$in"; put @exe "${path#/}"; put sha256 "$sha" ;;
    esac
  done
  [ "$count" -le "$env_files_max" ] || { put @limit 'env files'; put max "$env_files_max"; }
}
put @end 1
