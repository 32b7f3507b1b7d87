"""What `benchmarks.deploy` measures on: test hosts with an operator's home, a chain that answers, and a file for a thousand hosts."""
