"""The router: takes requests over HTTP, submits them as tasks on chain, and hands back what miners stream and commit."""
