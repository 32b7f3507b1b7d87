"""What may be wrong with one node, its binary and its log: one function a check. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cortops.surfaces.fleet.doctor.ailments import Ailment, Group, HostSeen, NodeSeen, Seen, Table, ill, short, span, told, unseen
from cortops.surfaces.fleet.doctor.examine import nodes_id
from cortops.surfaces.fleet.found.discover import question_id
from cortops.surfaces.fleet.found.installed import Shape
from cortops.surfaces.fleet.found.match import Missing
from cortops.surfaces.nodes import logs
from cortops.surfaces.readings import ok
from cortops.words.entity import Entity
from cortops.words.evidence import Verdict

RESTARTS_MAX = 3  # by its manager, of a node that has not run for STEADY_AFTER_S since
STEADY_AFTER_S = 86_400.0
QUIET_MAX_S = 15 * 60  # a node writes to its log with each ping, every 5 to 6 min
UNROTATED_MAX_BYTES = 1 << 30
OLD_COPIES_MAX_BYTES = 1 << 30
FILES_USED_MAX_FRACTION = 0.85
TRACEBACK_LINES_MIN = 50  # after a fault since which nothing moved
SHA_CHARS = 8
_ON = ("1", "true", "yes", "on")


def ailments(seen: Seen) -> Iterable[Ailment]:
    """The checks of every node, found or gone."""
    for node in seen.nodes:
        asks = (question_id(node.host.name), nodes_id(node.host.name), logs.question_id(node.host.name))
        yield from _NODE.over(node, node.entity, asks)
        yield from told(Group.BINARY, "known", node.entity, asks[:1], _known, (node, seen))
    hosts = {host.name: host for host in seen.hosts}
    for name, (declared, missing) in seen.gone.items():
        host = hosts.get(declared.host)
        if host is not None and host.found is not None:  # else it did not answer, which is told once
            entity = Entity(declared.role, name)
            yield from told(Group.NODE, "there", entity, (question_id(host.name),), _gone, (host, missing))


def _gone(there: tuple[HostSeen, Missing]) -> Verdict:
    host, missing = there
    if missing.state == "gone":
        return ill("is declared, and its host has no such node", f"cortops discover {host.word}")
    return unseen(f"is declared, and could not be seen: {missing.why}")


# --- the process and its unit ---


def _runs(one: NodeSeen) -> Verdict:
    node = one.named.node
    unit = one.look.unit if one.look else {}
    if node.running and unit.get("SubState") != "auto-restart":
        return ok(f"runs as {node.runs}" + (f", pid {node.pid}" if node.pid else ""))
    why = unit.get("Result", "")
    said = f": systemd says {unit.get('SubState')}" + (f", {why}" if why and why != "success" else "") if unit.get("SubState") else ""
    return ill(f"does not run{said}", _start(one), certain=True)


def _start(one: NodeSeen) -> str:
    match one.named.node.shape:
        case Shape.DOCKER:
            return one.host.there(f"docker start {one.named.node.unit}")
        case Shape.NOHUP:
            return one.named.there(f"{one.named.folder}/bin/start-cortensor.sh")
        case _:
            return one.host.there(f"systemctl start {one.named.node.unit}")


def _boot(one: NodeSeen) -> Verdict:
    node = one.named.node
    if node.enabled:
        return ok("starts with its host")
    if node.shape is Shape.NOHUP:
        units = "/etc/systemd/system/"
        cure = one.host.there(f"cp INSTALLER/dist/cortensor.service {units} && sudo systemctl enable --now cortensor")
        return ill("is kept by a pid file: it does not come back after a reboot or a crash", cure)
    if node.enabled is None:
        return unseen("nobody told whether it starts with its host")
    if node.shape is Shape.DOCKER:
        return ill("does not start with its host", one.host.there(f"docker update --restart=unless-stopped {node.unit}"))
    return ill("does not start with its host", one.host.there(f"systemctl enable {node.unit}"))


def _restarts(one: NodeSeen) -> Verdict:
    node = one.named.node
    if node.restarts is None:
        return ok("has no manager that restarts it") if node.shape is Shape.NOHUP else unseen("nobody counts its restarts")
    steady_s = None if node.started_at is None else one.now - node.started_at
    if node.restarts < RESTARTS_MAX or (steady_s is not None and steady_s > STEADY_AFTER_S):
        return ok(f"{node.restarts} restarts by its manager" + (f", steady for {span(steady_s)}" if steady_s is not None else ""))
    return ill(f"its manager has restarted it {node.restarts} times", _tail(one))


def _tail(one: NodeSeen) -> str:
    log = one.named.node.log
    if log.startswith("docker:"):
        return one.host.there(f"docker logs --tail 60 {log.removeprefix('docker:')}")
    return one.host.there(f"tail -n 60 {log}")


def _unit_loaded(one: NodeSeen) -> Verdict | None:
    unit = one.look.unit if one.look else {}
    if "NeedDaemonReload" not in unit:
        return None
    if unit["NeedDaemonReload"] == "yes":
        cure = one.host.there(f"systemctl daemon-reload && sudo systemctl restart {one.named.node.unit}")
        return ill("its unit was edited and is not in force yet", cure)
    return ok("its unit is in force as it stands on disk")


def _role(one: NodeSeen) -> Verdict:
    node, env = one.named.node, one.named.node.env
    words = one.look.words_after_role if one.look else ()
    if one.declared is not None and one.declared.runs != node.runs:
        return ill(f"runs as {node.runs}, and {one.declared.runs} is declared", one.named.start_line)
    agent = env.get("AGENT_ROLE", "")
    # The installer's example says minerv1 in every env file, routers included; another word was written by somebody.
    if re.fullmatch(r"(?!miner)[a-z]+v[0-9]{1,2}", agent) and agent.rstrip("0123456789") != node.runs.rstrip("0123456789"):
        return ill(f"runs as {node.runs}, and its env file is of a {agent} (AGENT_ROLE)", one.named.start_line)
    if node.role == "miner" and env.get("API_ENABLE", "").lower() in _ON:
        return ill(f"runs as {node.runs}, and its env file is a router's (API_ENABLE); use-testnet1.sh does that", one.named.start_line)
    on_gpu = any(env.get(key, "").lower() in _ON for key in ("LLM_OPTION_GPU", "LLM_GPU_CONTAINER"))
    if node.role == "miner" and on_gpu and "docker" in words:
        return ill("its env file is for a GPU, and its command line for a CPU (1 docker)", one.named.start_line)
    if node.role == "miner" and one.host.look and one.host.look.gpu and "docker" in words:
        return unseen("its host has a GPU, and its command line is for a CPU (1 docker)", one.named.start_line)
    return ok(f"{node.role}, started as {node.runs}")


def _files(one: NodeSeen) -> Verdict | None:
    look = one.look
    if look is None or look.files_open is None or not look.files_max:
        return None
    if look.files_open > look.files_max * FILES_USED_MAX_FRACTION:
        cure = one.host.there(f"systemctl edit {one.named.node.unit}") + "   ([Service] LimitNOFILE=65536)"
        return ill(f"has {look.files_open} files open, and {look.files_max} are granted", cure)
    return ok(f"{look.files_open} of {look.files_max} files open")


def _wallet(one: NodeSeen) -> Verdict | None:
    node = one.named.node
    if not node.env:
        return None  # its env file could not be read, which is told once for its host
    if not node.address:
        return ill("its env file names no wallet (NODE_PUBLIC_KEY)", one.named.edit)
    if one.declared is not None and one.declared.address and one.declared.address.lower() != node.address.lower():
        return ill(f"its env file names {short(node.address)}, and {short(one.declared.address)} is declared", one.named.edit)
    return ok(f"wallet {short(node.address)}")


def _env_readable(one: NodeSeen) -> Verdict | None:
    node = one.named.node
    if node.shape is Shape.DOCKER or not node.env_mode or not node.env_file:
        return None
    if int(node.env_mode[-1:] or "0", 8) & 0o4 and node.kept.get("NODE_PRIVATE_KEY") != "set":  # with a key it is a flag of its own
        return ill(f"every user may read {node.env_file} (mode {node.env_mode})", one.host.there(f"chmod 600 {node.env_file}"))
    return ok(f"{node.env_file} has mode {node.env_mode}")


# --- its binary ---


def _binary(one: NodeSeen) -> Verdict | None:
    node = one.named.node
    if node.binary_kind == "missing":
        return ill(
            f"{node.binary or 'its binary'} is not there", "in the installer's folder: git lfs pull, then copy dist/cortensord again"
        )
    if node.binary_kind == "unreadable" or not (node.running_sha256 or node.binary_sha256):
        return unseen("nobody could read its binary")
    if node.binary_kind == "lfs-pointer":
        return None  # a flag of its own
    if node.running and not node.running_sha256:
        return unseen(f"what runs could not be read; on disk is {node.binary_sha256[:SHA_CHARS]}")
    return ok(f"{'runs' if node.running else 'has'} {(node.running_sha256 or node.binary_sha256)[:SHA_CHARS]}")


def _known(binary: tuple[NodeSeen, Seen]) -> Verdict | None:
    one, seen = binary
    node, releases = one.named.node, seen.releases
    sha256 = node.running_sha256 or node.binary_sha256
    if sha256 in seen.too_old:
        return ill(f"{sha256[:SHA_CHARS]} is older than the minimum, {seen.minimum}", "cortops releases")
    if not releases or not sha256 or node.binary_kind == "lfs-pointer":
        return None
    if sha256 in releases:
        return ok("its binary is a declared release")
    return ill(f"{sha256[:SHA_CHARS]} is none of the {len(releases)} declared releases", _tail(one))


def _version(one: NodeSeen) -> Verdict | None:
    facts = one.log.facts if one.log else None
    if facts is None:
        return None
    if facts.version_mismatch:
        return ill(
            f"its log speaks of a version that does not fit: {facts.version_mismatch[:80]}",
            "in the installer's folder: git pull && git lfs pull, then copy dist/cortensord again",
        )
    return ok("its log speaks of no version that does not fit")


def _old_copies(one: NodeSeen) -> Verdict | None:
    look = one.look
    if look is None or not look.old_copies or look.old_copies_bytes is None or not one.named.node.binary:
        return None
    text = f"{look.old_copies} old copies beside it, {look.old_copies_bytes / (1 << 30):.1f} GiB"
    if look.old_copies_bytes < OLD_COPIES_MAX_BYTES:
        return ok(text)
    folder = one.named.node.binary.rpartition("/")[0]
    return ill(text, one.host.there(f'find {folder} -maxdepth 1 -name "*.bak*" -mtime +7 -print -delete'))


# --- its log ---


def _grows(one: NodeSeen) -> Verdict | None:
    node, log, look = one.named.node, one.log, one.look
    if not node.running:
        return None
    if log is not None and log.why:
        return unseen(log.why)
    if node.log.startswith("docker:"):
        if log is None or log.facts is None:
            return unseen("its container's log was not read")
        return ok("its container logs") if log.facts.lines else ill("its container logged nothing in the last day", _tail(one))
    if look is None or look.log_age_s is None:
        return unseen(f"nobody could see when {node.log or 'its log'} was written last")
    if node.running and look.log_age_s > QUIET_MAX_S:
        return ill(f"runs, and has written nothing for {span(look.log_age_s)} to {node.log}", _tail(one))
    return ok(f"written {span(look.log_age_s)} ago")


def _rotates(one: NodeSeen) -> Verdict | None:
    look, log = one.look, one.named.node.log
    if look is None or look.log_bytes is None:
        return unseen("its size is not known") if one.named.node.running else None
    size = f"{look.log_bytes / (1 << 20):.0f} MiB"
    if look.rotates is None:
        return unseen(f"{size}; nobody knows whether anything rotates it")
    if look.rotates or look.log_bytes < UNROTATED_MAX_BYTES:
        return ok(f"{size}, {'rotated' if look.rotates else 'not rotated'}")
    if log.startswith("docker:"):
        cure = 'in /etc/docker/daemon.json there: "log-opts": {"max-size": "50m", "max-file": "5"}, then make the container again'
        return ill(f"{size}, and docker never rotates it", cure)
    rule = f"{log} {{\\n  daily\\n  rotate 7\\n  copytruncate\\n  compress\\n  missingok\\n}}\\n"
    name = re.sub(r"[^A-Za-z0-9]+", "-", log).strip("-")
    return ill(f"{size}, and nothing rotates it", one.host.there(f'printf "{rule}" | sudo tee /etc/logrotate.d/{name}', root=False))


def _ipfs(one: NodeSeen) -> Verdict | None:
    facts = one.log.facts if one.log else None
    if facts is None:
        return None
    if facts.ipfs_locked:
        return ill("its IPFS repository is locked by another program: a restart does not cure that", _without_ipfs(one))
    return ok("its log speaks of no IPFS lock")


def _without_ipfs(one: NodeSeen) -> str:
    return f"{one.named.edit}   (ENABLE_IPFS_SERVER=0 in all but one of a user's nodes)"


def _fault(one: NodeSeen) -> Verdict | None:
    facts = one.log.facts if one.log else None
    if facts is None or facts.traceback_lines is None:
        return None
    text = f"a Python fault {facts.traceback_lines} lines before the end of its log"
    if facts.traceback_lines < TRACEBACK_LINES_MIN:
        return unseen(f"{text}; often it heals itself", _tail(one))
    return ill(f"{text}, and nothing has moved since", _tail(one))


_NODE = Table(
    rows=(
        (Group.NODE, "process", _runs),
        (Group.NODE, "starts at boot", _boot),
        (Group.NODE, "restarts", _restarts),
        (Group.NODE, "unit", _unit_loaded),
        (Group.NODE, "role", _role),
        (Group.NODE, "open files", _files),
        (Group.NODE, "wallet", _wallet),
        (Group.NODE, "env file", _env_readable),
        (Group.BINARY, "binary", _binary),
        (Group.BINARY, "version", _version),
        (Group.BINARY, "old copies", _old_copies),
        (Group.LOGS, "grows", _grows),
        (Group.LOGS, "rotation", _rotates),
        (Group.LOGS, "ipfs", _ipfs),
        (Group.LOGS, "fault", _fault),
    )
)
