"""An unpacked archive and a line of authorized_keys for the conformance test, each with what people do to it."""

from __future__ import annotations

import hashlib
import io
import os

from cortops.deploy.runtime import pack
from cortops.testing.host import Host
from cortops.words.entity import Entity
from cortops.words.resource import AuthorizedKey, Tree

ENTITY = Entity("node", "m1")


def tree(host: Host) -> Tree:
    packed = io.BytesIO()
    pack({"bin-free/one": b"1", "lib/odd 'name'": b"2"}, packed)
    archive = host.cache / "tree.tar.gz"
    archive.write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    return Tree(
        place=host.name,
        entity=ENTITY,
        because="t:5",
        path=f"{host.root}/some tree",
        archive=str(archive),
        sha256=digest,
        size=len(packed.getvalue()),
    )


def unstamp(host: Host) -> None:
    (host.root / "some tree/.tree").unlink()


def authorized_key(host: Host) -> AuthorizedKey:
    """Of a user whose home is in the host's root: this machine has no such one."""
    home, tools = host.root / "home", host.cache / "tools"
    tools.mkdir()
    (tools / "getent").write_text(f"#!/bin/sh\necho 'mona:x:{os.getuid()}:{os.getgid()}::{home}:/bin/sh'\n")
    (tools / "getent").chmod(0o755)
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    (home / ".ssh").mkdir(parents=True)
    keys = home / ".ssh/authorized_keys"
    keys.write_text("ssh-ed25519 AAAAtheirs me@laptop")  # without a line break at its end
    keys.chmod(0o640)
    return AuthorizedKey(
        place=host.name,
        entity=ENTITY,
        because="t:6",
        account="mona",
        public="ssh-ed25519 AAAAours",
        command='sudo -n "/x y"',
        mark="cortops:t",
    )


def another_command(host: Host) -> None:
    keys = host.root / "home/.ssh/authorized_keys"
    assert keys.read_text().splitlines() == [
        "ssh-ed25519 AAAAtheirs me@laptop",
        'restrict,command="sudo -n \\"/x y\\"" ssh-ed25519 AAAAours cortops:t',
    ]
    keys.write_text(keys.read_text().replace("restrict,", ""))


def only_theirs(host: Host) -> None:
    keys = host.root / "home/.ssh/authorized_keys"
    assert (keys.read_text(), keys.stat().st_mode & 0o777) == ("ssh-ed25519 AAAAtheirs me@laptop\n", 0o640)
    keys.unlink()
