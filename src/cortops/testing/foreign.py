"""Stand-ins for two programs of others that no package here carries: an object store (S3) and an IPFS node (its RPC API).

`python -m cortops.testing.foreign object-store|ipfs ADDRESS PORT DATA` answers what their checks ask, and nothing else of what the real
ones can: it keeps the shape of the argument line, the ports and the answers. The object store demands its key from the environment
(STORE_PASSWORD), the IPFS node a data folder that its `init` has filled, as the real ones do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Protocol

PEER_FILE = "peer"
DENIED = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


class Answers(Protocol):
    """(method, path) -> status and body."""

    def __call__(self, method: str, path: str, /) -> tuple[int, bytes]: ...


def object_store(method: str, path: str) -> tuple[int, bytes]:
    """S3 to one who has no key."""
    return 403, DENIED


def ipfs(data: Path) -> Answers:
    """Kubo's RPC API, which takes POST only; FileNotFoundError where `init` has not run."""
    peer = (data / PEER_FILE).read_text()

    def answers(method: str, path: str) -> tuple[int, bytes]:
        if method != "POST":
            return 405, b"405 - Method Not Allowed"
        return (200, json.dumps({"ID": peer}).encode()) if path == "/api/v0/id" else (404, b"404 page not found")

    return answers


def serve(answers: Answers, address: str, port: int) -> None:
    """Answer until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            status, body = answers(self.command, self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer((address, port), Handler) as server:
        server.serve_forever()


def main(argv: list[str], env: Mapping[str, str]) -> int:
    """`init DATA` makes an IPFS node's folder; else see above."""
    if argv[0] == "init":
        (Path(argv[1]) / PEER_FILE).write_text("12D3KooWStandIn")
        return 0
    role, address, port, data = argv
    if role == "object-store" and not env.get("STORE_PASSWORD"):
        sys.stderr.write("STORE_PASSWORD is not set\n")
        return 1
    serve(object_store if role == "object-store" else ipfs(Path(data)), address, int(port))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
