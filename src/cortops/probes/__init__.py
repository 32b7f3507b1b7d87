"""Who asks from outside: http, rpc, tls, dns; shell questions go to a target. One file a kind, joined in ask.py."""
