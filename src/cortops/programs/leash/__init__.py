"""Starts a foreign program so that it ends with its parent."""
