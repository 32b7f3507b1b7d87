"""A stand-in for Docker's engine on a test host, where no real one can run: containers are processes with a root of their own.

It answers `docker` (client.py) through the socket that Docker has, with Docker's owner and mode, and in the forms that Docker prints.
A container stands in a group docker-<64 hex>.scope, sees its own process tree and files, and logs to the json-file that Docker writes.
Not there: networks, images of layers, builds, resource limits. Runs on a test host: standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SOCKET = Path("/run/docker.sock")
STORE = Path("/var/lib/docker")
ZERO_TIME = "0001-01-01T00:00:00Z"
STOP_GRACE_S = 10.0
RESTART_AFTER_S = 0.1
KILLED = 128 + signal.SIGKILL
# Binds what an image would bring, makes the folder the root of its mount namespace, as Docker does, and becomes what was asked for.
_ENTER = """
umask 022
mount --bind "$ROOT" "$ROOT" && cd "$ROOT"
for part in usr bin sbin lib lib64 etc dev; do
  [ -e "/$part" ] || continue
  mkdir -p "$part" && mount --rbind "/$part" "$part"
done
mkdir -p proc tmp run .old && mount -t proc proc proc && pivot_root . .old
exec chroot . /bin/sh -c 'umount -l /.old; rmdir /.old; cd "$1" && shift && exec "$@"' sh "$FOLDER" "$@"
"""


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "000Z")


class Container:
    """One container: what `docker inspect` shows, kept in a file, and its process."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.wanted = False
        self.killed = False
        self.thread: threading.Thread | None = None
        self.lock = threading.Lock()

    @property
    def id(self) -> str:
        return str(self.config["Id"])

    @property
    def name(self) -> str:
        return str(self.config["Name"]).lstrip("/")

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.config["State"])

    @property
    def folder(self) -> Path:
        return STORE / "containers" / self.id

    @property
    def root(self) -> Path:
        return STORE / "overlay2" / self.id / "merged"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.id}-json.log"

    def keep(self, **state: Any) -> None:
        """Change the state and write the file."""
        with self.lock:
            self.config["State"].update(state)
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / "config.partial"
            partial.write_text(json.dumps(self.config))
            partial.rename(self.folder / "config.v2.json")

    def start(self) -> None:
        """Run it, and again as its restart policy says; returns once it runs."""
        if self.config["State"]["Running"]:
            return
        self.wanted, self.killed = True, False
        running = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(running,), daemon=True)
        self.thread.start()
        running.wait(STOP_GRACE_S)

    def stop(self, grace_s: float = STOP_GRACE_S, number: int = signal.SIGTERM) -> None:
        """End it for good; with SIGKILL after the grace, as for a shell as first process, which does not hear SIGTERM."""
        self.wanted = False
        self._signal(number)
        if self.thread:
            self.thread.join(grace_s)
            if self.thread.is_alive():
                self._signal(signal.SIGKILL)
            self.thread.join()

    def _signal(self, number: int) -> None:
        if pid := self.config["State"]["Pid"]:
            self.killed = number == signal.SIGKILL
            os.kill(pid, number)

    def _run(self, running: threading.Event) -> None:
        while True:
            status = self._once(running)
            self.keep(Status="exited", Running=False, Pid=0, ExitCode=status, FinishedAt=now())
            policy = self.config["HostConfig"]["RestartPolicy"]["Name"]
            again = policy in ("always", "unless-stopped") or (policy == "on-failure" and status != 0)
            if not self.wanted or not again:
                running.set()
                return
            self.config["RestartCount"] += 1
            time.sleep(RESTART_AFTER_S)

    def _once(self, running: threading.Event) -> int:
        settings = self.config["Config"]
        environ = dict(entry.split("=", 1) for entry in settings["Env"])
        inside = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
        scope = ["systemd-run", "--quiet", "--scope", "--collect", "--slice=system.slice", f"--unit=docker-{self.id}.scope"]
        argv = [*scope, *inside, self.config["Path"], *self.config["Args"]]
        environ |= {"ROOT": str(self.root), "FOLDER": settings["WorkingDir"] or "/"}
        # What an engine that was killed left of it would be in the way.
        for words in (["kill", "--signal=KILL"], ["stop"]):
            subprocess.run(["systemctl", *words, f"docker-{self.id}.scope"], stderr=subprocess.DEVNULL, check=False)
        child = subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while child.poll() is None and not (pid := self._first_process(child.pid)):
            time.sleep(0.005)
        if child.poll() is None:
            self.keep(Status="running", Running=True, Pid=pid, StartedAt=now(), ExitCode=0)
        running.set()
        assert child.stdout
        with self.log.open("a") as log:
            for line in child.stdout:
                entry = {"log": line.decode("utf-8", "replace"), "stream": "stdout", "time": now()}
                log.write(json.dumps(entry) + "\n")
                log.flush()
        status = child.wait()
        return KILLED if self.killed else 128 - status if status < 0 else status

    @staticmethod
    def _first_process(parent: int) -> int:
        """The host's pid of the container's PID 1, once it has become what was asked for; 0 before."""
        try:
            pid = int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            return 0 if b"pivot_root" in line or b"umount -l" in line else pid
        except (OSError, IndexError):
            return 0

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.root.parent, ignore_errors=True)


