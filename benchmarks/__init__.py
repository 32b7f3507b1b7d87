"""Measurements. `make bench ONLY=name` runs benchmarks/name.py; docs and method in RESULTS.md."""
