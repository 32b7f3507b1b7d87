"""Why a host could not be asked over SSH, in words that tell what to do next. Pure: facts in, one line out."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from cortops.targets.ssh_address import SshAddress

_ERRNO = re.compile(r"\[Errno (\d+)\]")
_NOT_THERE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL, errno.ENETDOWN}
_CUT = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom we asked: the target's name, its address as declared, and where the SSH configuration leads (host, port, user)."""

    name: str
    address: SshAddress
    host: str
    port: int
    user: str

    @property
    def place(self) -> str:
        return f"{self.host} port {self.port}"


def no_address(asked: Asked) -> str:
    """The name does not resolve."""
    return f"{asked.name}: no address is known for {asked.host}; correct the name, or give it a Hostname in ~/.ssh/config"


def not_connected(asked: Asked, text: str, number: int | None) -> tuple[str, bool]:
    """(why, whether it may pass by itself) for an error of the operating system; its text where it has no number (several addresses)."""
    found = _ERRNO.search(text)
    code = number if number is not None else int(found[1]) if found else 0
    if code == errno.ECONNREFUSED:
        return f"{asked.name}: nothing listens at {asked.place}; start sshd there, or name its port: USER@HOST:PORT", False
    if code == errno.ETIMEDOUT:
        return no_answer(asked, 0), False
    if code in _NOT_THERE:
        return f"{asked.name}: there is no way from here to {asked.place} ({text}); see whether the host is up", False
    if code in _CUT:
        return cut_short(asked, text), True
    return f"{asked.name}: {asked.place} cannot be reached ({text}); try: {asked.address.command}", False


def no_answer(asked: Asked, after_s: float) -> str:
    """It did not answer in time."""
    within = f" within {after_s:g} s" if after_s else ""
    return (
        f"{asked.name}: no answer from {asked.place}{within}; see whether the host is up and a firewall lets the port through: "
        f"{asked.address.command}"
    )


def cut_short(asked: Asked, text: str) -> str:
    """It hung up before we were in."""
    return (
        f"{asked.name}: {asked.place} hung up before we were in ({text}); it may have too many logins at once (MaxStartups), ban this "
        f"address (fail2ban), or be no sshd; try later: {asked.address.command}"
    )


def not_ssh(asked: Asked, text: str) -> str:
    """Something else speaks there."""
    return f"{asked.name}: what listens at {asked.place} does not speak SSH as we know it ({text}); name sshd's port: USER@HOST:PORT"


def not_let_in(asked: Asked, *, keys: int, agent: bool, methods: tuple[str, ...], text: str = "") -> str:
    """No key of ours was accepted. `keys`: how many files we had; `methods`: what the host would accept."""
    ours = f"{keys} key file{'' if keys == 1 else 's'}" + (" and an agent" if agent else ", no agent")
    offers = f", the host takes {', '.join(methods)}" if methods else ""
    if "too many" in text.lower():
        return (
            f"{asked.name}: {asked.place} gave up after too many keys (user {asked.user}); name the right one in ~/.ssh/config: "
            "IdentityFile and IdentitiesOnly yes"
        )
    return (
        f"{asked.name}: {asked.place} accepts none of our keys for user {asked.user} (we have {ours}{offers}); make this work without a "
        f"question first: {asked.address.command} (a key with a passphrase belongs in an agent: ssh-add)"
    )


def key_unknown(asked: Asked, name: str, fingerprint: str, kind: str, file: str) -> str:
    """Nobody has said yet that this host key is right."""
    return (
        f"{asked.name}: the host key of {name} is not known: {fingerprint} ({kind}). Compare it with the host's own "
        f"(ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub there); next: the same command with --accept-host-key {fingerprint}, "
        f"or: ssh-keyscan {_port(name)}{asked.host} >> {file}"
    )


def key_declined(asked: Asked, name: str, fingerprint: str) -> str:
    """A person said no."""
    return f"{asked.name}: the host key {fingerprint} of {name} was not accepted; nothing was sent there"


