# Tells of each declared node whether it runs, as NAME TAB STATE TAB PID TAB TEXT. It reads only; surfaces/fleet/found/running.py adds the calls.
LC_ALL=C PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
say() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$(printf %.200s "$4" | tr '\t\n' '  ')"; } # NAME STATE PID TEXT
has() { command -v "$1" >/dev/null 2>&1; }
of() { printf '%s\n' "$said" | sed -n "s/^$1=//p"; } # KEY: its value in what systemctl said
unit_dirs=${cortops_unit_dirs-/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system}
without_manager() { # NAME UNIT WHY: systemd cannot be asked, but without its file there is no unit
  case $2 in *@*) file=${2%%@*}@.${2##*.} ;; *) file=$2 ;; esac
  for folder in $unit_dirs; do
    [ ! -e "$folder/$2" ] && [ ! -e "$folder/$file" ] || { say "$1" unseen "" "$3"; return; }
  done
  say "$1" gone "" "there is no unit $2"
}
by_unit() { # NAME UNIT
  has systemctl || { without_manager "$1" "$2" "there is no systemctl"; return; }
  said=$(systemctl show -p LoadState -p ActiveState -p SubState -p MainPID -p NRestarts -- "$2" 2>&1) ||
    { without_manager "$1" "$2" "$said"; return; }
  case $(of LoadState),$(of ActiveState) in
    not-found,inactive) say "$1" gone "" "there is no unit $2" ;;
    *,active) say "$1" running "$(of MainPID)" "restarted $(of NRestarts) times since it was loaded" ;;
    *) say "$1" stopped "" "$2 is $(of ActiveState) ($(of SubState))" ;;
  esac
}
by_container() { # NAME CONTAINER
  has docker || { say "$1" unseen "" "there is no docker"; return; }
  said=$(docker inspect --type container -f '{{.State.Status}} {{.State.Pid}} {{.RestartCount}}' -- "$2" 2>&1)
  case $?,$said in
    0,running\ *) said=${said#running }; say "$1" running "${said% *}" "restarted ${said#* } times since it was made" ;;
    0,*) say "$1" stopped "" "container $2 is ${said%% *}" ;;
    *[Nn]o\ such\ *) say "$1" gone "" "there is no container $2" ;;
    *) say "$1" unseen "" "$said" ;;
  esac
}
by_process() { # NAME ENV_FILE RUNS
  hidden= wanted=$(readlink -f -- "$2" || printf %s "$2")
  for file in $(grep -lsF -e "$3" /proc/[0-9]*/cmdline); do
    process=${file%/cmdline}
    env_file=$({ tr '\0' '\n' <"$file"; } 2>/dev/null | awk -v role="$3" '$0 == role { print before; exit } { before = $0 }')
    case $env_file in
      '') continue ;;
      /*) ;;
      *)
        folder=$(readlink "$process/cwd") || { hidden=1; continue; }
        env_file=$folder/${env_file#./} ;;
    esac
    [ "$(readlink -f -- "$env_file")" = "$wanted" ] || continue
    say "$1" running "${process#/proc/}" ""
    return
  done
  if [ -n "$hidden" ]; then say "$1" unseen "" "such a process belongs to another user; sudo: true may help"
  elif [ -e "$2" ]; then say "$1" stopped "" "no process of it"
  else
    folder=${2%/*}
    while [ -n "$folder" ] && [ ! -d "$folder" ]; do folder=${folder%/*}; done
    if [ -x "$folder/" ]; then say "$1" gone "" "there is no env file $2"
    else say "$1" unseen "" "no process of it is seen, and we may not look into $folder; sudo: true may help"; fi
  fi
}
