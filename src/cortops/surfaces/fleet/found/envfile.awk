# An env file -> "env TAB KEY TAB QUOTE TAB VALUE" of those keys that are public, if the value has the form that the key asks for.
# "url TAB KEY TAB QUOTE TAB PUBLIC-PART TAB URL" is for us alone: of the URL only its hash leaves the host.
# Of a key of the form `kept` one word about the value is told.
BEGIN { asked = split(public, pairs, " "); for (i = 1; i <= asked; i++) { split(pairs[i], pair, "="); form[pair[1]] = pair[2] } }
function form_of(key,   stem) {
  if (key in form) return form[key]
  for (stem in form) if (stem ~ /[*]$/ && index(key, substr(stem, 1, length(stem) - 1)) == 1) return form[stem]
  return ""
}
function is_one_digit(text) { gsub(substr(text, 1, 1), "", text); return text == "" }
function has_key(text,   piece) { # a run of letters and digits that is long enough to be a key
  for (; match(text, /[0-9A-Za-z]+/); text = substr(text, RSTART + RLENGTH)) {
    piece = substr(text, RSTART, RLENGTH)
    if (RLENGTH >= 24 || (RLENGTH >= 16 && piece ~ /[0-9]/ && piece ~ /[A-Za-z]/)) return 1
  }
  return 0
}
function word_about(key, value) {
  value = tolower(value)
  if (value == "") return "empty"
  if (key == "ENCRYPTION_ALLOWED_LIST") return value ~ /0x(0000|1111|1234|aaaa|abcd|abc,|dead)|example|0x[.]/ ? "placeholder" : "set"
  if (value == "default-dev-token") return "default"
  sub(/^0x/, "", value)
  if (is_one_digit(value) || length(value) < 8 || value ~ /^(your|change|replace|example|placeholder|todo|xxx|secret|seed|dummy|test|<)/) return "placeholder"
  return value ~ /change[-_]?me|placeholder|1234567890/ ? "placeholder" : "set"
}
function public_part(url,   scheme, host) {
  scheme = host = url
  sub(/:\/\/.*/, "", scheme)
  sub(/^[a-z]*:\/\//, "", host)
  sub(/[\/?#].*/, "", host)
  if (scheme !~ /^(https?|wss?)$/) return "?://?" # what has no scheme may be anything
  if (url ~ /@/ || host !~ /^[A-Za-z0-9.-]+(:[0-9]+)?$/ || length(host) > 100 || has_key(host)) host = "?"
  return scheme "://" host
}
function fits(kind, value) {
  if (value == "") return 1
  if (kind == "address") { sub(/^0[xX]/, "", value); return length(value) == 40 && value !~ /[^0-9a-fA-F]/ }
  if (kind == "number") return length(value) <= 20 && value ~ /^-?[0-9]+([.][0-9]+)?$/
  if (kind == "switch") return tolower(value) ~ /^(0|1|true|false|yes|no|on|off)$/
  if (kind == "numbers") return length(value) <= 200 && value !~ /[^0-9, ]/
  if (kind == "word") return length(value) <= 100 && value ~ /^[A-Za-z0-9.:_\/-]+$/ && !has_key(value)
  return 0
}
NR <= 5000 {
  line = $0
  if (NR == 1) sub(/^\357\273\277/, "", line)
  gsub(/\r/, "", line)
  sub(/^[ \t]+/, "", line)
  sub(/^export[ \t]+/, "", line)
  at = index(line, "=")
  if (line ~ /^#/ || at < 2) next
  key = substr(line, 1, at - 1)
  sub(/[ \t]+$/, "", key)
  kind = form_of(key)
  if (kind == "" || key ~ /[^A-Za-z0-9_]/) next
  value = substr(line, at + 1)
  sub(/^[ \t]+/, "", value)
  sub(/[ \t]+$/, "", value)
  quote = substr(value, 1, 1)
  if (quote == "\"" || quote == "\047") {
    value = substr(value, 2)
    if (index(value, quote)) value = substr(value, 1, index(value, quote) - 1)
    quote = quote == "\"" ? "double" : "single"
  } else {
    quote = "bare"
    sub(/^#.*/, "", value)
    sub(/[ \t]+#.*/, "", value)
  }
  if (!(key in told)) order[++keys] = key
  if (kind == "url" && value != "") told[key] = "url\t" key "\t" quote "\t" public_part(value) "\t" value
  else told[key] = "env\t" key "\t" quote "\t" (kind == "kept" ? word_about(key, value) : fits(kind, value) ? value : "?")
}
END { for (i = 1; i <= keys && i <= 200; i++) print told[order[i]] }
