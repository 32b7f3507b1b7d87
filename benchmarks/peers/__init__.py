"""What `benchmarks.deploy` measures cortops beside: the floor, which plans nothing, and tools of others in a folder of their own."""
