"""The web dashboard: shows what `watch` knows and what the chain has recorded. It decides nothing and changes nothing."""
