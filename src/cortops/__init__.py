"""cortops: one file declares a Cortensor environment; one tool deploys, routes, watches and recovers it."""

__version__ = "0.1.0"
