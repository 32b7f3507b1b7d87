"""A new program on nodes that were there before us: one node first, then waves that grow, each node behind its gate."""
