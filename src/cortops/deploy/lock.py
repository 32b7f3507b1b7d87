"""The lock of an environment, on the target that holds its state: one apply at a time, whoever runs it and from where.

It is a file with its owner in it and a lease. All steps on it happen under a kernel lock (`flock`) of the target, so it is never half there
and a takeover cannot race. Times in it are the target's own, so the clocks of two laptops do not matter.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cortops.deploy.limits import demand_allowed
from cortops.targets.ask import Said, ask
from cortops.targets.quoting import quote
from cortops.targets.target import Target
from cortops.words.clock import Clock
from cortops.words.errors import LockHeld, StoreUnavailable

LEASE_S = 60
LOCK_TIMEOUT_S = 15.0
VIA_MAX_CHARS = 200
TAKEOVERS_MAX = 3  # of one acquire: somebody else may take it over at the same moment

# Through cat, which says why it cannot be written where the printf of a shell says "I/O error".
_SH = r"""
umask 077
mkdir -p "$root/run" && exec 8>>"$root/run/lock.flock" && flock -w 10 8 || { echo "the lock of $root cannot be reached" >&2; exit 1; }
lock=$root/lock.json
held= now=$(date +%s)
[ ! -e "$lock" ] || held=$(cat "$lock") || exit 1
id=${held#*'"apply":"'} id=${id%%'"'*}
since=${held#*'"since":'} since=${since%%[!0-9]*}
write() { # SINCE
  printf '%s"since":%s,"lease_until":%s}' "$owner" "$1" "$((now + lease_s))" | cat >"$lock.new" && mv -f "$lock.new" "$lock" || exit 1
}
"""
_ACQUIRE = '[ -z "$held" ] || [ "$id" = "$instead_of" ] || { echo "$now"; echo "$held"; exit 0; }; write "$now"'
_RENEW = '[ "$id" = "$apply" ] && [ -n "$held" ] || { echo "$now"; echo "$held"; exit 0; }; write "$since"'
_RELEASE = '[ "$id" != "$apply" ] || rm -f "$lock"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who applies. `machine`, `boot` and `pid_started` make it certain, on the same machine, that a process is gone.

    via: how they came to that machine, as far as it knows: `ssh from 203.0.113.9`, `sudo by alice`.
    """

    who: str  # user@host
    pid: int
    pid_started: int  # clock ticks after boot
    machine: str
    boot: str
    via: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder(Owner):
    """What the lock says; times are seconds of the target's clock."""

    apply: str
    since: int
    lease_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The lock is ours. `taken_over` says from whom and why, if it was somebody's."""

    apply: str
    taken_over: str = ""


class Lock:
    """The lock under `root` on `target`. Nothing is changed without it, so it also asks who may change anything."""

    def __init__(self, target: Target, root: str, clock: Clock, by: Sequence[str] = ()) -> None:
        """by: those who may hold it, as `Owner.who`; everyone where it is empty."""
        self._by = by
        self._target = target
        self._root = root
        self._clock = clock

    @asynccontextmanager
    async def held(self, owner: Owner, apply_id: str, lease_s: int = LEASE_S) -> AsyncIterator[Held]:
        """Hold the lock inside the block, renewing it every third of its lease.

        Raises NotAllowed, LockHeld when another holds it or when it was lost meanwhile (the block is cancelled then), StoreUnavailable when
        the target gives no answer, while renewing only once the lease is over.
        """
        self.demand_allowed(owner)
        held = await self._acquire(owner, apply_id, lease_s)
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._keep(owner, apply_id, lease_s))
                yield held
                renewal.cancel()
        except ExceptionGroup as group_:  # of one: what the block raised, or why the lock was lost
            raise group_.exceptions[0] from None
        finally:
            await asyncio.shield(self._ask(_RELEASE, owner, apply_id, lease_s))

    def demand_allowed(self, owner: Owner) -> None:
        """NotAllowed for one who may not hold it; for a verb that has much to do before it needs the lock."""
        demand_allowed(owner.who, self._by, where=self._target.name)

    async def holder(self) -> Holder | None:
        """Who holds it now, for `status`; StoreUnavailable when the target gives no answer."""
        said = await ask(self._target, f"cat {quote(self._root + '/lock.json')} 2>/dev/null || :", LOCK_TIMEOUT_S)
        _demand(said, self._target.name)
        return _holder("".join(said.out)) if said.out else None

    async def _acquire(self, owner: Owner, apply_id: str, lease_s: int) -> Held:
        instead_of, taken_over = "", ""
        for _ in range(TAKEOVERS_MAX):
            said = await self._ask(_ACQUIRE, owner, apply_id, lease_s, instead_of)
            _demand(said, self._target.name)
            if not said.out:
                return Held(apply=apply_id, taken_over=taken_over)
            now, holder = int(said.out[0]), _holder("".join(said.out[1:]))
            why = gone(holder, owner, now, process_exists(holder.pid, holder.pid_started))
            if not why:
                raise _refusal(holder, now, self._target.name, self._clock.now())
            instead_of, taken_over = holder.apply, f"took over the lock of {holder.who} (pid {holder.pid}): {why}"
        raise LockHeld(f"the lock on {self._target.name} changes hands too fast", where=self._target.name)

    async def _keep(self, owner: Owner, apply_id: str, lease_s: int) -> None:
        good_until = self._clock.monotonic() + lease_s
        while True:
            await self._clock.sleep(lease_s / 3)
            said = await self._ask(_RENEW, owner, apply_id, lease_s)
            if said.out:
                by = f" to {_holder(said.out[1]).who}" if said.out[1:] and said.out[1] else ""
                raise LockHeld(f"the lock on {self._target.name} was lost{by} while applying", where=self._target.name)
            if said.ok:
                good_until = self._clock.monotonic() + lease_s
            elif self._clock.monotonic() >= good_until:
                _demand(said, self._target.name)

    async def _ask(self, verb: str, owner: Owner, apply_id: str, lease_s: int, instead_of: str = "") -> Said:
        fields = {"apply": apply_id} | msgspec.to_builtins(owner)
        opened = msgspec.json.encode(fields).decode()[:-1] + ","
        words = {"root": self._root, "owner": opened, "apply": apply_id, "lease_s": str(lease_s), "instead_of": instead_of or "\n"}
        header = " ".join(f"{name}={quote(value)}" for name, value in words.items())
        return await ask(self._target, f"{header}\n{_SH}{verb}\n", LOCK_TIMEOUT_S)


def gone(holder: Holder, mine: Owner, now: int, exists: bool) -> str:
    """Why a holder's lock may be taken over, or nothing. Pure; `exists`: a process of this machine has its pid and start time."""
    if now > holder.lease_until:
        return f"its lease ended {now - holder.lease_until} s ago"
    if holder.machine != mine.machine or not mine.machine:
        return ""
    if holder.boot != mine.boot:
        return "this machine was started again since"
    return "" if exists else "that process is gone"


def this_process() -> Owner:
    """The owner that we are: user and host, process, machine and boot; the machine includes the pid namespace, so containers differ."""
    who = f"{_user()}@{socket.gethostname()}"
    machine = _read("/etc/machine-id") or socket.gethostname()
    namespace = str(Path("/proc/self/ns/pid").readlink())
    return Owner(
        who=who,
        pid=os.getpid(),
        pid_started=_started(os.getpid()) or 0,
        machine=f"{machine}/{namespace}",
        boot=_read("/proc/sys/kernel/random/boot_id"),
        via=came_by(os.environ),
    )


def came_by(env: Mapping[str, str]) -> str:
    """How somebody came here, as their environment says: by SSH from an address, by sudo as another user; "" for neither."""
    ways = []
    if address := env.get("SSH_CONNECTION", "").partition(" ")[0]:
        ways.append(f"ssh from {address}")
    if user := env.get("SUDO_USER", ""):
        ways.append(f"sudo by {user}")
    return ", ".join(ways)[:VIA_MAX_CHARS]


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a number without a name
        return str(os.geteuid())


def process_exists(pid: int, pid_started: int) -> bool:
    """Whether this machine has a process with that pid and start time (clock ticks after boot)."""
    return _started(pid) == pid_started


def _started(pid: int) -> int | None:
    stat = _read(f"/proc/{pid}/stat")
    fields = stat.rpartition(")")[2].split()  # from field 3 of proc(5) stat on; the name before may hold blanks
    return int(fields[19]) if fields and fields[0] != "Z" else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _holder(text: str) -> Holder:
    try:
        return msgspec.json.decode(text, type=Holder)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"the lock is damaged: {error}", next="remove lock.json by hand when nobody applies") from None


def _demand(said: Said, place: str) -> None:
    if not said.ok:
        why = "; ".join(said.err) or said.why
        cure = "Log in there as root, or set sudo: true for that host." if "Permission denied" in why else ""
        raise StoreUnavailable(f"the lock on {place} cannot be reached: {why}", where=place, next=cure)


def _refusal(holder: Holder, now: int, place: str, at: float) -> LockHeld:
    """now: by the target's clock; at: by ours, in which people are told."""
    since = datetime.fromtimestamp(at - (now - holder.since), UTC)
    return LockHeld(
        f"{holder.who} (pid {holder.pid}) has been applying since {since:%H:%M:%S} UTC ({now - holder.since} s)",
        where=f"lock on {place}, apply {holder.apply}",
        why=f"its lease ends in {holder.lease_until - now} s unless renewed",
    )
