"""Services that take messages, on this machine: one HTTP server that answers as told, one mail server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass(slots=True)
class Post:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class WebService:
    """Answers every request with `status` and `body`, and remembers it. `port`: where it listens."""

    status: int = 200
    body: bytes = b'{"ok":true}'
    port: int = 0
    posts: list[Post] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.posts.append(Post(head[0].split()[1], headers, body))
            said = f"HTTP/1.1 {self.status} Said\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n".encode()
            writer.write(said + self.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@dataclass(slots=True)
class MailService:
    """A mail server that asks for a login when `users` has any; `refuse` answers RCPT instead of it."""

    users: dict[str, str] = field(default_factory=dict)
    refuse: str = ""
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        say("220 mail.example ready")
        try:
            while words := (await reader.readline()).decode().split():
                verb = words[0].upper()
                if verb == "EHLO":
                    say("250-mail.example")
                    say("250 AUTH PLAIN" if self.users else "250 8BITMIME")
                elif verb == "AUTH":
                    _, user, password = base64.b64decode(words[2]).decode().split("\0")
                    self.logins.append((user, password))
                    say("235 welcome" if self.users.get(user) == password else "535 5.7.8 wrong user or password")
                elif verb == "RCPT" and self.refuse:
                    say(self.refuse)
                elif verb == "DATA":
                    say("354 go on")
                    raw = await reader.readuntil(b"\r\n.\r\n")
                    mail = message_from_bytes(raw.removesuffix(b".\r\n"), policy=policy.default)
                    assert isinstance(mail, EmailMessage)
                    self.mails.append(mail)
                    say("250 taken")
                elif verb == "QUIT":
                    say("221 bye")
                    break
                else:
                    say("250 ok")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(service: WebService | MailService) -> AsyncIterator[None]:
    """The service on a free port of 127.0.0.1."""
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