def key_changed(asked: Asked, name: str, known: tuple[str, ...], offered: str, file: str) -> str:
    """It is not the key that was known."""
    return (
        f"{asked.name}: the host key of {name} has CHANGED: {', '.join(known)} is known, it shows {offered}. Somebody may stand between, "
        f"or the host was made anew; nothing was sent. Only if you know that it was made anew: ssh-keygen -R '{name}' -f {file}"
    )


def key_revoked(asked: Asked, name: str, text: str) -> str:
    """known_hosts says that it must not be trusted, or its certificate does not hold."""
    return f"{asked.name}: the host key or certificate of {name} is refused: {text}; ask whoever runs the host"


def unusable(asked: Asked, text: str) -> str:
    """Our own configuration or a key file cannot be read."""
    return f"{asked.name}: our own SSH configuration cannot be used: {text}; correct it until this works: {asked.address.command}"


def jump_refused(asked: Asked, text: str) -> str:
    """The jump host is reached, and does not get further."""
    return f"{asked.name}: the jump host cannot reach {asked.place} ({text}); try: {asked.address.command}"


def jump_loop(asked: Asked, most: int) -> str:
    """ProxyJump leads on and on."""
    return f"{asked.name}: more than {most} jump hosts one behind the other, or in a circle; see ProxyJump in ~/.ssh/config"


def no_session(name: str, text: str) -> str:
    """Logged in, but no program may be started."""
    return f"{name}: logged in, but no program may be started ({text}); see MaxSessions and ForceCommand in sshd_config there"


def lost(name: str, reason: str, dead_after_s: float) -> str:
    """The connection went while a program ran."""
    if "keepalive" in reason:
        return f"{name} has not answered for {dead_after_s:g} s; the connection is given up"
    return f"the connection to {name} was lost{f' ({reason})' if reason else ''}"


def not_begun(name: str, user: str, said: str, status: int | None) -> str:
    """The session ended before our bootstrap began: what sudo or the login shell said, read for its reason."""
    lower = said.lower()
    if "password is required" in lower or "terminal is required" in lower or "no password was provided" in lower:
        return (
            f"{name}: sudo asks {user} for a password; next: the same command with --ask-sudo, or let sudo ask for none there "
            f"(visudo: {user} ALL=(ALL) NOPASSWD: ALL)"
        )
    if "not in the sudoers" in lower or "may not run sudo" in lower or "not allowed to execute" in lower:
        return f"{name}: {user} may not become root by sudo ({said}); add {user} to the group sudo there, or log in as another user"
    if "must have a tty" in lower:
        return f"{name}: sudo there wants a terminal; next, there: visudo: Defaults:{user} !requiretty"
    if "sudo" in lower and "not found" in lower:
        return f"{name}: there is no sudo; install it there, log in as root, or leave out sudo: true"
    if "sudo" in lower:
        return f"{name}: sudo refuses: {said}"
    told = said or (f"its shell ended with status {status}" if status is not None else "it said nothing")
    return f"{name}: no program can be started for {user}: {told}"


def wrong_password(name: str, user: str) -> str:
    """sudo asked a second time."""
    return f"{name}: sudo does not accept that password for {user}; run the same command again and type the password of {user} on that host"


def slow_start(name: str, said: str, after_s: float) -> str:
    """Logged in, and then nothing."""
    words = f" (last words: {said})" if said else ""
    return f"{name}: logged in, but no program began within {after_s:g} s{words}; see the login scripts there"


def noisy_start(name: str, most_kib: int) -> str:
    """A login script that never stops talking."""
    return f"{name}: the login scripts write more than {most_kib} KiB before a program can begin; let them be silent without a terminal"


def _port(name: str) -> str:
    return f"-p {name.rpartition(':')[2]} " if name.startswith("[") else ""


def _short(kind: str) -> str:
    """`ssh-ed25519` -> `ed25519`, as in the names of sshd's own files."""
    for short in ("ed25519", "ecdsa", "rsa"):
        if short in kind:
            return short
    return "*"
