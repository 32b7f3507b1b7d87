from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import asyncssh
import pytest

from cortops.targets.ssh_hostkeys import CERTIFICATES, KINDS, Confirm, HostKeys, Known, Verdict, append, judge

NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("known", "offered", "accepted", "declined", "can_ask", "verdict"),
    [
        (["a"], "a", NOBODY, False, False, Verdict.TRUST),
        (["b", "a"], "a", NOBODY, False, False, Verdict.TRUST),
        ([], "a", NOBODY, False, True, Verdict.ASK),
        ([], "a", NOBODY, False, False, Verdict.UNKNOWN),
        ([], "a", frozenset({"a"}), False, False, Verdict.ADD),
        ([], "a", frozenset({"b"}), False, False, Verdict.UNKNOWN),
        ([], "a", NOBODY, True, True, Verdict.DECLINED),
        (["b"], "a", NOBODY, False, True, Verdict.CHANGED),
        (["b"], "a", frozenset({"a"}), False, True, Verdict.CHANGED),  # what differs from what is known is never accepted
    ],
)
def test_the_verdict(known: list[str], offered: str, accepted: frozenset[str], declined: bool, can_ask: bool, verdict: Verdict) -> None:
    assert judge(known, offered, accepted=accepted, declined=declined, can_ask=can_ask) is verdict


def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519").convert_to_public()


def line(name: str, of: asyncssh.SSHKey, marker: str = "") -> str:
    return f"{marker}{name} {of.export_public_key('openssh').decode().strip()}\n"


def saying(answer: bool, asked: list[tuple[str, str]]) -> Confirm:
    async def confirm(host: str, fingerprint: str) -> bool:
        asked.append((host, fingerprint))
        await asyncio.sleep(0)
        return answer

    return confirm


def test_what_known_hosts_says(tmp_path: Path) -> None:
    mine, other, authority, bad = key(), key(), key(), key()
    (tmp_path / "user").write_text(
        "# a comment\n\nthis line cannot be read\n"
        + line("h1,[h1]:2222", mine)
        + line("*.example", authority, "@cert-authority ")
        + line("h9", bad, "@revoked ")
    )
    (tmp_path / "system").write_text(line("h1", other))
    keys = HostKeys(tmp_path / "user", others=[tmp_path / "system", tmp_path / "not there"])
    assert keys.known("h1").fingerprints == (mine.get_fingerprint(), other.get_fingerprint())
    assert keys.known("[h1]:2222").fingerprints == (mine.get_fingerprint(),)
    assert keys.known("[h1]:2223").fingerprints == ()
    assert keys.known("a.example").authorities == (authority,)
    assert keys.known("h9").revoked == (bad,) and keys.known("h9").keys == ()
    (tmp_path / "third").write_text(line("h3", other))
    assert keys.known("h3", [tmp_path / "third"]).fingerprints == (other.get_fingerprint(),)


def test_a_yes_is_asked_for_once_and_written_down(tmp_path: Path) -> None:
    file, shown, asked = tmp_path / ".ssh" / "known_hosts", key(), []
    keys = HostKeys(file, confirm=saying(True, asked))

    async def main() -> list[Verdict]:
        return await asyncio.gather(keys.admit("h1", shown), keys.admit("h1", shown))

    assert asyncio.run(main()) == [Verdict.ADD, Verdict.TRUST]
    assert asked == [("h1", shown.get_fingerprint())]
    assert file.read_text() == line("h1", shown).rpartition(" ")[0].strip() + "\n" or file.read_text() == line("h1", shown)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert HostKeys(file).known("h1").keys == (shown,)


def test_a_no_is_asked_for_once_and_nothing_is_written(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    keys, shown = HostKeys(tmp_path / "known_hosts", confirm=saying(False, asked)), key()

    async def main() -> list[Verdict]:
        return [await keys.admit("h1", shown), await keys.admit("h1", shown), await keys.admit("h2", shown)]

    assert asyncio.run(main()) == [Verdict.DECLINED] * 3
    assert [host for host, _ in asked] == ["h1", "h2"]
    assert not (tmp_path / "known_hosts").exists()


def test_a_changed_key_is_refused_without_asking(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    (tmp_path / "known_hosts").write_text(before := line("h1", key()))
    new = key()
    keys = HostKeys(tmp_path / "known_hosts", confirm=saying(True, asked), accepted=frozenset({new.get_fingerprint()}))
    assert asyncio.run(keys.admit("h1", new)) is Verdict.CHANGED
    assert asked == [] and (tmp_path / "known_hosts").read_text() == before


@pytest.mark.parametrize(("before", "after"), [("", "b\n"), ("a\n", "a\nb\n"), ("a", "a\nb\n")])
def test_a_line_is_added_after_whatever_stands_there(tmp_path: Path, before: str, after: str) -> None:
    (tmp_path / "known_hosts").write_text(before)
    append(tmp_path / "known_hosts", "b\n")
    assert (tmp_path / "known_hosts").read_text() == after


@pytest.mark.parametrize(
    ("kind", "first"), [("ssh-ed25519", "ssh-ed25519"), ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"), ("ssh-rsa", "rsa-sha2-512")]
)
def test_the_kind_that_is_known_is_asked_for_first_and_the_others_too(kind: str, first: str) -> None:
    known = Known(keys=(asyncssh.generate_private_key(kind).convert_to_public(),))
    assert known.kinds[0] == first and sorted(known.kinds) == sorted(KINDS)
    assert Known().kinds == KINDS
    assert Known(authorities=known.keys).kinds == CERTIFICATES + KINDS
