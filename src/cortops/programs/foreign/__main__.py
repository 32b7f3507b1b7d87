"""`python -m cortops.programs.foreign SETTINGS` lays out the folder of a program of others, runs its first start once, and becomes it.

It runs as whoever runs the services, so that it can read secrets; the program and its first start run as their own account. The first
start fills a folder beside the data folder, which is renamed when it is done: cut off anywhere, it begins anew with an empty one.
What goes wrong is one line on stderr, which is the service's log. Few imports: this is only a moment.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cortops.protocol.foreign import DATA, ForeignSettings, files_folder, parse
from cortops.words.errors import BadInput, CortopsError, PermissionMissing, StepFailed

PR_SET_PDEATHSIG = 1  # prctl(2)
INPUT_MAX_MIB = 4
FIRST_START_MAX_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose the program is. changes: whether that is another one than ours."""

    name: str
    uid: int
    gid: int
    home: str
    changes: bool


def main(argv: list[str]) -> int:
    """Never returns when the program can be run. Else 1 where its first start failed, 2 for wrong settings, 126 and 127 as shells do."""
    if len(argv) != 1:
        sys.stderr.write("usage: python -m cortops.programs.foreign SETTINGS\n")
        return 2
    try:
        settings = parse(_read(argv[0]).decode("utf-8", "replace"), where=argv[0])
        account = _account(settings.user)
        env = _environment(settings, account)
        _lay_out(settings, account)
        if settings.first_start and not Path(settings.data).exists():
            _first_start(settings, account, env)
        _folder(settings.data, account)
        return _become(settings, account, env)
    except CortopsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1


def _account(user: str) -> Account:
    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise BadInput(f"there is no account {user or os.geteuid()} on this host") from None
    if entry.pw_uid != os.geteuid() and os.geteuid() != 0:
        raise PermissionMissing(f"only root can start a program as {user}")
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir, changes=entry.pw_uid != os.geteuid())


def _environment(settings: ForeignSettings, account: Account) -> dict[str, str]:
    """Ours, the account's, what is declared, and the secrets, without the line break that a file may end with."""
    own = {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
    secrets = {name: os.fsdecode(_read(path)).rstrip("\r\n") for name, path in settings.secrets.items()}
    return {**os.environ, **own, **settings.env, **secrets}


def _lay_out(settings: ForeignSettings, account: Account) -> None:
    """The files, of the account; their folder stays ours, so that nobody else puts a link in the way of what we write."""
    folder = Path(files_folder(settings.folder))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # whatever mask a service manager gives
    for old in folder.iterdir():
        if old.name not in settings.files:
            old.unlink()
    for name, source in settings.files.items():
        fresh = folder / f".{name}.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_read(source))
            if account.changes:
                os.fchown(descriptor, account.uid, account.gid)
        fresh.replace(folder / name)


def _first_start(settings: ForeignSettings, account: Account, env: Mapping[str, str]) -> None:
    if Path(settings.new).exists():  # of a first start that was cut off
        shutil.rmtree(settings.new)
    _folder(settings.new, account)
    argv = _words(settings.first_start, settings.new)
    try:
        done = subprocess.run(
            argv,
            cwd=settings.new,
            env=_filled(env, settings.new),
            stdin=subprocess.DEVNULL,
            timeout=FIRST_START_MAX_S,
            check=False,
            preexec_fn=lambda: _as(account, "KILL"),
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"the first start was not done within {FIRST_START_MAX_S} s: {argv[0]}") from None
    except subprocess.SubprocessError as error:
        raise StepFailed(f"the first start cannot be run as {account.name}: {error}") from None
    if done.returncode != 0:
        raise StepFailed(f"the first start ended with status {done.returncode}: {argv[0]}")
    os.rename(settings.new, settings.data)  # noqa: PTH104


def _become(settings: ForeignSettings, account: Account, env: Mapping[str, str]) -> int:
    argv = _words(settings.argv, settings.data)
    parent = os.getppid()
    signal.signal(signal.Signals[f"SIG{settings.stop_signal}"], signal.SIG_DFL)  # a shell may have made our service manager deaf to it
    _as(account, settings.stop_signal)
    if os.getppid() != parent:  # it ended before we asked
        return 1
    os.chdir(settings.data)
    try:
        os.execve(argv[0], argv, _filled(env, settings.data))
    except OSError as error:
        sys.stderr.write(f"{argv[0]} cannot be run by {account.name}: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


def _as(account: Account, on_orphaned: str) -> None:
    """Become the account, and ask for a signal when whoever started us ends; in this order, for another account forgets the request."""
    if account.changes:
        os.initgroups(account.name, account.gid)
        os.setgid(account.gid)
        os.setuid(account.uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.Signals[f"SIG{on_orphaned}"]), 0, 0, 0)


def _folder(path: str, account: Account) -> None:
    """A folder of the account that nobody else enters; one that is there stays as it is."""
    if not Path(path).exists():
        Path(path).mkdir(mode=0o700)
        if account.changes:
            os.chown(path, account.uid, account.gid)


def _words(argv: tuple[str, ...], data: str) -> list[str]:
    return [word.replace(DATA, data) for word in argv]


def _filled(env: Mapping[str, str], data: str) -> dict[str, str]:
    return {name: value.replace(DATA, data) for name, value in env.items()}


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        text = file.read((INPUT_MAX_MIB << 20) + 1)
    if len(text) > INPUT_MAX_MIB << 20:
        raise BadInput(f"{path} is larger than {INPUT_MAX_MIB} MiB")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
