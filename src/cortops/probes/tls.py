"""Shake hands and read the certificate."""

from __future__ import annotations

import asyncio
import json
import ssl

from cortops.probes.http import trust
from cortops.protocol.http import HttpClient, silence_of
from cortops.words.clock import Clock
from cortops.words.question import Answer, NoAnswer, Reply, Silence, Tls


async def ask_tls(question: Tls, client: HttpClient, clock: Clock) -> Reply:
    """Tls -> Answer with {"not_after": seconds since 1970, "names": [...]}; `untrusted` when name, chain or date do not hold."""
    at, begun = clock.now(), clock.monotonic()

    def silent(silence: Silence, why: str) -> NoAnswer:
        return NoAnswer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, silence=silence, why=why)

    trusted = trust(question.ca_file, question.ca_pem)
    if isinstance(trusted, str):
        return silent(Silence.LOST, trusted)
    try:
        async with asyncio.timeout(question.timeout_s):
            host, port = await client.place(question.host, question.port)
            name = question.server_name
            if host.startswith("/"):
                _, writer = await asyncio.open_unix_connection(host, ssl=trusted, server_hostname=name)
            else:
                _, writer = await asyncio.open_connection(host, port, ssl=trusted, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return silent(Silence.UNTRUSTED, error.verify_message)
    except TimeoutError:
        return silent(Silence.TIMEOUT, f"no handshake with {question.server_name} within {question.timeout_s:g} s")
    except OSError as error:
        return silent(silence_of(error), f"{question.host}:{question.port}: {error.strerror or error}")
    certificate = writer.get_extra_info("peercert") or {}
    writer.close()
    body = {
        "not_after": ssl.cert_time_to_seconds(certificate["notAfter"]),
        "names": [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"],
    }
    return Answer(question=question.id, at=at, elapsed_s=clock.monotonic() - begun, status=0, body=json.dumps(body).encode())
