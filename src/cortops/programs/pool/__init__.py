"""The pool oracle (poolv1): decides which nodes are free for any session."""
