"""Starts a program of others: its folders and files, its first start, its account; then becomes it."""
