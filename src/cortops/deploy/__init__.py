"""Observed x desired -> plan -> apply: drivers, lock, journal, manifests, waves, gate."""
