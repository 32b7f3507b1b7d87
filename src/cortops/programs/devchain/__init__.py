"""The development chain: one process that owns an anvil, decides when it mines, and keeps crash-safe snapshots of it."""
