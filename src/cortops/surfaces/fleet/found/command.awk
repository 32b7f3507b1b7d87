# The words of a command, a line each -> BINARY TAB ENVFILE TAB ROLE TAB NUMBER TAB FIRST-WORD, where it starts a node (`tool` is none).
function is_role(word) { return word ~ ("^" roles "[0-9]?$") || (named && word ~ /^([a-z]+v[0-9][0-9]?|[$][{]?[A-Z_]+[}]?)$/) }
{ words[NR] = $0 }
END {
  for (i = 1; i + 2 <= NR && i <= 200; i++) {
    base = words[i]
    sub(/.*\//, "", base)
    named = base ~ /^cortensord([-_.][a-z0-9]+)*$/ && base !~ /[.](log|pid|service|sh)/
    if (words[i] words[i + 1] words[1] ~ /[ \t]/ || words[i + 1] ~ /^-/ || !(named || words[i + 1] ~ /env/)) continue
    if (!is_role(words[i + 2])) continue
    print words[i] "\t" words[i + 1] "\t" words[i + 2] "\t" i "\t" words[1]
    exit
  }
}
