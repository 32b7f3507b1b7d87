"""The validator: compares the replicas of each ended task by hash and by meaning, and records the verdicts on chain."""
