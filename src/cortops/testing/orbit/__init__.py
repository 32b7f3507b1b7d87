"""A chain that settles on another one, and is none: both answer JSON-RPC in this process, and every fault can be injected."""
