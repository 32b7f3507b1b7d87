"""Asks supervisord over its socket. Sent to the target as text and run by any Python >= 3.8 there, so it imports nothing of ours.

usage: CLIENT SOCKET status [LIMIT_S] | converge NAME FORCE STOP_S | remove NAME STOP_S | shutdown
exit status: 0 done; 1 failed (the reason is printed); 3 no supervisord there; 4 its configuration cannot be read (the reason is printed)
A watch asks `status` every few seconds, and a short program costs what it imports: xmlrpc.client alone would take three times as long
as all the rest. So this imports modules written in C only (and __future__), and speaks the little XML-RPC that is needed here itself.
"""

from __future__ import annotations

import _socket
import pyexpat
import sys
import time

MYPY = False  # mypy takes it for True; typing itself would cost more than it is worth here
if MYPY:
    from collections.abc import Callable, Sequence
    from typing import Any

    _Rpc = Callable[..., Any]

OURS = "cortops"
ANSWER_LIMIT_S = 15.0
ANSWER_MAX_MIB = 16  # a service takes about 2 KiB
_SHOWN_CHARS = 120
_ASK_EVERY_S = 0.02
_START_MAX_S = 5.0
_SHUTDOWN_MAX_S = 60.0
_UP = ("STARTING", "RUNNING")
_SUCCESS, _CANNOT_REREAD = 80, 92  # supervisor.xmlrpc.Faults
_AROUND_VALUES = ("methodResponse", "params", "param", "data", "member")


class _Told(Exception):
    """What went wrong, for people."""


class _Fault(_Told):
    """supervisord says no."""

    def __init__(self, what: dict[str, Any]) -> None:
        super().__init__(" ".join(str(what["faultString"]).split()))
        self.code = what["faultCode"]


