"""The commands of `docker` that operators and cortops use, answered as Docker prints them. Runs on a test host, inside the engine."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from template import TemplateError, render

if TYPE_CHECKING:
    from engine import Container, Engine

VERSION = "27.5.1"
_COLUMNS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
_OPTIONS_WITH_VALUE = {"--name", "--restart", "-e", "--env", "-w", "--workdir", "--format", "-f", "--tail", "-n", "--since", "--until"}
_OPTIONS_WITH_VALUE |= {"-t", "--time", "--timeout", "-s", "--signal", "--type", "--filter", "--label", "-l", "-u", "--user", "--network"}
_OWN = {"logs": {"-t", "--timestamps", "-f"}, "exec": {"-t"}, "rm": {"-f"}, "cp": {"-L"}, "ps": {"-l", "-n"}}


class Refusal(Exception):
    """What docker says on stderr, with exit status 1."""


def answer(engine: Engine, words: list[str], data: str) -> dict[str, Any]:
    """The words after `docker` (and the client's stdin, base64) -> exit status and base64 of what it prints."""
    status, out, err = 0, b"", b""
    try:
        printed = _answer(engine, words, base64.b64decode(data))
        if isinstance(printed, tuple):
            status, out, err = printed
        else:
            out = printed if isinstance(printed, bytes) else printed.encode()
    except Refusal as refusal:
        status, err = 1, f"{refusal}\n".encode()
    except TemplateError as error:
        status, err = 64, f"template parsing error: template: :1: {error}\n".encode()
    return {"status": status, "out": base64.b64encode(out).decode(), "err": base64.b64encode(err).decode()}


def _answer(engine: Engine, words: list[str], data: bytes) -> str | bytes | tuple[int, bytes, bytes]:
    if words[:1] == ["container"]:
        words = words[1:]
    verb = {"ls": "ps", "list": "ps"}.get(words[0] if words else "", words[0] if words else "")
    command = _COMMANDS.get(verb)
    if not command:
        raise Refusal(f"docker: '{verb}' is not a docker command.\nSee 'docker --help'")
    options, rest = _split(verb, words[1:])
    return command(engine, options, rest, data)


def _split(verb: str, words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Options (repeated ones collected) and the words from the first that is none."""
    options: dict[str, list[str]] = {}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        name, equals, value = words[at].partition("=")
        at += 1
        if name.startswith("-") and not name.startswith("--") and len(name) > 2 and name not in _OPTIONS_WITH_VALUE:
            for letter in name[1:]:
                options.setdefault(f"-{letter}", []).append("")
            continue
        if not equals and name in _OPTIONS_WITH_VALUE - _OWN.get(verb, set()):
            value, at = words[at], at + 1
        options.setdefault(name, []).append(value)
    return options, words[at:]


def _one(options: dict[str, list[str]], *names: str, otherwise: str = "") -> str:
    return next((options[name][-1] for name in names if name in options), otherwise)


def _container(engine: Engine, word: str) -> Container:
    found = engine.find(word)
    if not found:
        raise Refusal(f"Error response from daemon: No such container: {word}")
    return found


def _ago(at: str) -> str:
    seconds = int(time.time() - datetime.fromisoformat(at).timestamp())
    if seconds < 1:
        return "Less than a second"
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return (
                f"{seconds // size} {name}s"
                if seconds // size > 1
                else "About a minute"
                if name == "minute"
                else f"{seconds // size} {name}"
            )
    return ""


def _row(container: Container) -> dict[str, str]:
    config, state = container.config, container.state
    status = {
        "running": lambda: f"Up {_ago(state['StartedAt'])}",
        "exited": lambda: f"Exited ({state['ExitCode']}) {_ago(state['FinishedAt'])} ago",
    }.get(state["Status"], lambda: "Created")()
    command = " ".join([config["Path"], *config["Args"]])
    return {
        "Command": f'"{command}"',
        "CreatedAt": config["Created"][:19].replace("T", " ") + " +0000 UTC",
        "ID": container.id,
        "Image": config["Config"]["Image"],
        "Labels": ",".join(f"{key}={value}" for key, value in config["Config"]["Labels"].items()),
        "LocalVolumes": "0",
        "Mounts": "",
        "Names": container.name,
        "Networks": "bridge",
        "Ports": "",
        "RunningFor": f"{_ago(config['Created'])} ago",
        "Size": "0B",
        "State": state["Status"],
        "Status": status,
    }


def _fits(container: Container, wanted: list[str]) -> bool:
    row = _row(container)
    fields = {"name": row["Names"], "status": row["State"], "id": row["ID"], "ancestor": row["Image"]}
    return all(value in fields.get(key, "") for key, _, value in (entry.partition("=") for entry in wanted))


def _ps(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    everyone = "-a" in options or "--all" in options
    shown = [container for container in engine.containers.values() if everyone or container.state["Running"]]
    shown = [container for container in shown if _fits(container, options.get("--filter", []) + options.get("-f", []))]
    rows = [_row(container) for container in reversed(shown)]
    whole = "--no-trunc" in options
    for row in rows:
        row["ID"] = row["ID"] if whole else row["ID"][:12]
        row["Command"] = row["Command"] if whole or len(row["Command"]) <= 22 else row["Command"][:20] + '…"'
    if "-q" in options or "--quiet" in options:
        return "".join(f"{row['ID']}\n" for row in rows)
    if form := _one(options, "--format"):
        form = form.removeprefix("table ").replace("\\t", "\t").replace("\\n", "\n")
        return "".join(render(form, row) + "\n" for row in rows)
    table = [_COLUMNS, *((row["ID"], row["Image"], row["Command"], row["RunningFor"], row["Status"], "", row["Names"]) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_COLUMNS))]
    return "".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in table)


def _inspect(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str | tuple[int, bytes, bytes]:
    found = [container for word in rest if (container := engine.find(word))]
    missing = "".join(
        f"Error: No such {'container' if '--type' in options else 'object'}: {word}\n" for word in rest if not engine.find(word)
    )
    if form := _one(options, "--format", "-f"):
        out = "".join(render(form, container.config) + "\n" for container in found)
    else:
        out = json.dumps([container.config for container in found], indent=4) + "\n"
    return (1 if missing else 0), out.encode(), missing.encode()


def _logs(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    container = _container(engine, rest[0])
    entries = [json.loads(line) for line in container.log.read_text().splitlines()]
    if since := _one(options, "--since"):
        start = _moment(since)
        entries = [entry for entry in entries if datetime.fromisoformat(entry["time"]).timestamp() >= start]
    if (tail := _one(options, "--tail", "-n", otherwise="all")) != "all":
        entries = entries[-int(tail) :] if int(tail) else []
    stamped = "-t" in options or "--timestamps" in options
    return "".join((f"{entry['time']} " if stamped else "") + entry["log"] for entry in entries)


def _moment(word: str) -> float:
    """`10m`, `24h`, seconds since 1970, or RFC 3339 -> seconds since 1970."""
    if word[-1] in "smh" and word[:-1].isdigit():
        return time.time() - int(word[:-1]) * {"s": 1, "m": 60, "h": 3600}[word[-1]]
    try:
        return float(word)
    except ValueError:
        return datetime.fromisoformat(word).timestamp()


def _running(engine: Engine, word: str) -> Container:
    container = _container(engine, word)
    if not container.state["Running"]:
        raise Refusal(f"Error response from daemon: container {container.id} is not running")
    return container


def _top(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> bytes:
    container = _running(engine, rest[0])
    space = Path(f"/proc/{container.state['Pid']}/ns/pid").readlink()
    inside = [entry.name for entry in Path("/proc").glob("[0-9]*") if _space(entry) == space]
    return subprocess.run(["ps", *(rest[1:] or ["-f"]), "-p", ",".join(inside)], capture_output=True, check=False).stdout


def _space(process: Path) -> Path | None:
    try:
        return (process / "ns" / "pid").readlink()
    except OSError:
        return None


def _exec(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> tuple[int, bytes, bytes]:
    container = _running(engine, rest[0])
    environ = dict(entry.split("=", 1) for entry in container.config["Config"]["Env"])
    enter = ["nsenter", "--target", str(container.state["Pid"]), "--mount", "--pid", "--root", "--wd", "--"]
    done = subprocess.run([*enter, *rest[1:]], env=environ, input=data, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _cp(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> bytes:
    source, target = rest
    if target == "-":
        word, _, path = source.partition(":")
        file = _container(engine, word).root / path.lstrip("/")
        if not file.exists():
            raise Refusal(f"Error response from daemon: Could not find the file {path} in container {word}")
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", dereference="-L" in options) as archive:
            archive.add(file, arcname=file.name)
        return made.getvalue()
    word, _, path = (target if ":" in target else source).partition(":")
    inside = str(_container(engine, word).root / path.lstrip("/"))
    done = subprocess.run(["cp", "-a", *((inside, target) if ":" in source else (source, inside))], capture_output=True, check=False)
    if done.returncode:
        raise Refusal(done.stderr.decode().strip())
    return b""


def _create(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    name = _one(options, "--name")
    if engine.find(name):
        raise Refusal(f'docker: Error response from daemon: Conflict. The container name "/{name}" is already in use.')
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    spec = {
        "name": name,
        "image": rest[0],
        "command": rest[1:],
        "env": [*options.get("-e", []), *options.get("--env", []), path],
        "restart": _one(options, "--restart", otherwise="no"),
        "workdir": _one(options, "-w", "--workdir"),
        "labels": dict(label.partition("=")[::2] for label in options.get("--label", []) + options.get("-l", [])),
    }
    return f"{engine.create(spec).id}\n"


def _run(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    made = _create(engine, options, rest, data)
    _container(engine, made.strip()).start()
    return made


def _each(act: Any) -> Any:
    def command(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
        for word in rest:
            act(engine, _container(engine, word), options)
        return "".join(f"{word}\n" for word in rest)

    return command


def _grace_s(options: dict[str, list[str]]) -> float:
    return float(_one(options, "-t", "--time", "--timeout", otherwise="10"))


def _restart(engine: Engine, container: Container, options: dict[str, list[str]]) -> None:
    container.stop(_grace_s(options))
    container.start()


def _remove(engine: Engine, container: Container, options: dict[str, list[str]]) -> None:
    if container.state["Running"] and not {"-f", "--force"} & set(options):
        cure = "stop the container before removing or force remove"
        raise Refusal(f'Error response from daemon: cannot remove container "/{container.name}": container is running: {cure}')
    container.stop(grace_s=0)
    container.remove()
    del engine.containers[container.id]


def _version(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    value = {"Client": {"Version": VERSION}, "Server": {"Version": VERSION}}
    form = _one(options, "--format", "-f")
    return (
        render(form, value) + "\n"
        if form
        else f"Client:\n Version:           {VERSION}\n\nServer:\n Engine:\n  Version:          {VERSION}\n"
    )


def _info(engine: Engine, options: dict[str, list[str]], rest: list[str], data: bytes) -> str:
    value = {"Containers": len(engine.containers), "ServerVersion": VERSION, "DockerRootDir": "/var/lib/docker", "CgroupDriver": "systemd"}
    form = _one(options, "--format", "-f")
    return render(form, value) + "\n" if form else "".join(f" {key}: {entry}\n" for key, entry in value.items())


_COMMANDS: dict[str, Any] = {
    "ps": _ps,
    "inspect": _inspect,
    "logs": _logs,
    "top": _top,
    "exec": _exec,
    "cp": _cp,
    "create": _create,
    "run": _run,
    "start": _each(lambda engine, container, options: container.start()),
    "stop": _each(lambda engine, container, options: container.stop(_grace_s(options))),
    "kill": _each(lambda engine, container, options: container.stop(grace_s=0, number=9)),
    "restart": _each(_restart),
    "rm": _each(_remove),
    "version": _version,
    "info": _info,
}
