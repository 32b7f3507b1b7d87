"""Who asks from outside: http, rpc, tls; shell questions go to a target. One file a kind, joined in ask.py."""
