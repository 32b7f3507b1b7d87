"""Asks supervisord over its socket. Sent to the target as text and run by any Python >= 3.8 there, so it imports nothing of ours.

usage: CLIENT SOCKET status | converge NAME FORCE STOP_S | remove NAME STOP_S | shutdown
exit status: 0 done; 1 failed (the reason is printed); 3 no supervisord there; 4 its configuration cannot be read (the reason is printed)
supervisorctl would do, but takes three times as long for one command and has no way to do several at once.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time
import xmlrpc.client

MYPY = False  # mypy takes it for True; typing itself would cost more than it is worth here
if MYPY:
    from typing import Any

OURS = "cortops"
_ASK_EVERY_S = 0.02
_START_MAX_S = 5.0
_SHUTDOWN_MAX_S = 60.0
_UP = ("STARTING", "RUNNING")
_SUCCESS = 80  # supervisor.xmlrpc.Faults


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__()
        self._path, self._timeout_s = path, timeout_s

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self._timeout_s)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        connection.sock = sock
        return connection


class _Told(Exception):
    """What went wrong, for people."""


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _status(rpc: Any) -> None:
    for info in rpc.getAllProcessInfo():
        uptime = max(0, info["now"] - info["start"]) if info["pid"] else 0
        _say(f"{info['group']} {info['statename']} {info['pid']} {uptime}")


def _info(rpc: Any, name: str) -> Any:
    return next((info for info in rpc.getAllProcessInfo() if info["group"] == name), None)


def _stop(rpc: Any, name: str, stop_s: float) -> None:
    """supervisord reaps once a second when nobody speaks to it, and at once when somebody does: so we ask often instead of waiting."""
    rpc.stopProcessGroup(name, False)
    end = time.monotonic() + stop_s + _START_MAX_S
    while _info(rpc, name)["pid"]:
        if time.monotonic() > end:
            raise _Told(f"{name} does not stop")
        time.sleep(_ASK_EVERY_S)


def _converge(rpc: Any, name: str, force: bool, stop_s: float) -> None:
    added, changed, _ = rpc.reloadConfig()[0]
    if name in changed or (force and name not in added):
        _stop(rpc, name, stop_s)
    if name in changed:
        rpc.removeProcessGroup(name)
    if name in changed or name in added:
        rpc.addProcessGroup(name)
    if _info(rpc, name)["statename"] not in _UP:
        for result in rpc.startProcessGroup(name, False):
            if result["status"] != _SUCCESS:
                raise _Told(result["description"])  # for example: no such program
    _await_start(rpc, name)


def _await_start(rpc: Any, name: str) -> None:
    end = time.monotonic() + _START_MAX_S
    while True:
        info = _info(rpc, name)
        state = info["statename"]
        if info["pid"] and state in _UP:
            _say(f"pid {info['pid']}")
            return
        if state in ("BACKOFF", "FATAL", "EXITED") or time.monotonic() > end:
            raise _Told(info["spawnerr"] or f"it ended at once ({state.lower()})")
        time.sleep(_ASK_EVERY_S)


def _remove(rpc: Any, name: str, stop_s: float) -> None:
    if _info(rpc, name) is not None:
        _stop(rpc, name, stop_s)
        rpc.removeProcessGroup(name)


def _alive(pid: int) -> bool:
    """A process that only waits for its parent to take note of its end is not alive."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def _shutdown(rpc: Any) -> None:
    pid = rpc.getPID()
    rpc.shutdown()
    end = time.monotonic() + _SHUTDOWN_MAX_S
    while _alive(pid):
        if time.monotonic() > end:
            raise _Told(f"supervisord (pid {pid}) does not end")
        time.sleep(_ASK_EVERY_S)
        try:
            rpc.getState()  # as in _stop
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault):
            continue  # it no longer answers: nearly gone


def main(path: str, verb: str, name: str = "", *rest: str) -> int:
    """One verb over the socket at `path`; see the usage above for the rest and the exit status."""
    if not os.path.exists(path):  # noqa: PTH110
        return 3
    stop_s = float(rest[-1]) if rest else 0.0
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(path, stop_s + 15.0))
    rpc = proxy.supervisor
    try:
        identity = rpc.getIdentification()
        if str(identity) != OURS:
            raise _Told(f"the supervisord at {path} is not ours: it calls itself {identity!s}")
        if verb == "status":
            _status(rpc)
        elif verb == "converge":
            _converge(rpc, name, rest[0] == "1", stop_s)
        elif verb == "remove":
            _remove(rpc, name, stop_s)
        else:
            _shutdown(rpc)
    except (ConnectionRefusedError, FileNotFoundError):
        return 3
    except xmlrpc.client.Fault as fault:
        _say(" ".join(fault.faultString.split()))
        return 4 if fault.faultCode == 92 else 1  # 92: CANT_REREAD
    except (_Told, OSError, http.client.HTTPException) as error:
        _say(str(error) or type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
