"""The oracle: assigns queued tasks to a session's nodes, moves on those that are late, and ends them."""
