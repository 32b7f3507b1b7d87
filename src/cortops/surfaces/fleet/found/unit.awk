# Unit files in their order -> USER FOLDER ENVFILE LOG ROLE LIFETIME of the service, and its words, a line each. - where it says nothing.
function plain(text) { gsub(/%[iI]/, instance, text); gsub(/%[pP]/, stem, text); gsub(/%[nN]/, unit, text); gsub(/["\047]/, "", text); return text }
function one(text) { return text == "" || text ~ /[ \t]/ ? "-" : text }
{ sub(/\r$/, ""); sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "") }
held != "" { $0 = held " " $0; held = "" }
/^[#;]/ { next }
/\\$/ { held = substr($0, 1, length($0) - 1); next }
/^\[/ { section = $0; next }
section == "[Service]" {
  at = index($0, "=")
  if (at < 2) next
  key = substr($0, 1, at - 1)
  value = substr($0, at + 1)
  sub(/[ \t]+$/, "", key)
  sub(/^[ \t]+/, "", value)
  if (key == "Environment") { if (match(value, /AGENT_ROLE=[A-Za-z0-9]+/)) role = substr(value, RSTART + 11, RLENGTH - 11) }
  else if (key == "EnvironmentFile") { sub(/^-/, "", value); env_file = plain(value) }
  else if (key ~ /^(User|WorkingDirectory|RuntimeMaxSec|ExecStart)$/) told[key] = plain(value)
  else if (key == "StandardOutput") log_file = value ~ /^(append|file|truncate):/ ? plain(substr(value, index(value, ":") + 1)) : ""
}
END {
  sub(/^-/, "", told["WorkingDirectory"])
  sub(/^[-@:+!]+/, "", told["ExecStart"])
  print one(told["User"]), one(told["WorkingDirectory"]), one(env_file), one(log_file), one(role), one(told["RuntimeMaxSec"])
  count = split(told["ExecStart"], words, /[ \t;]+/)
  for (i = 1; i <= count; i++) print words[i]
}
