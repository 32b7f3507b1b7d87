"""What `benchmarks.gateway` measures with: an upstream, a load, and the programs between them, each a process of its own."""
