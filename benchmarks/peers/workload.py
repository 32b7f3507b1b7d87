"""The small service that every tool puts on every host: a folder, three files, a unit; enabled, started, and seen to answer."""

from __future__ import annotations

NAME, PORT = "bench-service", 9100
FOLDER, UNIT = "/srv/bench-service", "/etc/systemd/system/bench-service.service"
FILES = {f"{letter}.conf": "".join(f"{letter}.{number} = {number * 7}\n" for number in range(40)) for letter in "abc"}
COMMAND = ("/usr/bin/python3", "-m", "http.server", "--directory", FOLDER, "--bind", "127.0.0.1", str(PORT))
UNIT_TEXT = (
    f"[Unit]\nDescription=A small service\nAfter=network.target\n[Service]\nExecStart={' '.join(COMMAND)}\nWorkingDirectory={FOLDER}\n"
    "Restart=always\n[Install]\nWantedBy=multi-user.target\n"
)
# Not timed: what a tool but cortops has left is taken away.
RESET = f"systemctl disable --quiet --now {NAME} 2>/dev/null; rm -rf {FOLDER} {UNIT}; systemctl daemon-reload"
ANSWERS = f"until (exec 3<>/dev/tcp/127.0.0.1/{PORT}) 2>/dev/null; do sleep 0.02; done"  # for bash
