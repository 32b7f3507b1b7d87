"""Where an SSH host is, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cortops.words.errors import BadInput

SSH_PORT = 22
PORT_MAX = 65_535
_FORM = re.compile(r"(?:(?P<user>(?!-)[^@\s]+)@)?(?:\[(?P<bracketed>[0-9A-Fa-f:.%]+)\]|(?P<host>(?!-)[^@\s:\[\]]+)|(?P<v6>[0-9A-Fa-f:.]+))")
_WITH_PORT = re.compile(r"(?P<place>.*[^:]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class SshAddress:
    """`[USER@]HOST[:PORT]`, or a name of `~/.ssh/config`. No user and no port: what the configuration says, else ours and 22."""

    host: str
    user: str = ""
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> SshAddress:
        """As people write it, `[V6]:PORT` included. BadInput for what is none."""
        place, port = text, None
        found = _WITH_PORT.fullmatch(text)
        if found is not None and (":" not in found["place"] or found["place"].endswith("]")):
            place, port = found["place"], int(found["port"])
        parts = _FORM.fullmatch(place)
        host = parts and (parts["bracketed"] or parts["host"] or parts["v6"])
        if not parts or not host or (port is not None and not 1 <= port <= PORT_MAX):
            raise BadInput(f"{text!r} is no SSH host", next="Write USER@HOST, USER@HOST:PORT, or a name of ~/.ssh/config.")
        return cls(host, parts["user"] or "", port)

    @property
    def command(self) -> str:
        """How a person would try it: `ssh -p 2222 me@h1`."""
        port = f"-p {self.port} " if self.port is not None else ""
        return f"ssh {port}{self.user + '@' if self.user else ''}{self.host}"


def key_name(host: str, port: int) -> str:
    """Under which name known_hosts has the keys of a host: `h1`, or `[h1]:2222` where the port is not 22."""
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"
