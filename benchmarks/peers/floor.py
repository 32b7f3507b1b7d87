"""The floor: one asyncssh batch for each host over a new connection, that checks before it writes and plans nothing.

`python -m benchmarks.peers.floor SSH_CONFIG HOST...`; prints how many hosts were changed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import shlex
import sys

import asyncssh

from benchmarks.peers.workload import ANSWERS, FILES, FOLDER, NAME, UNIT, UNIT_TEXT


def script() -> str:
    """The batch: each operation looks first. Its last line is `changed` or `same`."""
    lines = ["set -e; changed=same"]
    lines.append(f'[ "$(stat -c %a {FOLDER} 2>/dev/null)" = 755 ] || {{ mkdir -p {FOLDER}; chmod 755 {FOLDER}; changed=changed; }}')
    wanted = {f"{FOLDER}/{name}": text for name, text in FILES.items()} | {UNIT: UNIT_TEXT}
    lines.append("unit=")
    for path, text in wanted.items():
        digest, packed = hashlib.sha256(text.encode()).hexdigest(), base64.b64encode(text.encode()).decode()
        lines.append(
            f'[ "$(sha256sum 2>/dev/null <{path} | cut -c 1-64)" = {digest} ] && [ "$(stat -c %a {path})" = 644 ] || {{ '
            f"echo {packed} | base64 -d >{path}.new; chmod 644 {path}.new; sync {path}.new; mv {path}.new {path}; "
            "changed=changed; unit=yes; }"
        )
    lines.append('[ -z "$unit" ] || systemctl daemon-reload')
    lines.append(f"systemctl is-enabled --quiet {NAME} || {{ systemctl enable --quiet {NAME}; changed=changed; }}")
    lines.append(f'if [ -n "$unit" ]; then systemctl restart {NAME}; elif ! systemctl is-active --quiet {NAME}; then')
    lines.append(f"systemctl start {NAME}; changed=changed; fi; {ANSWERS}; echo $changed")
    return "\n".join(lines)


async def one(config: str, host: str) -> bool:
    """Whether the host was changed."""
    async with asyncssh.connect(host, config=[config]) as connection:
        done = await connection.run(f"sudo -n bash -c {shlex.quote(script())}", check=True)
    return str(done.stdout).split()[-1] == "changed"


async def main() -> None:
    config, *hosts = sys.argv[1:]
    changed = await asyncio.gather(*(one(config, host) for host in hosts))
    sys.stdout.write(f"{sum(changed)} changed\n")


if __name__ == "__main__":
    asyncio.run(main())
