# Read-only questions about the logs and RPC endpoints of cortensord nodes, for dash and mawk. surfaces/nodes/logs.py sets the @NAMES@,
# adds the calls (rpc_of, probe_all, log_of) and reads what is written here.
LC_ALL=C PATH=$PATH:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
urls=
clock() { printf 'clock %s %s\n' "$(date +%s%N)" "$(date +%z)"; }
value() { # KEY: its value among $lines, without quotes and comment
  printf '%s\n' "$lines" | sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" | tail -n 1 |
    sed -e 's/^"\([^"]*\)".*/\1/' -e "s/^'\([^']*\)'.*/\1/" -e 's/[[:space:]]#.*$//' -e 's/[[:space:]]*$//'
}
use() { # NODE URL: tell of it, and ask it once however many nodes use it
  case $2 in http://?*|https://?*) ;; *) return ;; esac
  case $2 in *[!-A-Za-z0-9._~:/?#@!\&\(\)*+,\;=%]*) printf 'norpc %s its RPC address holds an odd character\n' "$1"; return ;; esac
  sha=$(printf %s "$2" | sha256sum | cut -c 1-64)
  place=$(printf %s "$2" | sed 's|^\(https\{0,1\}\)://\([^/?#]*@\)\{0,1\}\([^/?#]*\).*|\1://\3|')
  printf 'rpc %s %s %s\n' "$1" "$sha" "$place"
  case $urls in *"$2
"*) ;; *) urls="$urls$2
" ;; esac
}
only_rpc() { grep -E '^[[:space:]]*(export[[:space:]]+)?(@RPC_KEYS@)[[:space:]]*='; }
rpc_of() { # NODE ENV_FILE CONTAINER
  if [ -n "$3" ]; then lines=$(docker exec "$3" cat "$2" 2>/dev/null </dev/null | only_rpc)
  elif [ -r "$2" ]; then lines=$(only_rpc <"$2")
  else printf 'norpc %s its env file cannot be read\n' "$1"; return; fi
  [ -n "$lines" ] || { printf 'norpc %s its env file names no RPC\n' "$1"; return; }
  count=0
  if [ "$(value ENABLE_MULTIPLE_RPC_HOST)" = 1 ]; then
    while [ "$count" -lt @RPC_URLS_MAX@ ]; do
      found=$(value "RPC_HOST_$count")
      [ -n "$found" ] || break
      use "$1" "$found"
      count=$((count + 1))
    done
  fi
  [ "$count" -gt 0 ] || use "$1" "$(value HOST)"
}
part() { printf '%s' "$said" | grep -o "$1" | head -n 1 | cut -d '"' -f 4; }
post() { # URL METHOD PARAMS: one call in the words of curl's configuration
  printf 'url = "%s"\nheader = "content-type: application/json"\n' "$1"
  printf 'data = "{\\"jsonrpc\\":\\"2.0\\",\\"id\\":1,\\"method\\":\\"%s\\",\\"params\\":%s}"\n' "$2" "$3"
}
both() {
  post "$1" eth_getBlockByNumber '[\"latest\",false]'
  printf 'write-out = "#http%%{http_code}#"\nnext\n'
  post "$1" eth_chainId '[]'
}
probe() { # URL, which goes to curl by its standard input: an argument list can be read by everybody, and a here-document may be a file
  start=$(date +%s%N)
  said=$(both "$1" | timeout @RPC_TIMEOUT_S@ curl -q -s -K - 2>/dev/null)
  status=$?
  end=$(date +%s%N)
  said=$(printf '%s' "$said" | tr -d ' \t\r\n')
  http=$(printf '%s' "$said" | sed -n 's/.*#http\([0-9]*\)#.*/\1/p')
  code=$(printf '%s' "$said" | sed -n 's/.*"error":{[^}]*"code":\(-\{0,1\}[0-9]*\).*/\1/p')
  printf 'probe %s %s %s %s %s %s %s %s %s\n' "$(printf %s "$1" | sha256sum | cut -c 1-64)" "$start" "$end" "$status" "${http:--}" \
    "${code:--}" "$(part '"number":"0x[0-9a-fA-F]*"')-" "$(part '"timestamp":"0x[0-9a-fA-F]*"')-" "$(part '"result":"0x[0-9a-fA-F]*"')-"
}
probe_all() {
  [ -n "$urls" ] || return 0
  command -v curl >/dev/null 2>&1 || { echo 'nocurl'; return; }
  probes=$(printf '%s' "$urls" | { while read -r url; do probe "$url" & done; wait; })
  printf '%s\n' "$probes"
}
cheap() { # the newest lines that may mean something, with their numbers
  awk -v keep=@KEPT_LINES_MAX@ -v wide=@LINE_CHARS_MAX@ '/@CHEAP@/ || tolower($0) ~ /@CHEAP_LOWER@/ { kept[k % keep] = NR " " substr($0, 1, wide); k++ }
    END { printf "lines %d %d\n", NR, k; for (i = k > keep ? k - keep : 0; i < k; i++) print "L " kept[i % keep] }'
}
log_of() { # NODE LOG
  printf 'node %s\n' "$1"
  case $2 in
  docker:*)
    if docker inspect "${2#docker:}" >/dev/null 2>&1 </dev/null; then
      echo 'file - - read'
      docker logs --timestamps --since @SINCE@ --tail @DOCKER_LINES_MAX@ "${2#docker:}" 2>&1 </dev/null | cheap
    else echo 'file - - no-container'; fi ;;
  *)
    if [ ! -x "${2%/*}/" ] || { [ -e "$2" ] && [ ! -r "$2" ]; }; then echo 'file - - unreadable'
    elif [ ! -f "$2" ]; then echo 'file - - missing'
    else
      size=$(stat -L -c %s "$2")
      printf 'file %s %s read\n' "$size" "$(stat -L -c %Y "$2")"
      {
        [ "$size" -lt @TAIL_BYTES@ ] && [ -r "$2.1" ] && tail -c $((@TAIL_BYTES@ - size)) "$2.1"
        tail -c @TAIL_BYTES@ "$2"
      } | cheap
    fi ;;
  esac
}
