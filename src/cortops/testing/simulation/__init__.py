"""A chain that is only rules, and a network that runs on it by a seed: for tests."""
