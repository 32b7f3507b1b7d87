"""The root file system that every test host stands on: Debian 12 with systemd and sshd, made once by debootstrap.

It lies below the folder of cortops' downloads, named by the hash of this recipe, and is never written again: each host lays a layer of
its own over it. Only public packages and settings are in it; keys and passwords are made for each run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from cortops.deploy.fetch import cache_root
from cortops.words.errors import ArtifactUnavailable

SUITE = "bookworm"
PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,iproute2,procps,curl,ca-certificates,python3,nginx,logrotate"  # one line
)
PASSWORDLESS, WITHOUT_SUDO, WITH_PASSWORD = "me", "plain", "asks"
BUILD_TIMEOUT_S = 1200.0

# Runs in the new root. What a host in a namespace cannot do, or would do by itself while a test looks, is off.
_SETTINGS = r"""
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
for unit in systemd-networkd systemd-networkd.socket systemd-networkd-wait-online systemd-resolved systemd-timesyncd getty@ getty-static \
    serial-getty@ console-getty container-getty@ systemd-udevd systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-udev-trigger systemd-modules-load apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap fstrim.timer systemd-pstore systemd-logind-varlink.socket dev-hugepages.mount dev-mqueue.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount ldconfig systemd-firstboot systemd-update-done \
    systemd-journal-catalog-update systemd-hwdb-update; do
  case $unit in *.*) ;; *) unit=$unit.service ;; esac
  ln -sf /dev/null /etc/systemd/system/$unit
done
systemctl set-default multi-user.target
systemctl disable nginx.service
rm -f /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
cat > /etc/ssh/sshd_config.d/hosts.conf <<'SSHD'
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
MaxStartups 100:30:200
PasswordAuthentication no
SSHD
for user in me plain asks; do
  useradd --create-home --shell /bin/bash $user
  install -d -m 0700 -o $user -g $user /home/$user/.ssh
done
install -d -m 0700 ~root/.ssh
echo 'me ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/me
echo 'asks ALL=(ALL) ALL' > /etc/sudoers.d/asks
chmod 0440 /etc/sudoers.d/*
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*.log
"""


def root_folder(machine: str = "") -> Path:
    """Where the root of this recipe lies (machine: its type, default this one's), whether or not it was made."""
    text = "\0".join((SUITE, PACKAGES, _SETTINGS, machine or platform.machine()))
    return cache_root(os.environ) / "hosts" / hashlib.sha256(text.encode()).hexdigest()[:16] / "root"


def root() -> Path:
    """The root file system, made at first use (a minute or so, from Debian's mirror); one process makes it while others wait.

    Raises ArtifactUnavailable with the last words of debootstrap.
    """
    folder = root_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds programs that run as root: for root's eyes only
    with (folder.parent / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    partial = folder.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    # In a mount namespace of its own: whatever debootstrap mounts goes with it, killed or not.
    alone = ("unshare", "--mount", "--propagation", "private")
    _run(*alone, "debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(partial), *_mirror())
    _run(*alone, "chroot", str(partial), "sh", "-c", _SETTINGS)
    partial.rename(folder)


def _mirror() -> tuple[str, ...]:
    """The mirror that this machine's apt uses for the suite; none: debootstrap's own default."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", f"Codename: {SUITE}", "Component: main"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return tuple(done.stdout.split()[:1])


def _run(*argv: str) -> None:
    plain = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/"}
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    done = subprocess.run(
        argv,
        env={**plain, **proxies},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        why = done.stdout.strip()[-600:]
        raise ArtifactUnavailable(f"the root of the test hosts could not be made: {why}", where="debootstrap", why=why)
