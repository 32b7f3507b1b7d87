"""Between nodes and their chain: every request as it came, with the build that sent it, so that a test can say which program serves."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

AGENT = "cortensord/"
FORWARD_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One transaction that a node sent. at: by the monotonic clock; build: its name; miner: the address, in lower case."""

    at: float
    build: str
    miner: str


@dataclass(slots=True)
class Wire:
    """What came over it, as it came."""

    url: str = ""
    sent: list[Sent] = field(default_factory=list)

    def by(self, build: str, *, since: float, until: float = float("inf")) -> set[str]:
        """Addresses for which that build sent a transaction in that time."""
        return {one.miner for one in self.sent if one.build == build and since <= one.at < until}


@contextmanager
def wire(address: str, to: str) -> Iterator[Wire]:
    """A place at `address` that nodes may call instead of the RPC at `to`."""
    made, target = Wire(), urlsplit(to)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._note(body)
            onward = http.client.HTTPConnection(str(target.hostname), target.port or 80, timeout=FORWARD_TIMEOUT_S)
            try:
                onward.request("POST", target.path or "/", body, {"Content-Type": "application/json"})
                answer = onward.getresponse()
                said = answer.read()
                self.send_response(answer.status)
            except OSError:
                said = b""
                self.send_response(502)
            finally:
                onward.close()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def _note(self, body: bytes) -> None:
            agent = self.headers.get("User-Agent", "")
            asked = json.loads(body)
            if agent.startswith(AGENT) and isinstance(asked, dict) and asked["method"] == "eth_sendTransaction":
                made.sent.append(Sent(at=time.monotonic(), build=agent.removeprefix(AGENT), miner=asked["params"][0]["from"].lower()))

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: it would be on standard error."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A host that was cut off in the middle of a request is what tests do."""

    server = Server((address, 0), Handler)
    made.url = f"http://{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="wire")
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
