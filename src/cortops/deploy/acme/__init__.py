"""Certificates that an authority gives by ACME (RFC 8555): asked for, shown that the names are ours, kept as secrets, renewed."""