class Engine:
    """All containers of the host."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        for path in sorted((STORE / "containers").glob("*/config.v2.json")):
            container = Container(json.loads(path.read_text()))
            was_running = container.state["Running"]
            container.keep(Running=False, Status="exited", Pid=0)
            self.containers[container.id] = container
            if was_running and container.config["HostConfig"]["RestartPolicy"]["Name"] != "no":
                container.start()

    def find(self, word: str) -> Container | None:
        """By name, id, or a prefix of an id."""
        for container in self.containers.values():
            if word in (container.name, container.id) or (len(word) >= 3 and container.id.startswith(word)):
                return container
        return None

    def create(self, spec: dict[str, Any]) -> Container:
        """A container of {name, image, env, restart, workdir, command, labels}; its files are a copy of images/IMAGE."""
        identity = os.urandom(32).hex()
        path, *arguments = spec["command"]
        config = {
            "Id": identity,
            "Created": now(),
            "Path": path,
            "Args": arguments,
            "State": {
                "Status": "created",
                "Running": False,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": False,
                "Dead": False,
                "Pid": 0,
                "ExitCode": 0,
                "Error": "",
                "StartedAt": ZERO_TIME,
                "FinishedAt": ZERO_TIME,
            },
            "Image": "sha256:" + os.urandom(32).hex(),
            "LogPath": str(STORE / "containers" / identity / f"{identity}-json.log"),
            "Name": f"/{spec['name']}",
            "RestartCount": 0,
            "Driver": "overlay2",
            "Platform": "linux",
            "Mounts": [],
            "HostConfig": {
                "Binds": None,
                "NetworkMode": "bridge",
                "LogConfig": {"Type": "json-file", "Config": {}},
                "RestartPolicy": {"Name": spec["restart"], "MaximumRetryCount": 0},
            },
            "GraphDriver": {"Name": "overlay2", "Data": {"MergedDir": str(STORE / "overlay2" / identity / "merged")}},
            "Config": {
                "Hostname": identity[:12],
                "User": "",
                "Env": spec["env"],
                "Cmd": spec["command"],
                "Image": spec["image"],
                "WorkingDir": spec["workdir"],
                "Labels": spec["labels"],
            },
            "NetworkSettings": {"IPAddress": "", "Ports": {}, "Networks": {"bridge": {}}},
        }
        container = Container(config)
        image = STORE / "images" / spec["image"]
        container.root.parent.mkdir(parents=True)
        shutil.copytree(image, container.root, symlinks=True) if image.is_dir() else container.root.mkdir()
        container.keep()
        container.log.touch()
        self.containers[identity] = container
        return container


class _Handler(socketserver.StreamRequestHandler):
    """One command of a client: its words as a line of JSON -> {status, out, err}."""

    def handle(self) -> None:
        from commands import answer

        words, data = json.loads(self.rfile.readline())
        self.wfile.write(json.dumps(answer(self.server.engine, words, data)).encode())  # type: ignore[attr-defined]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main() -> int:
    """Serve until ended; containers end with it."""
    SOCKET.unlink(missing_ok=True)
    os.umask(0o007)
    with _Server(str(SOCKET), _Handler) as server:
        shutil.chown(SOCKET, "root", "docker")
        server.engine = Engine()  # type: ignore[attr-defined]
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
