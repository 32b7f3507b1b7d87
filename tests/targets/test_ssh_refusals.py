"""Every refusal is one line: who, what, why, and what to do next."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from cortops.targets import ssh_refusals as refusals
from cortops.targets.ssh_address import SshAddress

ASKED = refusals.Asked(name="h2", address=SshAddress("h2", "ops", 2222), host="h2.lab.example", port=2222, user="ops")
AT = "h2.lab.example port 2222"
TRY = "ssh -p 2222 ops@h2"

LINES: list[tuple[str, list[str]]] = [
    (refusals.no_address(ASKED), ["no address is known for h2.lab.example", "Hostname in ~/.ssh/config"]),
    (refusals.no_answer(ASKED, 10), [f"no answer from {AT} within 10 s", "firewall", TRY]),
    (refusals.cut_short(ASKED, "Connection lost"), [f"{AT} hung up before we were in (Connection lost)", "MaxStartups", "fail2ban", TRY]),
    (refusals.not_ssh(ASKED, "Unsupported SSH version"), [f"{AT} does not speak SSH", "USER@HOST:PORT"]),
    (
        refusals.not_let_in(ASKED, keys=2, agent=False, methods=("publickey", "password")),
        [f"{AT} accepts none of our keys for user ops", "2 key files, no agent", "takes publickey, password", TRY, "ssh-add"],
    ),
    (refusals.not_let_in(ASKED, keys=1, agent=True, methods=()), ["1 key file and an agent"]),
    (
        refusals.not_let_in(ASKED, keys=9, agent=True, methods=(), text="Too many authentication failures"),
        ["gave up after too many keys", "IdentitiesOnly yes"],
    ),
    (
        refusals.key_unknown(ASKED, "[h2.lab.example]:2222", "SHA256:abc", "ssh-ed25519", "/k"),
        [
            "the host key of [h2.lab.example]:2222 is not known: SHA256:abc (ssh-ed25519)",
            "ssh_host_ed25519_key.pub",
            "--accept-host-key SHA256:abc",
            "ssh-keyscan -p 2222 h2.lab.example >> /k",
        ],
    ),
    (refusals.key_unknown(ASKED, "h2", "SHA256:abc", "ecdsa-sha2-nistp256", "/k"), ["ssh_host_ecdsa_key.pub", "ssh-keyscan h2.lab"]),
    (refusals.key_declined(ASKED, "h2", "SHA256:abc"), ["SHA256:abc of h2 was not accepted", "nothing was sent"]),
    (
        refusals.key_changed(ASKED, "[h2]:2222", ("SHA256:old",), "SHA256:new", "/k"),
        ["has CHANGED: SHA256:old is known, it shows SHA256:new", "nothing was sent", "ssh-keygen -R '[h2]:2222' -f /k"],
    ),
    (refusals.key_revoked(ASKED, "h2", "Host key is revoked"), ["of h2 is refused: Host key is revoked"]),
    (refusals.unusable(ASKED, "line 3: Missing User value"), ["our own SSH configuration", "line 3: Missing User value", TRY]),
    (refusals.jump_refused(ASKED, "Connection refused"), [f"the jump host cannot reach {AT} (Connection refused)", TRY]),
    (refusals.jump_loop(ASKED, 4), ["more than 4 jump hosts", "ProxyJump"]),
    (refusals.no_session("h2", "open failed"), ["no program may be started (open failed)", "MaxSessions"]),
    (refusals.lost("h2", "Server not responding to keepalive", 15), ["h2 has not answered for 15 s"]),
    (refusals.lost("h2", "Connection lost", 15), ["the connection to h2 was lost (Connection lost)"]),
    (refusals.not_begun("h2", "ops", "sudo: a password is required", 1), ["sudo asks ops for a password", "--ask-sudo", "NOPASSWD"]),
    (refusals.not_begun("h2", "ops", "ops is not in the sudoers file.", 1), ["ops may not become root by sudo", "group sudo"]),
    (refusals.not_begun("h2", "ops", "sudo: sorry, you must have a tty to run sudo", 1), ["!requiretty"]),
    (refusals.not_begun("h2", "ops", "sh: 1: exec: sudo: not found", 127), ["there is no sudo", "leave out sudo: true"]),
    (refusals.not_begun("h2", "ops", "sudo: unable to open /etc/sudoers", 1), ["sudo refuses: sudo: unable to open /etc/sudoers"]),
    (refusals.not_begun("h2", "ops", "This account is currently not available.", 1), ["no program can be started for ops: This account"]),
    (refusals.not_begun("h2", "ops", "", 1), ["its shell ended with status 1"]),
    (refusals.wrong_password("h2", "ops"), ["sudo does not accept that password for ops"]),
    (refusals.slow_start("h2", "mounting", 15), ["no program began within 15 s (last words: mounting)", "login scripts"]),
    (refusals.noisy_start("h2", 64), ["more than 64 KiB before a program can begin"]),
]


@pytest.mark.parametrize(("line", "holds"), LINES, ids=[line[:50] for line, _ in LINES])
def test_a_refusal_says_who_what_and_what_next(line: str, holds: list[str]) -> None:
    assert [part for part in holds if part not in line] == []
    assert "h2" in line and "\n" not in line


@pytest.mark.parametrize(
    ("number", "text", "holds", "passing"),
    [
        (errno.ECONNREFUSED, "[Errno 111] Connect call failed", f"nothing listens at {AT}", False),
        (None, "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] …", f"nothing listens at {AT}", False),
        (errno.EHOSTUNREACH, "[Errno 113] No route to host", f"there is no way from here to {AT}", False),
        (errno.ETIMEDOUT, "[Errno 110] timed out", f"no answer from {AT}", False),
        (errno.ECONNRESET, "[Errno 104] Connection reset by peer", "hung up before we were in", True),
        (None, "something else", f"{AT} cannot be reached (something else); try: {TRY}", False),
    ],
)
def test_what_the_operating_system_says(number: int | None, text: str, holds: str, passing: bool) -> None:
    why, may_pass = refusals.not_connected(ASKED, text, number)
    assert holds in why and may_pass is passing


def test_every_refusal_has_its_case() -> None:
    def public(value: Any) -> bool:
        return getattr(value, "__module__", "") == refusals.__name__ and callable(value)

    names = {name for name, value in vars(refusals).items() if public(value) and not name.startswith("_")} - {"Asked", "not_connected"}
    source = Path(__file__).read_text()
    assert {name for name in names if f"refusals.{name}(" not in source} == set()
