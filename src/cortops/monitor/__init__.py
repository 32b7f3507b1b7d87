"""Evidence -> state -> history: what `watch` knows of every entity, and since when."""
