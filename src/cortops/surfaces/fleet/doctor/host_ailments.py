"""What may be wrong with this machine and with a host: one function a check. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cortops.surfaces.fleet.doctor.ailments import Ailment, Group, HostSeen, Seen, Table, ill, told, unseen
from cortops.surfaces.fleet.doctor.examine import HostLook, Room, host_id, nodes_id
from cortops.surfaces.fleet.found.discover import question_id
from cortops.surfaces.readings import ok
from cortops.words.entity import Entity
from cortops.words.evidence import Verdict

DISK_FREE_MIN_MIB = 2_048
DISK_FREE_MIN_FRACTION = 0.1  # of a small disk
INODES_FREE_MIN_FRACTION = 0.03
MEMORY_FREE_MIN_MIB = 256
MEMORY_FREE_MIN_FRACTION = 0.04
CLOCK_OFFSET_MAX_S = 5.0
CLOCK_TOGETHER_S = 2.0  # hosts whose clocks differ by less than that agree among themselves
USED_MAX_FRACTION = 0.85  # of what the kernel grants
PORTS_MAX_SHOWN = 4
UNITS_MAX_SHOWN = 3

# Ports that are for this host alone: what listens there, and how it is told to keep to itself.
INSIDE_ONLY = {
    2375: ("Docker's API without TLS: whoever reaches it is root", "set hosts to unix:///run/docker.sock in /etc/docker/daemon.json"),
    5000: ("the RPC relay, with your RPC keys behind it", "bind it to 127.0.0.1"),
    5001: ("IPFS's API: whoever reaches it may change the node", "ipfs config Addresses.API /ip4/127.0.0.1/tcp/5001"),
    8000: ("MCP over SSE; nginx stands before it", "set ROUTER_MCP_SSE_BIND_IP=127.0.0.1"),
    8001: ("MCP; nginx stands before it", "set ROUTER_MCP_BIND_IP=127.0.0.1"),
    8090: ("the model's engine: anybody may use it", "bind it to 127.0.0.1"),
    8545: ("a chain's RPC", "bind it to 127.0.0.1"),
    8546: ("a chain's RPC", "bind it to 127.0.0.1"),
    10001: ("the L3's RPC; nginx stands before it", "bind it to 127.0.0.1"),
    11434: ("Ollama: anybody may use it", "set OLLAMA_HOST=127.0.0.1"),
    18888: ("the engine's gateway: anybody may use it", "bind it to 127.0.0.1"),
}


def ailments(seen: Seen) -> Iterable[Ailment]:
    """The checks of this machine and of every host."""
    yield from _MACHINE.over(seen, Entity("machine", "here"), tuple(question_id(host.name) for host in seen.hosts))
    yield from told(Group.MACHINE, "clock", Entity("machine", "here"), tuple(nodes_id(host.name) for host in seen.hosts), _own_clock, seen)
    for host in seen.hosts:
        asks = (question_id(host.name), host_id(host.name), nodes_id(host.name))
        yield from (_HOST if host.look is not None or host.found is not None else _SILENT).over(host, Entity("host", host.name), asks)


# --- this machine ---


def _file(seen: Seen) -> Verdict:
    return ok(f"{seen.machine.file} is valid" if seen.machine.file else "no environment file: hosts by their names")


def _keys(seen: Seen) -> Verdict | None:
    machine = seen.machine
    if not machine.ssh_hosts:
        return None
    shared = [path for path, mode in machine.keys.items() if mode & 0o077]
    if shared:
        return ill(f"{shared[0]} can be read by others (mode {machine.keys[shared[0]]:o})", f"chmod 600 {shared[0]}")
    let_in = sum(host.way != "" and host.found is not None for host in seen.hosts)
    if let_in:
        return ok(f"{let_in} hosts let us in by SSH")
    if machine.keys or machine.agent:
        return ok(f"{len(machine.keys)} SSH keys" + (" and an agent" if machine.agent else ""))
    return unseen("no SSH key in ~/.ssh and no agent; the SSH configuration may name others", "ssh-keygen -t ed25519")


def _own_clock(seen: Seen) -> Verdict | None:
    offsets = [host.offset for host in seen.hosts if host.way and host.offset is not None]
    if not offsets:
        return None
    off = sorted(offset.beyond_s for offset in offsets)
    if len(off) > 1 and off[-1] - off[0] < CLOCK_TOGETHER_S and abs(off[0]) > CLOCK_OFFSET_MAX_S:
        side = "behind" if off[0] > 0 else "ahead of"
        return ill(
            f"{len(off)} hosts agree on the time, and this machine's clock is {abs(off[0]):.0f} s {side} theirs",
            "sudo timedatectl set-ntp true",
        )
    return ok(f"{len(off)} hosts agree with its clock" if not any(off) else "its clock is not the one that is alone")


_MACHINE = Table(rows=((Group.MACHINE, "file", _file), (Group.MACHINE, "ssh keys", _keys)))


# --- a host ---


def _look(host: HostSeen) -> HostLook:
    if host.look is None:
        raise ValueError("what it said of itself cannot be read")
    return host.look


def _unreached(host: HostSeen) -> Verdict:
    return unseen(f"did not answer: {host.why or 'nothing came back'}", host.way or "")


def _answers(host: HostSeen) -> Verdict:
    if host.look is None:
        return unseen("said nothing of how it stands", host.there("true", root=False))
    root = host.look.uid == 0
    if host.sudo and not root:
        return ill("is declared with sudo, and we are not root there", f"{host.way or 'sh -c'} sudo -n true")
    return ok("answers, as root" if root else "answers")


def _tools(host: HostSeen) -> Verdict:
    look = _look(host)
    if look.missing_tools:
        names = " ".join(look.missing_tools)
        return ill(f"lacks {names}, which our questions need", host.there("apt-get install -y coreutils gawk sed grep"))
    if "curl" not in look.tools:
        return unseen("has no curl, so nobody can say whether it reaches its RPCs", host.there("apt-get install -y curl"))
    return ok("has all that our questions need")


def _disk(host: HostSeen) -> Verdict:
    look = _look(host)
    if not look.rooms:
        return unseen("df told nothing")
    least = min(look.rooms, key=lambda room: room.free)
    if least.free < min(DISK_FREE_MIN_MIB, least.total * DISK_FREE_MIN_FRACTION):
        return ill(f"{least.free} MiB free of {_gib(least.total)} at {least.folder}", host.there(_largest(least)))
    tight = [room for room in look.inodes if room.free < room.total * INODES_FREE_MIN_FRACTION]
    if tight:
        return ill(
            f"{tight[0].free} files of {tight[0].total} left at {tight[0].folder}", host.there(f"du -x --inodes -d 3 {tight[0].folder}")
        )
    return ok(f"{_gib(least.free)} free at {least.folder}")


def _largest(room: Room) -> str:
    return f'sh -c "du -xm -d 3 {room.folder} | sort -n | tail"'


def _memory(host: HostSeen) -> Verdict:
    look = _look(host)
    total, free = look.memory.get("MemTotal"), look.memory.get("MemAvailable")
    if total is None or free is None:
        return unseen("/proc/meminfo told nothing")
    killed = f"; the kernel killed {look.oom_kills} programs for want of it since boot" if look.oom_kills else ""
    if free < max(MEMORY_FREE_MIN_MIB, total * MEMORY_FREE_MIN_FRACTION):
        return ill(f"{free} MiB of {_gib(total)} free{killed}", host.there("ps -eo rss,pid,args --sort=-rss | head", root=False))
    return ok(f"{_gib(free)} of {_gib(total)} free{killed}")


def _clock(host: HostSeen) -> Verdict:
    if host.offset is None:
        return unseen("did not tell its time")
    off_s = host.offset.beyond_s
    if abs(off_s) > CLOCK_OFFSET_MAX_S:
        return ill(
            f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} this machine's",
            host.there("timedatectl set-ntp true"),
        )
    return ok("its clock agrees with this machine's")


def _time_sync(host: HostSeen) -> Verdict:
    look = _look(host)
    if look.container:
        return ok(f"a container ({look.container}): its machine keeps the time")
    if look.synchronized:
        return ok("keeps its time in step")
    if look.synchronized is None and look.time_program:
        return ok(f"{look.time_program} keeps its time")
    if look.synchronized is None:
        return unseen("nothing tells whether its time is kept in step", host.there("timedatectl", root=False))
    return ill("nothing keeps its time in step", host.there("timedatectl set-ntp true"))


def _units(host: HostSeen) -> Verdict:
    look = _look(host)
    if not look.systemd_state:
        return unseen("no systemd answers there")
    if look.failed_units:
        shown = ", ".join(look.failed_units[:UNITS_MAX_SHOWN])
        more = len(look.failed_units) - UNITS_MAX_SHOWN
        what = f"{shown} and {more} more failed" if more > 0 else f"{shown} failed"
        return ill(what, host.there(f"systemctl restart {look.failed_units[0]}") + f"   (why: journalctl -u {look.failed_units[0]} -n 30)")
    if look.systemd_state in ("running", "degraded"):
        return ok("systemd: no unit failed")
    return unseen(f"systemd says {look.systemd_state}", host.there("systemctl is-system-running --wait", root=False))


def _ports(host: HostSeen) -> Verdict:
    look = _look(host)
    inside = dict(INSIDE_ONLY)
    for node in host.found.nodes if host.found else ():
        env = node.env
        if node.role == "router":
            port = env.get("ROUTER_REST_BIND_PORT") or env.get("API_PORT") or "5010"
            inside |= (
                {int(port): ("the router's REST without TLS; nginx stands before it", "set ROUTER_REST_BIND_IP=127.0.0.1")}
                if _port(port)
                else {}
            )
    wide = sorted({port.port for port in look.listening if port.everywhere and port.port in inside})
    if not wide:
        return ok("nothing that is for itself alone listens to everybody")
    shown = "; ".join(f"{port} ({inside[port][0]})" for port in wide[:PORTS_MAX_SHOWN])
    return ill(
        f"listens to everybody: {shown}", host.there(f"ss -ltnp sport = :{wide[0]}") + f"   ({inside[wide[0]][1]}, or close the port)"
    )


def _port(text: str) -> bool:
    return text.isdigit() and 0 < int(text) < 65_536


def _limits(host: HostSeen) -> Verdict:
    look = _look(host)
    if look.inotify_used is not None and look.inotify_max and look.inotify_used > look.inotify_max * USED_MAX_FRACTION:
        more = max(1_024, look.inotify_max * 4)
        line = f"echo fs.inotify.max_user_instances={more} | sudo tee /etc/sysctl.d/90-inotify.conf"
        cure = host.there(f"{line} && sudo sysctl --system", root=False)
        return ill(f"one user has {look.inotify_used} of {look.inotify_max} inotify instances", cure)
    if look.files_open is not None and look.files_max and look.files_open > look.files_max * USED_MAX_FRACTION:
        cure = host.there(f"sysctl -w fs.file-max={look.files_max * 4}")
        return ill(f"{look.files_open} of {look.files_max} files are open", cure)
    if look.inotify_max is None:
        return unseen("its limits could not be read")
    return ok("far from the kernel's limits")


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"


_SILENT = Table(rows=((Group.HOST, "answers", _unreached),))
_HOST = Table(
    rows=(
        (Group.HOST, "answers", _answers),
        (Group.HOST, "tools", _tools),
        (Group.HOST, "disk", _disk),
        (Group.HOST, "memory", _memory),
        (Group.HOST, "clock", _clock),
        (Group.HOST, "time sync", _time_sync),
        (Group.HOST, "units", _units),
        (Group.HOST, "ports", _ports),
        (Group.HOST, "limits", _limits),
    )
)
