"""HttpClient over TLS: whose certificate counts."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cortops.protocol.http import HttpClient, HttpFailure
from cortops.words.clock import SystemClock
from cortops.words.question import Silence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_tls_verifies_the_name_of_the_url_wherever_it_connects(tmp_path: Path) -> None:
    certificate, trusting = self_signed(tmp_path, "gateway.example")

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await reader.read()
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate)
        there = ("127.0.0.1", listening.sockets[0].getsockname()[1])
        client = HttpClient(clock=SystemClock())
        reply = await client.request("GET", "https://gateway.example/", timeout_s=2, connect_to=there, tls=trusting)
        assert reply.body == b"ok"
        for url, tls in (("https://other.example/", trusting), ("https://gateway.example/", ssl.create_default_context())):
            with pytest.raises(HttpFailure) as caught:
                await client.request("GET", url, timeout_s=2, connect_to=there, tls=tls)
            assert (caught.value.silence, caught.value.sent) == (Silence.UNTRUSTED, False)
        await client.close()
        listening.close()
        await listening.wait_closed()

    asyncio.run(main())


def self_signed(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server context, client context that trusts it) for a certificate made now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(private + public)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=public.decode())
