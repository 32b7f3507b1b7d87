"""`docker` on a test host: hands its words to the engine (engine.py) and prints what that answers. Standard library only."""

from __future__ import annotations

import base64
import json
import socket
import sys

SOCKET = "/run/docker.sock"
DENIED = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
ABSENT = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


def main() -> int:
    """The engine's exit status; 1 when it cannot be reached."""
    words = sys.argv[1:]
    if words[:1] in (["--version"], ["-v"]):
        sys.stdout.write("Docker version 27.5.1, build 9f9e405\n")
        return 0
    data = sys.stdin.buffer.read() if words[:1] == ["exec"] and "-i" in words else b""
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(SOCKET)
        except PermissionError:
            sys.stderr.write(f"{DENIED}\n")
            return 1
        except OSError:
            sys.stderr.write(f"{ABSENT}\n")
            return 1
        link.sendall(json.dumps([words, base64.b64encode(data).decode()]).encode() + b"\n")
        answer = b"".join(iter(lambda: link.recv(1 << 16), b""))
    said = json.loads(answer)
    sys.stdout.buffer.write(base64.b64decode(said["out"]))
    sys.stderr.buffer.write(base64.b64decode(said["err"]))
    return int(said["status"])


if __name__ == "__main__":
    sys.exit(main())