class _Unreadable(_Told):
    """What came back is no answer."""

    def __init__(self, shown: str) -> None:
        super().__init__("the answer cannot be read: " + ascii(shown[:_SHOWN_CHARS]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _encoded(value: Any) -> str:
    if isinstance(value, bool):
        return f"<value><boolean>{value:d}</boolean></value>"
    if isinstance(value, str):
        escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"<value><string>{escaped}</string></value>"
    if isinstance(value, dict):
        members = (f"<member><name>{name}</name>{_encoded(inner)}</member>" for name, inner in value.items())
        return f"<value><struct>{''.join(members)}</struct></value>"
    return f"<value><array><data>{''.join(map(_encoded, value))}</data></array></value>"


class _Reading:
    """Values out of a response, as expat comes upon them: a struct or an array takes up all that was put on the pile since it began."""

    def __init__(self) -> None:
        self.pile: list[Any] = []
        self._begun: list[int] = []
        self._text = ""
        self._last = ""

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if tag in ("struct", "array"):
            self._begun.append(len(self.pile))
        self._text, self._last = "", tag

    def text(self, text: str) -> None:
        self._text += text

    def end(self, tag: str) -> None:
        if tag in ("string", "name") or (tag == "value" and self._last == "value"):  # a value without a type is a string
            self.pile.append(self._text)
        elif tag in ("int", "i4"):
            self.pile.append(int(self._text))
        elif tag == "boolean":
            self.pile.append(self._text == "1")
        elif tag in ("struct", "array"):
            at = self._begun.pop()
            inner = self.pile[at:]
            self.pile[at:] = [inner if tag == "array" else {inner[i]: inner[i + 1] for i in range(0, len(inner), 2)}]
        elif tag == "fault":
            raise _Fault(self.pile[-1])
        elif tag != "value" and tag not in _AROUND_VALUES:
            raise ValueError(tag)
        self._text = ""


def _decoded(answer: bytes) -> Any:
    """The value in an HTTP answer; _Fault if that says so, _Unreadable for anything else, also for an answer that was cut."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode("latin-1")
    if not status.startswith("HTTP/1.") or status.split(" ")[1:2] != ["200"]:
        raise _Unreadable(status)
    reading = _Reading()
    parser = pyexpat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reading.start, reading.end, reading.text
    try:
        parser.Parse(body, True)
        (value,) = reading.pile
    except (pyexpat.ExpatError, LookupError, TypeError, ValueError):
        raise _Unreadable(body.decode("utf-8", "replace")) from None
    return value


def _post(path: str, body: bytes, limit_s: float) -> bytes:
    """What comes back until the other side closes, which supervisord does after one answer; OSError also when limit_s is over."""
    end = time.monotonic() + limit_s
    head = b"POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(limit_s)
        sock.connect(path)
        sock.sendall(head + body)
        got = bytearray()
        while len(got) <= ANSWER_MAX_MIB << 20:
            left_s = end - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            sock.settimeout(left_s)
            part = sock.recv(1 << 16)
            if not part:
                return bytes(got)
            got += part
        raise _Told(f"the answer is larger than {ANSWER_MAX_MIB} MiB")
    finally:
        sock.close()


def _ask(path: str, limit_s: float, method: str, values: Sequence[Any]) -> Any:
    params = "".join(f"<param>{_encoded(value)}</param>" for value in values)
    request = f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>".encode()
    try:
        answer = _post(path, request, limit_s)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    return _decoded(answer or _post(path, request, limit_s))  # it ended while we spoke: the second time we hear whether it is gone


def _status(path: str, limit_s: float) -> None:
    calls = [{"methodName": "supervisor.getIdentification"}, {"methodName": "supervisor.getAllProcessInfo"}]
    results = _ask(path, limit_s, "system.multicall", [calls])
    try:
        for result in results:
            if isinstance(result, dict):
                raise _Fault(result)
        identity, infos = results  # as they are: supervisord does not put each in a list, as others do
        _check(path, identity)
        lines = [_line(info) for info in infos]
    except (LookupError, TypeError, ValueError):
        raise _Unreadable(str(results)) from None
    for line in lines:
        _say(line)


def _line(info: dict[str, Any]) -> str:
    uptime = max(0, info["now"] - info["start"]) if info["pid"] else 0
    return f"{info['group']} {info['statename']} {info['pid']} {uptime}"


def _check(path: str, identity: object) -> None:
    if identity != OURS:
        raise _Told(f"the supervisord at {path} is not ours: it calls itself {identity}")


def _info(rpc: _Rpc, name: str) -> Any:
    return next((info for info in rpc("getAllProcessInfo") if info["group"] == name), None)


def _stop(rpc: _Rpc, name: str, stop_s: float) -> None:
    """supervisord reaps once a second when nobody speaks to it, and at once when somebody does: so we ask often instead of waiting."""
    rpc("stopProcessGroup", name, False)
    end = time.monotonic() + stop_s + _START_MAX_S
    while _info(rpc, name)["pid"]:
        if time.monotonic() > end:
            raise _Told(f"{name} does not stop")
        time.sleep(_ASK_EVERY_S)


def _converge(rpc: _Rpc, name: str, force: bool, stop_s: float) -> None:
    added, changed, _ = rpc("reloadConfig")[0]
    if name in changed or (force and name not in added):
        _stop(rpc, name, stop_s)
    if name in changed:
        rpc("removeProcessGroup", name)
    if name in changed or name in added:
        rpc("addProcessGroup", name)
    if _info(rpc, name)["statename"] not in _UP:
        for result in rpc("startProcessGroup", name, False):
            if result["status"] != _SUCCESS:
                raise _Told(result["description"])  # for example: no such program
    _await_start(rpc, name)


def _await_start(rpc: _Rpc, name: str) -> None:
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


def _remove(rpc: _Rpc, name: str, stop_s: float) -> None:
    if _info(rpc, name) is not None:
        _stop(rpc, name, stop_s)
        rpc("removeProcessGroup", name)


def _alive(pid: int) -> bool:
    """A process that only waits for its parent to take note of its end is not alive."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def _shutdown(rpc: _Rpc) -> None:
    pid = rpc("getPID")
    rpc("shutdown")
    end = time.monotonic() + _SHUTDOWN_MAX_S
    while _alive(pid):
        if time.monotonic() > end:
            raise _Told(f"supervisord (pid {pid}) does not end")
        time.sleep(_ASK_EVERY_S)
        try:
            rpc("getState")  # as in _stop
        except (OSError, _Told):
            continue  # it no longer answers: nearly gone


def main(path: str, verb: str, *rest: str) -> int:
    """One verb over the socket at `path`; see the usage above for the rest and the exit status."""
    try:
        if verb == "status":
            _status(path, float(rest[0]) if rest else ANSWER_LIMIT_S)
        else:
            _change(path, verb, *rest)
    except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
        return 3
    except (_Told, OSError) as error:
        _say(str(error) or type(error).__name__)
        return 4 if isinstance(error, _Fault) and error.code == _CANNOT_REREAD else 1
    return 0


def _change(path: str, verb: str, name: str = "", *rest: str) -> None:
    stop_s = float(rest[-1]) if rest else 0.0

    def rpc(method: str, *values: Any) -> Any:
        return _ask(path, stop_s + ANSWER_LIMIT_S, f"supervisor.{method}", values)

    _check(path, rpc("getIdentification"))
    if verb == "converge":
        _converge(rpc, name, rest[0] == "1", stop_s)
    elif verb == "remove":
        _remove(rpc, name, stop_s)
    else:
        _shutdown(rpc)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
